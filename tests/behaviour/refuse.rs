//! What is said no to, in which words and with which status: usage, contradictions, a machine that won't, privilege not ours.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::machine::{STRANGER, call, call_as, caller, can, copied, finish, scratch, seclude};

fn refused(words: &[&str], err: &str) {
    let words = [words, &["echo", "ran"]].concat();
    assert_eq!(call(&words).seen(), (Some(125), "", format!("seclude: {err}\n").as_str()), "{words:?}");
}

#[test]
fn a_usage_error_is_one_line_and_125() {
    let bare = |words: &[&str], err: &str| {
        assert_eq!(
            call(words).seen(),
            (Some(125), "", format!("seclude: usage: {err}\n").as_str()),
            "{words:?}"
        );
    };
    bare(&[], "cannot start: a COMMAND is needed");
    bare(&["-q"], "cannot start: a COMMAND is needed");
    bare(&["--"], "cannot start: a COMMAND is needed");
    bare(&[""], "cannot take COMMAND: it is empty: a name or a path is needed");
    bare(&["--user"], "cannot take --user: it needs a value, USER[:GROUP]");
    bare(
        &["--usr", "0", "true"],
        "cannot take --usr: there is no such option\nseclude: hint: did you mean --user?",
    );
    bare(
        &["--use", "0", "true"],
        "cannot take --use: there is no such option\nseclude: hint: did you mean --user?",
    );
    bare(&["-Z", "true"], "cannot take -Z: there is no such option");
    bare(&["--quiet=yes", "true"], "cannot take --quiet yes: it takes no value");
    bare(&["--mount-proc=", "true"], "cannot take --mount-proc: it needs a value");
    bare(&["-n", "pid,mount", "--mount-proc=", "true"], "cannot take --mount-proc: it needs a value");
    for option in ["--user", "--group", "--chdir", "--umask", "--argv0", "--root", "--hostname"] {
        bare(&[option, "1", option, "2", "true"], &format!("cannot take {option}: it is given twice"));
    }
    bare(&["-q", "-v", "true"], "cannot take --quiet: it contradicts --verbose");
    bare(&["--keep-env", "--clear-env", "true"], "cannot take --keep-env: it contradicts --clear-env");
    bare(&["--dry-run", "--doctor"], "cannot take --dry-run: it contradicts --doctor");
    bare(&["--report", "xml", "true"], "cannot take --report xml: the values are text, json");
    bare(&["--setgroups", "allow", "true"], "cannot take --setgroups allow: the only value is deny");
    let kinds = "the kinds are user pid mount net uts ipc cgroup time, or all";
    bare(&["--unshare", "bogus", "true"], &format!("cannot take --unshare bogus: {kinds}"));
    bare(&["--unshare", "user,", "true"], &format!("cannot take --unshare user,: {kinds}"));
    bare(&["--persist", "net", "true"], "cannot take --persist net: a PATH is needed after =");
}

#[test]
fn an_option_behind_the_command_is_the_command_s() {
    assert_eq!(call(&["-q", "echo", "--user", "-q", "--", "-1"]).seen(), (Some(0), "--user -q -- -1\n", ""));
    assert_eq!(call(&["-q", "--", "echo", "-n"]).seen(), (Some(0), "", ""));
}

#[test]
fn small_values_are_strict() {
    let mask = "a mask is one to four octal digits, 0777 at most";
    for text in ["8", "1000", "0o22", "+22", "00022", "0x1f"] {
        refused(&["--umask", text], &format!("usage: cannot take --umask {text}: {mask}"));
    }
    for text in ["x", "3,", "+3", "2147483648"] {
        refused(
            &["--keep-fd", text],
            &format!("usage: cannot take --keep-fd {text}: a descriptor is a plain decimal number"),
        );
    }
    refused(&["--unset-env", "a=b"], "usage: cannot take --unset-env a=b: a variable's name has no =");
    refused(&["--env", "=x"], "plan: cannot take --env: a variable has a name before its =");
    refused(
        &["--time-offset", "x=1"],
        "usage: cannot take --time-offset x=1: the clocks are monotonic, boottime",
    );
    let whole = "SECONDS are a whole number, negative or not";
    for text in ["monotonic=", "monotonic=1.5", "monotonic=+1", "boottime=9223372036854775808"] {
        refused(&["--time-offset", text], &format!("usage: cannot take --time-offset {text}: {whole}"));
    }
}

/// CVE-2022-0811: a value held a second setting of the kernel.
#[test]
fn a_host_name_is_plain_and_short() {
    let rule = |c: &str| format!("a host name holds letters, digits, . and -, not '{c}'");
    for option in ["--hostname", "--domainname"] {
        let refused = |text: &str, shown: &str, rule: &str| {
            refused(
                &["-n", "user,uts", option, text],
                &format!("usage: cannot take {option}{shown}: {rule}"),
            );
        };
        let long = "0".repeat(65);
        refused(&long, &format!(" {long}"), "a host name is 1 to 64 bytes, and this is 65");
        refused("", "", "a host name is 1 to 64 bytes, and this is 0");
        refused("a\nb", " a\\nb", &rule("\\n"));
        refused("a\u{1b}]0;x\u{7}", " a\\x1b]0;x\\x07", &rule("\\x1b"));
        refused("a b", " a b", &rule(" "));
        refused("a_b", " a_b", &rule("_"));
        refused("größe", " größe", &rule("ö"));
        refused("a/b", " a/b", &rule("/"));
    }
}

#[test]
fn what_goes_only_with_something_else_says_so() {
    let plan = |words: &[&str], object: &str, rule: &str| {
        refused(words, &format!("plan: cannot take {object}: {rule}"))
    };
    let uts = "it names a new uts namespace: add --unshare uts";
    plan(&["--hostname", "x"], "--hostname x", uts);
    plan(&["--domainname", "x", "-n", "user"], "--domainname x", uts);
    plan(&["--join", "uts=1", "--hostname", "x"], "--hostname x", uts);
    let time = "it sets a clock of a new time namespace: add --unshare time";
    plan(&["--time-offset", "monotonic=1"], "--time-offset monotonic=1", time);
    let twice = ["-n", "time", "--time-offset", "monotonic=1", "--time-offset", "monotonic=2"];
    plan(&twice, "--time-offset monotonic=2", "a clock is set once");
    let mount = "it is of a new mount namespace: add --unshare mount";
    plan(&["--propagation", "slave"], "--propagation slave", mount);
    plan(&["--mount-proc"], "--mount-proc", "it shows a new pid namespace: add --unshare pid");
    plan(
        &["-n", "pid", "--mount-proc"],
        "--mount-proc",
        "it would cover the caller's /proc: add --unshare mount",
    );
    let absolute = "its place is an absolute path inside the root";
    plan(&["-n", "pid,mount", "--mount-proc=x"], "--mount-proc=x", absolute);
    plan(&["--setgroups", "deny"], "--setgroups deny", "it is of a new user namespace: add --unshare user");
    plan(&["-n", "net", "--join", "net=1"], "--join net", "a kind is either made or joined");
    plan(&["--join", "net=1", "--join", "net=2"], "--join net", "a kind is joined once");
    plan(&["--persist", "net=/x"], "--persist net=/x", "only a namespace that is made can be kept");
    let two = ["-n", "net", "--persist", "net=/x", "--persist", "net=/y"];
    plan(&two, "--persist net=/y", "a namespace is kept at one path");
}

#[test]
fn a_machine_that_allows_no_user_namespace_is_told_as_such() {
    if !can(&["userns", "unshare"]) {
        return;
    }
    // The limit is that of a user namespace of the test's own.
    for (kind, limit, words) in [
        ("a new user namespace", "user", "--user 0:0 -n user"),
        ("new user,pid namespaces", "user", "--user 0:0 -n user,pid"),
        ("a new net namespace", "net", "-n net"),
        ("a new mount namespace", "mnt", "-n mount"),
    ] {
        let script = format!(
            r#"exec unshare -Ur sh -c 'echo 0 > /proc/sys/user/max_{limit}_namespaces && exec "$0" {words} echo ran' "$0""#
        );
        let sysctl = format!("user.max_{limit}_namespaces");
        let err = format!(
            "seclude: clone: cannot clone a child into {kind}: the limit is reached: {sysctl} is 0 (ENOSPC)\n\
             seclude: hint: sysctl -w {sysctl}=15000 allows them\n"
        );
        assert_eq!(caller(&script).seen(), (Some(125), "", err.as_str()));
    }
}

#[test]
fn a_privilege_that_is_missing_is_named_with_what_would_do() {
    if !can(&["root"]) {
        return;
    }
    let seen = call_as(STRANGER, &["-n", "net,uts", "echo", "ran"]);
    let err = "seclude: plan: cannot make new net,uts namespaces: that takes CAP_SYS_ADMIN, which the caller does not \
               have\nseclude: hint: add user to --unshare, which makes the command privileged in a user namespace of its own\n";
    assert_eq!(seen.seen(), (Some(125), "", err));
    let seen = call_as(STRANGER, &["--root", "/usr", "echo", "ran"]);
    assert_eq!((seen.status, seen.out.as_str()), (Some(125), ""));
    assert!(
        seen.err.starts_with("seclude: plan: cannot change the root: that takes CAP_SYS_CHROOT, "),
        "{seen:?}"
    );
}

/// CVE-2018-6556, CVE-2022-47952: a set-uid helper told whether a file was there that its caller could not see.
#[test]
fn seclude_refuses_to_run_with_privilege_of_its_file() {
    if !can(&["root"]) {
        return;
    }
    let copy = scratch("secure").join("seclude");
    copied(seclude(), &copy);
    let rule = "its file, or a real id that is not the effective one, gives it privilege that its caller may lack, and its options would give that away";
    let err = format!("seclude: usage: cannot run set-uid, set-gid or with file capabilities: {rule}\n");
    let run = |copy: &std::path::Path| {
        use std::os::unix::process::CommandExt;
        finish(Command::new(copy).args(["echo", "ran"]).uid(STRANGER).gid(STRANGER).current_dir("/"))
    };
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(run(&copy).out, "ran\n");
    for mode in [0o4755, 0o2755, 0o6755] {
        fs::set_permissions(&copy, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(run(&copy).seen(), (Some(125), "", err.as_str()), "{mode:o}");
    }
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    if can(&["setcap"]) {
        let set = finish(Command::new("setcap").arg("cap_setuid=ep").arg(&copy));
        assert_eq!(set.status, Some(0), "{set:?}");
        assert_eq!(run(&copy).seen(), (Some(125), "", err.as_str()));
    }
    fs::remove_file(&copy).unwrap();
}

/// CVE-2016-8659, CVE-2020-5291, CVE-2026-41163, CVE-2022-31214, CVE-2021-44730, CVE-2022-3328, CVE-2016-10117: holes that
/// launchers had because they were set-uid.
#[test]
fn seclude_refuses_to_run_where_the_real_user_is_not_the_effective_one() {
    use std::os::unix::process::CommandExt;
    if !can(&["root"]) {
        return;
    }
    let rule = "its file, or a real id that is not the effective one, gives it privilege that its caller may lack, and its options would give that away";
    let err = format!("seclude: usage: cannot run set-uid, set-gid or with file capabilities: {rule}\n");
    let run = |real: u32, effective: u32, saved: u32, groups: bool| {
        let mut command = Command::new(seclude());
        command.args(["-q", "echo", "ran"]).current_dir("/");
        let change = move || {
            // SAFETY: numbers alone.
            let answer = match groups {
                true => unsafe { libc::setresgid(real, effective, saved) },
                false => unsafe { libc::setresuid(real, effective, saved) },
            };
            if answer == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        };
        // SAFETY: one system call between fork and exec.
        finish(unsafe { command.pre_exec(change) })
    };
    for groups in [false, true] {
        for [real, effective, saved] in [[STRANGER, 0, 0], [0, STRANGER, STRANGER], [STRANGER, 0, STRANGER]] {
            let seen = run(real, effective, saved, groups);
            assert_eq!(seen.seen(), (Some(125), "", err.as_str()), "{real} {effective} {saved} {groups}");
        }
        // An exec makes the saved one the effective one.
        assert_eq!(run(STRANGER, STRANGER, 0, groups).seen(), (Some(0), "ran\n", ""));
    }
}

/// CVE-2023-28486, CVE-2023-29383: control bytes of an argument reached the terminal and the log.
#[test]
fn control_bytes_of_what_was_typed_are_escaped() {
    let seen = call(&["no\u{1b}[31m\nsuch"]);
    let err = "seclude: exec: cannot execute no\\x1b[31m\\nsuch: no directory of PATH has it (ENOENT)\n";
    assert_eq!(seen.seen(), (Some(127), "", err));
    refused(&["--\u{1b}[31m"], "usage: cannot take --\\x1b[31m: there is no such option");
    refused(&["-C", "/a\u{1b}b"], "chdir: cannot enter /a\\x1bb: No such file or directory (ENOENT)");
    refused(
        &["--report-to", "/no\u{7}/x"],
        "report: cannot open /no\\x07/x: No such file or directory (ENOENT)",
    );
    let seen = caller(r#""$0" -q "$(printf 'no\377\233')""#);
    assert_eq!(
        seen.err,
        "seclude: exec: cannot execute no\\xff\\x9b: no directory of PATH has it (ENOENT)\n"
    );
    let seen = caller(
        r#"ln -s /bin/true "/tmp/seclude-a$$$(printf '\033')b"; "$0" "/tmp/seclude-a$$$(printf '\033')b"; rm "/tmp/seclude-a$$$(printf '\033')b""#,
    );
    assert!(seen.err.contains("\\x1bb: real pid ") && !seen.err.contains('\u{1b}'), "{seen:?}");
}
