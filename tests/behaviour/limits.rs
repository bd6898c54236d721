//! The command's share of the machine as it sees it itself: limits, niceness, CPUs, scheduling, in every way to live.

use std::fs;

use serde_json::{Value, json};

use crate::machine::live::live;
use crate::machine::{STRANGER, call, call_as, caller, can, scratch, sh};

/// The three ways to live, in the caller's user namespace where that may be, and below a new one; the last with a second clone.
fn ways() -> Vec<&'static str> {
    let mut ways = vec!["", "--exec"];
    if can(&["root"]) {
        ways.extend(["-n pid", "-n pid --as-pid1", "--user 1234:1235", "--exec --user 1234:1235"]);
        ways.extend(["-n pid --user 1234:1235", "--join uts=/proc/self/ns/uts -n pid"]);
        ways.extend(["--map all --user 1234:1235", "--exec --map all --user 1234:1235"]);
    }
    if can(&["userns"]) {
        ways.extend(["-n user --user 0:0", "-n user,pid --user 0:0", "-v -n user,pid --user 0:0"]);
        ways.extend(["-n user,pid --as-pid1 --user 0:0", "--exec -n user --user 0:0"]);
        ways.extend(["-n user,time --user 0:0", "-n user,pid,time --user 0:0"]);
    }
    ways
}

/// What the command says, in every way; it says nothing to standard error, and neither does seclude but with `-v`.
fn in_every_way(options: &str, script: &str, expected: &str) {
    for way in ways() {
        let way: Vec<&str> =
            ["-q"].into_iter().filter(|_| !way.contains("-v")).chain(way.split_whitespace()).collect();
        let words =
            [&way[..], &options.split_whitespace().collect::<Vec<_>>(), &["sh", "-c", script]].concat();
        let seen = call(&words);
        assert_eq!((seen.status, seen.out.as_str()), (Some(0), expected), "{way:?} {options}: {}", seen.err);
    }
}

/// Niceness, real-time priority and policy, oom_score_adj, CPUs.
const SHARE: &str = "cut -d' ' -f19,40,41 /proc/self/stat; cat /proc/self/oom_score_adj
    grep Cpus_allowed_list /proc/self/status | cut -f2";

#[test]
fn every_limit_is_the_command_s_in_every_way_to_live() {
    let asked = [
        ("cpu time", "cpu=1000:2000", "1000 2000"),
        ("file size", "fsize=1G:2G", "1073741824 2147483648"),
        ("data size", "data=32G:64G", "34359738368 68719476736"),
        ("stack size", "stack=1M:2M", "1048576 2097152"),
        ("core file size", "core=0", "0 0"),
        ("resident set", "rss=1G:1T", "1073741824 1099511627776"),
        ("processes", "nproc=5:9", "5 9"),
        ("open files", "nofile=64:128", "64 128"),
        ("locked memory", "memlock=4K:5000", "4096 5000"),
        ("address space", "as=32G:unlimited", "34359738368 unlimited"),
        ("file locks", "locks=10:unlimited", "10 unlimited"),
        ("pending signals", "RLIMIT_SIGPENDING=5:9", "5 9"),
        ("msgqueue size", "msgqueue=1K:2K", "1024 2048"),
        ("nice priority", "Nice=0", "0 0"),
        ("realtime priority", "rtprio=0", "0 0"),
        ("realtime timeout", "rttime=1000:2000", "1000 2000"),
    ];
    let options: String = asked.iter().map(|(_, option, _)| format!(" --rlimit {option}")).collect();
    let expected: Vec<String> = asked.iter().map(|(name, _, limits)| format!("{name} {limits}")).collect();
    // The shell reads it itself, since it may make no process.
    let script = "while read -r line; do echo \"$line\"; done < /proc/self/limits";
    for way in ways() {
        let words: Vec<&str> = way.split_whitespace().chain(options.split_whitespace()).collect();
        let seen = call(&[&words[..], &["sh", "-c", script]].concat());
        assert_eq!(seen.status, Some(0), "{way}: {}", seen.err);
        let found: Vec<String> = seen.out.lines().skip(1).map(row).collect();
        assert_eq!(found, expected, "{way}");
    }
}

/// A line of /proc/PID/limits: name, soft, hard.
fn row(line: &str) -> String {
    let words: Vec<&str> = line.trim_start_matches("Max ").split_whitespace().collect();
    let first = words.iter().position(|word| *word == "unlimited" || word.parse::<u64>().is_ok()).unwrap();
    format!("{} {} {}", words[..first].join(" "), words[first], words[first + 1])
}

#[test]
fn what_takes_no_privilege_is_had_in_every_way_to_live() {
    let cpu = *own_cpus().first().unwrap();
    let options = format!("--nice 7 --oom-score-adj 300 --cpu-affinity {cpu} --sched batch");
    in_every_way(&options, SHARE, &format!("7 0 3\n300\n{cpu}\n"));
    in_every_way("--sched idle", "cut -d' ' -f41 /proc/self/stat", "5\n");
    if can(&["ionice"]) {
        in_every_way("--ioprio be:6", "ionice", "best-effort: prio 6\n");
        in_every_way("--ioprio idle", "ionice", "idle\n");
    }
}

#[test]
fn what_takes_privilege_is_had_below_a_user_namespace_as_well() {
    if !can(&["root", "favour"]) {
        return;
    }
    in_every_way("--nice -5", "nice", "-5\n");
    if can(&["userns"]) {
        let host = live(&["-n", "user,pid", "--user", "0:0"], "read x");
        for join in ["user", "user,pid"] {
            let join = format!("{join}={}", host.real);
            let seen = sh(&["-q", "--join", &join, "--user", "0:0", "--nice", "-6"], "nice");
            assert_eq!(seen.seen(), (Some(0), "-6\n", ""), "{join}");
        }
        host.close();
    }
    in_every_way("--sched fifo:3", "cut -d' ' -f40,41 /proc/self/stat", "3 1\n");
    in_every_way("--sched rr:9", "cut -d' ' -f40,41 /proc/self/stat", "9 2\n");
    if can(&["ionice"]) {
        in_every_way("--ioprio rt:2", "ionice", "realtime: prio 2\n");
        // Below a caller that has one.
        let seen = caller(r#"ionice -c 1 -n 3 "$0" -q --ioprio none sh -c ionice"#);
        assert_eq!((seen.status, seen.out.starts_with("none: ")), (Some(0), true), "{seen:?}");
    }
}

#[test]
fn a_hard_limit_is_raised_by_who_may_in_every_way_to_live() {
    if !can(&["root", "resource"]) {
        return;
    }
    for way in ways() {
        let seen = caller(&format!(
            r#"ulimit -n 64; exec "$0" -q {way} --rlimit nofile=100:200 sh -c 'ulimit -Sn; ulimit -Hn' 2>/dev/null"#
        ));
        assert_eq!((seen.status, seen.out.as_str()), (Some(0), "100\n200\n"), "{way}");
    }
    in_every_way("--oom-score-adj -300", "cat /proc/self/oom_score_adj", "-300\n");
}

#[test]
fn a_plain_user_gets_what_takes_no_privilege() {
    if can(&["root"]) {
        let options =
            ["-q", "--nice", "3", "--oom-score-adj", "4", "--sched", "batch", "--rlimit", "nofile=64"];
        for way in ["", "--exec", "-n user,pid --user 0:0"] {
            let way: Vec<&str> = way.split_whitespace().filter(|_| can(&["userns"])).collect();
            let script =
                "ulimit -n; ulimit -Hn; cut -d' ' -f19,41 /proc/self/stat; cat /proc/self/oom_score_adj";
            let seen = call_as(STRANGER, &[&options, &way[..], &["sh", "-c", script]].concat());
            assert_eq!(seen.seen(), (Some(0), "64\n64\n3 3\n4\n", ""), "{way:?}");
        }
    }
}

#[test]
fn the_launcher_and_its_init_keep_what_they_have() {
    if !can(&["root"]) {
        return;
    }
    let look = |pids: &str| {
        format!(
            "for pid in {pids}; do cut -d' ' -f19,41 /proc/$pid/stat; cat /proc/$pid/oom_score_adj
             grep 'open files' /proc/$pid/limits; done"
        )
    };
    let own = fs::read_to_string("/proc/self/limits").unwrap();
    let own = own.lines().find(|line| line.contains("open files")).unwrap();
    let score = fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    let share = ["-q", "--nice", "7", "--sched", "batch", "--oom-score-adj", "500", "--rlimit", "nofile=64"];
    let seen = call(&[&share, &["-n", "pid,mount", "--mount-proc", "sh", "-c", &look("1")][..]].concat());
    assert_eq!(seen.seen(), (Some(0), format!("0 0\n{score}{own}\n").as_str(), ""));
    let seen = call(&[&share, &["sh", "-c", &look("$PPID")][..]].concat());
    assert_eq!(seen.seen(), (Some(0), format!("0 0\n{score}{own}\n").as_str(), ""));
}

#[test]
fn a_limit_hinders_nothing_of_the_launch() {
    let file = scratch("report").join("told");
    let file = file.to_str().unwrap();
    for way in ways() {
        let _ = fs::remove_file(file);
        // No file may grow, no descriptor be opened, no process be made, and no memory be had.
        let tight = "--rlimit fsize=0 --rlimit nofile=4 --rlimit nproc=1 --rlimit sigpending=0";
        let words: Vec<&str> = ["--report", "json", "--report-to", file]
            .into_iter()
            .chain(way.split_whitespace().filter(|word| *word != "-v"))
            .chain(tight.split_whitespace())
            .collect();
        let seen = call(&[&words[..], &["sh", "-c", "ulimit -f; ulimit -n"]].concat());
        assert_eq!(seen.seen(), (Some(0), "0\n4\n", ""), "{way}");
        let told = fs::read_to_string(file).unwrap();
        let events: Vec<&str> = told.lines().map(|line| &line[..28]).collect();
        let started = r#"{"seclude":1,"event":"started"#;
        assert_eq!(events[0], &started[..28], "{way}: {told}");
    }
    for memory in ["as", "data", "stack"] {
        // The command can't live with it, and seclude can.
        for way in ways() {
            let words: Vec<&str> = way.split_whitespace().collect();
            let seen = call(&[&words[..], &["--rlimit", &format!("{memory}=4K"), "true"]].concat());
            assert!(seen.err.contains("seclude: true: real pid "), "{way} {memory}: {seen:?}");
        }
    }
}

#[test]
fn an_explicit_limit_of_descriptors_wins_over_the_caller_s() {
    for way in ["", "--exec"] {
        let limited = |limit: &str| {
            caller(&format!(
                r#"ulimit -Sn 6; exec "$0" -q {way} {limit} sh -c 'ulimit -Sn; ulimit -Hn | wc -w'"#
            ))
        };
        assert_eq!(limited("").seen(), (Some(0), "6\n1\n", ""), "{way}");
        assert_eq!(limited("--rlimit nofile=9:64").seen(), (Some(0), "9\n1\n", ""), "{way}");
    }
}

#[test]
fn an_oci_process_has_its_limits() {
    let file = scratch("oci").join("config.json");
    let text = r#"{"process": {"args": ["sh", "-c", "ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj; nice"],
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 32, "hard": 64}], "oomScoreAdj": 77,
        "scheduler": {"policy": "SCHED_BATCH", "nice": 4}}}"#;
    fs::write(&file, text).unwrap();
    let seen = call(&["-q", "--oci", file.to_str().unwrap()]);
    assert_eq!(seen.seen(), (Some(0), "32\n64\n77\n4\n", ""));
    let seen = sh(&["-q", "--oci", file.to_str().unwrap(), "--nice", "6"], "nice");
    assert_eq!(seen.seen(), (Some(0), "6\n", ""));
}

/// The CPUs that the tests may run on.
pub fn own_cpus() -> Vec<usize> {
    let set = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).unwrap();
    (0..nix::sched::CpuSet::count()).filter(|cpu| set.is_set(*cpu) == Ok(true)).collect()
}

#[test]
fn a_list_of_cpus_may_hold_what_the_caller_has_not() {
    let (cpus, script) = (own_cpus(), "grep Cpus_allowed_list /proc/self/status | cut -f2");
    let (first, last) = (cpus[0], cpus[cpus.len() - 1]);
    if first == last || !can(&["taskset"]) {
        return;
    }
    let seen = caller(&format!(r#"taskset -c {first} "$0" -q --cpu-affinity {last} sh -c '{script}'"#));
    assert_eq!(seen.seen(), (Some(0), format!("{last}\n").as_str(), ""));
}

#[test]
fn the_report_tells_the_share_that_was_read_back() {
    let share = |options: &str| {
        let words: Vec<&str> =
            ["--report", "json"].into_iter().chain(options.split_whitespace()).chain(["true"]).collect();
        let seen = call(&words);
        let started: Value = serde_json::from_str(seen.err.lines().next().expect("a record")).expect("JSON");
        started["enforced"]["share"].clone()
    };
    assert_eq!(share(""), json!({ "limits": {} }));
    let options = "--rlimit nofile=64:128 --rlimit core=0 --nice 19 --oom-score-adj 1000 --cpu-affinity 0 \
                   --sched batch --ioprio be:7";
    let expected = json!({ "limits": { "nofile": { "soft": 64, "hard": 128 }, "core": { "soft": 0, "hard": 0 } },
        "nice": 19, "oom_score_adj": 1000, "cpu_affinity": "0", "sched": "batch", "ioprio": "be:7" });
    assert_eq!(share(options), expected);
}
