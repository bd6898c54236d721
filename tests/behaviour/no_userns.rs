//! A command without user namespaces of its own making.

use crate::machine::{STRANGER, call, call_as, can};

const TRIES: &str = "unshare -U true 2>&1; echo 5 > /proc/sys/user/max_user_namespaces; cat /proc/sys/user/max_user_namespaces";

#[test]
fn it_makes_none_and_can_not_take_the_limit_back() {
    if !can(&["root", "userns", "unshare"]) {
        return;
    }
    let full = "unshare: unshare failed: No space left on device\n0\n";
    for options in [
        "--user 0:0",
        "--user 7:7",
        "-n pid,mount --mount-proc --user 0:0",
        "--exec --user 0:0",
        "--user 0:0 --cap-add all",
        "--user 7:7 --cap-drop all --cap-add sys_admin,setuid",
    ] {
        let mut words = vec!["-q", "-n", "user", "--no-userns"];
        words.extend(options.split(' ').chain(["sh", "-c", TRIES]));
        let seen = call_as(STRANGER, &words);
        assert_eq!((seen.status, seen.out.as_str()), (Some(0), full), "{options}");
        assert!(seen.err.ends_with(": Permission denied\n"), "{options}: {}", seen.err);
    }
    // Root's own limit is not touched.
    let seen = call(&["-q", "-n", "user", "--user", "0:0", "--no-userns", "sh", "-c", TRIES]);
    assert_eq!((seen.status, seen.out.as_str()), (Some(0), full));
    assert_eq!(
        call(&["-q", "-n", "user", "--user", "0:0", "unshare", "-U", "true"]).seen(),
        (Some(0), "", "")
    );
}

#[test]
fn what_it_could_be_undone_with_is_refused() {
    let rule =
        "seclude: plan: cannot take --no-userns: it is a limit of a new user namespace: add --unshare user\n";
    assert_eq!(call(&["--no-userns", "true"]).seen(), (Some(125), "", rule));
    let rule = "seclude: plan: cannot take --no-userns: the command could come to sys_resource, and take back with it what \
                this sets\n";
    for options in ["--cap-add sys_resource", "--cap-ambient sys_resource", "--cap-bounding all"] {
        let mut words = vec!["-n", "user", "--user", "7:7", "--map", "all", "--no-userns"];
        words.extend(options.split(' ').chain(["true"]));
        if can(&["root"]) {
            assert_eq!(call(&words).seen(), (Some(125), "", rule), "{options}");
        }
    }
}
