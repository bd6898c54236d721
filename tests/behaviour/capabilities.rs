//! The capabilities that the command is left with: each set as the command itself sees it.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::machine::{GRANT, STRANGER, call, call_as, can, finish, scratch, seclude};

/// Inheritable, permitted, effective, bounding and ambient set, in the order of /proc/PID/status.
type Sets = [u64; 5];

const NONE: Sets = [0; 5];
const KILL: u64 = 1 << 5;
const NET_BIND_SERVICE: u64 = 1 << 10;
const NET_RAW: u64 = 1 << 13;
const SYS_ADMIN: u64 = 1 << 21;

/// All five as one set that a user who is not root keeps.
fn kept(set: u64) -> Sets {
    [set; 5]
}

/// All that root has with this bounding set.
fn roots(set: u64) -> Sets {
    [0, set, set, set, 0]
}

fn parse(text: &str) -> Sets {
    let line = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        u64::from_str_radix(value.expect("every kernel shows it"), 16).expect("hexadecimal")
    };
    ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(line)
}

fn own() -> Sets {
    parse(&fs::read_to_string("/proc/self/status").expect("our own status"))
}

fn words(options: &str) -> Vec<&str> {
    ["-q"].into_iter().chain(options.split_whitespace()).chain(["cat", "/proc/self/status"]).collect()
}

/// The command's sets; called as root.
fn left(options: &str) -> Sets {
    let seen = call(&words(options));
    assert_eq!((seen.status, seen.err.as_str()), (Some(0), ""), "{options}");
    parse(&seen.out)
}

/// The command's sets; called as a user without privilege.
fn plain(options: &str) -> Sets {
    let seen = call_as(STRANGER, &words(options));
    assert_eq!((seen.status, seen.err.as_str()), (Some(0), ""), "{options}");
    parse(&seen.out)
}

/// What a refusal says, without the name of the program.
fn refused(uid: Option<u32>, options: &str) -> String {
    let seen = match uid {
        Some(uid) => call_as(uid, &words(options)),
        None => call(&words(options)),
    };
    assert_eq!((seen.status, seen.out.as_str()), (Some(125), ""), "{options}");
    seen.err.trim_start_matches("seclude: ").to_string()
}

#[test]
fn a_user_who_is_not_root_keeps_what_is_added_across_the_exec_and_nothing_else() {
    if !can(&["root"]) {
        return;
    }
    for way in ["", "-n pid", "--exec", "-n pid,mount --mount-proc"] {
        let to = |options: &str| left(&format!("{way} --user 65534:65534 {options}"));
        assert_eq!(to(""), NONE, "{way}");
        assert_eq!(to("--cap-add net_bind_service"), kept(NET_BIND_SERVICE), "{way}");
        assert_eq!(to("--cap-add CAP_KILL,cap_net_raw --cap-drop all"), kept(KILL | NET_RAW), "{way}");
        assert_eq!(to("--cap-add 5"), kept(KILL), "{way}");
        assert_eq!(to("--cap-ambient net_raw"), kept(NET_RAW), "{way}");
        assert_eq!(to("--cap-add kill --cap-bounding +net_raw"), [KILL, KILL, KILL, KILL | NET_RAW, KILL]);
    }
}

#[test]
fn root_has_what_the_bounding_set_holds() {
    if !can(&["root"]) {
        return;
    }
    let [.., all, _] = own();
    assert_eq!(left("--cap-drop sys_admin,kill"), roots(all & !SYS_ADMIN & !KILL));
    assert_eq!(left("--cap-drop all"), NONE);
    assert_eq!(left("--cap-drop all --cap-add kill"), roots(KILL));
    assert_eq!(left("--cap-bounding kill,net_raw"), roots(KILL | NET_RAW));
    assert_eq!(left("--user 0:0 --cap-bounding -kill"), roots(all & !KILL));
    // As root without what root is.
    assert_eq!(left("--securebits noroot,noroot-locked --cap-drop all --cap-add kill"), kept(KILL));
    assert_eq!(left("--securebits noroot --user 0:0 --cap-drop all"), NONE);
    assert_eq!(left("--securebits noroot,keep-caps-locked --user 7:7 --cap-add kill"), kept(KILL));
    // Before the exec, too, it has no more than after it.
    let seen = call(&["--report", "json", "--cap-bounding", "kill", "true"]);
    let started: Value = serde_json::from_str(seen.err.lines().next().expect("a record")).expect("JSON");
    assert_eq!(started["enforced"]["capabilities"]["permitted"], "0000000000000020");
}

/// CVE-2022-24769, CVE-2022-29162, CVE-2022-27649, CVE-2022-27650, CVE-2022-27651: what is inheritable is raised by files that
/// have capabilities.
#[test]
fn the_caller_s_inheritable_set_goes_to_nobody_who_is_chosen() {
    if !can(&["root", "setpriv"]) {
        return;
    }
    let [.., all, _] = own();
    for (options, expected) in [
        ("--user 4242:4242", NONE),
        ("--user 4242:4242 --cap-add kill", kept(KILL)),
        ("--user 0:0", roots(all)),
        ("--user 0:0 --cap-drop kill", roots(all & !KILL)),
    ] {
        let mut command = Command::new("setpriv");
        command.arg("--inh-caps=+net_raw,+sys_admin").arg(seclude()).args(words(options));
        let seen = finish(&mut command);
        assert_eq!((seen.status, seen.err.as_str()), (Some(0), ""), "{options}");
        assert_eq!(parse(&seen.out), expected, "{options}");
    }
}

#[test]
fn over_a_new_user_namespace_a_plain_user_s_command_can_have_them_all() {
    if !can(&["root", "userns"]) {
        return;
    }
    let [_, all, ..] = plain("-n user --user 0:0");
    assert_ne!(all, 0);
    assert_eq!(plain("-n user --user 0:0 --cap-drop sys_admin"), roots(all & !SYS_ADMIN));
    assert_eq!(plain("-n user --user 0:0 --cap-drop all --cap-add kill"), roots(KILL));
    assert_eq!(plain("-n user --user 7:7"), NONE);
    assert_eq!(plain("-n user --user 7:7 --cap-add net_raw"), kept(NET_RAW));
    assert_eq!(plain("-n user,pid --cap-add net_raw"), kept(NET_RAW));
    assert_eq!(plain("--exec -n user --user 7:7 --cap-add all"), kept(all));
    let seen =
        call_as(STRANGER, &["--report", "json", "-n", "user", "--user", "0:0", "--cap-drop", "all", "true"]);
    let started: Value = serde_json::from_str(seen.err.lines().next().expect("a record")).expect("JSON");
    let none = "0".repeat(16);
    let expected = json!({ "inheritable": none, "permitted": none, "effective": none, "bounding": none,
                           "ambient": none, "over": "new" });
    assert_eq!(started["enforced"]["capabilities"], expected);
    let enforced = |options: &str| {
        let words: Vec<&str> =
            ["--report", "json"].into_iter().chain(options.split(' ')).chain(["true"]).collect();
        let seen = call(&words);
        let started: Value = serde_json::from_str(seen.err.lines().next().expect("a record")).expect("JSON");
        (started["enforced"]["securebits"].clone(), started["enforced"]["seccomp"].clone())
    };
    assert_eq!(enforced("--user 7:7"), (json!([]), json!("none")));
    let bits = json!(["noroot", "no-setuid-fixup-locked"]);
    assert_eq!(enforced("--securebits no-setuid-fixup-locked,noroot"), (bits, json!("none")));
    assert_eq!(enforced("--deny-syscall mkdir"), (json!([]), json!("filtered")));
    assert_eq!(enforced("--deny-syscall mkdir --no-new-privs"), (json!([]), json!("at-exec")));
}

#[test]
fn who_may_not_touch_the_bounding_set_closes_it_with_no_new_privs() {
    if !can(&["root"]) {
        return;
    }
    let rule = "plan: cannot take capabilities from the bounding set: that takes CAP_SETPCAP, which the caller does not \
                have\nseclude: hint: --no-new-privs closes the way that it closes, and takes no privilege\n";
    assert_eq!(refused(Some(STRANGER), "--cap-drop all"), rule);
    let [.., bounding, _] = own();
    assert_eq!(plain("--cap-drop all --no-new-privs"), [0, 0, 0, bounding, 0]);
    let rule = "plan: cannot set secure bits: that takes CAP_SETPCAP, which the caller does not have\nseclude: hint: run as \
                root, or add --unshare user\n";
    assert_eq!(refused(Some(STRANGER), "--securebits noroot"), rule);
}

#[test]
fn what_can_t_be_had_is_refused_before_anything_is_done() {
    if !can(&["root"]) {
        return;
    }
    let last = 63 - own()[3].leading_zeros();
    for (options, rule) in [
        ("--cap-add kill --cap-drop kill", "--cap-drop kill: --cap-add adds it"),
        ("--cap-drop 63", &format!("--cap-drop 63: the last capability of this kernel is {last}")),
        (
            "--user 7:7 --cap-add kill --cap-ambient net_raw",
            "--cap-add kill: --cap-ambient leaves it out, and across an exec a user who is not root keeps no other",
        ),
        (
            "--cap-ambient net_raw --cap-drop net_raw",
            "--cap-ambient net_raw: an ambient capability is one that the command has",
        ),
        (
            "--user 7:7 --cap-inheritable net_raw",
            "--cap-inheritable net_raw: what is inherited is in the bounding set, and this is not",
        ),
        (
            "--cap-drop kill --cap-bounding kill",
            "--cap-bounding with kill: an exec gives root what the bounding set holds",
        ),
        (
            "--user 7:7 --cap-add kill --securebits no-cap-ambient-raise",
            "--securebits no-cap-ambient-raise: the command is to have ambient capabilities: kill",
        ),
    ] {
        assert_eq!(refused(None, options), format!("plan: cannot take {rule}\n"));
    }
    assert_eq!(
        refused(None, "--user 7:7 --cap-add kill --cap-inheritable none"),
        "plan: cannot make kill ambient: an ambient capability is an inheritable one, and --cap-inheritable leaves it out\n"
    );
    assert_eq!(
        refused(Some(STRANGER), "--cap-add kill --no-new-privs"),
        "plan: cannot leave the command with kill: the caller does not have it\nseclude: hint: run as root, or add \
         --unshare user, over which the command has them all\n"
    );
    let usage = "usage: cannot take --cap-drop chwon: there is no capability \"chwon\": a name of capabilities(7), a number \
                 up to 63, or all\n";
    assert_eq!(refused(None, "--cap-drop chwon"), usage);
}

#[test]
fn a_bounding_set_gives_nothing_back() {
    if !can(&["root"]) {
        return;
    }
    let seen = call(&[
        "-q",
        "--cap-bounding",
        "-kill",
        seclude().to_str().expect("text"),
        "-q",
        "--cap-bounding",
        "kill",
        "true",
    ]);
    let rule = "it is not in the bounding set, and nothing gives that back what it has lost";
    assert_eq!(
        seen.seen(),
        (Some(125), "", format!("seclude: plan: cannot take --cap-bounding kill: {rule}\n").as_str())
    );
}

#[test]
fn an_oci_file_s_five_sets_are_those_of_the_command() {
    if !can(&["root"]) {
        return;
    }
    let file = scratch("capabilities").join("config.json");
    let write = |uid: u32, more: &str| {
        let text = format!(
            r#"{{"process": {{"user": {{"uid": {uid}, "gid": {uid}}}, "args": ["cat", "/proc/self/status"], "capabilities":
               {{"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"]{more}}}}}}}"#
        );
        fs::write(&file, text).expect("a file can be written");
        let seen = call(&["-q", "--oci", file.to_str().expect("text")]);
        assert_eq!((seen.status, seen.err.as_str()), (Some(0), ""));
        parse(&seen.out)
    };
    assert_eq!(write(0, ""), roots(KILL));
    // As in any runtime: without ambient capabilities nothing is left to another user.
    assert_eq!(write(GRANT, ""), [0, 0, 0, KILL, 0]);
    assert_eq!(write(GRANT, r#", "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]"#), kept(KILL));
}
