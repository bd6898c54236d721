//! Who the command is, where launchers of its kind were tricked: order of ids and groups, names made of digits, a second way in.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::machine::live::live;
use crate::machine::processes::status;
use crate::machine::{call_with_etc, caller, can, finish, scratch, seclude};
use crate::typing;

/// The calls of `names` that a launch makes until its exec, answers included, without pids.
fn traced(names: &str, options: &str) -> Vec<String> {
    let file = scratch("traced").join("calls");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", "signal=none", "-e", &format!("trace={names}"), "-o"]).arg(&file);
    command.arg(seclude()).arg("-q").args(options.split_whitespace()).arg("/bin/true");
    let seen = finish(&mut command);
    assert_eq!(seen.seen(), (Some(0), "", ""), "{options}");
    let text = fs::read_to_string(file).expect("strace wrote it");
    let call = |line: &str| {
        let call = line.split_once(' ').unwrap_or_default().1.trim();
        let (call, answer) = call.rsplit_once(" = ").unwrap_or((call, ""));
        format!("{} = {answer}", call.trim_end())
    };
    text.lines().map(call).collect()
}

/// Without a number, as POS36-C has it: who gives up the user first can't give up groups any more.
#[test]
fn groups_go_before_the_group_and_that_before_the_user_and_each_is_read_back() {
    if !can(&["root", "strace"]) {
        return;
    }
    let expected = [
        // Nothing is set by that: it asks whether groups may be.
        "setgroups(-1, NULL) = -1 EINVAL (Invalid argument)",
        "setgroups(2, [7, 9]) = 0",
        "getgroups(3, [7, 9]) = 2",
        "setresgid(4243, 4243, 4243) = 0",
        "getresgid([4243], [4243], [4243]) = 0",
        "setresuid(4242, 4242, 4242) = 0",
        "getresuid([4242], [4242], [4242]) = 0",
        // Root is tried to be had back, and must not come.
        "setresuid(-1, 0, -1) = -1 EPERM (Operation not permitted)",
    ];
    let calls = "setgroups,setresgid,setresuid,getgroups,getresgid,getresuid";
    for way in ["", "--exec", "-n pid", "-n pid --as-pid1", "--no-new-privs"] {
        let seen = traced(calls, &format!("{way} --user 4242:4243 --groups 7,9"));
        let first = seen.iter().position(|call| call.starts_with("set")).expect("something is set");
        assert_eq!(seen[first..], expected, "{way}");
    }
}

/// No CVE: a name made of digits is taken for a number by some, and for a name by others, who run it as root.
#[test]
fn digits_are_a_number_even_where_somebody_has_them_for_a_name() {
    if !can(&["root"]) {
        return;
    }
    let passwd = "root:x:0:0::/root:/bin/sh\n1234:x:0:0::/:/bin/sh\n4321:x:0:0::/:/bin/sh\ntess:x:1234:1235::/:/bin/sh\n";
    let group = "root:x:0:\n1234:x:0:\n1235:x:0:\n";
    let etc = BTreeMap::from([("passwd", passwd.to_string()), ("group", group.to_string())]);
    let show = ["sh", "-c", "grep -E '^(Uid|Gid|Groups)' /proc/self/status | xargs"];
    let who = |words: &[&str]| call_with_etc(&etc, 0, &[&["-q"], words, &show].concat());
    let told = |uid: u32, gid: u32, groups: &str| {
        format!("Uid: {uid} {uid} {uid} {uid} Gid: {gid} {gid} {gid} {gid} Groups:{groups}\n")
    };
    for way in [&[][..], &["--exec"]] {
        let who = |words: &[&str]| who(&[way, words].concat());
        assert_eq!(who(&["--user", "1234"]).seen(), (Some(0), told(1234, 1235, "").as_str(), ""));
        assert_eq!(who(&["--user", "1234:1234"]).seen(), (Some(0), told(1234, 1234, "").as_str(), ""));
        let groups = who(&["--user", "tess", "--group", "1234", "--groups", "1235"]);
        assert_eq!(groups.seen(), (Some(0), told(1234, 1234, " 1235").as_str(), ""));
        let alone = "seclude: account: cannot take --user 4321: the user database has no entry with a group for it, and the \
                     caller's is not kept\nseclude: hint: say the group as well: --user 4321:4321\n";
        assert_eq!(who(&["--user", "4321"]).seen(), (Some(125), "", alone));
    }
}

/// CVE-2019-10144, CVE-2019-10145, CVE-2019-10147: who entered a container had what the container itself was denied.
#[test]
fn a_namespace_that_is_joined_is_no_way_around_what_the_command_is_denied() {
    if !can(&["root", "setpriv", "perl", "x86_64"]) {
        return;
    }
    let mut host = live(&["-n", "net,pid,mount,uts", "--mount-proc"], "echo up; read x");
    assert_eq!(host.line(), "up");
    let join = format!("--join net,pid,mount,uts={}", host.real);
    let caps = "--inh-caps +net_raw,+sys_admin --ambient-caps +net_raw,+sys_admin --groups 0,4,24";
    let look = "grep -E '^(Uid|Gid|Groups|Cap...|NoNewPrivs):' /proc/self/status | cut -f2- | xargs
        for n in 3 4 5 6 7 8 9; do [ -e /proc/self/fd/$n ] && echo $n; done; readlink /proc/1/exe; true";
    let who = |options: &str| {
        let script = scratch("joined").join("look");
        crate::machine::script(&script, &format!("#!/bin/sh\n{look}\n"));
        let line = format!(
            r#"cd /; exec 3</ 9</etc/passwd; exec setpriv {caps} "$0" -q {join} {options} {}"#,
            script.display()
        );
        let seen = caller(&line);
        assert_eq!((seen.status, seen.err.as_str()), (Some(0), ""), "{options}");
        seen.out
    };
    let [none, id] = ["0000000000000000".to_string(), "1234 1234 1234 1234 1235 1235 1235 1235".to_string()];
    let own = status(std::process::id() as i32, "NoNewPrivs").expect("it lives").concat();
    let sets = [none.as_str(); 5].join(" ");
    assert_eq!(who("--user 1234:1235"), format!("{id} {sets} {own}\n"));
    assert_eq!(who("--user 1234:1235 --no-new-privs"), format!("{id} {sets} 1\n"));
    assert_eq!(who("--user 1234:1235 --groups 7,9"), format!("{id} 7 9 {sets} {own}\n"));
    for user in ["-1", "4294967295", "4294967296", ":", "1abc"] {
        let seen = caller(&format!(r#""$0" {join} --user '{user}' echo ran"#));
        assert_eq!((seen.status, seen.out.as_str()), (Some(125), ""), "{user}");
    }
    for options in ["--user 1234:1235", "--no-new-privs", "--cap-drop kill"] {
        assert_eq!(typing::told(0, &format!("{join} {options}")), typing::DENIED, "{options}");
    }
}
