//! Ids that a user namespace lacks: one that is there already, the caller's own or a joined one, and that of an unmapped caller.

use crate::machine::live::{Live, live};
use crate::machine::{Outcome, call, caller, can, finish, seclude};

fn refused(seen: &Outcome, object: &str, whose: &str, map: &str) {
    let rule = "no range of the map holds it in the INSIDE column";
    let hint = format!("seclude: hint: the {whose} user namespace holds {map}\n");
    let err = format!("seclude: plan: cannot become {object}: {rule}\n{hint}");
    assert_eq!(seen.seen(), (Some(125), "", err.as_str()));
}

/// A call from a user namespace that holds nothing but 0.
fn inside(options: &str) -> Outcome {
    caller(&format!(r#"exec unshare --user --map-root-user "$0" {options} echo ran"#))
}

#[test]
fn one_that_the_caller_s_own_lacks_is_refused_with_its_name_before_anything_is_cloned() {
    if !can(&["userns", "unshare"]) {
        return;
    }
    let own = nix::unistd::geteuid();
    let (map, keep) = (format!("0:{own}:1"), "--groups keep");
    let map = if own.is_root() { "0:0:1".to_string() } else { map };
    let gids = format!("0:{}:1", nix::unistd::getegid());
    refused(&inside(&format!("--user nobody {keep}")), "uid 65534 (nobody)", "caller's own", &map);
    refused(&inside(&format!("--user 54321:0 {keep}")), "uid 54321", "caller's own", &map);
    refused(&inside(&format!("--user 0:65534 {keep}")), "gid 65534 (nogroup)", "caller's own", &gids);
    refused(&inside("--group 54321"), "gid 54321", "caller's own", &gids);
    refused(&inside(&format!("--dry-run --user 54321:0 {keep}")), "uid 54321", "caller's own", &map);
}

/// Where groups may be set, nobody reads maps that a launch without failure doesn't need: the kernel says it as well.
#[test]
fn one_that_a_caller_lacks_who_may_set_groups_is_refused_by_the_kernel_and_told_with_the_map() {
    if !can(&["root"]) {
        return;
    }
    let maps = "--map-uid 0:0:1 --map-uid 5:5:2 --map-gid 0:0:1 --map-gid 7:7:2";
    let inside = |options: &str| {
        caller(&format!(r#"exec "$0" -q {maps} --user 0:0 "$0" -q {options} sh -c 'echo ran; id -u; id -G'"#))
    };
    assert_eq!(inside("--user 6:7 --groups 8").seen(), (Some(0), "ran\n6\n7 8\n", ""));
    for way in ["", "--exec"] {
        let refused = |options: &str, stage: &str, step: &str, map: &str| {
            let seen = inside(&format!("{way} {options}"));
            let rule = "the user namespace has no such id (EINVAL)";
            let hint = format!("seclude: hint: the caller's own user namespace holds {map}\n");
            let err = format!("seclude: {stage}: cannot {step}: {rule}\n{hint}");
            assert_eq!(seen.seen(), (Some(125), "", err.as_str()), "{way} {options}");
        };
        refused("--user 54321:7", "uid", "become uid 54321", "0:0:1 5:5:2");
        refused("--user 5:54321", "gid", "become gid 54321", "0:0:1 7:7:2");
        refused(
            "--user 5:7 --groups 54321",
            "groups",
            "set the supplementary groups to 54321",
            "0:0:1 7:7:2",
        );
    }
    // What is only told is decided on the map.
    let rule = "no range of the map holds it in the INSIDE column";
    let hint = "seclude: hint: the caller's own user namespace holds 0:0:1 5:5:2\n";
    let err = format!("seclude: plan: cannot become uid 54321: {rule}\n{hint}");
    assert_eq!(inside("--dry-run --user 54321:7").seen(), (Some(125), "", err.as_str()));
}

/// A command in a user namespace that holds 0 alone.
fn host() -> Live {
    let mut host = live(&["-n", "user", "--user", "0:0"], "echo up; read x");
    assert_eq!(host.line(), "up");
    host
}

#[test]
fn one_that_a_joined_namespace_lacks_is_refused_the_same() {
    if !can(&["userns"]) {
        return;
    }
    let host = host();
    let join = format!("user={}", host.real);
    let call = |options: &[&str]| call(&[&["--join", &join], options, &["echo", "ran"]].concat());
    let (uids, gids) = (format!("0:{}:1", nix::unistd::geteuid()), format!("0:{}:1", nix::unistd::getegid()));
    let keep = ["--groups", "keep"];
    for way in [&[][..], &["--exec"]] {
        let call = |options: &[&str]| call(&[way, options].concat());
        let user = |user: &'static str| call(&[&["--user", user], &keep[..]].concat());
        refused(&user("nobody"), "uid 65534 (nobody)", "joined", &uids);
        refused(&user("54321:0"), "uid 54321", "joined", &uids);
        refused(&user("0:54321"), "gid 54321", "joined", &gids);
        refused(&call(&["--group", "54321"]), "gid 54321", "joined", &gids);
        assert_eq!(call(&["-q", "--user", "0:0"]).seen(), (Some(0), "ran\n", ""));
    }
}

#[test]
fn a_supplementary_group_that_a_joined_namespace_lacks_is_refused_the_same() {
    if !can(&["root"]) {
        return;
    }
    let mut host = live(
        &["--map-uid", "0:0:1", "--map-gid", "0:0:1", "--map-gid", "7:7:2", "--user", "0:0"],
        "echo up; read x",
    );
    assert_eq!(host.line(), "up");
    let join = format!("user={}", host.real);
    let groups = |list: &str| call(&["-q", "--join", &join, "--user", "0:0", "--groups", list, "id", "-G"]);
    assert_eq!(groups("7,8").seen(), (Some(0), "0 7 8\n", ""));
    refused(&groups("7,54321"), "supplementary gid 54321", "joined", "0:0:1 7:7:2");
}

#[test]
fn a_caller_that_has_no_place_in_its_own_namespace_is_told_so() {
    if !can(&["userns", "unshare"]) {
        return;
    }
    for (options, clone) in [
        ("-n user", "clone: cannot clone a child into a new user namespace"),
        ("-n user --user 0:0", "clone: cannot clone a child into a new user namespace"),
        ("-n user,pid --user 0:0", "clone: cannot clone a child into new user,pid namespaces"),
        ("--exec -n user --user 0:0", "unshare: cannot make a new user namespace"),
    ] {
        let seen = caller(&format!(r#"exec unshare --user "$0" {options} echo ran"#));
        let err = format!(
            "seclude: {clone}: the caller's user id has no place in its own user namespace (EPERM)\n"
        );
        assert_eq!(seen.seen(), (Some(125), "", err.as_str()), "{options}");
    }
    // Without a new user namespace there is nothing to be said against it.
    let mut command = std::process::Command::new("unshare");
    let seen = finish(command.arg("--user").arg(seclude()).args(["-q", "sh", "-c", "exit 7"]));
    assert_eq!(seen.seen(), (Some(7), "", ""));
}
