//! Where the command's process shares its parent's memory until its exec, and where it has its own.

use std::os::unix::process::CommandExt;
use std::process::Command;

use seclude::host::Host;

use crate::machine::{STRANGER, call_as, can, finish, is_root, seclude};
use crate::plan_rules::{numbered, plain, planned, root};

fn shares(words: &str, host: &Host) -> bool {
    let words: Vec<&str> = words.split(' ').collect();
    planned(&words, host).shares_memory
}

#[test]
fn a_plain_user_s_command_shares_memory_as_long_as_its_ids_stay() {
    assert!(shares("true", &plain()));
    assert!(shares("-n user --user 0:0 true", &numbered(plain(), 0)));
    assert!(shares("-n user --user 7:7 true", &numbered(plain(), 7)));
    assert!(shares("-n user,mount,net true", &plain()));
    // The ids outside are others than the caller's: the kernel takes dumpability back from both.
    assert!(!shares(
        "--map-uid 0:1000:1 --map-uid 7:5:1 --map-gid 0:1000:1 --user 7:0 true",
        &numbered(plain(), 7)
    ));
    let mixed = Host { uids: [1001, 1000, 1000], ..numbered(plain(), 1000) };
    assert!(!shares("--user 1000:1000 true", &mixed));
}

#[test]
fn a_command_with_less_privilege_than_its_launcher_has_its_own_memory() {
    assert!(shares("true", &root()));
    assert!(shares("-n mount,uts true", &root()));
    assert!(!shares("--user 65534:65534 true", &numbered(root(), 65534)));
    assert!(!shares("-n user --user 0:0 true", &numbered(root(), 0)));
    assert!(!shares("--groups 7 true", &root()));
    // Capabilities that are not effective can be made so.
    let dormant = Host { permitted: 1, ..numbered(plain(), 0) };
    assert!(!shares("-n user --user 0:0 true", &dormant));
}

#[test]
fn who_enters_a_namespace_or_comes_second_has_its_own_memory() {
    assert!(!shares("--join net=1 true", &root()));
    assert!(!shares("-n user,time true", &plain()));
    assert!(!shares("--exec -n user --user 0:0 true", &numbered(plain(), 0)));
}

#[test]
fn init_lends_its_memory_where_nobody_has_to_look_at_the_command_s_process() {
    assert!(shares("-n user,pid --user 0:0 true", &numbered(plain(), 0)));
    assert!(shares("-n pid true", &root()));
    assert!(!shares("-v -n user,pid --user 0:0 true", &numbered(plain(), 0)));
    assert!(!shares("-n user,pid,net --user 0:0 --persist net=/n true", &numbered(plain(), 0)));
    assert!(!shares("-n pid --user 65534:65534 true", &numbered(root(), 65534)));
}

/// The clones of a plain user's launch, in their order: which memory each is on.
fn clones(options: &str) -> Vec<&'static str> {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", "signal=none", "-e", "trace=clone,clone3,fork,vfork"]).arg(seclude());
    command.args(options.split(' ')).arg("/bin/true").current_dir("/");
    if is_root() {
        command.uid(STRANGER).gid(STRANGER);
    }
    let seen = finish(&mut command);
    assert_eq!(seen.status, Some(0), "{}", seen.err);
    let made = seen.err.lines().filter(|line| line.contains("flags="));
    made.map(|line| if line.contains("CLONE_VM") { "shared" } else { "own" }).collect()
}

#[test]
fn init_has_a_memory_of_its_own_and_the_command_shares_it() {
    if !can(&["userns", "strace"]) {
        return;
    }
    assert_eq!(clones("-q -n user --user 0:0"), ["shared"]);
    assert_eq!(clones("-q -n user,pid --user 0:0"), ["own", "shared"]);
    assert_eq!(clones("-v -n user,pid --user 0:0"), ["own", "own"]);
}

#[test]
fn a_step_that_fails_in_shared_memory_is_told_as_from_any() {
    if can(&["root", "userns"]) {
        let seen =
            call_as(STRANGER, &["-q", "-n", "user,mount", "--user", "0:0", "-R", "/proc/none", "true"]);
        let err = "seclude: root: cannot change the root to /proc/none: No such file or directory (ENOENT)\n";
        assert_eq!(seen.seen(), (Some(125), "", err));
    }
}
