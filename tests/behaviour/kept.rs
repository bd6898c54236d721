//! `--persist`: a namespace that is kept is seen at its path, or nothing is left there; and what of one is joined later.

use std::process::Command;

use crate::machine::live::live_of;
use crate::machine::{Outcome, STRANGER, call, can, finish, scratch, seclude};

/// A script in a mount namespace of its own, below private mounts: `$1` is seclude, `$2` a directory.
fn aside(script: &str) -> Outcome {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
    finish(command.arg(seclude()).arg(scratch("kept")).current_dir("/"))
}

#[test]
fn what_is_bound_is_the_new_namespace() {
    if !can(&["root", "unshare"]) {
        return;
    }
    let seen = aside(
        r#"cd "$2" && "$1" -q -n net,uts --persist net=n --persist uts=u \
        sh -c 'stat -Lc %i /proc/self/ns/net /proc/self/ns/uts' > inside && stat -c %i n u | cmp - inside && echo same"#,
    );
    assert_eq!(seen.seen(), (Some(0), "same\n", ""));
}

#[test]
fn a_bind_that_was_not_made_is_seen_and_leaves_nothing() {
    if !can(&["root", "unshare", "strace"]) {
        return;
    }
    let seen = aside(
        r#"strace -f -qq -o /dev/null -e trace=mount -e inject=mount:retval=0 "$1" -q -n net --persist "net=$2/n" echo ran
        echo $?; ls "$2""#,
    );
    let place = seen.err.split(": cannot verify ").nth(1).and_then(|rest| rest.split(": ").next());
    let rule = "it shows something else than the namespace that was bound to it";
    let err = format!("seclude: persist: cannot verify {}: {rule}\n", place.unwrap_or_default());
    assert_eq!(seen.seen(), (Some(0), "125\n", err.as_str()));
    assert!(place.is_some_and(|place| place.ends_with("-kept/n")), "{place:?}");
}

#[test]
fn two_at_one_path_are_refused_however_it_is_written() {
    if !can(&["root", "unshare"]) {
        return;
    }
    let err = "seclude: plan: cannot take --persist uts=/nope/x: a path keeps one namespace\n";
    let words = ["-n", "net,uts", "--persist", "net=/nope/x", "--persist", "uts=/nope/x", "echo", "ran"];
    assert_eq!(call(&words).seen(), (Some(125), "", err));
    let seen = aside(
        r#"cd "$2" && mkdir d && "$1" -q -n net,uts --persist net=n --persist uts=d/../n echo ran; echo $?
        ls; grep -c "$2" /proc/self/mountinfo"#,
    );
    let rule = "it shows something else than the namespace that was bound to it";
    let err = format!("seclude: persist: cannot verify n: {rule}\n");
    assert_eq!(seen.seen(), (Some(1), "125\nd\n0\n", err.as_str()));
}

#[test]
fn a_plain_user_sets_the_clocks_below_a_user_namespace_that_it_joins() {
    if !can(&["userns"]) {
        return;
    }
    let users: &[Option<u32>] = if can(&["root"]) { &[None, Some(STRANGER)] } else { &[None] };
    for user in users {
        let as_user = |words: &[&str]| {
            use std::os::unix::process::CommandExt;
            let mut command = Command::new(seclude());
            command.args(words).current_dir("/");
            if let Some(user) = user {
                command.uid(*user).gid(*user);
            }
            command
        };
        let mut host = live_of(&mut as_user(&["-n", "user", "--user", "0:0", "sh", "-c", "echo up; read x"]));
        assert_eq!(host.line(), "up");
        let join = format!("user={}", host.real);
        let script = "cat /proc/self/timens_offsets; id -u; readlink /proc/self/ns/user";
        for way in [&["-q"][..], &["-q", "--exec"]] {
            let offsets =
                ["--unshare", "time", "--time-offset", "boottime=1000000", "--time-offset", "monotonic=-3"];
            let words = [way, &["--join", &join], &offsets, &["sh", "-c", script]].concat();
            let seen = finish(&mut as_user(&words));
            let words: Vec<&str> = seen.out.split_whitespace().collect();
            let own = host.namespace("user");
            let expected = ["monotonic", "-3", "0", "boottime", "1000000", "0", "0", own.as_str()];
            assert_eq!((seen.status, seen.err.as_str(), &words[..]), (Some(0), "", &expected[..]), "{way:?}");
        }
    }
}
