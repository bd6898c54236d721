//! `--exec` as an entrypoint: where gosu and su-exec keep root, its group or its HOME, or wrap a number, nobody is guessed.

use crate::machine::{Outcome, call, can, sh};

fn exec(options: &[&str], script: &str) -> Outcome {
    sh(&[&["-q", "--exec"], options].concat(), script)
}

fn refused(user: &str, message: &str) {
    let seen = call(&["--exec", "--user", user, "echo", "ran"]);
    assert_eq!(seen.seen(), (Some(125), "", format!("seclude: {message}\n").as_str()), "{user:?}");
}

#[test]
fn an_empty_user_is_refused() {
    refused("", "usage: cannot take --user: it is empty: a name or a number is needed");
    refused(":", "usage: cannot take --user :: before the colon: it is empty: a name or a number is needed");
}

#[test]
fn a_number_that_is_no_id_is_refused_and_never_wraps() {
    let id = "an id is a plain decimal number from 0 to 4294967294";
    for user in ["4294967295", "4294967296", "99999999999", "18446744073709551616"] {
        refused(user, &format!("usage: cannot take --user {user}: {id}"));
    }
    let name = "a name starts with a letter or _, an id is a plain decimal number from 0 to 4294967294";
    for user in [" 5", "-1", "+5", "0x10", "5 "] {
        refused(user, &format!("usage: cannot take --user {user}: {name}"));
    }
}

#[test]
fn a_user_that_is_nobody_is_refused_by_name() {
    let seen = call(&["--exec", "--user", "nosuch", "echo", "ran"]);
    assert_eq!((seen.status, seen.out.as_str()), (Some(125), ""));
    assert!(seen.err.starts_with("seclude: account: ") && seen.err.contains("nosuch"), "{seen:?}");
}

#[test]
fn a_number_without_an_entry_does_not_keep_the_caller_s_group() {
    let rule = "the user database has no entry with a group for it, and the caller's is not kept";
    refused(
        "61234",
        &format!(
            "account: cannot take --user 61234: {rule}\nseclude: hint: say the group as well: --user 61234:61234"
        ),
    );
    if can(&["root"]) {
        let seen = exec(&["--user", "61234:61235"], "id -u; id -g; id -G; grep Groups: /proc/self/status");
        assert_eq!(seen.seen(), (Some(0), "61234\n61235\n61235\nGroups:\t \n", ""));
    }
}

#[test]
fn home_and_its_like_are_the_user_s() {
    if !can(&["root"]) {
        return;
    }
    let entry = nix::unistd::User::from_name("nobody").unwrap().expect("every machine has nobody");
    let show = "echo $HOME ${USER-none} ${LOGNAME-none} ${SHELL-none}";
    let home = entry.dir.display();
    let expected = format!("{home} nobody nobody {}\n", entry.shell.display());
    assert_eq!(exec(&["--user", "nobody"], show).seen(), (Some(0), expected.as_str(), ""));
    assert_eq!(exec(&["--user", "61234:61234"], show).seen(), (Some(0), "/ none none none\n", ""));
    assert_eq!(exec(&["--user", "nobody", "--env", "HOME=/srv"], "echo $HOME").out, "/srv\n");
    let kept = exec(&["--user", "nobody", "--keep-env", "--env", "HOME"], "echo $HOME").out;
    assert_eq!(kept.trim_end(), std::env::var("HOME").unwrap_or_default());
}

#[test]
fn root_can_not_be_had_back() {
    if !can(&["root"]) {
        return;
    }
    let script = "grep -E '^(Uid|Gid|CapPrm|CapEff|CapBnd|CapInh|CapAmb):' /proc/self/status | xargs";
    let none = "0000000000000000";
    let expected = format!(
        "Uid: 61234 61234 61234 61234 Gid: 61234 61234 61234 61234 CapInh: {none} CapPrm: {none} CapEff: {none} \
         CapBnd: {none} CapAmb: {none}\n"
    );
    assert_eq!(exec(&["--user", "61234:61234"], script).seen(), (Some(0), expected.as_str(), ""));
}
