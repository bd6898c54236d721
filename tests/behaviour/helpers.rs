//! newuidmap and newgidmap that fail, lie, hang, or say much: the launch ends, with what they said, and nobody of theirs is left.

use std::fs;
use std::time::{Duration, Instant};

use crate::machine::processes::Nap;
use crate::machine::{GRANT, GRANTED, Outcome, can, finish, grants, scratch, seclude};

/// How long a helper may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of what it says that are kept.
const KEPT: usize = 4096;

fn refused(seen: &Outcome, err: &str) {
    assert_eq!(seen.seen(), (Some(125), "", format!("seclude: {err}\n").as_str()));
}

/// A newuidmap of the test's own, for a caller without privilege, who alone has PATH searched for it.
pub fn with_helper(script: &str, options: &[&str]) -> Outcome {
    called(script, "newuidmap", &[options, &["--map-uid"]].concat())
}

fn helped(script: &str) -> Outcome {
    with_helper(script, &[])
}

fn called(script: &str, helper: &str, options: &[&str]) -> Outcome {
    let dir = scratch("helper");
    let helper = dir.join(helper);
    crate::machine::script(&helper, &format!("#!/bin/sh\n{script}\n"));
    let path = format!("PATH={}:/usr/bin:/bin", dir.display());
    let map = format!("0:{GRANT}:10");
    let before = ["env", &path, seclude().to_str().unwrap()];
    let words = [&before[..], options, &[&map, "--user", "0:0", "echo", "ran"]].concat();
    let etc: String =
        grants().keys().map(|name| format!("mount --bind {0}/{name} /etc/{name}\n", dir.display())).collect();
    for (name, text) in grants() {
        fs::write(dir.join(name), text).unwrap();
    }
    let script = format!("{etc} exec setpriv --reuid {GRANTED} --regid {GRANTED} --clear-groups \"$@\"");
    let mut command = std::process::Command::new("unshare");
    let seen = finish(
        command
            .args(["-m", "--propagation", "private", "sh", "-ec", &script, "sh"])
            .args(words)
            .current_dir("/"),
    );
    Outcome { err: seen.err.replace(&*helper.to_string_lossy(), "HELPER"), ..seen }
}

/// No CVE: a helper was killed, and the command ran as nobody with a map that was empty.
#[test]
fn a_helper_that_fails_lies_or_dies_ends_the_launch() {
    if !can(&["root", "newuidmap"]) {
        return;
    }
    let map = format!("0:{GRANT}:10");
    let failed = |reason: &str| format!("map-uid: cannot write {map} to uid_map: HELPER: {reason}");
    refused(&helped("echo no luck >&2; exit 3"), &failed("exit status: 3: no luck"));
    refused(&helped("exit 1"), &failed("exit status: 1"));
    refused(&helped("printf 'a\\033[31mb\\nc' >&2; exit 1"), &failed("exit status: 1: a\\x1b[31mb\\nc"));
    refused(&helped("kill -9 $$"), &failed("signal: 9 (SIGKILL)"));
    refused(
        &helped("exit 0"),
        &format!("map-uid: cannot verify uid_map: it holds nothing, and was to hold {map}"),
    );
}

#[test]
fn what_was_written_is_what_was_asked_for_and_no_less() {
    if !can(&["root", "newuidmap"]) {
        return;
    }
    let asked = format!("0:{GRANT}:10");
    for (helper, option, stage, file) in
        [("newuidmap", "--map-uid", "map-uid", "uid_map"), ("newgidmap", "--map-gid", "map-gid", "gid_map")]
    {
        for (first, count) in [(GRANT, 5), (GRANT, 11), (GRANT + 1, 10)] {
            let lie = format!("exec /usr/bin/{helper} $1 0 {first} {count}");
            let found = format!("it holds 0:{first}:{count}, and was to hold {asked}");
            refused(&called(&lie, helper, &[option]), &format!("{stage}: cannot verify {file}: {found}"));
        }
    }
}

#[test]
fn one_that_hangs_is_killed_with_its_own_child() {
    if !can(&["root", "newuidmap"]) {
        return;
    }
    let (nap, since) = (Nap::new(), Instant::now());
    let seen = helped(&format!("echo stuck >&2; sleep {} & wait", nap.0));
    let map = format!("0:{GRANT}:10");
    refused(&seen, &format!("map-uid: cannot write {map} to uid_map: HELPER: did not end in time: stuck"));
    assert!(since.elapsed() >= PATIENCE, "a slow one is waited for");
    // Killed, it is nobody's that seclude could wait for.
    nap.until(0);
}

#[test]
fn one_that_leaves_somebody_behind_is_not_waited_for_any_longer() {
    if !can(&["root", "newuidmap"]) {
        return;
    }
    let (nap, since) = (Nap::new(), Instant::now());
    let script = format!("sleep {} & exec /usr/bin/newuidmap \"$@\"", nap.0);
    let seen = helped(&script);
    assert_eq!((seen.status, seen.out.as_str()), (Some(0), "ran\n"), "{seen:?}");
    assert!(since.elapsed() < PATIENCE);
}

#[test]
fn one_that_says_much_is_heard_to_its_end_and_its_beginning_is_told() {
    if !can(&["root", "newuidmap"]) {
        return;
    }
    let map = format!("0:{GRANT}:10");
    let much = "head -c 200000 /dev/zero | tr '\\0' e >&2";
    let told = "e".repeat(KEPT);
    let failed = format!("map-uid: cannot write {map} to uid_map: HELPER: exit status: 3: {told}");
    refused(&helped(&format!("{much}; exit 3")), &failed);
    let seen = helped(&format!("{much}; exec /usr/bin/newuidmap \"$@\""));
    assert_eq!((seen.status, seen.out.as_str()), (Some(0), "ran\n"), "what a helper says is no failure");
}
