//! Request × Host → rules of Landlock: what each ABI is asked for, and what is refused where it lacks something.

use seclude::host::Host;
use seclude::plan::landlock::Ruleset;
use seclude::plan::{Plan, Step};

use crate::plan_rules::{asked, plain};

const ALL: &str = "--landlock-read /r --landlock-write /w --landlock-exec /x --landlock-connect 443 --landlock-bind 0 \
                   --landlock-scope signal,abstract-socket";

fn decided(abi: i32, options: &str) -> Result<Ruleset, String> {
    let words: Vec<&str> = options.split_whitespace().chain(["true"]).collect();
    let host = Host { landlock_abi: abi, ..plain() };
    let plan = Plan::new(&asked(&words), &host).map_err(|failure| failure.to_string())?;
    let found = plan.steps.into_iter().find_map(|step| match step {
        Step::Landlock(ruleset) => Some(ruleset),
        _ => None,
    });
    found.ok_or_else(|| "no ruleset".to_string())
}

/// The masks by the numbers of linux/landlock.h: files, network, scopes.
fn masks(ruleset: &Ruleset) -> [u64; 3] {
    [ruleset.handled_fs, ruleset.handled_net, ruleset.scoped]
}

#[test]
fn each_abi_is_asked_for_what_it_has() {
    let cases: [(i32, [u64; 3], &[&str]); 9] = [
        (
            0,
            [0, 0, 0],
            &[
                "read",
                "write",
                "exec",
                "refer",
                "truncate",
                "ioctl-dev",
                "connect",
                "bind",
                "abstract-socket",
                "signal",
            ],
        ),
        (
            1,
            [0x1fff, 0, 0],
            &["refer", "truncate", "ioctl-dev", "connect", "bind", "abstract-socket", "signal"],
        ),
        (2, [0x3fff, 0, 0], &["truncate", "ioctl-dev", "connect", "bind", "abstract-socket", "signal"]),
        (3, [0x7fff, 0, 0], &["ioctl-dev", "connect", "bind", "abstract-socket", "signal"]),
        (4, [0x7fff, 3, 0], &["ioctl-dev", "abstract-socket", "signal"]),
        (5, [0xffff, 3, 0], &["abstract-socket", "signal"]),
        (6, [0xffff, 3, 3], &[]),
        (7, [0xffff, 3, 3], &[]),
        // What a later one has beside is not asked for.
        (99, [0xffff, 3, 3], &[]),
    ];
    for (abi, expected, unenforced) in cases {
        let ruleset = decided(abi, &format!("--no-new-privs --landlock best-effort {ALL}")).unwrap();
        assert_eq!((ruleset.abi, masks(&ruleset)), (abi, expected));
        assert_eq!(ruleset.unenforced, unenforced, "{abi}");
        let rules = ruleset.paths.iter().all(|rule| {
            let unhandled = !ruleset.handled_fs;
            rule.on_directory & unhandled == 0 && rule.on_file & !rule.on_directory == 0
        });
        assert!(rules, "{ruleset:?}");
        let strict = decided(abi, &format!("--no-new-privs {ALL}"));
        assert_eq!(strict.is_ok(), unenforced.is_empty(), "{abi}");
    }
}

#[test]
fn each_kind_restricts_its_own() {
    let cases: [(&str, [u64; 3]); 8] = [
        // 0x2000, refer, is always denied unless a rule allows it: here one on the root does.
        ("--landlock-read /r", [0x200c, 0, 0]),
        ("--landlock-exec /r", [0x2001, 0, 0]),
        ("--landlock-write /r", [0xfff2, 0, 0]),
        ("--landlock-connect 1", [0, 2, 0]),
        ("--landlock-bind 1", [0, 1, 0]),
        ("--landlock-scope signal", [0, 0, 2]),
        ("--landlock-scope abstract-socket", [0, 0, 1]),
        ("--landlock-scope abstract-socket --landlock-scope signal", [0, 0, 3]),
    ];
    for (options, expected) in cases {
        let ruleset = decided(7, &format!("--no-new-privs {options}")).unwrap();
        assert_eq!(masks(&ruleset), expected, "{options}");
    }
    let rules = |options: &str| {
        let ruleset = decided(7, &format!("--no-new-privs {options}")).unwrap();
        let paths = ruleset.paths.into_iter();
        paths
            .map(|rule| (rule.path.into_string().unwrap(), rule.on_directory, rule.on_file))
            .collect::<Vec<_>>()
    };
    let rule = |path: &str, on_directory, on_file| (path.to_string(), on_directory, on_file);
    assert_eq!(
        rules("--landlock-read a --landlock-read /b"),
        [rule("a", 0xc, 4), rule("/b", 0xc, 4), rule("/", 0x2000, 0)]
    );
    assert_eq!(rules("--landlock-exec a --landlock-write b"), [rule("b", 0xfff2, 0xc002), rule("a", 1, 1)]);
}

#[test]
fn what_the_kernel_lacks_is_refused_by_its_name() {
    let none = "plan: cannot restrict the command by Landlock: the kernel has no Landlock, it was not enabled at boot, or a filter hides it";
    let cases = [
        (0, "--landlock-read /", none),
        (0, "--landlock-scope signal", none),
        (
            1,
            "--landlock-exec /",
            "plan: cannot restrict refer: that takes Landlock's ABI 2, and the kernel has 1",
        ),
        (
            2,
            "--landlock-write /",
            "plan: cannot restrict truncate, ioctl-dev: that takes Landlock's ABI 5, and the kernel has 2",
        ),
        (
            3,
            "--landlock-bind 1",
            "plan: cannot restrict bind: that takes Landlock's ABI 4, and the kernel has 3",
        ),
        (
            3,
            "--landlock-connect 1",
            "plan: cannot restrict connect: that takes Landlock's ABI 4, and the kernel has 3",
        ),
        (
            4,
            "--landlock-write /",
            "plan: cannot restrict ioctl-dev: that takes Landlock's ABI 5, and the kernel has 4",
        ),
        (
            5,
            "--landlock-scope signal",
            "plan: cannot restrict signal: that takes Landlock's ABI 6, and the kernel has 5",
        ),
    ];
    for (abi, options, expected) in cases {
        assert_eq!(decided(abi, &format!("--no-new-privs {options}")), Err(expected.to_string()), "{abi}");
    }
}

#[test]
fn the_step_says_what_it_restricts_and_what_not() {
    let said = |abi, options: &str| {
        let ruleset = decided(abi, &format!("--no-new-privs --landlock best-effort {options}")).unwrap();
        Step::Landlock(ruleset).to_string()
    };
    let options = "--landlock-exec / --landlock-scope signal";
    assert_eq!(said(6, options), "restrict exec, refer, signal by Landlock");
    assert_eq!(said(2, options), "restrict exec, refer by Landlock: the kernel lacks signal");
    assert_eq!(said(0, options), "restrict nothing by Landlock: the kernel lacks exec, refer, signal");
}

#[test]
fn it_takes_no_new_privs_and_a_rule() {
    assert_eq!(
        decided(7, "--landlock-read /"),
        Err("plan: cannot restrict the command by Landlock: that takes no_new_privs".to_string())
    );
    assert_eq!(
        decided(7, "--no-new-privs --landlock best-effort"),
        Err("plan: cannot take --landlock best-effort: there is no rule that it could apply to".to_string())
    );
    assert_eq!(decided(7, "--no-new-privs"), Err("no ruleset".to_string()));
}

#[test]
fn it_comes_after_no_new_privs_and_before_a_filter() {
    let words = ["--no-new-privs", "--deny-syscall", "mkdirat", "--landlock-read", "/", "true"];
    let host = Host { landlock_abi: 7, ..plain() };
    let plan = Plan::new(&asked(&words), &host).unwrap();
    let at = |wanted: fn(&Step) -> bool| plan.steps.iter().position(wanted).unwrap();
    let landlock = at(|step| matches!(step, Step::Landlock(_)));
    assert_eq!(at(|step| matches!(step, Step::NoNewPrivs)) + 1, landlock);
    assert!(landlock < at(|step| matches!(step, Step::Filter { .. })));
}
