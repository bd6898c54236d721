//! What /etc/subuid and /etc/subgid grant: all lines together, each id once, however they lie to each other.

use std::collections::BTreeMap;

use crate::machine::{GRANTED, Outcome, call_with_etc, can, finish, scratch, seclude};

const MAPS: &str = "for f in uid_map gid_map; do sed -E 's/^ +//; s/ +/ /g' /proc/self/$f; done";

/// A call by a user to whom these lines of both files are about.
fn with_lines(lines: &[&str], options: &[&str]) -> Outcome {
    let passwd = format!("root:x:0:0::/root:/bin/sh\ntess:x:{GRANTED}:{GRANTED}::/:/bin/sh\n");
    let sub: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let etc = BTreeMap::from([("passwd", passwd), ("subuid", sub.clone()), ("subgid", sub)]);
    call_with_etc(&etc, GRANTED, &[&["-q"], options, &["--user", "0:0", "sh", "-c", MAPS]].concat())
}

#[test]
fn auto_maps_each_id_once() {
    if !can(&["root", "newuidmap"]) {
        return;
    }
    for (what, lines, map) in [
        ("adjacent", &["tess:700000:10", "tess:700010:10"][..], "0 700000 20\n"),
        ("the same twice", &["tess:700000:10", "tess:700000:10"], "0 700000 10\n"),
        ("by name and by number", &["tess:700000:10", "61235:700000:10"], "0 700000 10\n"),
        ("overlapping", &["tess:700000:10", "tess:700005:10"], "0 700000 15\n"),
        ("overlapping, the later first", &["tess:700005:10", "tess:700000:10"], "0 700005 10\n10 700000 5\n"),
        ("one around another", &["tess:700005:2", "tess:700000:10"], "0 700005 2\n2 700000 5\n7 700007 3\n"),
        ("one inside another", &["tess:700000:10", "tess:700005:2"], "0 700000 10\n"),
        ("apart", &["tess:700000:10", "tess:800000:5"], "0 700000 10\n10 800000 5\n"),
    ] {
        let seen = with_lines(lines, &["--map", "auto"]);
        assert_eq!(seen.seen(), (Some(0), format!("{map}{map}").as_str(), ""), "{what}");
    }
}

#[test]
fn a_range_may_lie_across_lines_that_lie_together() {
    if !can(&["root", "newuidmap"]) {
        return;
    }
    let range = ["--map-uid", "0:700005:10", "--map-gid", "0:700005:10"];
    for lines in [
        ["tess:700000:10", "tess:700010:10"],
        ["tess:700010:10", "tess:700000:10"],
        ["tess:700000:10", "61235:700008:10"],
        ["tess:700000:10", "tess:700000:15"],
    ] {
        let seen = with_lines(&lines, &range);
        assert_eq!(seen.seen(), (Some(0), "0 700005 10\n0 700005 10\n", ""), "{lines:?}");
    }
    let seen = with_lines(&["tess:700000:10", "tess:700011:10"], &range);
    let err = "seclude: plan: cannot map uid 0:700005:10: that takes CAP_SETUID, which the caller does not have\n\
               seclude: hint: without it, that takes a line of /etc/subuid that holds 700005-700014\n";
    assert_eq!(seen.seen(), (Some(125), "", err), "one id between them is nobody's");
}

#[test]
fn who_may_map_any_id_reads_no_grants() {
    if !can(&["root", "strace"]) {
        return;
    }
    let file = scratch("grants").join("calls");
    for (options, reads) in [
        ("--map-uid 0:0:1 --map-gid 0:0:1 --user 0:0", false),
        ("--map all --user 0:0", false),
        ("--dry-run --map auto --user 0:0 --groups none", true),
    ] {
        let mut command = std::process::Command::new("strace");
        command.args(["-f", "-qq", "-e", "trace=open,openat,access,faccessat2", "-o"]).arg(&file);
        finish(command.arg(seclude()).arg("-q").args(options.split(' ')).arg("/bin/true"));
        let text = std::fs::read_to_string(&file).unwrap();
        let grants = ["/etc/subuid", "/etc/subgid", "newuidmap", "newgidmap", "/etc/passwd"];
        let found = grants.iter().filter(|name| text.contains(**name)).count();
        assert_eq!(found > 0, reads, "{options}: {text}");
    }
}
