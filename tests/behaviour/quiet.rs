//! A quiet launch, which nobody waits for until it ends: how the command ended, or why there was none, is told all the same.

use std::fs;

use crate::machine::{STRANGER, call, call_as, can, is_root, scratch};

/// Ways to live, without and with an init.
const WAYS: [&str; 3] = ["-n user", "-n user,pid", "-n user,pid --as-pid1"];

/// A plain user's quiet call, as root below its new user namespace: what it ends with and what it says.
fn quietly(options: &str, command: &[&str]) -> (Option<i32>, String, String) {
    let mut words = vec!["-q", "--user", "0:0"];
    words.extend(options.split(' '));
    words.extend(command);
    let seen = if is_root() { call_as(STRANGER, &words) } else { call(&words) };
    (seen.status, seen.out, seen.err)
}

#[test]
fn every_status_of_the_command_comes_through_an_init_that_says_no_word() {
    if !can(&["userns"]) {
        return;
    }
    for way in WAYS {
        for status in [0, 1, 42, 123, 124, 125, 126, 127, 128, 255] {
            let seen = quietly(way, &["sh", "-c", &format!("exit {status}")]);
            assert_eq!(seen, (Some(status), String::new(), String::new()), "{way}: exit {status}");
        }
    }
    for (signal, status) in [("KILL", 137), ("TERM", 143), ("SEGV", 139)] {
        let seen = quietly("-n user,pid", &["sh", "-c", &format!("ulimit -c 0; kill -{signal} $$")]);
        assert_eq!(seen, (Some(status), String::new(), String::new()), "{signal}");
    }
}

#[test]
fn a_command_that_can_t_be_executed_is_told_though_nobody_waited_for_its_exec() {
    if !can(&["userns"]) {
        return;
    }
    let file = scratch("quiet").join("garbage");
    fs::write(&file, "\0garbage\n").expect("a file can be written");
    crate::machine::copied(&file, &file.with_extension("x"));
    let path = file.with_extension("x").display().to_string();
    for way in WAYS {
        let (status, out, err) = quietly(way, &[&path]);
        assert_eq!((status, out.as_str(), err.lines().count()), (Some(126), "", 1), "{way}: {err}");
        assert!(err.starts_with(&format!("seclude: exec: cannot execute {path}: ")), "{way}: {err}");
        assert!(err.contains("(ENOEXEC)"), "{way}: {err}");
    }
}

#[test]
fn a_step_that_fails_is_told_though_nobody_waited_for_it() {
    if !can(&["userns"]) {
        return;
    }
    let gone = "seclude: chdir: cannot enter /proc/none: No such file or directory (ENOENT)\n";
    for way in WAYS {
        let seen = quietly(&format!("{way} --chdir /proc/none"), &["true"]);
        assert_eq!(seen, (Some(125), String::new(), gone.to_string()), "{way}");
        // What would have been waited for is not: there was no command.
        let seen = quietly(&format!("{way} --chdir /proc/none --timeout 60"), &["true"]);
        assert_eq!(seen, (Some(125), String::new(), gone.to_string()), "{way}");
    }
    let seen = quietly("-n user,pid --leftovers wait --chdir /proc/none", &["true"]);
    assert_eq!(seen, (Some(125), String::new(), gone.to_string()));
}
