//! Who the command is: ids, groups, capabilities and environment, read by the command itself.

use std::collections::BTreeMap;
use std::fs;

use crate::machine::{STRANGER, call, call_as, call_with_etc, caller, can, sh};

const STATUS: &str = "grep -E '^(Uid|Gid|Groups|CapInh|CapPrm|CapEff|CapBnd|CapAmb):' /proc/self/status";

/// A status of ids without any capability.
fn powerless(uid: u32, gid: u32, groups: &str) -> String {
    let none = "0000000000000000";
    let four = |id: u32| [id; 4].map(|id| id.to_string()).join("\t");
    format!(
        "Uid:\t{}\nGid:\t{}\nGroups:\t{groups}\nCapInh:\t{none}\nCapPrm:\t{none}\nCapEff:\t{none}\nCapBnd:\t{none}\nCapAmb:\t{none}\n",
        four(uid),
        four(gid)
    )
}

/// CVE-2022-2989, CVE-2022-2990, CVE-2022-2995, CVE-2022-36109, CVE-2023-25173: the primary group was missing from the list,
/// and what it was denied could be had.
#[test]
fn nobody_has_no_capability_no_group_and_no_descriptor_of_root_s() {
    if !can(&["root", "setpriv"]) {
        return;
    }
    let caps = "--inh-caps +net_raw,+sys_admin --ambient-caps +net_raw,+sys_admin --groups 0,4,24";
    let script = format!(
        r#"exec 3</root 5</etc/shadow; exec setpriv {caps} "$0" -q --user nobody sh -c "{STATUS}; for n in 3 4 5 6 7 8 9; do [ -e /proc/self/fd/\$n ] && echo \$n; done; true""#
    );
    let seen = caller(&script);
    assert_eq!(seen.seen(), (Some(0), powerless(65534, 65534, "65534 ").as_str(), ""));
}

#[test]
fn a_numeric_user_has_the_ids_that_were_said_and_no_groups() {
    if !can(&["root", "setpriv"]) {
        return;
    }
    let with_groups = |options: &str| {
        let script = format!(r#"exec setpriv --groups 0,4,24 "$0" -q {options} sh -c "{STATUS}""#);
        let seen = caller(&script);
        assert_eq!((seen.status, seen.err.as_str()), (Some(0), ""), "{options}");
        seen.out
    };
    assert_eq!(with_groups("--user 1234:5678"), powerless(1234, 5678, " "));
    assert_eq!(with_groups("--user 4294967294:4294967294"), powerless(4_294_967_294, 4_294_967_294, " "));
    assert_eq!(with_groups("--user 1234 --group 5678"), powerless(1234, 5678, " "));
    assert_eq!(with_groups("--user 1234:5678 --groups none"), powerless(1234, 5678, " "));
    assert_eq!(with_groups("--user 1234:5678 --groups keep"), powerless(1234, 5678, "0 4 24 "));
    assert_eq!(
        with_groups("--user 1234:5678 --groups 9,7 --groups 8,7,daemon"),
        powerless(1234, 5678, "1 7 8 9 ")
    );
    assert_eq!(with_groups("--user nobody:daemon"), powerless(65534, 1, "1 "));
    assert_eq!(with_groups("--user nobody --group daemon"), powerless(65534, 1, "1 "));
    assert_eq!(with_groups("--user nobody --groups none"), powerless(65534, 65534, " "));
}

#[test]
fn the_group_alone_can_be_changed() {
    if !can(&["root", "setpriv"]) {
        return;
    }
    let seen = caller(r#"exec setpriv --groups 4,24 "$0" -q --group 5678 id"#);
    assert_eq!(seen.out, "uid=0(root) gid=5678 groups=5678,4(adm),24(cdrom)\n", "{seen:?}");
}

#[test]
fn root_can_t_be_taken_back() {
    if !can(&["root", "python3"]) {
        return;
    }
    let script = "import os\nfor call in (lambda: os.setuid(0), lambda: os.setresuid(-1, 0, -1), lambda: os.setgid(0), lambda: os.setgroups([])):\n try: call(); print('got')\n except PermissionError: print('no')";
    let seen = call(&["-q", "--user", "1234:5678", "/usr/bin/python3", "-c", script]);
    assert_eq!(seen.seen(), (Some(0), "no\nno\nno\nno\n", ""));
}

#[test]
fn user_groups_come_with_the_name_and_a_number_asks_nobody() {
    if !can(&["root"]) {
        return;
    }
    let passwd = "root:x:0:0::/root:/bin/sh\ntess:x:4242:4242:T:/home/tess:/bin/tsh\n1234:x:0:0::/:/bin/sh\n";
    let group = "root:x:0:\ntess:x:4242:\na:x:5001:tess\nb:x:5002:root,tess\nc:x:5003:root\n";
    let etc = BTreeMap::from([("passwd", passwd.to_string()), ("group", group.to_string())]);
    let status = |words: &[&str]| {
        let seen = call_with_etc(&etc, 0, &[&["-q"], words, &["sh", "-c", STATUS]].concat());
        assert_eq!((seen.status, seen.err.as_str()), (Some(0), ""), "{words:?}");
        seen.out
    };
    assert_eq!(status(&["--user", "tess"]), powerless(4242, 4242, "4242 5001 5002 "));
    assert_eq!(status(&["--user", "tess:c"]), powerless(4242, 5003, "5001 5002 5003 "));
    assert_eq!(status(&["--user", "4242"]), powerless(4242, 4242, " "));
    assert_eq!(status(&["--user", "4242", "--groups", "init"]), powerless(4242, 4242, "4242 5001 5002 "));
    assert_eq!(
        status(&["--user", "1234:1234"]),
        powerless(1234, 1234, " "),
        "digits are a number, never a name"
    );
}

#[test]
fn a_user_in_5000_groups_has_them_all() {
    if !can(&["root"]) {
        return;
    }
    let etc = many_groups(5_000);
    let seen =
        call_with_etc(&etc, 0, &["-q", "--user", "tess", "sh", "-c", "grep Groups: /proc/self/status"]);
    let groups: Vec<u32> = seen.out.split_whitespace().skip(1).map(|gid| gid.parse().unwrap()).collect();
    let expected: Vec<u32> = [4242].into_iter().chain(100_000..105_000).collect();
    assert_eq!(groups, expected, "{} {}", seen.err, groups.len());
}

#[test]
fn more_than_65536_groups_are_refused() {
    if !can(&["root"]) {
        return;
    }
    let etc = many_groups(65_536);
    let seen = call_with_etc(&etc, 0, &["--user", "tess", "echo", "ran"]);
    let err = "seclude: account: cannot list the groups of tess: the user is in more than 65536 groups, which is all that \
               the kernel takes\nseclude: hint: choose some with --groups LIST\n";
    assert_eq!(seen.seen(), (Some(125), "", err));
}

/// A user `tess` and as many groups, beside her own, of which she is a member.
fn many_groups(count: u32) -> BTreeMap<&'static str, String> {
    let passwd = "root:x:0:0::/root:/bin/sh\ntess:x:4242:4242:T:/home/tess:/bin/sh\n".to_string();
    let group: String = (0..count).map(|n| format!("g{n}:x:{}:tess\n", 100_000 + n)).collect();
    BTreeMap::from([
        ("passwd", passwd),
        ("group", group),
        ("nsswitch.conf", "passwd: files\ngroup: files\n".to_string()),
    ])
}

#[test]
fn a_number_with_its_group_needs_no_database() {
    if !can(&["root"]) {
        return;
    }
    // A FIFO that nobody writes to: whoever opened it would wait for ever.
    let dir = crate::machine::scratch("fifo").to_string_lossy().into_owned();
    let script = format!(
        r#"mkfifo {dir}/x && exec unshare -m sh -c 'mount --bind {dir}/x /etc/passwd; mount --bind {dir}/x /etc/group
        exec timeout 10 "$0" -q --user 1234:5678 --groups 1,2 grep -E "^(Uid|Gid|Groups):" /proc/self/status' "$0""#
    );
    let expected = "Uid:\t1234\t1234\t1234\t1234\nGid:\t5678\t5678\t5678\t5678\nGroups:\t1 2 \n";
    assert_eq!(caller(&script).seen(), (Some(0), expected, ""));
}

#[test]
fn a_database_that_can_t_be_read_is_told_from_a_user_that_is_not_there() {
    if !can(&["root"]) {
        return;
    }
    let etc = BTreeMap::from([("passwd", "root:x:0:0::/:/bin/sh\n".to_string())]);
    let seen = call_with_etc(&etc, 0, &["--user", "tess", "echo", "ran"]);
    let err = "seclude: account: cannot look up user tess: the user database has no user of that name\n";
    assert_eq!(seen.seen(), (Some(125), "", err));
}

#[test]
fn home_and_its_like_are_the_user_s() {
    if !can(&["root"]) {
        return;
    }
    let passwd = "root:x:0:0::/root:/bin/sh\ntess:x:4242:4242:T:/home/tess:/bin/tsh\nbare:x:4243:4243:::\n";
    let etc = BTreeMap::from([("passwd", passwd.to_string()), ("group", "tess:x:4242:\n".to_string())]);
    let script = "echo ${HOME-unset} ${USER-unset} ${LOGNAME-unset} ${SHELL-unset}";
    let seen = |words: &[&str]| {
        let seen =
            call_with_etc(&etc, 0, &[&["-q", "--env", "OLD=1"], words, &["sh", "-c", script]].concat());
        assert_eq!((seen.status, seen.err.as_str()), (Some(0), ""), "{words:?}");
        seen.out.trim_end().to_string()
    };
    assert_eq!(seen(&["--user", "tess"]), "/home/tess tess tess /bin/tsh");
    assert_eq!(seen(&["--user", "4242"]), "/home/tess tess tess /bin/tsh");
    assert_eq!(seen(&["--user", "bare"]), "/ bare bare unset");
    assert_eq!(seen(&["--user", "1234:1234"]), "/ unset unset unset");
    assert_eq!(seen(&["--user", "tess", "--env", "HOME=/elsewhere"]), "/elsewhere tess tess /bin/tsh");
    assert_eq!(seen(&["--user", "tess", "--unset-env", "SHELL"]), "/home/tess tess tess unset");
    assert_eq!(seen(&["--user", "tess", "--clear-env"]), "/home/tess tess tess /bin/tsh");
    let own = |name: &str| std::env::var(name).unwrap_or("unset".to_string());
    let kept = ["HOME", "USER", "LOGNAME", "SHELL"].map(own).join(" ");
    assert_eq!(seen(&["--user", "tess", "--keep-env"]), kept);
}

#[test]
fn a_plain_caller_can_t_become_another_and_learns_what_that_takes() {
    if !can(&["root"]) {
        return;
    }
    let seen = call_as(STRANGER, &["--user", "0:0", "--groups", "keep", "echo", "ran"]);
    let err = "seclude: plan: cannot become uid 0: that takes CAP_SETUID, which the caller does not have\n\
               seclude: hint: run as root, or add --unshare user\n";
    assert_eq!(seen.seen(), (Some(125), "", err));
    let seen =
        call_as(STRANGER, &["--user", "nobody", "--group", "61234", "--groups", "keep", "echo", "ran"]);
    let err = "seclude: plan: cannot become uid 65534 (nobody): that takes CAP_SETUID, which the caller does not have\n\
               seclude: hint: run as root, or add --unshare user\n";
    assert_eq!(seen.seen(), (Some(125), "", err));
}

#[test]
fn a_user_without_a_user_namespace_sees_what_it_is() {
    if !can(&["plain"]) {
        return;
    }
    let uid = nix::unistd::geteuid().as_raw();
    let gid = nix::unistd::getegid().as_raw();
    let seen = sh(&["-q", "--user", &format!("{uid}:{gid}"), "--groups", "keep"], "id -u; id -g");
    assert_eq!(seen.seen(), (Some(0), format!("{uid}\n{gid}\n").as_str(), ""));
}

#[test]
fn no_new_privs_is_set_where_asked() {
    let asked = sh(&["-q", "--no-new-privs"], "grep NoNewPrivs /proc/self/status");
    assert_eq!(asked.seen(), (Some(0), "NoNewPrivs:\t1\n", ""));
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let own = own.lines().find(|line| line.starts_with("NoNewPrivs")).unwrap().to_string();
    assert_eq!(sh(&["-q"], "grep NoNewPrivs /proc/self/status").out, own + "\n");
}
