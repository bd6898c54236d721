//! What outlives the command, or its caller: killed, waited for or left as was asked, and what was there before left alone.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::machine::live::{Live, live, live_of};
use crate::machine::processes::{Nap, send, state, until};
use crate::machine::{can, run, scratch, seclude, sh, started};

const NEW: [&str; 4] = ["-n", "user,pid", "--user", "0:0"];

/// Three that outlive their parents: one beside the command, one in a session of its own, one whose parent is gone before.
fn three(nap: &Nap) -> String {
    let quiet = "> /dev/null 2>&1 < /dev/null";
    format!("sleep {0} {quiet} & setsid sleep {0} {quiet} & sh -c 'setsid sleep {0} {quiet} &'", nap.0)
}

/// A script that starts them, sees them sleep, and ends with 4.
fn leaving(nap: &Nap) -> String {
    let asleep = "until [ \"$(grep -lsx sleep /proc/[0-9]*/comm | wc -l)\" -ge 3 ]; do :; done";
    format!("{}; {asleep}; exit 4", three(nap))
}

fn records(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn by_default_they_are_left_where_no_pid_namespace_is_made() {
    for options in [&["-q"][..], &["-q", "--leftovers", "leave"]] {
        let nap = Nap::new();
        assert_eq!(sh(options, &leaving(&nap)).seen(), (Some(4), "", ""));
        assert_eq!(nap.until(3).len(), 3);
    }
}

#[test]
fn kill_leaves_none_whatever_session_they_are_in() {
    let nap = Nap::new();
    assert_eq!(sh(&["-q", "--leftovers", "kill"], &leaving(&nap)).seen(), (Some(4), "", ""));
    assert_eq!(nap.sleepers(), [0; 0]);
}

#[test]
fn kill_ends_those_too_that_are_stopped_or_ignore_all_they_can() {
    let nap = Nap::new();
    let script =
        format!("trap '' HUP INT QUIT TERM; sleep {} > /dev/null 2>&1 & kill -STOP $!; exit 4", nap.0);
    assert_eq!(sh(&["-q", "--leftovers", "kill"], &script).seen(), (Some(4), "", ""));
    assert_eq!(nap.sleepers(), [0; 0]);
}

#[test]
fn in_a_new_pid_namespace_none_is_left() {
    if !can(&["userns"]) {
        return;
    }
    for extra in [&[][..], &["--leftovers", "kill"], &["--as-pid1"]] {
        let nap = Nap::new();
        let options = [&["-q"], &NEW[..], extra].concat();
        assert_eq!(sh(&options, &format!("{}; exit 4", three(&nap))).seen(), (Some(4), "", ""), "{extra:?}");
        assert_eq!(nap.sleepers(), [0; 0], "{extra:?}");
    }
}

/// A command that has ended, and left one behind that reads a line before it says `late`.
fn awaited(options: &[&str]) -> Live {
    let script = "exec 3<&0; setsid sh -c 'echo orphan; read x <&3; echo late' & exit 4";
    let mut job = live(options, script);
    assert_eq!(job.line(), "orphan");
    until("the command's end", || state(job.real).is_none());
    until("seclude's wait", || state(job.pid()) == Some('S'));
    job
}

#[test]
fn wait_waits_for_the_last_of_them() {
    let check = |options: &[&str]| {
        let mut job = awaited(options);
        job.say("x\n");
        assert_eq!(job.end().seen(), (Some(4), "late\n", ""), "{options:?}");
    };
    check(&["--leftovers", "wait"]);
    if can(&["userns"]) {
        check(&[&NEW[..], &["--leftovers", "wait"]].concat());
    }
}

#[test]
fn term_and_int_end_those_that_are_waited_for() {
    let check = |options: &[&str]| {
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            let mut job = awaited(options);
            job.signal(signal);
            assert_eq!(job.end().seen(), (Some(4), "", ""), "{options:?}");
        }
    };
    check(&["--leftovers", "wait"]);
    if can(&["userns"]) {
        check(&[&NEW[..], &["--leftovers", "wait"]].concat());
    }
}

#[test]
fn a_time_that_is_up_ends_those_that_are_waited_for() {
    let check = |options: &[&str]| {
        let nap = Nap::new();
        let script = format!("setsid sleep {} > /dev/null 2>&1 & exit 4", nap.0);
        let options =
            [options, &["-q", "--leftovers", "wait", "--timeout", "0.3", "--kill-after", "0.1"]].concat();
        assert_eq!(sh(&options, &script).seen(), (Some(124), "", ""), "{options:?}");
        assert_eq!(nap.sleepers(), [0; 0]);
    };
    check(&[]);
    if can(&["userns"]) {
        check(&NEW);
    }
}

#[test]
fn children_that_seclude_had_before_are_left_alone() {
    if !can(&["bash"]) {
        return;
    }
    for how in ["kill", "wait", "leave"] {
        let (before, after) = (Nap::new(), Nap::new());
        let command = format!("sleep {} > /dev/null 2>&1 &", after.0);
        let command = if how == "kill" { command.as_str() } else { "" };
        let script = format!(
            "exec \"$0\" -q --leftovers {how} sh -c '{command} exit 3' < <(exec sleep {} > /dev/null 2>&1)",
            before.0
        );
        let seen = run("bash", &["-c", &script, &seclude().to_string_lossy()]);
        assert_eq!(seen.seen(), (Some(3), "", ""), "{how}");
        assert_eq!((before.until(1).len(), after.sleepers()), (1, vec![]), "{how}");
    }
}

#[test]
fn children_that_seclude_had_before_change_no_status() {
    if !can(&["bash"]) {
        return;
    }
    let many = "< <(exit 9) 3< <(kill -KILL $BASHPID) 4< <(exit 1)";
    for options in ["-q", "-q --leftovers kill", "-q --leftovers wait"] {
        // They end before, while, and after the launch.
        for _ in 0..10 {
            let script = format!("exec \"$0\" {options} sh -c 'exit 3' {many}");
            let seen = run("bash", &["-c", &script, &seclude().to_string_lossy()]);
            assert_eq!(seen.seen(), (Some(3), "", ""), "{options}");
        }
    }
}

#[test]
fn an_orphan_is_reaped_while_the_command_runs() {
    let orphan = "pid=$(sh -c '(exit 9) > /dev/null & echo $!'); while [ -e /proc/$pid ]; do :; done; exit 6";
    assert_eq!(sh(&["-q"], orphan).seen(), (Some(6), "", ""));
}

/// A caller with a seclude as its child, whose two sleep.
fn called(nap: &Nap, file: &Path, options: &[&str]) -> Child {
    let child = calling(file, options, &format!("setsid sleep {0} & exec sleep {0}", nap.0));
    nap.until(2);
    child
}

/// A caller with a seclude as its child, which runs a script.
fn calling(file: &Path, options: &[&str], script: &str) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", "\"$@\" & wait", "sh"]).arg(seclude());
    command.args(["--report", "json", "--report-to"]).arg(file).args(options).args(["sh", "-c", script]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    started(&mut command).unwrap()
}

#[test]
fn all_of_it_dies_with_the_caller_where_that_was_asked_for() {
    let check = |options: &[&str]| {
        let (nap, file) = (Nap::new(), scratch("caller").join("log"));
        let mut child = called(&nap, &file, &[&["--die-with-parent"], options].concat());
        child.kill().unwrap();
        child.wait().unwrap();
        nap.until(0);
        until("the record of the end", || records(&file).len() == 2);
        let [started, ended] = <[Value; 2]>::try_from(records(&file)).unwrap();
        assert_eq!((&ended["ended_by"], &ended["signal"]["name"]), (&"parent".into(), &"SIGKILL".into()));
        let own = started["seclude_pid"].as_i64().unwrap() as i32;
        until("seclude's end", || matches!(state(own), None | Some('Z')));
    };
    check(&[]);
    if can(&["root"]) {
        check(&["--user", "61234:61234"]);
    }
    if can(&["userns"]) {
        check(&NEW);
        check(&[&NEW[..], &["--as-pid1"]].concat());
    }
}

#[test]
fn those_that_are_waited_for_die_with_the_caller_too() {
    let check = |options: &[&str]| {
        let (nap, file) = (Nap::new(), scratch("caller").join("log"));
        let options = [options, &["--die-with-parent", "--leftovers", "wait"]].concat();
        let mut child = calling(&file, &options, &format!("setsid sleep {} & exit 4", nap.0));
        nap.until(1);
        until("the command's end", || {
            records(&file)
                .first()
                .is_some_and(|record| state(record["real_pid"].as_i64().unwrap() as i32).is_none())
        });
        child.kill().unwrap();
        child.wait().unwrap();
        nap.until(0);
        until("the record of the end", || records(&file).len() == 2);
        let ended = &records(&file)[1];
        assert_eq!((&ended["ended_by"], &ended["exit_code"]), (&"parent".into(), &4.into()), "{options:?}");
    };
    check(&[]);
    if can(&["userns"]) {
        check(&NEW);
    }
}

#[test]
fn a_caller_that_ends_is_nothing_to_the_command_where_it_was_not_asked_for() {
    let (nap, file) = (Nap::new(), scratch("caller").join("log"));
    let mut child = called(&nap, &file, &[]);
    child.kill().unwrap();
    child.wait().unwrap();
    let own = records(&file)[0]["seclude_pid"].as_i64().unwrap() as i32;
    assert_eq!((nap.sleepers().len(), state(own)), (2, Some('S')));
    send(records(&file)[0]["real_pid"].as_i64().unwrap() as i32, Signal::SIGKILL);
    until("the record of the end", || records(&file).len() == 2);
}

#[test]
fn the_command_dies_with_a_killed_seclude_where_it_dies_with_the_caller() {
    let check = |options: &[&str]| {
        let nap = Nap::new();
        let mut job = live(&[&["--die-with-parent"], options].concat(), &format!("exec sleep {}", nap.0));
        nap.until(1);
        job.signal(Signal::SIGKILL);
        nap.until(0);
        assert_eq!(job.end().signal, Some(9));
    };
    check(&[]);
    if can(&["root"]) {
        check(&["--user", "61234:61234"]);
    }
}

#[test]
fn how_far_the_hold_goes_is_told() {
    let told = |options: &[&str]| {
        let seen = sh(&[&["--report", "json"], options].concat(), "exit 0");
        let first: Value = serde_json::from_str(seen.err.lines().next().unwrap_or_default()).unwrap();
        assert_eq!(first["event"], "started", "{seen:?}");
        first["containment"].as_str().unwrap().to_string()
    };
    assert_eq!((told(&[]), told(&["--exec"])), ("subreaper".to_string(), "none".to_string()));
    if !can(&["userns"]) {
        return;
    }
    assert_eq!(told(&["-n", "user,net", "--user", "0:0"]), "subreaper");
    assert_eq!(told(&NEW), "pidns");
    assert_eq!(told(&[&NEW[..], &["--as-pid1"]].concat()), "pidns");
    let mut command = Command::new(seclude());
    let mut host = live_of(command.args(NEW).args(["sh", "-c", "echo up; read x"]));
    assert_eq!(host.line(), "up");
    assert_eq!(told(&["--join", &format!("user,pid={}", host.real)]), "none");
}
