//! The report as people read it, where it goes, and what happens where it can't go there.

use std::fs;
use std::process::Command;

use crate::machine::{call, caller, can, finish, scratch, seclude, sh};

#[test]
fn quiet_says_nothing_but_failures() {
    assert_eq!(sh(&["-q"], "exit 3").seen(), (Some(3), "", ""));
    assert_eq!(sh(&["--quiet", "--report", "json"], "exit 3").seen(), (Some(3), "", ""));
    let err = "seclude: exec: cannot execute /nope: there is no such file (ENOENT)\n";
    assert_eq!(call(&["-q", "/nope"]).seen(), (Some(127), "", err));
}

#[test]
fn verbose_tells_plan_steps_start_and_end() {
    if !can(&["userns"]) {
        return;
    }
    let seen = sh(
        &["-v", "-n", "user,uts", "--user", "0:0", "--groups", "keep", "--hostname", "told"],
        "readlink /proc/self/ns/uts",
    );
    let lines: Vec<&str> = seen.err.lines().collect();
    assert_eq!(
        lines[..2],
        ["command     sh -c 'readlink /proc/self/ns/uts'", "namespaces  new user,uts"],
        "{seen:?}"
    );
    assert!(lines.iter().any(|line| line.ends_with(" µs  set the host name to told")), "{seen:?}");
    let uts = seen.out.trim_end();
    assert!(lines.contains(&format!("            {uts} new").as_str()), "{uts}: {seen:?}");
    let started = lines.iter().position(|line| line.starts_with("seclude: sh: real pid ")).unwrap();
    let ended = lines.iter().position(|line| line.starts_with("seclude: sh: exited with 0 after ")).unwrap();
    assert_eq!((started, ended), (lines.len() - 2, lines.len() - 1), "{seen:?}");
    let killed = sh(&["-v"], "kill -9 $$").err;
    assert!(killed.lines().last().unwrap().starts_with("seclude: sh: ended by SIGKILL after "), "{killed}");
}

#[test]
fn a_file_is_appended_to_and_standard_error_is_left_alone() {
    let file = scratch("report").join("log");
    let name = file.to_str().unwrap();
    for status in [3, 4] {
        assert_eq!(sh(&["--report-to", name], &format!("exit {status}")).seen(), (Some(status), "", ""));
    }
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines.iter().all(|line| line.starts_with("seclude: sh: real pid ")), "{text}");
    // A failure goes to both: who calls must see it, and so must who reads the report.
    let seen = call(&["--report-to", name, "/nope"]);
    let err = "seclude: exec: cannot execute /nope: there is no such file (ENOENT)\n";
    assert_eq!(seen.seen(), (Some(127), "", err));
    assert_eq!(fs::read_to_string(&file).unwrap(), text + err);
}

#[test]
fn a_descriptor_is_written_to_and_does_not_reach_the_command() {
    let seen =
        caller(r#""$0" --report-to fd:7 sh -c '[ -e /proc/$$/fd/7 ] && echo leaked; exit 6' 7>&1; echo $?"#);
    let lines: Vec<&str> = seen.out.lines().collect();
    assert!(lines[0].starts_with("seclude: sh: real pid "), "{seen:?}");
    assert_eq!((&lines[1..], seen.err.as_str()), (&["6"][..], ""));
}

#[test]
fn a_place_that_can_t_be_written_is_refused_before_anything_runs() {
    let refused = |script: &str, err: &str| {
        let seen = caller(script);
        assert_eq!((seen.status, seen.out.as_str()), (Some(125), ""), "{script}: {seen:?}");
        assert!(seen.err.starts_with(err), "{script}: {seen:?}");
    };
    refused(
        r#"exec "$0" --report-to /nope/x echo ran"#,
        "seclude: report: cannot open /nope/x: No such file or directory (ENOENT)\n",
    );
    refused(r#"exec "$0" --report-to fd:77 echo ran"#, "seclude: report: cannot write to fd:77: ");
    refused(r#"exec "$0" --report-to fd:7 echo ran 7</dev/null"#, "seclude: report: cannot write to fd:7: ");
    let full = "seclude: report: cannot write the report: No space left on device (ENOSPC)\n";
    refused(r#"exec "$0" --report-to /dev/full echo ran"#, full);
    refused(r#"exec "$0" --report-to fd:7 echo ran 7>/dev/full"#, full);
    refused(r#"exec "$0" --report json --report-to /dev/full echo ran"#, full);
}

#[test]
fn a_report_that_was_asked_for_and_can_t_be_written_stops_the_launch() {
    let marker = scratch("marker").join("ran");
    let touch = format!("touch {}", marker.display());
    for place in ["--report json 2>/dev/full", "--report text 2>/dev/full", "--report-to fd:2 2>/dev/full"] {
        let (options, redirected) = place.split_once(" 2>").unwrap();
        let seen = caller(&format!(r#""$0" {options} sh -c '{touch}' 2>{redirected}; echo $?"#));
        assert_eq!((seen.out.as_str(), marker.exists()), ("125\n", false), "{place}: {seen:?}");
    }
}

#[test]
fn the_line_that_nobody_asked_for_is_best_effort() {
    for place in ["2>/dev/full", "2>&-"] {
        let seen = caller(&format!(r#""$0" sh -c 'echo ran; exit 9' {place}; echo $?"#));
        assert_eq!(seen.out, "ran\n9\n", "{place}: {seen:?}");
        let seen = caller(&format!(r#""$0" /nope {place}; echo $?"#));
        assert_eq!(seen.out, "127\n", "{place}: {seen:?}");
    }
}

#[test]
fn a_full_pipe_on_standard_error_does_not_hold_the_command() {
    if !can(&["python3"]) {
        return;
    }
    let python = "import os,sys,subprocess,fcntl\n\
        r,w=os.pipe()\n\
        fcntl.fcntl(w,fcntl.F_SETFL,os.O_NONBLOCK)\n\
        try:\n  while True: os.write(w,b'x'*4096)\n\
        except BlockingIOError: pass\n\
        fcntl.fcntl(w,fcntl.F_SETFL,0)\n\
        print(subprocess.run([sys.argv[1],'sh','-c','echo ran; exit 9'],stderr=w,timeout=20).returncode)";
    let seen = finish(Command::new("python3").args(["-c", python]).arg(seclude()));
    assert_eq!(seen.seen(), (Some(0), "ran\n9\n", ""));
}
