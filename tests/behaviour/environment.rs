//! Odd places to start from: /proc hidden, covered or read-only, nothing in /dev, no directory, no words, variables twice, no processes left.

use std::process::Command;

use crate::machine::{Outcome, STRANGER, caller, can, finish};

/// What a launch with a user namespace does for a plain user where `mounts` were made, in a mount namespace of the test's own.
fn where_mounted(mounts: &str, options: &str) -> Outcome {
    caller(&format!(
        r#"cd /; exec unshare -m sh -c '{mounts} && exec setpriv --reuid {STRANGER} --regid {STRANGER} --clear-groups \
            "$0" -q {options} sh -c "exit 42"' "$0""#
    ))
}

#[test]
fn a_proc_that_hides_others_is_enough() {
    if !can(&["root"]) {
        return;
    }
    let all = "-n user,pid,mount,uts,ipc,net --user 0:0";
    for mounts in [
        "mount -t proc -o hidepid=2 proc /proc",
        "mount -t proc -o subset=pid proc /proc",
        "mount -t tmpfs none /dev",
    ] {
        assert_eq!(where_mounted(mounts, all).seen(), (Some(42), "", ""), "{mounts}");
    }
    assert_eq!(where_mounted("mount -o remount,bind,ro /", all).seen(), (Some(42), "", ""));
}

/// CVE-2015-1334, CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-52881: what was meant for /proc was
/// written to a place that looked like it.
#[test]
fn a_proc_that_is_none_is_refused_where_it_is_needed() {
    if !can(&["root"]) {
        return;
    }
    let err = "seclude: proc: cannot use /proc: it is not procfs, and nothing that matters is read from or written to a \
               place that only looks like it\nseclude: hint: mount it: mount -t proc proc /proc\n";
    let covered = "mount -t tmpfs none /proc";
    assert_eq!(where_mounted(covered, "-n user --user 0:0").seen(), (Some(125), "", err));
    assert_eq!(where_mounted(covered, "").seen(), (Some(42), "", ""), "nobody needs it here");
}

#[test]
fn a_read_only_proc_is_told_as_such() {
    if !can(&["root"]) {
        return;
    }
    let err = format!(
        "seclude: map-uid: cannot write 0:{STRANGER}:1 to uid_map: Read-only file system (EROFS)\n\
         seclude: hint: /proc is read-only here, as in many containers\n"
    );
    let seen = where_mounted("mount -o remount,bind,ro /proc", "-n user --user 0:0");
    assert_eq!(seen.seen(), (Some(125), "", err.as_str()));
}

#[test]
fn a_directory_that_is_gone_stops_nobody() {
    let dir = crate::machine::scratch("gone");
    let seen = caller(&format!(r#"cd {0} && rmdir {0} && exec "$0" -q /bin/true"#, dir.display()));
    assert_eq!(seen.seen(), (Some(0), "", ""));
}

/// CVE-2021-4034: without a first word, the first variable was taken for the command.
#[test]
fn a_call_without_any_word_is_a_usage_error() {
    if !can(&["python3"]) {
        return;
    }
    let python =
        "import ctypes,sys; ctypes.CDLL(None).execv(sys.argv[1].encode(), (ctypes.c_char_p * 1)(None))";
    let seen = caller(&format!(r#"exec python3 -c '{python}' "$0""#));
    assert_eq!(seen.seen(), (Some(125), "", "seclude: usage: cannot start: a COMMAND is needed\n"));
}

#[test]
fn an_empty_environment_and_a_large_one_pass() {
    assert_eq!(caller(r#"exec env -i "$0" -q /usr/bin/env"#).seen(), (Some(0), "", ""));
    assert_eq!(caller(r#"exec env -i "$0" -q sh -c 'echo found'"#).seen(), (Some(0), "found\n", ""));
    let seen = caller(r#"exec env -i $(seq -f 'V%.0f=x' 10000) "$0" -q /usr/bin/env"#);
    assert_eq!((seen.status, seen.out.lines().count(), seen.err.as_str()), (Some(0), 10_000, ""));
}

#[test]
fn no_process_left_is_told_with_the_limits_that_can_be_the_cause() {
    if !can(&["root", "prlimit"]) {
        return;
    }
    let seen = caller(&format!(
        r#"cd /; exec setpriv --reuid {STRANGER} --regid {STRANGER} --clear-groups prlimit --nproc=0 "$0" echo ran"#
    ));
    let err = "seclude: clone: cannot clone a child: no more processes: RLIMIT_NPROC or the limit of a pids cgroup is reached \
               (EAGAIN)\n";
    assert_eq!(seen.seen(), (Some(125), "", err));
}

#[test]
fn a_program_that_is_being_written_is_found_and_not_executable() {
    let file = crate::machine::scratch("busy").join("busy");
    crate::machine::copied(std::path::Path::new("/bin/true"), &file);
    let seen = caller(&format!(r#"exec 5>>{0}; "$0" -q {0}"#, file.display()));
    let err = format!("seclude: exec: cannot execute {}: Text file busy (ETXTBSY)\n", file.display());
    assert_eq!(seen.seen(), (Some(126), "", err.as_str()));
}

#[test]
fn nothing_is_left_running_after_a_refusal() {
    if !can(&["userns", "unshare"]) {
        return;
    }
    // A pid namespace of the test's own, in which whoever is left can be counted.
    let script = r#"exec unshare --map-root-user --pid --mount --fork --mount-proc sh -c '
        "$0" -q -n user,pid --user 0:0 -C /nope true; "$0" -q -n user,net --map-uid 0:5:1 --user 0:0 true
        "$0" -q -n mount --root /nope true; "$0" -q --report-to /dev/full true; "$0" -q -n user,time --user 0:0 /etc/passwd
        echo /proc/[0-9]*' "$0""#;
    assert_eq!(caller(script).out, "/proc/1\n");
}

/// Calls seclude with an environment that no shell would hand on: A twice, and a word that is no variable.
fn with_a_twice(options: &str) -> Vec<String> {
    let python = "import ctypes, sys
words = [word.encode() for word in sys.argv[1:]]
both = [b'A=1', b'B=2', b'A=3', b'PATH=/usr/bin:/bin', b'none']
lists = [(ctypes.c_char_p * (len(list) + 1))(*list, None) for list in (words, both)]
ctypes.CDLL(None).execve(words[0], *lists)";
    let mut command = Command::new("python3");
    command.args(["-c", python]).arg(crate::machine::seclude()).arg("-q").args(options.split_whitespace());
    let seen = finish(command.args(["cat", "/proc/self/environ"]));
    assert_eq!((seen.status, seen.err.as_str()), (Some(0), ""), "{options}");
    seen.out.split_terminator('\0').map(str::to_string).collect()
}

#[test]
fn a_variable_that_is_there_twice_is_there_once_where_it_is_set_and_nowhere_where_it_is_removed() {
    if !can(&["python3"]) {
        return;
    }
    let rest = ["PATH=/usr/bin:/bin", "none"];
    assert_eq!(with_a_twice(""), [&["A=1", "B=2", "A=3"][..], &rest].concat(), "byte for byte");
    assert_eq!(with_a_twice("--env C=4"), [&["A=1", "B=2", "A=3"][..], &rest, &["C=4"]].concat());
    assert_eq!(with_a_twice("--env A=9"), [&["A=9", "B=2"][..], &rest].concat());
    // The one that getenv(3) finds.
    assert_eq!(with_a_twice("--env A"), [&["A=1", "B=2"][..], &rest].concat());
    assert_eq!(with_a_twice("--unset-env A"), [&["B=2"][..], &rest].concat());
    assert_eq!(with_a_twice("--unset-env A --env A=9"), [&["B=2"][..], &rest, &["A=9"]].concat());
    assert_eq!(with_a_twice("--clear-env --env A"), ["A=1"]);
}
