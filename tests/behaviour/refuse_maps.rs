//! Maps that are refused before anything is cloned, each with the rule: overlaps, limits, ids that no range holds.

use crate::machine::{STRANGER, call, call_as, call_with_etc, can, grants};

fn refused(words: &[&str], err: &str) {
    let words = [words, &["echo", "ran"]].concat();
    assert_eq!(call(&words).seen(), (Some(125), "", format!("seclude: {err}\n").as_str()), "{words:?}");
}

/// No CVE: the kernel itself cuts the numbers of a map to 32 bits, and 4294967296 is root.
#[test]
fn a_range_is_three_plain_numbers_or_names() {
    let shape = "a range is INSIDE:OUTSIDE:COUNT; self, auto and all stand alone";
    let id = "an id is a plain decimal number from 0 to 4294967294";
    let name = format!("a name starts with a letter or _, {id}");
    let count = "COUNT: a count is a plain decimal number from 1 to 4294967295";
    let (inside, outside) = (format!("INSIDE: {id}"), format!("OUTSIDE: {id}"));
    let rows = [
        ("0", shape),
        ("0:0", shape),
        ("0:0:1:1", shape),
        ("0 0 1", shape),
        ("0,0,1", shape),
        ("0:0:0", count),
        ("0:0:01", count),
        ("0:0:-1", count),
        ("0:0:10k", count),
        ("0:0:", count),
        ("0:0:1 ", count),
        ("0:0:4294967296", count),
        ("0:0:4294967297", count),
        ("4294967295:0:1", &inside),
        ("4294967296:0:1", &inside),
        ("010:0:1", &inside),
        ("0:4294967295:1", &outside),
        ("0:4294967296:1", &outside),
        ("0:4294967297:1", &outside),
        ("0:18446744073709551616:1", &outside),
        ("0:99999999999999999999999999:1", &outside),
        ("0:00:1", &outside),
    ];
    for (text, rule) in rows {
        for option in ["--map-uid", "--map-gid"] {
            refused(&[option, text], &format!("usage: cannot take {option} {text}: {rule}"));
        }
    }
    for text in ["+0:0:1", " 0:0:1", "0x0:0:1", "٥:0:1", "1e3:0:1", ".:0:1"] {
        refused(&["--map-uid", text], &format!("usage: cannot take --map-uid {text}: INSIDE: {name}"));
    }
    refused(&["--map-uid", ""], &format!("usage: cannot take --map-uid: {shape}"));
    refused(&["--map-uid", "0:0:1\n"], &format!("usage: cannot take --map-uid 0:0:1\\n: {count}"));
    let control = "INSIDE: byte 2 is the control character 0x1b";
    refused(&["--map-uid", "a\u{1b}:0:1"], &format!("usage: cannot take --map-uid a\\x1b:0:1: {control}"));
    let words = "the values are self, auto, all; ranges go to --map-uid and --map-gid";
    refused(&["--map", "0:0:1"], &format!("usage: cannot take --map 0:0:1: {words}"));
    refused(&["--map", "none"], &format!("usage: cannot take --map none: {words}"));
}

#[test]
fn a_name_in_a_range_has_to_be_known() {
    let user = "account: cannot look up user bogus: the user database has no user of that name";
    refused(&["--map-uid", "bogus:0:1"], user);
    refused(&["--map-uid", "0:bogus:1"], user);
    let group = "account: cannot look up group bogus: the group database has no group of that name";
    refused(&["--map-gid", "0:bogus:1"], group);
}

#[test]
fn a_range_that_would_wrap_is_refused_with_its_last_id() {
    for (text, last, side) in [
        ("4294967294:0:2", "4294967295", "inside"),
        ("0:4294967294:2", "4294967295", "outside"),
        ("4294967290:0:6", "4294967295", "inside"),
        ("1:1:4294967295", "4294967295", "inside"),
        ("4294967294:0:4294967295", "8589934588", "inside"),
    ] {
        let rule = format!("{text} would end at {last} {side}: the last id is 4294967294");
        refused(&["--map-uid", text], &format!("plan: cannot take --map-uid {text}: {rule}"));
    }
}

#[test]
fn ranges_that_overlap_are_refused_by_name_side_and_ids() {
    let two = |first: &str, second: &str, rule: &str| {
        let words = ["--user", "0:0", "--map-gid", first, "--map-gid", second];
        refused(&words, &format!("plan: cannot take --map-gid: {rule}"));
    };
    two("0:100000:10", "5:200000:1", "0:100000:10 and 5:200000:1 overlap inside (id 5)");
    two("5:200000:1", "0:100000:10", "0:100000:10 and 5:200000:1 overlap inside (id 5)");
    two("0:100000:10", "20:100005:10", "0:100000:10 and 20:100005:10 overlap outside (ids 100005 to 100009)");
    two("0:100000:10", "0:100000:10", "0:100000:10 and 0:100000:10 overlap outside (ids 100000 to 100009)");
}

#[test]
fn an_id_that_no_range_holds_is_refused_with_the_range_to_add() {
    if !can(&["root"]) {
        return;
    }
    // Asked as a user without any grant: what can't be is told before what may not be.
    let hint = |words: &[&str], object: &str, add: &str| {
        let map = ["--map-uid", "0:100000:10", "--map-gid", "0:100000:10"];
        let seen = call_as(STRANGER, &[&map, words, &["echo", "ran"]].concat());
        let rule = "no range of the map holds it in the INSIDE column";
        let err = format!("seclude: plan: cannot become {object}: {rule}\nseclude: hint: add {add}\n");
        assert_eq!(seen.seen(), (Some(125), "", err.as_str()), "{words:?}");
    };
    hint(&["--user", "54321:0"], "uid 54321", "--map-uid 54321:61234:1");
    hint(&["--user", "nobody:0"], "uid 65534 (nobody)", "--map-uid 65534:61234:1");
    hint(&["--user", "0:54321"], "gid 54321", "--map-gid 54321:61234:1");
    hint(&["--user", "0:0", "--groups", "54321"], "supplementary gid 54321", "--map-gid 54321:61234:1");
    hint(
        &["--user", "0:0", "--groups", "3,nogroup"],
        "supplementary gid 65534 (nogroup)",
        "--map-gid 65534:61234:1",
    );
}

#[test]
fn an_id_that_the_caller_keeps_has_to_be_held_outside() {
    if !can(&["root"]) {
        return;
    }
    let rule = "the command keeps the caller's uid, which no range holds in the OUTSIDE column: 0:100000:10";
    refused(
        &["--map-uid", "0:100000:10"],
        &format!("plan: cannot keep uid 0: {rule}\nseclude: hint: choose one with --user and its group"),
    );
}

#[test]
fn root_outside_is_never_shown_as_another_unless_a_map_says_so() {
    if !can(&["root", "setpriv"]) {
        return;
    }
    // Root without CAP_SETUID can map its own id alone.
    let drop = "-setuid,-setgid";
    let script = format!(
        r#"exec setpriv --bounding-set {drop} --inh-caps {drop} "$0" -n user --user nobody echo ran"#
    );
    let err = "seclude: plan: cannot choose a uid map: uid 0 outside is never shown as 65534 inside unless a map says so\n\
               seclude: hint: say it with --map-uid 65534:0:1\n";
    assert_eq!(crate::machine::caller(&script).seen(), (Some(125), "", err));
}

#[test]
fn a_map_without_its_user_namespace_is_a_contradiction() {
    let rule = "id maps are of a new user namespace";
    refused(
        &["-n", "all", "--share", "user", "--map", "self"],
        &format!("plan: cannot take --share user: {rule}"),
    );
    let rule = "id maps are of a new user namespace, and this one exists";
    refused(&["--join", "user=1", "--map", "self"], &format!("plan: cannot take --join user: {rule}"));
}

#[test]
fn what_the_caller_s_own_namespace_does_not_hold_can_t_be_mapped() {
    if !can(&["userns", "unshare"]) {
        return;
    }
    let script = r#"exec unshare -Ur "$0" --map-uid 0:5:1 --user 0:0 --groups keep echo ran"#;
    let seen = crate::machine::caller(script);
    assert_eq!((seen.status, seen.out.as_str()), (Some(125), ""), "{seen:?}");
    let rule = "the caller's own user namespace does not hold all of that in its INSIDE column";
    assert_eq!(seen.err, format!("seclude: plan: cannot map uid 0:5:1: {rule}\n"));
}

#[test]
fn a_map_that_takes_nothing_but_a_grant_says_which_one() {
    if !can(&["root"]) {
        return;
    }
    let words = ["--map-gid", "0:700000:10", "--map-gid", "10:5:1", "--user", "0:0", "echo", "ran"];
    let seen = call_with_etc(&grants(), crate::machine::GRANTED, &words);
    let err = "seclude: plan: cannot map gid 0:700000:10 10:5:1: that takes CAP_SETGID, which the caller does not have\n\
               seclude: hint: without it, that takes a line of /etc/subgid that holds 5-5\n";
    assert_eq!(seen.seen(), (Some(125), "", err));
}
