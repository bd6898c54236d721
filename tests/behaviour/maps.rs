//! Id maps: what the kernel shows of them in the command's own namespace.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::machine::{
    GRANT, GRANTED, Outcome, STRANGER, call, call_as, call_with_etc, caller, can, grants, scratch, sh,
};

const MAPS: &str = "for f in uid_map gid_map setgroups; do sed -E 's/^ +//; s/ +/ /g' /proc/self/$f; done";

fn refused(seen: &Outcome, err: &str) {
    assert_eq!(seen.seen(), (Some(125), "", format!("seclude: {err}\n").as_str()));
}

#[test]
fn root_s_default_is_the_command_s_ids_as_themselves() {
    if !can(&["root"]) {
        return;
    }
    let maps = |words: &[&str]| call(&[&["-q", "-n", "user"], words, &["sh", "-c", MAPS]].concat()).out;
    assert_eq!(maps(&["--user", "nobody"]), "65534 65534 1\n65534 65534 1\nallow\n");
    assert_eq!(maps(&["--user", "1234:5678"]), "1234 1234 1\n5678 5678 1\nallow\n");
    assert_eq!(maps(&["--user", "7:7", "--groups", "20,9,10"]), "7 7 1\n7 7 1\n9 9 2\n20 20 1\nallow\n");
    assert_eq!(maps(&["--user", "7:7", "--setgroups", "deny"]), "7 7 1\n7 7 1\ndeny\n");
    assert_eq!(maps(&[]), "0 0 1\n0 0 1\nallow\n");
}

#[test]
fn nobody_inside_can_t_read_what_only_root_outside_can() {
    if !can(&["root"]) {
        return;
    }
    let file = scratch("secret").join("secret");
    fs::write(&file, "secret").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let seen = call(&["-q", "-n", "user", "--user", "nobody", "cat", file.to_str().unwrap()]);
    assert_eq!((seen.status, seen.out.as_str()), (Some(1), ""), "{seen:?}");
    assert!(seen.err.ends_with("Permission denied\n"), "{seen:?}");
}

#[test]
fn a_plain_caller_s_default_is_one_id() {
    if !can(&["plain", "userns"]) {
        return;
    }
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let maps = |words: &[&str]| sh(&[&["-q", "-n", "user"], words].concat(), MAPS).out;
    assert_eq!(maps(&["--user", "root"]), format!("0 {uid} 1\n0 {gid} 1\ndeny\n"));
    assert_eq!(maps(&["--user", "1234:5678"]), format!("1234 {uid} 1\n5678 {gid} 1\ndeny\n"));
    assert_eq!(maps(&[]), format!("{uid} {uid} 1\n{gid} {gid} 1\ndeny\n"));
    assert_eq!(maps(&["--map", "self"]), format!("{uid} {uid} 1\n{gid} {gid} 1\ndeny\n"));
    assert_eq!(
        maps(&["--map-uid", &format!("0:{uid}:1"), "--user", "0:0"]),
        format!("0 {uid} 1\n0 {gid} 1\ndeny\n")
    );
}

/// CVE-2014-8989, CVE-2018-7169: in a user namespace of its own, a user dropped the group that kept it out of a file.
#[test]
fn setgroups_is_denied_to_whoever_maps_one_own_gid() {
    if !can(&["root", "python3"]) {
        return;
    }
    let python =
        "import os\ntry: os.setgroups([]); print('dropped')\nexcept PermissionError: print('denied')";
    let words = ["-q", "-n", "user", "--user", "0:0", "/usr/bin/python3", "-c", python];
    assert_eq!(call_as(STRANGER, &words).seen(), (Some(0), "denied\n", ""));
    // A group that keeps somebody out goes on doing so.
    let file = scratch("kept-out").join("file");
    fs::write(&file, "not for group 5000").unwrap();
    std::os::unix::fs::chown(&file, Some(0), Some(5000)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o604)).unwrap();
    let script = format!(
        r#"exec setpriv --reuid {STRANGER} --regid {STRANGER} --groups 5000 "$0" -q -n user --user root sh -c 'cat /proc/self/setgroups {}'"#,
        file.display()
    );
    let seen = caller(&script);
    assert_eq!((seen.status, seen.out.as_str()), (Some(1), "deny\n"), "{seen:?}");
    assert!(seen.err.ends_with(": Permission denied\n"), "{seen:?}");
}

#[test]
fn groups_that_were_asked_for_are_refused_where_setgroups_is_denied() {
    if !can(&["root"]) {
        return;
    }
    for groups in ["5", "none", "init"] {
        let words = ["-n", "user", "--user", "root", "--groups", groups, "echo", "ran"];
        let rule = "setgroups(2) is denied in a user namespace whose gid map is the caller's own id";
        refused(
            &call_as(STRANGER, &words),
            &format!(
                "plan: cannot set the supplementary groups: {rule}\n\
                 seclude: hint: --groups keep leaves them, or map gids that /etc/subgid grants"
            ),
        );
    }
    assert_eq!(
        call_as(STRANGER, &["-q", "-n", "user", "--user", "0:0", "--groups", "keep", "id", "-u"]).out,
        "0\n"
    );
}

#[test]
fn ranges_words_and_names_mix() {
    if !can(&["root"]) {
        return;
    }
    let maps = |words: &[&str]| {
        let seen = call(&[&["-q", "--user", "0:0", "--groups", "none"], words, &["sh", "-c", MAPS]].concat());
        assert_eq!((seen.status, seen.err.as_str()), (Some(0), ""), "{words:?}");
        seen.out
    };
    let both = ["--map", "self", "--map-uid", "1:100000:65536", "--map-gid", "1:200000:10"];
    assert_eq!(maps(&both), "0 0 1\n1 100000 65536\n0 0 1\n1 200000 10\nallow\n");
    let order = ["--map-uid", "10:100010:5", "--map-uid", "0:100000:10", "--map-gid", "self"];
    assert_eq!(maps(&order), "0 100000 15\n0 0 1\nallow\n", "adjacent ranges are one, in order");
    let names = ["--map-uid", "root:nobody:1", "--map-uid", "nobody:daemon:1", "--map-gid", "root:nogroup:1"];
    assert_eq!(maps(&names), "0 65534 1\n65534 1 1\n0 65534 1\nallow\n");
    let one_side = ["--map-uid", "0:100000:10"];
    assert_eq!(maps(&one_side), "0 100000 10\n0 0 1\nallow\n", "the other side has its default");
    let all = maps(&["--map", "all"]);
    assert_eq!(all, "0 0 4294967295\n0 0 4294967295\nallow\n");
}

#[test]
fn every_line_that_grants_the_caller_something_counts() {
    if !can(&["root", "newuidmap"]) {
        return;
    }
    let passwd = format!("root:x:0:0::/root:/bin/sh\ntess:x:{GRANTED}:{GRANTED}::/:/bin/sh\n");
    let sub = format!(
        "# of tess\ntess:{GRANT}:100\nother:1000:10\n{GRANTED}:800000:50\ntessa:900000:9\ntess:x:1\ntess:850000:7\n"
    );
    let etc = BTreeMap::from([("passwd", passwd), ("subuid", sub.clone()), ("subgid", sub)]);
    let seen = call_with_etc(&etc, GRANTED, &["-q", "--map", "auto", "--user", "0:0", "sh", "-c", MAPS]);
    let map = "0 700000 100\n100 800000 50\n150 850000 7\n";
    assert_eq!(seen.seen(), (Some(0), format!("{map}{map}allow\n").as_str(), ""));
}

#[test]
fn granted_ranges_go_beside_the_caller_s_own_id() {
    if !can(&["root", "newuidmap"]) {
        return;
    }
    let own = format!("0:{GRANTED}:1");
    let sub = format!("1:{GRANT}:1000");
    let words =
        ["-q", "--map-uid", &own, "--map-uid", &sub, "--map-gid", &own, "--map-gid", &sub, "--user", "0:0"];
    let seen =
        call_with_etc(&grants(), GRANTED, &[&words[..], &["--groups", "keep", "sh", "-c", MAPS]].concat());
    let map = format!("0 {GRANTED} 1\n1 {GRANT} 1000\n");
    assert_eq!(seen.seen(), (Some(0), format!("{map}{map}deny\n").as_str(), ""));
    let words = ["-q", "--map", "self", "--map-uid", &sub, "sh", "-c", MAPS];
    let seen = call_with_etc(&grants(), GRANTED, &words);
    let map = format!("1 {GRANT} 1000\n{GRANTED} {GRANTED} 1\n{GRANTED} {GRANTED} 1\ndeny\n");
    assert_eq!(seen.seen(), (Some(0), map.as_str(), ""));
}

#[test]
fn a_user_with_grants_launches_with_no_words_about_etc() {
    if !can(&["plain", "subids"]) {
        return;
    }
    let seen = sh(
        &["-q", "--map", "auto", "--user", "0:0"],
        "id -u; cut -c1-20 /proc/self/uid_map | xargs; cat /proc/self/setgroups",
    );
    assert_eq!(seen.status, Some(0), "{seen:?}");
    assert!(seen.out.starts_with("0\n0 ") && seen.out.ends_with("allow\n"), "{seen:?}");
}

#[test]
fn who_is_granted_nothing_is_told_what_that_takes() {
    if !can(&["root", "newuidmap"]) {
        return;
    }
    let auto = |side: &str| {
        format!(
            "plan: cannot take --map-{side} auto: no line of /etc/sub{side} grants the caller anything\n\
             seclude: hint: usermod --add-sub{side}s 100000-165535 USER adds a line"
        )
    };
    refused(
        &call_with_etc(&grants(), STRANGER, &["--map", "auto", "--user", "0:0", "echo", "ran"]),
        &auto("uid"),
    );
    refused(
        &call_with_etc(&grants(), STRANGER, &["--map-gid", "auto", "--user", "0:0", "echo", "ran"]),
        &auto("gid"),
    );
    let words = ["--map-uid", "0:700000:70000", "--user", "0:0", "echo", "ran"];
    let need = "that takes CAP_SETUID, which the caller does not have";
    refused(
        &call_with_etc(&grants(), GRANTED, &words),
        &format!(
            "plan: cannot map uid 0:700000:70000: {need}\n\
             seclude: hint: without it, that takes a line of /etc/subuid that holds 700000-769999"
        ),
    );
}

#[test]
fn as_many_ranges_as_the_kernel_takes_are_taken_and_no_more() {
    if !can(&["root"]) {
        return;
    }
    // Every other id, so that no two are one; short ones, so that the text fits.
    let ranges = |count: u32| -> Vec<String> {
        (0..count).flat_map(|n| ["--map-uid".to_string(), format!("{}:{}:1", 2 * n, 2 * n)]).collect()
    };
    let call_with = |count: u32| {
        let options = ranges(count);
        let words: Vec<&str> = ["-q", "--user", "0:0", "--groups", "none"]
            .into_iter()
            .chain(options.iter().map(String::as_str))
            .collect();
        call(&[&words[..], &["sh", "-c", "wc -l < /proc/self/uid_map"]].concat())
    };
    assert_eq!(call_with(340).seen(), (Some(0), "340\n", ""));
    refused(&call_with(341), "plan: cannot take --map-uid: 341 ranges: the kernel takes 340 in one map");
}
