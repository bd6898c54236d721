//! The same observation made under unshare(1) and setpriv(1) and under seclude: equal, or different on purpose and by name.

use std::fs;

use crate::machine::{Outcome, can, run, seclude};

/// Who and where a process is, by its own account.
const LOOK: &str = "id -u; id -g
    for f in uid_map gid_map setgroups; do sed -E 's/^ +//; s/ +/ /g' /proc/self/$f; done
    grep -E '^(Uid|Gid|Groups|CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status
    umask; pwd; uname -n; cat /proc/sys/kernel/domainname
    for f in user pid mnt net uts ipc cgroup time; do readlink /proc/self/ns/$f; done";

/// An observation, with namespaces as new or the caller's, since numbers never repeat.
fn observed(program: &str, options: &[&str], script: &str) -> Outcome {
    let seen = run(program, &[options, &["sh", "-c", script]].concat());
    let link = |line: &str| {
        let (file, _) = line.split_once(":[")?;
        let own = fs::read_link(format!("/proc/self/ns/{file}")).ok()?;
        Some(format!("{file} {}", if own.to_str() == Some(line) { "the caller's" } else { "new" }))
    };
    let out = seen.out.lines().map(|line| link(line).unwrap_or_else(|| line.to_string()) + "\n").collect();
    Outcome { out, ..seen }
}

fn ours(options: &str, script: &str) -> Outcome {
    let mut words = vec!["-q"];
    words.extend(options.split_whitespace());
    observed(seclude().to_str().unwrap(), &words, script)
}

fn theirs(call: &str, script: &str) -> Outcome {
    let words: Vec<&str> = call.split_whitespace().collect();
    observed(words[0], &words[1..], script)
}

/// Makes an observation twice, and compares all of it.
fn equal(peer: &str, options: &str, script: &str) {
    let (theirs, ours) = (theirs(peer, script), ours(options, script));
    assert!(theirs.out.lines().count() > 0 || theirs.status != Some(0), "{peer}: {theirs:?}");
    assert_eq!(ours.seen(), theirs.seen(), "{options} is not {peer}");
}

#[test]
fn nothing_asked_is_what_no_launcher_does() {
    assert_eq!(ours("", LOOK).seen(), observed("env", &[], LOOK).seen());
}

#[test]
fn root_inside_is_that_of_unshare() {
    if !can(&["userns", "unshare"]) {
        return;
    }
    equal("unshare --user --map-root-user", "-n user --user 0:0 --setgroups deny --groups keep", LOOK);
}

#[test]
fn the_caller_as_itself_is_that_of_unshare() {
    if !can(&["userns", "unshare"]) {
        return;
    }
    equal("unshare --user --map-current-user", "--map self --setgroups deny --groups keep", LOOK);
}

#[test]
fn each_kind_of_namespace_is_that_of_unshare() {
    if !can(&["userns", "unshare"]) {
        return;
    }
    for kind in ["net", "uts", "ipc", "cgroup", "mount", "time"] {
        let fork = if kind == "time" { "--fork" } else { "" };
        equal(
            &format!("unshare --map-root-user --{kind} {fork}"),
            &format!("-n user,{kind} --user 0:0 --setgroups deny --groups keep"),
            LOOK,
        );
    }
}

#[test]
fn pid_1_with_a_fresh_proc_is_that_of_unshare() {
    if !can(&["userns", "unshare"]) {
        return;
    }
    equal(
        "unshare --map-root-user --pid --mount --fork --mount-proc",
        "-n user,pid,mount --as-pid1 --user 0:0 --setgroups deny --groups keep --mount-proc",
        &format!("echo $$ $PPID; echo /proc/[0-9]*; grep -c ' /proc proc ' /proc/self/mounts; {LOOK}"),
    );
}

#[test]
fn ranges_of_subids_are_those_of_unshare() {
    if !can(&["plain", "subids", "unshare"]) {
        return;
    }
    equal(
        "unshare --user --map-users=auto --map-groups=auto --setuid 0 --setgid 0",
        "--map auto --user 0:0 --groups keep",
        "id -u; id -g; sed -E 's/^ +//; s/ +/ /g' /proc/self/uid_map /proc/self/gid_map; cat /proc/self/setgroups",
    );
}

#[test]
fn root_s_new_namespaces_are_those_of_unshare() {
    if !can(&["root", "unshare"]) {
        return;
    }
    for kind in ["net", "uts", "ipc", "cgroup", "mount"] {
        equal(&format!("unshare --{kind}"), &format!("-n {kind}"), LOOK);
    }
    for how in ["private", "slave", "shared", "unchanged"] {
        equal(
            &format!("unshare --mount --propagation {how}"),
            &format!("-n mount --propagation {how}"),
            "cut -d' ' -f5,7 /proc/self/mountinfo | sed -E 's/:[0-9]+//'",
        );
    }
}

#[test]
fn ids_and_groups_are_those_of_setpriv_told_to_drop_all_else() {
    if !can(&["root", "setpriv"]) {
        return;
    }
    let drop = "--bounding-set=-all --inh-caps=-all --ambient-caps=-all";
    let cases = [
        ("--reuid 1234 --regid 5678 --clear-groups", "--user 1234:5678"),
        ("--reuid 1234 --regid 5678 --groups 7,9", "--user 1234:5678 --groups 9,7"),
        ("--reuid 1234 --regid 5678 --keep-groups", "--user 1234:5678 --groups keep"),
        ("--reuid nobody --regid nogroup --init-groups", "--user nobody --keep-env"),
        ("--reuid 4294967294 --regid 4294967294 --clear-groups", "--user 4294967294:4294967294"),
    ];
    for (peer, options) in cases {
        equal(&format!("setpriv {drop} {peer}"), options, LOOK);
    }
}

#[test]
fn no_new_privs_is_that_of_setpriv() {
    if can(&["setpriv"]) {
        equal("setpriv --no-new-privs", "--no-new-privs", LOOK);
    }
}

#[test]
fn exit_statuses_are_those_of_unshare() {
    if !can(&["userns", "unshare"]) {
        return;
    }
    for status in [0, 1, 42, 125, 255] {
        equal("unshare --map-root-user --fork", "-n user --user 0:0", &format!("echo; exit {status}"));
    }
    for command in ["/nope/nope", "nope-nope", "/etc", "/etc/passwd"] {
        let theirs = run("unshare", &["--map-root-user", command]);
        let ours = run(seclude(), &["-q", "-n", "user", "--user", "0:0", command]);
        assert_eq!((ours.status, ours.out.as_str()), (theirs.status, theirs.out.as_str()), "{command}");
    }
}

#[test]
fn environment_and_words_are_those_of_env() {
    let script = "env | grep -v '^_=' | sort; echo \"$#\" \"$0\"";
    assert_eq!(ours("", script).seen(), observed("env", &[], script).seen());
    assert_eq!(ours("--unset-env HOME --env A=b", script).seen(), theirs("env -u HOME A=b", script).seen());
    assert_eq!(
        ours("--clear-env --env PATH=/usr/bin:/bin", script).seen(),
        theirs("env -i PATH=/usr/bin:/bin", script).seen()
    );
    assert_eq!(ours("--chdir /usr", "pwd").seen(), theirs("env --chdir=/usr", "pwd").seen());
}

// What is different on purpose.

#[test]
fn unlike_unshare_no_user_namespace_is_left_without_a_map() {
    if !can(&["userns", "unshare"]) {
        return;
    }
    let lines = "wc -l < /proc/self/uid_map; wc -l < /proc/self/gid_map";
    assert_eq!(theirs("unshare --user", lines).out, "0\n0\n");
    assert_eq!(ours("-n user", lines).out, "1\n1\n");
}

#[test]
fn unlike_unshare_root_keeps_setgroups_unless_it_is_denied() {
    if !can(&["root", "unshare"]) {
        return;
    }
    assert_eq!(theirs("unshare --map-root-user", "cat /proc/self/setgroups").out, "deny\n");
    assert_eq!(ours("-n user --user 0:0", "cat /proc/self/setgroups").out, "allow\n");
}

#[test]
fn unlike_unshare_the_loopback_interface_is_up() {
    if !can(&["userns", "unshare"]) {
        return;
    }
    let local = "grep -q 127.0.0.1 /proc/net/fib_trie && echo up || echo down";
    assert_eq!(theirs("unshare --map-root-user --net", local).out, "down\n");
    assert_eq!(ours("-n user,net --user 0:0", local).out, "up\n");
}

#[test]
fn unlike_unshare_a_signal_s_end_is_an_exit_status() {
    if !can(&["userns", "unshare"]) {
        return;
    }
    let seen = theirs("unshare --map-root-user --fork", "kill -TERM $$");
    assert_eq!((seen.status, seen.signal), (None, Some(15)));
    let seen = ours("-n user --user 0:0", "kill -TERM $$");
    assert_eq!((seen.status, seen.signal), (Some(143), None));
}

#[test]
fn unlike_setpriv_a_user_keeps_no_bounding_set_and_no_inheritable_one() {
    if !can(&["root", "setpriv"]) {
        return;
    }
    let sets = "sed -n 's/^Cap\\(Inh\\|Bnd\\):\\t//p' /proc/self/status";
    let peer = "setpriv --inh-caps=+net_raw setpriv --reuid 1234 --regid 1234 --clear-groups";
    let theirs = theirs(peer, sets).out;
    assert!(
        theirs.starts_with("0000000000002000\n") && !theirs.ends_with("\n0000000000000000\n"),
        "{theirs}"
    );
    let script =
        format!("exec setpriv --inh-caps=+net_raw {} -q --user 1234:1234 {sets}", seclude().display());
    let ours = run("sh", &["-c", &script]).out;
    assert_eq!(ours, "0000000000000000\n0000000000000000\n");
}

#[test]
fn unlike_setpriv_an_id_that_is_none_is_refused_and_nobody_becomes_root() {
    if !can(&["root", "setpriv"]) {
        return;
    }
    for id in ["-1", "4294967295", "4294967296"] {
        let theirs = theirs(&format!("setpriv --reuid {id} --clear-groups"), "id -u");
        let ours = ours(&format!("--user {id} --group 0"), "id -u");
        // util-linux 2.38 runs the command as root where the number wraps to it, and others refuse it in their own way.
        let became_somebody = theirs.status == Some(0) && theirs.out.trim_end().parse::<u32>().is_ok();
        assert!(
            became_somebody || (theirs.status == Some(1) && theirs.err.starts_with("setpriv: ")),
            "{theirs:?}"
        );
        assert_eq!((ours.status, ours.out.as_str()), (Some(125), ""), "{id}");
    }
}

#[test]
fn unlike_setpriv_descriptors_from_3_up_are_closed() {
    if !can(&["setpriv"]) {
        return;
    }
    let look = "for n in 3 4 5 6 7 8 9; do [ -e /proc/self/fd/$n ] && echo $n; done; true";
    let with =
        |program: &str| run("bash", &["-c", &format!("exec 5</ 7</; exec {program} sh -c '{look}'")]).out;
    if can(&["bash"]) {
        assert_eq!(with("setpriv --no-new-privs"), "5\n7\n");
        assert_eq!(with(&format!("{} -q --no-new-privs", seclude().display())), "");
    }
}
