//! Where and how things are told: usage errors where reports go, help into pipes and full disks, colour where there is somebody to see it.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::machine::pty::Tty;
use crate::machine::{call, caller, can, run, scratch, seclude};

const ERROR: &str =
    "seclude: usage: cannot take --usr: there is no such option\nseclude: hint: did you mean --user?\n";

#[test]
fn a_usage_error_is_a_record_where_records_were_asked_for() {
    for words in [
        &["--report", "json", "--usr", "x", "true"][..],
        &["--report=json", "--usr=x", "true"],
        &["-q", "--report", "json", "-n", "pid", "--usr", "x"],
    ] {
        let seen = call(words);
        let record: Value =
            serde_json::from_str(&seen.err).unwrap_or_else(|error| panic!("{error}: {seen:?}"));
        assert_eq!((seen.status, seen.out.as_str(), seen.err.lines().count()), (Some(125), "", 1));
        assert_eq!((&record["event"], &record["stage"]), (&"failed".into(), &"usage".into()));
        assert_eq!((&record["object"], &record["exit_status"]), (&"--usr".into(), &125.into()));
        assert_eq!(record["hint"], "did you mean --user?");
    }
}

#[test]
fn a_usage_error_goes_to_the_file_that_was_named_and_to_standard_error() {
    let file = scratch("usage").join("report");
    let name = file.to_str().unwrap();
    assert_eq!(call(&["--report-to", name, "--usr", "x", "true"]).seen(), (Some(125), "", ERROR));
    assert_eq!(fs::read_to_string(&file).unwrap(), ERROR);
    let seen = call(&["--report", "json", "--report-to", name, "--user"]);
    let err = "seclude: usage: cannot take --user: it needs a value, USER[:GROUP]\n";
    assert_eq!(seen.seen(), (Some(125), "", err));
    let told = fs::read_to_string(&file).unwrap();
    let record: Value = serde_json::from_str(told.strip_prefix(ERROR).unwrap()).unwrap();
    assert_eq!(record["message"], "usage: cannot take --user: it needs a value, USER[:GROUP]");
    let seen = caller(r#"exec "$0" --report json --report-to fd:7 --usr x true 7>&1"#);
    let record: Value = serde_json::from_str(&seen.out).unwrap();
    assert_eq!((seen.status, seen.err.as_str(), &record["object"]), (Some(125), ERROR, &"--usr".into()));
}

#[test]
fn a_place_that_can_t_be_had_is_told_in_its_stead() {
    let seen = call(&["--report-to", "/nope/x", "--usr", "x", "true"]);
    let err = "seclude: report: cannot open /nope/x: No such file or directory (ENOENT)\n";
    assert_eq!(seen.seen(), (Some(125), "", err));
}

#[test]
fn what_comes_behind_the_command_is_not_where_an_error_goes() {
    let file = scratch("behind").join("report");
    let seen = call(&["--user", "4294967295", "sh", "--report-to", file.to_str().unwrap()]);
    let rule = "an id is a plain decimal number from 0 to 4294967294";
    let err = format!("seclude: usage: cannot take --user 4294967295: {rule}\n");
    assert_eq!(seen.seen(), (Some(125), "", err.as_str()));
    assert!(!file.exists());
}

#[test]
fn help_and_version_go_to_standard_output_and_end_well() {
    for option in ["-h", "--help", "-V", "--version"] {
        let seen = call(&[option]);
        assert_eq!((seen.status, seen.err.as_str()), (Some(0), ""), "{option}");
        assert!(
            seen.out.starts_with(if option.contains("-h") { "Launches " } else { "seclude " }),
            "{seen:?}"
        );
        assert!(!seen.out.contains('\u{1b}'), "no colour in a pipe");
    }
}

#[test]
fn help_into_a_pipe_that_is_closed_is_no_failure() {
    if !can(&["bash"]) {
        return;
    }
    for before in ["", "trap '' PIPE; "] {
        // The pipe has lost its reader before anything is written.
        let script = format!(
            r#"{before}cd "$1" && mkfifo pipe && exec 4<>pipe 5>pipe 4<&-
            for option in -h --help -V --version; do "$0" $option >&5; echo $?; done"#
        );
        let dir = scratch("closed");
        let seen = run("bash", &["-c", &script, seclude().to_str().unwrap(), dir.to_str().unwrap()]);
        assert_eq!(seen.seen(), (Some(0), "0\n0\n0\n0\n", ""), "{before}");
    }
}

#[test]
fn help_on_a_full_disk_is_a_failure_with_its_stage() {
    let err = "seclude: report: cannot write to standard output: No space left on device (ENOSPC)\n";
    for option in ["-h", "--help", "--version"] {
        let seen = caller(&format!(r#"exec "$0" {option} >/dev/full"#));
        assert_eq!(seen.seen(), (Some(125), "", err), "{option}");
    }
}

/// What a terminal shows of a call, with these variables.
fn shown(words: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = Command::new("env");
    command.args(["-u", "NO_COLOR", "-u", "TERM"]);
    command.args(variables.iter().map(|(name, value)| format!("{name}={value}")));
    let mut tty = Tty::of(command.arg(seclude()).args(words));
    tty.end().1
}

#[test]
fn a_terminal_has_colour_unless_it_or_its_user_has_none() {
    let coloured = "\u{1b}[1mseclude:\u{1b}[0m \u{1b}[1;31musage:\u{1b}[0m cannot take --usr: there is no such option\n\
                    \u{1b}[1mseclude:\u{1b}[0m \u{1b}[1;36mhint:\u{1b}[0m did you mean --user?\n";
    let term = ("TERM", "xterm");
    for (variables, colour) in [
        (&[term][..], true),
        (&[term, ("NO_COLOR", "")], true),
        (&[term, ("NO_COLOR", "1")], false),
        (&[term, ("NO_COLOR", "0")], false),
        (&[("TERM", "dumb")], false),
        (&[], false),
    ] {
        let failure = shown(&["--usr"], variables);
        assert_eq!(failure, if colour { coloured } else { ERROR }, "{variables:?}");
        for option in ["-h", "--help"] {
            let help = shown(&[option], variables);
            assert!(help.contains("Usage:") && help.contains("--unshare"), "{help}");
            assert_eq!(help.contains('\u{1b}'), colour, "{option} {variables:?}");
        }
    }
}
