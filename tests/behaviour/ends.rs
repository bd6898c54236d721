//! Ends: a time that is up, a signal that is sent twice, and who is told to have ended the command.

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::machine::live::live_of;
use crate::machine::processes::Nap;
use crate::machine::{Outcome, can, finish, run, scratch, seclude, sh};

const NEW: [&str; 4] = ["-n", "user,pid", "--user", "0:0"];

/// The command without a namespace, below an init, and as PID 1; the latter where the machine can.
pub fn everywhere(check: impl Fn(&[&str])) {
    check(&[]);
    if can(&["userns"]) {
        check(&NEW);
        check(&[&NEW[..], &["--as-pid1"]].concat());
    }
}

/// How a script ends, and the last record of its report.
pub fn ended(options: &[&str], script: &str) -> (Outcome, Value) {
    let seen = sh(&[&["--report", "json"], options].concat(), script);
    let last = record(&seen.err);
    (seen, last)
}

fn record(text: &str) -> Value {
    let last = text.lines().last().unwrap_or_default();
    let record: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    assert_eq!(record["event"], "ended", "{text}");
    record
}

/// Who ended it, by which code or signal, and what seclude made of that.
pub fn fate(record: &Value) -> (&str, Value, Value, Value) {
    let [code, signal, status] = ["exit_code", "signal", "exit_status"].map(|name| record[name].clone());
    (record["ended_by"].as_str().unwrap(), code, signal["name"].clone(), status)
}

pub const NONE: Value = Value::Null;

#[test]
fn a_time_that_is_up_is_term_and_124() {
    everywhere(|options| {
        let nap = Nap::new();
        let options = [options, &["--timeout", "0.2"]].concat();
        // PID 1 gets only what it has a handler for.
        let script = format!("trap 'exit 3' TERM; sleep {} & wait", nap.0);
        let (seen, record) = ended(&options, &script);
        assert_eq!((seen.status, seen.signal), (Some(124), None), "{seen:?}");
        assert_eq!(fate(&record), ("timeout", json!(3), NONE, json!(124)), "{options:?}");
        assert!(record["wall_us"].as_u64().unwrap() >= 200_000, "{record}");
        assert_eq!(nap.sleepers(), [0; 0], "{options:?}");
    });
    let (seen, record) = ended(&["--timeout", "0.05"], "exec sleep 60");
    assert_eq!(seen.status, Some(124));
    assert_eq!(fate(&record), ("timeout", NONE, json!("SIGTERM"), json!(124)));
}

#[test]
fn a_command_that_does_not_heed_is_killed_after_the_grace_with_all_that_is_its() {
    everywhere(|options| {
        let nap = Nap::new();
        let options = [options, &["--timeout", "0.1", "--kill-after", "0.2"]].concat();
        let script = format!("trap '' TERM; setsid sleep {0} & sleep {0}", nap.0);
        let (seen, record) = ended(&options, &script);
        assert_eq!(seen.status, Some(124), "{seen:?}");
        assert_eq!(fate(&record), ("timeout", NONE, json!("SIGKILL"), json!(124)), "{options:?}");
        assert!(record["wall_us"].as_u64().unwrap() >= 300_000, "{record}");
        assert_eq!(nap.sleepers(), [0; 0], "{options:?}");
    });
}

#[test]
fn without_a_grace_there_is_no_waiting() {
    let nap = Nap::new();
    let (seen, record) =
        ended(&["--timeout", "0.1", "--kill-after", "0"], &format!("trap '' TERM; sleep {}", nap.0));
    assert_eq!((seen.status, fate(&record).0, fate(&record).2), (Some(124), "timeout", json!("SIGKILL")));
    assert_eq!(nap.sleepers(), [0; 0]);
}

#[test]
fn the_stop_signal_is_the_one_that_was_asked_for() {
    everywhere(|options| {
        for (signal, name) in [("INT", "INT"), ("sigusr1", "USR1"), ("RTMIN+3", "RTMIN+3"), ("64", "RTMAX")] {
            if !can(&["bash"]) {
                return;
            }
            let nap = Nap::new();
            let script = format!(
                "trap 'echo got {name}; exit 4' {name}; trap 'echo TERM' TERM; sleep {} & wait",
                nap.0
            );
            let mut command = Command::new(seclude());
            command.args(options).args([
                "-q",
                "--timeout",
                "0.2",
                "--stop-signal",
                signal,
                "bash",
                "-c",
                &script,
            ]);
            let seen = crate::machine::finish(&mut command);
            assert_eq!(seen.seen(), (Some(124), format!("got {name}\n").as_str(), ""), "{options:?}");
        }
    });
    let (seen, record) = ended(&["--timeout", "0.1", "--stop-signal", "KILL"], "exec sleep 60");
    assert_eq!((seen.status, fate(&record).2), (Some(124), json!("SIGKILL")));
}

#[test]
fn a_stopped_command_ends_when_its_time_is_up_and_not_after_the_grace() {
    everywhere(|options| {
        let options = [options, &["--timeout", "0.2", "--kill-after", "60"]].concat();
        // PID 1 is not stopped by itself.
        let script = "trap 'exit 5' TERM; (kill -STOP $$); kill -STOP $$; while :; do sleep 0.05; done";
        let (seen, record) = ended(&options, script);
        assert_eq!((seen.status, fate(&record)), (Some(124), ("timeout", json!(5), NONE, json!(124))));
        assert!(record["wall_us"].as_u64().unwrap() < 30_000_000, "{record}");
    });
    let (seen, record) = ended(&["--timeout", "0.2", "--kill-after", "60"], "kill -STOP $$");
    assert_eq!((seen.status, fate(&record).2), (Some(124), json!("SIGTERM")));
}

#[test]
fn a_time_that_is_not_up_changes_nothing() {
    everywhere(|options| {
        let (seen, record) =
            ended(&[options, &["--timeout", "49d", "--stop-signal", "INT"]].concat(), "exit 7");
        assert_eq!((seen.status, fate(&record)), (Some(7), ("command", json!(7), NONE, json!(7))));
    });
}

#[test]
fn who_ended_it_is_told() {
    everywhere(|options| {
        let (_, record) = ended(options, "exit 0");
        assert_eq!(fate(&record), ("command", json!(0), NONE, json!(0)), "{options:?}");
    });
    let (_, record) = ended(&[], "kill -TERM $$");
    assert_eq!(fate(&record), ("command", NONE, json!("SIGTERM"), json!(143)), "nobody passed it on");
    for (signal, name, status) in
        [(Signal::SIGTERM, "SIGTERM", 143), (Signal::SIGINT, "SIGINT", 130), (Signal::SIGHUP, "SIGHUP", 129)]
    {
        let record = signalled(&[], "echo up; exec sleep 60", &[signal]);
        assert_eq!(fate(&record), ("signal", NONE, json!(name), json!(status)));
        if can(&["userns"]) {
            let record = signalled(&NEW, "echo up; exec sleep 60", &[signal]);
            assert_eq!(fate(&record), ("signal", NONE, json!(name), json!(status)));
        }
    }
    // A command that takes a signal for a reason to exit, or dies of another, ends itself.
    let record =
        signalled(&[], "trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done", &[Signal::SIGTERM]);
    assert_eq!(fate(&record), ("command", json!(3), NONE, json!(3)));
    let record = signalled(
        &[],
        "trap 'kill -KILL $$' TERM; echo up; while :; do sleep 0.01; done",
        &[Signal::SIGTERM],
    );
    assert_eq!(fate(&record), ("command", NONE, json!("SIGKILL"), json!(137)));
}

/// The last record of a script that says `up`, and then a word for each signal but the last that it has had.
fn signalled(options: &[&str], script: &str, signals: &[Signal]) -> Value {
    let file = scratch("signalled").join("log");
    let mut command = Command::new(seclude());
    command.args(["--report", "json", "--report-to"]).arg(&file).args(options);
    command.args(["sh", "-c", &format!("echo told >&2; {script}")]);
    let mut job = live_of(&mut command);
    assert_eq!((job.told.clone(), job.line()), ("told".to_string(), "up".to_string()));
    let told = std::fs::read_to_string(&file).unwrap();
    let started: Value = serde_json::from_str(&told).unwrap();
    // So that it goes with this test, whatever comes of it.
    job.real = started["real_pid"].as_i64().unwrap() as i32;
    let (last, first) = signals.split_last().expect("a signal");
    for signal in first {
        job.signal(*signal);
        assert_eq!(job.line(), "got");
    }
    // From another process: what one sends twice at once is one request.
    let sent = run("sh", &["-c", &format!("kill -{} {}", *last as i32, job.pid())]);
    assert_eq!(sent.status, Some(0));
    let seen = job.end();
    let record = record(&std::fs::read_to_string(&file).unwrap());
    assert_eq!(seen.status, record["exit_status"].as_i64().map(|status| status as i32), "{seen:?}");
    record
}

#[test]
fn a_second_term_or_int_within_the_grace_kills_all() {
    use Signal::{SIGINT, SIGTERM};
    everywhere(|options| {
        for signals in [[SIGTERM, SIGTERM], [SIGINT, SIGINT], [SIGTERM, SIGINT], [SIGINT, SIGTERM]] {
            let nap = Nap::new();
            let traps = "trap 'echo got' TERM INT";
            let script =
                format!("{traps}; setsid sleep {0} & sleep {0} & echo up; while :; do wait; done", nap.0);
            let options = [options, &["--kill-after", "60"]].concat();
            let record = signalled(&options, &script, &signals);
            assert_eq!(fate(&record), ("second-signal", NONE, json!("SIGKILL"), json!(137)), "{options:?}");
            assert_eq!(nap.sleepers(), [0; 0], "{signals:?} {options:?}");
        }
    });
}

#[test]
fn a_request_to_end_that_its_sender_tells_twice_at_once_is_one() {
    use Signal::{SIGTERM, SIGUSR1};
    everywhere(|options| {
        let script = "trap 'echo got' TERM; trap 'exit 3' USR1; echo up; while :; do sleep 0.01; done";
        // As timeout(1) does it. Where so much else runs that it takes longer, it is insisted on, and tried again.
        let twice = || {
            let mut job = live_of(Command::new(seclude()).args(options).args(["sh", "-c", script]));
            assert_eq!(job.line(), "up");
            let begun = Instant::now();
            job.signal(SIGTERM);
            assert_eq!(job.line(), "got", "{options:?}");
            job.signal(SIGTERM);
            job.signal(SIGUSR1);
            (job.end().status, begun.elapsed())
        };
        let mut tries = (0..20).map(|_| twice());
        let told = tries.find(|(status, took)| *status == Some(3) || *took < Duration::from_millis(100));
        assert_eq!(told.expect("once at least there is time").0, Some(3), "{options:?}");
    });
}

#[test]
fn without_a_grace_every_term_and_int_is_passed_on() {
    use Signal::{SIGINT, SIGKILL, SIGTERM};
    everywhere(|options| {
        let script = "trap 'echo got' TERM INT; echo up; while :; do sleep 0.01; done";
        let options = [options, &["--kill-after", "0"]].concat();
        let mut job = live_of(Command::new(seclude()).args(&options).args(["sh", "-c", script]));
        assert_eq!(job.line(), "up");
        for signal in [SIGTERM, SIGTERM, SIGINT, SIGINT, SIGTERM] {
            job.signal(signal);
            assert_eq!(job.line(), "got", "{options:?}");
        }
        crate::machine::processes::send(job.real, SIGKILL);
        assert_eq!(job.end().status, Some(137));
    });
}

#[test]
fn any_other_signal_may_come_as_often_as_it_likes() {
    use Signal::{SIGHUP, SIGQUIT, SIGTERM, SIGUSR1};
    let script = "trap 'echo got' HUP QUIT USR1; echo up; while :; do sleep 0.01; done";
    let signals = [SIGHUP, SIGHUP, SIGQUIT, SIGQUIT, SIGUSR1, SIGUSR1, SIGTERM];
    assert_eq!(fate(&signalled(&[], script, &signals)), ("signal", NONE, json!("SIGTERM"), json!(143)));
}

#[test]
fn the_wall_time_has_the_exec_in_it() {
    if !can(&["strace"]) {
        return;
    }
    // strace holds each exec for as long, seclude's own as well.
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=execve"]);
    command.args(["-e", "inject=execve:delay_enter=300000"]).arg(seclude());
    let seen = finish(command.args(["--report", "json", "/bin/sh", "-c", "exit 3"]));
    let record = record(&seen.err);
    let wall = record["wall_us"].as_u64().unwrap();
    assert!(seen.status == Some(3) && wall >= 300_000, "{record}");
}
