//! Namespaces made, shared, joined and kept: which are new is read from the kernel, inside and outside.

use std::fs;

use crate::machine::live::live;
use crate::machine::{call, caller, can, run, scratch, sh};

/// The word of the command line, and the file in /proc/self/ns.
pub const KINDS: [(&str, &str); 8] = [
    ("user", "user"),
    ("pid", "pid"),
    ("mount", "mnt"),
    ("net", "net"),
    ("uts", "uts"),
    ("ipc", "ipc"),
    ("cgroup", "cgroup"),
    ("time", "time"),
];

pub const LINKS: &str = "for f in user pid mnt net uts ipc cgroup time; do readlink /proc/self/ns/$f; done";

/// The kinds of which inside and outside differ.
pub fn new_kinds(inside: &str) -> Vec<&'static str> {
    let outside = run("sh", &["-c", LINKS]).out;
    let (inside, outside): (Vec<&str>, Vec<&str>) = (inside.lines().collect(), outside.lines().collect());
    assert_eq!((inside.len(), outside.len()), (8, 8), "{inside:?}");
    let pairs = KINDS.iter().zip(inside.into_iter().zip(outside));
    pairs.filter(|(_, (inside, outside))| inside != outside).map(|((word, _), _)| *word).collect()
}

#[test]
fn each_kind_is_made_and_no_other() {
    if !can(&["userns"]) {
        return;
    }
    for (word, _) in KINDS {
        let seen = sh(&["-q", "--unshare", &format!("user,{word}"), "--user", "0:0"], LINKS);
        let expected = if word == "user" { vec!["user"] } else { vec!["user", word] };
        assert_eq!(new_kinds(&seen.out), expected, "{seen:?}");
    }
}

#[test]
fn root_makes_each_kind_without_a_user_namespace() {
    if !can(&["root"]) {
        return;
    }
    for (word, _) in &KINDS[1..] {
        let seen = sh(&["-q", "--unshare", word], LINKS);
        assert_eq!(new_kinds(&seen.out), [*word], "{seen:?}");
    }
}

#[test]
fn all_is_every_kind_and_share_takes_some_out() {
    if !can(&["userns"]) {
        return;
    }
    let seen = sh(&["-q", "-n", "all", "--user", "0:0"], LINKS);
    assert_eq!(new_kinds(&seen.out), KINDS.map(|(word, _)| word), "{seen:?}");
    let seen =
        sh(&["-q", "-n", "all", "--share", "net,time", "--share", "CLONE_NEWNS", "--user", "0:0"], LINKS);
    assert_eq!(new_kinds(&seen.out), ["user", "pid", "uts", "ipc", "cgroup"], "{seen:?}");
}

#[test]
fn each_kind_of_a_process_is_joined_and_no_other() {
    if !can(&["userns"]) {
        return;
    }
    let mut host = live(&["-n", "all", "--user", "0:0"], "echo up; read x");
    assert_eq!(host.line(), "up");
    for (word, file) in KINDS {
        // A child joins the time namespace at once, and so does an exec.
        let option =
            if word == "user" { format!("user={}", host.real) } else { format!("user,{word}={}", host.real) };
        let seen = sh(&["-q", "--join", &option], LINKS);
        let links: Vec<&str> = seen.out.lines().collect();
        for ((other, other_file), link) in KINDS.iter().zip(&links) {
            let joined = *other == "user" || *other == word;
            let own = fs::read_link(format!("/proc/self/ns/{other_file}")).unwrap();
            let expected =
                if joined { host.namespace(other_file) } else { own.to_string_lossy().into_owned() };
            assert_eq!(**link, expected, "{word}: {seen:?}");
        }
        assert_eq!(links.len(), 8, "{word} {file}: {seen:?}");
    }
}

#[test]
fn each_kind_is_joined_by_its_path() {
    if !can(&["userns"]) {
        return;
    }
    let mut host = live(&["-n", "all", "--user", "0:0"], "echo up; read x");
    assert_eq!(host.line(), "up");
    let user = format!("user=/proc/{}/ns/user", host.real);
    for (word, file) in &KINDS[1..] {
        let path = format!("{word}=/proc/{}/ns/{file}", host.real);
        let seen = sh(&["-q", "--join", &path, "--join", &user], LINKS);
        assert_eq!(new_kinds(&seen.out), ["user", *word], "{seen:?}");
        assert!(seen.out.contains(&host.namespace(file)), "{seen:?}");
    }
}

#[test]
fn all_of_a_process_is_joined_and_its_init_is_a_neighbour() {
    if !can(&["userns"]) {
        return;
    }
    let mut host = live(&["-n", "all", "--user", "0:0", "--mount-proc"], "echo up; read x");
    assert_eq!(host.line(), "up");
    let seen = sh(
        &["--join", &format!("all={}", host.real)],
        "cat /proc/1/comm; tr '\\0' ' ' < /proc/2/cmdline; id -u; echo $$",
    );
    let lines: Vec<&str> = seen.out.lines().collect();
    assert_eq!(lines[..2], ["seclude", "sh -c echo up; read x 0"], "{seen:?}");
    assert!(lines[2].parse::<i32>().unwrap() > 2, "{seen:?}");
    assert!(seen.err.ends_with(&format!("isolated pid {}\n", lines[2])), "{seen:?}");
}

#[test]
pub fn new_kinds_are_made_beside_joined_ones() {
    if !can(&["userns"]) {
        return;
    }
    let mut host = live(&["-n", "user,net", "--user", "0:0"], "echo up; read x");
    assert_eq!(host.line(), "up");
    let join = format!("user,net={}", host.real);
    let seen = sh(
        &["-q", "--join", &join, "--unshare", "pid,uts", "--hostname", "beside"],
        &format!("{LINKS}; uname -n; echo $$"),
    );
    let lines: Vec<&str> = seen.out.lines().collect();
    assert_eq!(new_kinds(&lines[..8].join("\n")), ["user", "pid", "net", "uts"], "{seen:?}");
    assert_eq!((lines[0], lines[3]), (host.namespace("user").as_str(), host.namespace("net").as_str()));
    assert_eq!(lines[8..], ["beside", "2"]);
}

#[test]
fn what_is_joined_has_to_be_of_its_kind() {
    let refused = |spec: &str, message: &str| {
        let err = format!("seclude: {message}\n");
        assert_eq!(call(&["--join", spec, "echo", "ran"]).seen(), (Some(125), "", err.as_str()));
    };
    if can(&["root"]) {
        let uts = "/proc/self/ns/uts";
        refused(
            &format!("net={uts}"),
            &format!("join: cannot join {uts} as a net namespace: it is of kind uts"),
        );
        refused("net=/dev/null", "join: cannot join /dev/null as a net namespace: it is no namespace");
        let rule = "No such file or directory (ENOENT)";
        refused("net=/nope", &format!("join: cannot open the net namespace /nope: {rule}"));
        let hint = "digits alone are a PID, all else is a path; another PID or PATH takes another --join";
        let object = "cannot open the net namespace 1,uts=2";
        refused("net=1,uts=2", &format!("join: {object}: {rule}\nseclude: hint: {hint}"));
        let gone = "there is no such process (ENOENT)";
        refused("pid=4194305", &format!("join: cannot open the pid namespace /proc/4194305/ns/pid: {gone}"));
    }
    let kinds = "the kinds are user pid mount net uts ipc cgroup time, or all";
    refused("nett=1", &format!("usage: cannot take --join nett=1: {kinds}"));
    refused("net=", "usage: cannot take --join net=: a PID or a PATH is needed after =");
    refused("net=0", "usage: cannot take --join net=0: a PID is a plain decimal number from 1 up");
    refused(
        "net,uts=/x",
        "usage: cannot take --join net,uts=/x: a PATH is of one kind; several kinds need a PID",
    );
}

#[test]
fn a_plain_user_who_joins_is_told_what_that_takes() {
    if !can(&["plain"]) {
        return;
    }
    let err = "seclude: plan: cannot join net namespaces: that takes CAP_SYS_ADMIN, which the caller does not have\n\
               seclude: hint: join the user namespace that owns them as well: --join user,…=PID\n";
    assert_eq!(call(&["--join", "net=1", "true"]).seen(), (Some(125), "", err));
}

#[test]
fn host_and_domain_name_are_set_inside_and_not_outside() {
    if !can(&["userns"]) {
        return;
    }
    let names = "uname -n; cat /proc/sys/kernel/domainname";
    let before = run("sh", &["-c", names]).out;
    let options =
        ["-q", "-n", "user,uts", "--user", "0:0", "--hostname", "build-7.example", "--domainname", "inside"];
    assert_eq!(sh(&options, names).seen(), (Some(0), "build-7.example\ninside\n", ""));
    let longest = "x".repeat(64);
    let options = ["-q", "-n", "user,uts", "--user", "0:0", "--hostname", &longest];
    assert_eq!(sh(&options, "uname -n").out, longest + "\n");
    assert_eq!(run("sh", &["-c", names]).out, before);
}

#[test]
fn the_loopback_interface_of_a_new_net_namespace_is_up() {
    if !can(&["userns"]) {
        return;
    }
    // 0x9 is IFF_UP and IFF_LOOPBACK; sysfs shows the namespace of its mount, so the socket's own table is asked.
    let seen = sh(
        &["-q", "-n", "user,net", "--user", "0:0"],
        "cat /proc/net/dev | grep -c :; cat /proc/net/fib_trie | grep -c 127.0.0.1",
    );
    let lines: Vec<&str> = seen.out.lines().collect();
    assert_eq!(lines[0], "1", "{seen:?}");
    assert_ne!(lines[1], "0", "an address stands only on an interface that is up: {seen:?}");
}

#[test]
fn clocks_of_a_new_time_namespace_are_shifted() {
    if !can(&["userns"]) {
        return;
    }
    let options = [
        "-q",
        "-n",
        "user,time",
        "--user",
        "0:0",
        "--time-offset",
        "boottime=1000000",
        "--time-offset",
        "monotonic=-5",
    ];
    let seen = sh(&options, "cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime");
    let words: Vec<&str> = seen.out.split_whitespace().collect();
    assert_eq!(words[..6], ["monotonic", "-5", "0", "boottime", "1000000", "0"], "{seen:?}");
    let outside: u64 = run("cut", &["-d.", "-f1", "/proc/uptime"]).out.trim().parse().unwrap();
    let inside: u64 = words[6].parse().unwrap();
    assert!((outside - 60..=outside).contains(&(inside - 1_000_000)), "{inside} inside, {outside} outside");
}

#[test]
fn a_namespace_that_is_kept_outlives_the_command_and_is_joined_again() {
    if !can(&["root"]) {
        return;
    }
    let dir = scratch("kept").to_string_lossy().into_owned();
    // Binding a mount namespace takes a private mount, here below a mount namespace of the caller's own.
    let script = format!(
        r#"mount -t tmpfs none {dir} && mount --make-private {dir}
        echo \#!/nope > {dir}/bad; chmod 755 {dir}/bad
        "$0" -q -n net,uts,mount --hostname kept --persist net={dir}/net --persist uts={dir}/uts --persist mount={dir}/mnt \
            sh -c 'readlink /proc/self/ns/net; readlink /proc/self/ns/mnt' || exit
        "$0" -q --join net={dir}/net --join uts={dir}/uts --join mount={dir}/mnt \
            sh -c 'readlink /proc/self/ns/net; readlink /proc/self/ns/mnt; uname -n'
        "$0" -q -n net --persist net={dir}/gone {dir}/bad; echo $?; ls {dir}"#
    );
    // Linux 6.18 takes a mount namespace for an older one, which can't be bound, when another processor made it.
    let one = "taskset -c $(sed -n 's/^Cpus_allowed_list:.\\([0-9]*\\).*/\\1/p' /proc/self/status)";
    let seen = caller(&format!("exec {one} unshare -m sh -c '{}' \"$0\"", script.replace('\'', r"'\''")));
    let lines: Vec<&str> = seen.out.lines().collect();
    assert_eq!(lines.len(), 10, "{seen:?}");
    assert_eq!((lines[0], lines[1], lines[4]), (lines[2], lines[3], "kept"), "{seen:?}");
    assert_eq!(
        lines[5..],
        ["127", "bad", "mnt", "net", "uts"],
        "a launch that fails keeps nothing: {seen:?}"
    );
}
