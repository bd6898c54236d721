//! `--exec`: seclude becomes the command, which is who and where it would be below a parent, with nobody and nothing beside it.

use serde_json::Value;

use crate::machine::live::live;
use crate::machine::processes::{children, words};
use crate::machine::{
    GRANT, GRANTED, Outcome, STRANGER, call, call_as, call_with_etc, caller, can, grants, run,
};
use crate::machine::{scratch, sh};
use crate::mounts::{in_tree, tree};
use crate::namespaces::{KINDS, LINKS, new_kinds};

fn exec(options: &[&str], script: &str) -> Outcome {
    sh(&[&["-q", "--exec"], options].concat(), script)
}

#[test]
fn the_command_has_the_pid_that_its_caller_gave_seclude() {
    let same = |options: &str| {
        let seen = caller(&format!(r#"echo $$; exec "$0" -q --exec {options} sh -c 'echo $$'"#));
        let lines: Vec<&str> = seen.out.lines().collect();
        assert_eq!((lines.len(), lines[0], seen.status), (2, lines[1], Some(0)), "{options}: {seen:?}");
    };
    same("");
    if can(&["userns"]) {
        same("-n user --user 0:0");
        same("-n user,mount,net,uts,ipc,cgroup,time --user 0:0 --hostname x");
    }
    if can(&["root"]) {
        same("--user 1234:1235");
        same("--map-uid 0:1000:5 --map-gid 0:1000:5 --user 0:0");
        same("-n net,time --time-offset boottime=1");
    }
}

#[test]
fn it_is_pid_1_where_seclude_was() {
    if can(&["userns", "unshare"]) {
        let seen = caller(r#"exec unshare --map-root-user --pid --fork "$0" -q --exec sh -c 'echo $$'"#);
        assert_eq!(seen.seen(), (Some(0), "1\n", ""));
    }
}

#[test]
fn who_and_where_it_is_is_what_a_parent_would_have_made_of_it() {
    let script =
        "id; umask; pwd; uname -n; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; env | sort
        cat /proc/self/timens_offsets; cut -d' ' -f5,6 /proc/self/mountinfo; cut -d: -f1 /proc/net/dev
        grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Sig[BIC]|Seccomp)' /proc/self/status";
    let equal = |options: &str| {
        let words: Vec<&str> = options.split_whitespace().collect();
        let supervised = sh(&[&["-q"], &words[..]].concat(), script);
        assert_eq!((supervised.status, supervised.err.as_str()), (Some(0), ""), "{options}");
        assert_eq!(exec(&words, script).seen(), supervised.seen(), "{options}");
    };
    for options in
        ["", "--umask 27 -C /usr", "--no-new-privs --clear-env --env A=1", "--unset-env HOME --argv0 x"]
    {
        equal(options);
    }
    if can(&["userns"]) {
        for options in [
            "-n user",
            "-n user --user 0:0",
            "--map self --setgroups deny",
            "-n user,uts --user 0:0 --hostname told --domainname too",
            "-n user,mount,net,ipc,cgroup --user 0:0 --groups keep",
            "-n user,time --user 0:0 --time-offset boottime=77 --time-offset monotonic=-3",
        ] {
            equal(options);
        }
    }
    if can(&["root"]) {
        for options in [
            "--user nobody",
            "--user 1234:1235 --groups 7,9",
            "--group 12",
            "--user nobody --keep-env",
            "-n user --user 1234:1235 --groups 7",
            "--map-uid 0:1000:5 --map-gid 0:2000:9 --user 3:4 --groups 5",
            "-n mount,uts,net --user 1234:1235 --hostname x",
        ] {
            equal(options);
        }
    }
}

#[test]
fn each_kind_of_namespace_is_made_and_no_other() {
    let check = |made: &str, rest: &[&str], expected: &[&str]| {
        let seen = exec(&[&["-n", made], rest].concat(), LINKS);
        assert_eq!(new_kinds(&seen.out), expected, "{seen:?}");
        // The command itself lives there, and not only its children.
        let links = ["/proc/self/ns/time", "/proc/self/ns/time_for_children"];
        let own = call(&[&["-q", "--exec", "-n", made], rest, &["readlink"], &links].concat()).out;
        let own: Vec<&str> = own.lines().collect();
        assert_eq!((own.len(), own[0]), (2, own[1]), "{made}");
    };
    let kinds = KINDS.iter().map(|(word, _)| *word).filter(|word| !["user", "pid"].contains(word));
    for kind in kinds {
        if can(&["userns"]) {
            check(&format!("user,{kind}"), &["--user", "0:0"], &["user", kind]);
        }
        if can(&["root"]) {
            check(kind, &[], &[kind]);
        }
    }
}

#[test]
fn a_namespace_that_is_there_is_joined() {
    if !can(&["userns"]) {
        return;
    }
    let mut host =
        live(&["-n", "user,net,uts,mount", "--user", "0:0", "--hostname", "theirs"], "echo up; read x");
    assert_eq!(host.line(), "up");
    let seen =
        exec(&["--join", &format!("user,net,uts,mount={}", host.real)], &format!("{LINKS}; uname -n; id -u"));
    let lines: Vec<&str> = seen.out.lines().collect();
    let theirs = ["user", "mnt", "net", "uts"].map(|file| host.namespace(file));
    assert_eq!([lines[0], lines[2], lines[3], lines[4]], theirs.each_ref().map(String::as_str), "{seen:?}");
    assert_eq!(lines[8..], ["theirs", "0"]);
}

#[test]
fn maps_are_written_by_whoever_may() {
    let script = "cat /proc/self/uid_map /proc/self/gid_map | xargs; id -u; id -G";
    let args = |options: &[&'static str]| [&["-q", "--exec"], options, &["sh", "-c", script]].concat();
    if can(&["root"]) {
        let expected = format!("0 {STRANGER} 1 0 {STRANGER} 1\n0\n0\n");
        let seen = call_as(STRANGER, &args(&["-n", "user", "--user", "0:0"]));
        assert_eq!(seen.seen(), (Some(0), expected.as_str(), ""));
        let seen = exec(&["--map-uid", "0:1000:5", "--map-gid", "0:2000:9", "--user", "3:4"], script);
        assert_eq!(seen.seen(), (Some(0), "0 1000 5 0 2000 9\n3\n4\n", ""));
    }
    if can(&["root", "newuidmap"]) {
        let auto = args(&["--map", "auto", "--user", "5:6", "--groups", "7"]);
        let expected = format!("0 {GRANT} 65536 0 {GRANT} 65536\n5\n6 7\n");
        assert_eq!(call_with_etc(&grants(), GRANTED, &auto).seen(), (Some(0), expected.as_str(), ""));
    }
}

#[test]
fn nobody_is_left_who_helped_and_no_signal_tells_of_them() {
    let alone = |options: &[&str]| {
        let mut job = live(&[&["--exec"], options].concat(), "echo up; read x");
        assert_eq!(job.line(), "up");
        assert_eq!((job.real, job.isolated), (job.pid(), job.pid()), "{options:?}");
        assert_eq!((words(job.real), children(job.real)), ("sh -c echo up; read x".to_string(), vec![]));
        let pending = ["grep", "-E", "^(SigPnd|ShdPnd):", "/proc/self/status"];
        let seen = call(&[&["-q", "--exec"], options, &pending].concat());
        let none = "SigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\n";
        assert_eq!(seen.seen(), (Some(0), none, ""), "{options:?}");
        let blocked = format!(
            r#"exec env --block-signal "$0" -q --exec {} {} '{}' {}"#,
            options.join(" "),
            "grep -E",
            pending[2],
            pending[3]
        );
        assert_eq!(caller(&blocked).seen(), (Some(0), none, ""), "{options:?}");
    };
    alone(&[]);
    if can(&["userns"]) {
        alone(&["-n", "user,net", "--user", "0:0"]);
    }
    if can(&["root"]) {
        alone(&["--map-uid", "0:1000:5", "--map-gid", "0:1000:5", "--user", "0:0"]);
    }
}

#[test]
fn its_status_is_the_caller_s_to_see_as_it_is() {
    assert_eq!(exec(&[], "exit 42").seen(), (Some(42), "", ""));
    let seen = exec(&[], "kill -TERM $$");
    assert_eq!((seen.status, seen.signal), (None, Some(15)));
}

#[test]
fn the_root_is_changed_with_and_without_a_mount_namespace() {
    if !can(&["userns"]) {
        return;
    }
    for (name, options) in [("pivot", "-n mount"), ("chroot", "")] {
        let tree = tree(name);
        let run = |rest: &str| {
            in_tree(&tree, &format!(r#""$0" -q --exec {options} --root {} {rest}"#, tree.display()))
        };
        let seen = run("sh -c 'cat /here; pwd; echo /*'");
        assert_eq!(seen.out, "the new root/\n/bin /here /lib /lib64 /proc /tmp /usr\n", "{seen:?}");
        assert_eq!(run("-C /tmp pwd").out, "/tmp\n");
    }
}

#[test]
fn descriptors_from_3_up_are_closed_but_for_those_that_are_kept() {
    let list = "for n in 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$n ] && echo $n; done; true";
    let with = |options: &str| {
        caller(&format!(r#"exec 3</ 5</dev/null 7>/dev/null; exec "$0" --exec {options} sh -c '{list}'"#)).out
    };
    let file = scratch("report").join("log");
    assert_eq!(with("-q"), "");
    assert_eq!(with("-q --keep-fd 5,3"), "3\n5\n");
    assert_eq!(with("-q --keep-fd all"), "3\n5\n7\n");
    assert_eq!(with("--report-to fd:7"), "");
    assert_eq!(with("--report-to fd:7 --keep-fd 7"), "7\n");
    assert_eq!(with(&format!("--report json --report-to {}", file.display())), "");
    if can(&["userns"]) {
        assert_eq!(with("-v --report-to fd:7 -n user,net --user 0:0 --keep-fd 5"), "5\n");
    }
}

#[test]
fn the_start_is_told_and_no_end() {
    let seen = sh(&["--exec", "--report", "json"], "echo $$; exit 3");
    let pid: Value = serde_json::from_str(&seen.out).unwrap();
    assert_eq!((seen.status, seen.err.lines().count()), (Some(3), 1), "{seen:?}");
    let told: Value = serde_json::from_str(&seen.err).unwrap();
    assert_eq!(told["event"], "started");
    assert_eq!([&told["real_pid"], &told["isolated_pid"], &told["seclude_pid"]], [&pid; 3]);
    let seen = sh(&["--exec"], "echo $$");
    let pid = seen.out.trim_end();
    assert_eq!(seen.err, format!("seclude: sh: real pid {pid}, isolated pid {pid}\n"));
    if can(&["userns"]) {
        let options = ["--exec", "--report", "json", "-n", "user,uts", "--user", "0:0"];
        let seen = sh(&options, "readlink /proc/self/ns/uts | tr -dc 0-9");
        let told: Value = serde_json::from_str(&seen.err).unwrap();
        assert_eq!(told["namespaces"]["uts"]["inode"].to_string(), seen.out);
        assert_eq!(told["enforced"]["uid"]["inside"], 0);
    }
}

#[test]
fn what_can_t_be_executed_is_told_as_ever() {
    let same = |options: &[&str], command: &str, status: i32| {
        let supervised = call(&[&["-q"], options, &[command]].concat());
        let seen = call(&[&["-q", "--exec"], options, &[command]].concat());
        assert_eq!(seen.status, Some(status), "{seen:?}");
        assert_eq!(seen.seen(), supervised.seen(), "{options:?} {command}");
    };
    for (command, status) in [("nope-nope", 127), ("/nope/nope", 127), ("/etc", 126), ("/etc/passwd", 126)] {
        same(&[], command, status);
        if can(&["userns"]) {
            same(&["-n", "user,mount", "--user", "0:0"], command, status);
        }
    }
    same(&["-C", "/nope"], "true", 125);
    let seen = call(&["--exec", "--report", "json", "/nope"]);
    let last: Value = serde_json::from_str(seen.err.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["event"], &last["stage"], &last["exit_status"]),
        (&"failed".into(), &"exec".into(), &127.into())
    );
}

#[test]
fn a_session_is_started_by_whoever_leads_no_group() {
    let leads = "read -r _ _ _ _ group session _ < /proc/$$/stat; echo $((group == $$)) $((session == $$))";
    assert_eq!(exec(&["--new-session"], leads).seen(), (Some(0), "1 1\n", ""));
    let seen = run(
        "setsid",
        &["--wait", &crate::machine::seclude().to_string_lossy(), "--exec", "--new-session", "true"],
    );
    assert_eq!((seen.status, seen.out.as_str()), (Some(125), ""));
    assert!(seen.err.starts_with("seclude: session: cannot start a session of its own: "), "{seen:?}");
}
