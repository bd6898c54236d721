//! Users whom /etc/passwd and /etc/group don't hold: a static build asks getent(1), whose answer is told here by a script.

use std::process::Command;

use crate::machine::{Outcome, can, finish, scratch, script, seclude};

/// Calls seclude where getent(1) knows `ldapuser`, 7777 and `ldapgroup`, in a mount namespace of the test's own.
fn call_with_getent(args: &[&str]) -> Outcome {
    let fake = scratch("getent").join("getent");
    script(
        &fake,
        "#!/bin/sh\ncase \"$1 $3\" in
        'passwd ldapuser' | 'passwd 7777') echo 'ldapuser:*:7777:7778:L:/home/ldap:/bin/zsh' ;;
        'group ldapgroup') echo 'ldapgroup:*:7780:' ;;
        'initgroups ldapuser') echo 'ldapuser  7778 7779 7780' ;;
        *) exit 2 ;;\nesac\n",
    );
    let bind = "mount --bind \"$0\" /usr/bin/getent && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", bind]).arg(fake).arg(seclude());
    finish(command.args(args))
}

#[test]
fn a_static_build_loses_nobody_whom_another_database_has() {
    if !can(&["root", "unshare"]) {
        return;
    }
    let shown = "id -u; id -G; echo $HOME $USER $SHELL";
    let seen = call_with_getent(&["-q", "--user", "ldapuser", "sh", "-c", shown]);
    if !cfg!(target_env = "musl") {
        // The C library has asked its databases itself.
        let err =
            "seclude: account: cannot look up user ldapuser: the user database has no user of that name\n";
        return assert_eq!(seen.seen(), (Some(125), "", err));
    }
    let out = "7777\n7778 7779 7780\n/home/ldap ldapuser /bin/zsh\n";
    assert_eq!(seen.seen(), (Some(0), out, ""));
    let by_number = call_with_getent(&["-q", "--user", "7777", "sh", "-c", shown]);
    assert_eq!(by_number.seen(), (Some(0), "7777\n7778\n/home/ldap ldapuser /bin/zsh\n", ""));
    let group = call_with_getent(&["-q", "--user", "1:ldapgroup", "id", "-g"]);
    assert_eq!(group.seen(), (Some(0), "7780\n", ""));
    let nobody = call_with_getent(&["-q", "--user", "nosuch", "id"]);
    assert_eq!(nobody.status, Some(125));
}
