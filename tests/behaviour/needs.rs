//! What a launch would take, said beforehand: each capability by name, a chroot as such, too many groups, limits that are 0.

use serde_json::Value;

use crate::machine::{STRANGER, call, call_as, caller, can, scratch};

/// The rows of the plan that start at `title`, for a caller who has nothing.
fn rows(options: &str, title: &str) -> Vec<String> {
    let words: Vec<&str> =
        ["--dry-run"].into_iter().chain(options.split_whitespace()).chain(["true"]).collect();
    let seen = call_as(STRANGER, &words);
    assert_eq!((seen.status, seen.err.as_str()), (Some(0), ""), "{options}");
    let rows = seen.out.lines().skip_while(|line| !line.starts_with(title));
    let rows = rows.enumerate().take_while(|(index, line)| *index == 0 || line.starts_with(' '));
    rows.map(|(_, line)| line[12..].to_string()).collect()
}

#[test]
fn each_capability_that_a_launch_takes_is_told_with_what_it_is_for() {
    if !can(&["root"]) {
        return;
    }
    let missing = |options: &str, expected: &[&str]| {
        let expected: Vec<String> = expected.iter().map(|need| format!("{need}: missing")).collect();
        assert_eq!(rows(options, "needs"), expected, "{options}");
    };
    missing("-n uts", &["CAP_SYS_ADMIN to make a new uts namespace"]);
    let net =
        ["CAP_SYS_ADMIN to make a new net namespace", "CAP_NET_ADMIN to bring up the loopback interface"];
    missing("-n net", &net);
    missing(
        "-n net --persist net=/x",
        &[&net[..], &["CAP_SYS_ADMIN to bind a namespace to a path"]].concat(),
    );
    let time = "CAP_SYS_ADMIN to make a new time namespace";
    missing("-n time", &[time]);
    missing(
        "-n time --time-offset boottime=1",
        &[time, "CAP_SYS_TIME to set the clocks of a new time namespace"],
    );
    missing("--root /srv", &["CAP_SYS_CHROOT to change the root"]);
    missing("-n mount --root /srv", &["CAP_SYS_ADMIN to make a new mount namespace"]);
    missing("--join uts,net=1", &["CAP_SYS_ADMIN to join net,uts namespaces"]);
    missing(
        "--join mount=1",
        &["CAP_SYS_ADMIN to join mount namespaces", "CAP_SYS_CHROOT to join a mount namespace"],
    );
    missing(
        "--user nobody --groups keep",
        &["CAP_SETUID to become uid 65534 (nobody)", "CAP_SETGID to become gid 65534"],
    );
    missing("--user 61234:61234 --groups 7", &["CAP_SETGID to set the supplementary groups"]);
    missing("--map-uid 0:5:1 --user 0:0", &["CAP_SETUID to map uid 0:5:1"]);
    let none = ["no privilege"];
    for options in
        ["", "-n all --user 0:0 --root /srv", "-n user,time --time-offset boottime=1", "--join user,mount=1"]
    {
        assert_eq!(rows(options, "needs"), none, "{options}");
    }
}

#[test]
fn what_is_missing_is_refused_by_the_same_name_before_anything_is_done() {
    if !can(&["root"]) {
        return;
    }
    for (options, told) in [
        ("--root /srv", "plan: cannot change the root: that takes CAP_SYS_CHROOT"),
        (
            "-n time --time-offset boottime=1",
            "plan: cannot make a new time namespace: that takes CAP_SYS_ADMIN",
        ),
        ("--join mount=1", "plan: cannot join mount namespaces: that takes CAP_SYS_ADMIN"),
    ] {
        let words: Vec<&str> = options.split_whitespace().chain(["echo", "ran"]).collect();
        let seen = call_as(STRANGER, &words);
        let message = format!("seclude: {told}, which the caller does not have");
        assert_eq!((seen.status, seen.out.as_str()), (Some(125), ""));
        assert_eq!(seen.err.lines().next(), Some(message.as_str()), "{options}");
    }
}

#[test]
fn a_chroot_is_called_one_and_a_pivot_is_not() {
    let chroot = |dir: &str| format!("change the root to {dir} by chroot, which holds nobody");
    let plan = |options: &[&str]| call(&[&["--dry-run"], options, &["true"]].concat()).out;
    assert!(plan(&["-R", "/srv"]).contains(&format!("steps       {}\n", chroot("/srv"))));
    assert!(plan(&["-n", "user", "--user", "0:0", "-R", "/srv"]).contains(&chroot("/srv")));
    let pivoted = plan(&["-n", "user,mount", "--user", "0:0", "-R", "/srv"]);
    assert!(pivoted.contains(" change the root to /srv\n") && !pivoted.contains("chroot"), "{pivoted}");
    if !can(&["root"]) {
        return;
    }
    let dir = scratch("chroot");
    let dir = dir.to_str().unwrap();
    let seen = call(&["--report", "json", "-R", dir, "true"]);
    let started: Value = serde_json::from_str(seen.err.lines().next().unwrap()).unwrap();
    let steps: Vec<&Value> = started["steps"].as_array().unwrap().iter().map(|step| &step["step"]).collect();
    assert_eq!((&started["event"], steps[0]), (&"started".into(), &chroot(dir).into()));
    let told = call(&["-v", "-R", dir, "true"]).err;
    assert!(told.contains(&format!(" µs  {}\n", chroot(dir))), "{told}");
}

#[test]
fn groups_that_are_too_scattered_for_a_map_are_counted_and_what_helps_is_said() {
    if !can(&["root"]) {
        return;
    }
    let every_other = |count: u32| (1..=count).map(|n| (2 * n).to_string()).collect::<Vec<_>>().join(",");
    let call = |groups: &str| {
        call(&[
            "-q",
            "-n",
            "user",
            "--user",
            "0:0",
            "--groups",
            groups,
            "sh",
            "-c",
            "wc -l < /proc/self/gid_map",
        ])
    };
    // That of the primary group is one more.
    assert_eq!(call(&every_other(339)).seen(), (Some(0), "340\n", ""));
    let err = "seclude: plan: cannot map the gids of the user: 341 ranges: the kernel takes 340 in one map\n\
               seclude: hint: --map all maps every id, --groups none or LIST takes fewer\n";
    assert_eq!(call(&every_other(340)).seen(), (Some(125), "", err));
    let in_a_row = (1..=800).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    assert_eq!(call(&in_a_row).seen(), (Some(0), "1\n", ""));
}

#[test]
fn a_limit_of_no_time_namespace_is_named() {
    if !can(&["userns", "unshare"]) {
        return;
    }
    for options in ["-n time", "-n user,time --user 0:0", "-n time,net", "--exec -n time"] {
        let script = format!(
            r#"exec unshare -Ur sh -c 'echo 0 > /proc/sys/user/max_time_namespaces && exec "$0" {options} echo ran' "$0""#
        );
        let err = "seclude: unshare: cannot make a new time namespace: the limit is reached: user.max_time_namespaces is 0 (ENOSPC)\n\
                   seclude: hint: sysctl -w user.max_time_namespaces=15000 allows them\n";
        assert_eq!(caller(&script).seen(), (Some(125), "", err), "{options}");
    }
}
