//! What is said no to about the command's life, in which words: durations, signals, statuses, contradictions, pid files.

use std::fs;
use std::os::unix::fs::FileTypeExt;

use nix::sys::stat::Mode;

use crate::machine::{call, caller, scratch};

fn refused(words: &[&str], err: &str) {
    let words = [words, &["echo", "ran"]].concat();
    assert_eq!(call(&words).seen(), (Some(125), "", format!("seclude: {err}\n").as_str()), "{words:?}");
}

#[test]
fn values_are_strict() {
    for option in ["--timeout", "--kill-after"] {
        for text in ["-1", "1ms", "50d", "1e3", ".5"] {
            let rule = "a duration is a number such as 10, 1.5s, 2m, 1h or 1d, 49d at most";
            refused(&[option, text], &format!("usage: cannot take {option} {text}: {rule}"));
        }
    }
    let rule = "a command that has no time at all can't be started";
    refused(&["--timeout", "0"], &format!("usage: cannot take --timeout 0: {rule}"));
    for text in ["0", "65", "FOO"] {
        let rule = "a signal is a name such as TERM or RTMIN+3, or a number from 1 to 64";
        refused(&["--stop-signal", text], &format!("usage: cannot take --stop-signal {text}: {rule}"));
    }
    for text in ["256", "-1", "FOO"] {
        let rule = "a status is a plain decimal number from 0 to 255, or the name of a signal";
        refused(&["--ok-status", text], &format!("usage: cannot take --ok-status {text}: {rule}"));
    }
    refused(&["--status", "0"], "usage: cannot take --status 0: the values are exit, reraise");
    refused(&["--leftovers", ""], "usage: cannot take --leftovers: it needs a value, kill|wait|leave");
}

#[test]
fn exec_goes_with_nothing_that_needs_a_parent() {
    for option in [
        "--daemon",
        "--pid-file=x",
        "--timeout=1",
        "--kill-after=1",
        "--stop-signal=INT",
        "--die-with-parent",
        "--leftovers=kill",
        "--status=exit",
        "--ok-status=1",
    ] {
        let name = option.split('=').next().unwrap();
        let rule = "it takes a parent that stays, and with --exec none does";
        refused(&["--exec", option], &format!("plan: cannot take {name}: {rule}"));
    }
    let rule = "with --exec there is no new pid namespace to be PID 1 of";
    refused(&["--exec", "--as-pid1"], &format!("plan: cannot take --as-pid1: {rule}"));
    let rule = "no process enters a pid namespace but by being born there, and --exec makes no process";
    refused(&["--exec", "-n", "pid"], &format!("plan: cannot take --unshare pid: {rule}"));
    refused(&["--exec", "--join", "pid=1"], &format!("plan: cannot take --join pid: {rule}"));
}

#[test]
fn what_goes_only_with_something_else_says_with_what() {
    let no = |words: &[&str], object: &str, rule: &str| {
        refused(words, &format!("plan: cannot take {object}: {rule}"));
    };
    no(&["--as-pid1"], "--as-pid1", "it is for a new pid namespace: add --unshare pid");
    no(&["--stop-signal", "INT"], "--stop-signal", "it is what --timeout sends: add --timeout");
    let rule = "a command in the background outlives seclude's caller: it contradicts --daemon";
    no(&["--daemon", "--die-with-parent"], "--die-with-parent", rule);
    let rule = "with --daemon seclude returns before the command has a status";
    no(&["--daemon", "--status", "exit"], "--status", rule);
    no(&["--daemon", "--ok-status", "3"], "--ok-status", rule);
    let rule = "the end of its PID 1 ends all of a pid namespace";
    no(&["-n", "pid", "--leftovers", "leave"], "--leftovers leave", rule);
    let rule = "the command is PID 1, and its end ends all of its pid namespace";
    no(&["-n", "pid", "--as-pid1", "--leftovers", "wait"], "--leftovers wait", rule);
    let rule = "what outlives a command in a joined pid namespace belongs to the PID 1 of that";
    no(&["--join", "pid=1", "--leftovers", "kill"], "--leftovers kill", rule);
}

#[test]
fn a_pid_file_is_a_file_s_name() {
    for path in ["/", "..", "x/", "x/."] {
        refused(&["--pid-file", path], &format!("plan: cannot take --pid-file {path}: it is no file's name"));
    }
    refused(&["--pid-file", "/nope/x"], "pid-file: cannot make /nope/x: No such file or directory (ENOENT)");
}

/// As root, a pid file at /dev/null would be the end of that for everybody.
#[test]
fn a_pid_file_takes_the_place_of_nothing_but_a_file() {
    let dir = scratch("pid-file");
    let at = |name: &str| dir.join(name).to_str().unwrap().to_string();
    fs::create_dir(at("dir")).unwrap();
    std::os::unix::fs::symlink("/nope", at("link")).unwrap();
    nix::unistd::mkfifo(at("fifo").as_str(), Mode::S_IRWXU).unwrap();
    for name in ["dir", "link", "fifo"] {
        let rule = "it takes the place of a file, or of nothing";
        refused(&["--pid-file", &at(name)], &format!("pid-file: cannot make {}: {rule}", at(name)));
    }
    assert!(fs::symlink_metadata(at("fifo")).unwrap().file_type().is_fifo());
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 3, "something is left behind");
}

/// A container's seclude has the same pid each time, so that one that was killed would else be in the way for good.
#[test]
fn what_a_killed_launch_has_left_of_its_pid_file_is_named_with_the_remedy() {
    let dir = scratch("draft");
    let path = dir.to_str().unwrap();
    let seen = caller(&format!("echo $$; : > {path}/.pid.$$; exec \"$0\" --pid-file {path}/pid echo ran"));
    let own = seen.out.trim_end();
    let told = format!("seclude: pid-file: cannot make {path}/pid: File exists (EEXIST)\n");
    let hint = format!("seclude: hint: remove {path}/.pid.{own}, left of a launch that was killed\n");
    assert_eq!((seen.status, own.parse::<i32>().is_ok(), seen.err), (Some(125), true, told + &hint));
}
