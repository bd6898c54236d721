//! `--config`, `--unit` and `--oci`, through the program: what a file asks for is done, what is typed wins, what can't be is named.

use std::fs;

use crate::machine::{Outcome, call, can, scratch};

/// A file of options, with its name.
fn file(text: &str) -> String {
    let file = scratch("files").join("file.json");
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_string()
}

/// A call on a file, whose name is FILE in what is told.
fn with(option: &str, text: &str, words: &[&str]) -> Outcome {
    let file = file(text);
    let seen = call(&[&[option, &file], words].concat());
    Outcome { err: seen.err.replace(&file, "FILE"), ..seen }
}

fn refused(option: &str, text: &str, err: &str) {
    let seen = with(option, text, &["echo", "ran"]);
    assert_eq!(seen.seen(), (Some(125), "", format!("seclude: config: cannot {err}\n").as_str()), "{text}");
}

const HINT: &str = "\nseclude: hint: take that out of the file: what is not honoured is never ignored";

#[test]
fn a_config_is_a_command_line() {
    let text = r#"{"umask": "027", "chdir": "/usr", "quiet": true, "verbose": false, "env": ["A=1", "B=2"],
                   "command": ["sh", "-c", "umask; pwd; echo $A $B"]}"#;
    assert_eq!(with("--config", text, &[]).seen(), (Some(0), "0027\n/usr\n1 2\n", ""));
    let number = r#"{"umask": 77, "quiet": true, "chdir": null}"#;
    assert_eq!(with("--config", number, &["sh", "-c", "umask"]).seen(), (Some(0), "0077\n", ""));
    let empty = with("--config", "{}", &["-q", "echo", "ran"]);
    assert_eq!(empty.seen(), (Some(0), "ran\n", ""));
}

#[test]
fn what_is_typed_replaces_what_the_file_says() {
    let text = r#"{"umask": "027", "chdir": "/usr", "quiet": true, "env": ["A=1", "B=2"], "command": ["sh", "-c", "echo of the file"]}"#;
    let script = "umask; pwd; echo $A$B$C";
    let typed = with("--config", text, &["--umask", "077", "--env", "C=3", "sh", "-c", script]);
    assert_eq!(typed.seen(), (Some(0), "0077\n/usr\n3\n", ""), "a list as a whole");
    let typed = with("--config", text, &["-C", "/etc", "sh", "-c", script]);
    assert_eq!(typed.seen(), (Some(0), "0027\n/etc\n12\n", ""));
    let dashes = with("--config", text, &["--", "sh", "-c", "echo typed"]);
    assert_eq!(dashes.seen(), (Some(0), "typed\n", ""));
    let none = with("--config", text, &[]);
    assert_eq!(none.seen(), (Some(0), "of the file\n", ""));
}

#[test]
fn a_config_without_a_command_needs_one_that_is_typed() {
    let seen = with("--config", r#"{"quiet": true}"#, &[]);
    assert_eq!(seen.seen(), (Some(125), "", "seclude: usage: cannot start: a COMMAND is needed\n"));
}

#[test]
fn a_config_of_what_there_is_not_is_refused_by_name() {
    let taken = |text: &str, rule: &str| refused("--config", text, &format!("take FILE: {rule}"));
    taken(r#"{"usr": "0"}"#, "a file has no option usr");
    taken(r#"{"u": "0"}"#, "a file has no option u");
    for inner in ["help", "version", "config", "unit", "oci"] {
        taken(&format!(r#"{{"{inner}": true}}"#), &format!("a file has no option {inner}"));
    }
    taken(r#"{"quiet": "yes"}"#, "quiet is true or false");
    taken(r#"{"user": true}"#, "user has a value");
    taken(r#"{"user": {"a": 1}}"#, "user is a string, a number, true, false, or an array of these");
    taken(r#"{"command": "sh"}"#, "command is an array of strings");
    taken(
        r#"{"umask": 1, "umask": 2}"#,
        "it is not JSON as needed: umask is given twice at line 1 column 24",
    );
    taken("[]", "it is not JSON as needed: invalid type: sequence, expected an object at line 1 column 0");
    let id = "an id is a plain decimal number from 0 to 4294967294";
    refused("--config", r#"{"user": 4294967296}"#, &format!("take --user 4294967296 of FILE: {id}"));
    refused("--config", r#"{"user": ["1:1", "2:2"]}"#, "take --user of FILE: it is given twice");
    refused("--config", r#"{"a\u001bb": 1}"#, "take FILE: a file has no option a\\x1bb");
}

#[test]
fn a_file_that_can_t_be_read_is_told_with_why() {
    for option in ["--config", "--unit", "--oci"] {
        let missing = "seclude: config: cannot read /nope/x: No such file or directory (ENOENT)\n";
        assert_eq!(call(&[option, "/nope/x", "echo", "ran"]).seen(), (Some(125), "", missing));
        let directory = "seclude: config: cannot read /etc: Is a directory (EISDIR)\n";
        assert_eq!(call(&[option, "/etc", "echo", "ran"]).seen(), (Some(125), "", directory));
        let endless = "seclude: config: cannot take /dev/zero: it has more than 1048576 bytes\n";
        assert_eq!(call(&[option, "/dev/zero", "echo", "ran"]).seen(), (Some(125), "", endless));
        let two = if option == "--oci" { "--unit" } else { "--oci" };
        let seen = call(&[option, "/nope/x", two, "/nope/y", "echo", "ran"]);
        assert_eq!((seen.status, seen.out.as_str()), (Some(125), ""), "{seen:?}");
        assert!(
            seen.err.starts_with("seclude: usage: cannot take --") && seen.err.contains("it contradicts --")
        );
    }
}

#[test]
fn help_and_errors_are_the_same_beside_a_file() {
    for option in ["--config", "--unit", "--oci"] {
        let help = with(option, "{}", &["--help"]);
        assert_eq!((help.status, help.err.as_str(), help.out), (Some(0), "", call(&["--help"]).out));
        let seen = with(option, "{}", &["--usr", "0", "true"]);
        let err = "seclude: usage: cannot take --usr: there is no such option\nseclude: hint: did you mean --user?\n";
        assert_eq!(seen.seen(), (Some(125), "", err));
    }
}

#[test]
fn an_isolation_object_of_unit_is_done() {
    if !can(&["userns"]) {
        return;
    }
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let text = format!(
        r#"{{"namespaces": {{"credential": true, "pid": true, "network": true, "uname": false}}, "new_privs": false,
             "uidmap": [{{"container": 0, "host": {uid}, "size": 1}}], "gidmap": [{{"container": 0, "host": {gid}, "size": 1}}]}}"#
    );
    let script = "echo $$; id -u; grep NoNewPrivs /proc/self/status; cut -d: -f1 /proc/net/dev | tail -n +3";
    let seen = with("--unit", &text, &["-q", "--user", "0:0", "sh", "-c", script]);
    assert_eq!((seen.status, seen.err.as_str()), (Some(0), ""), "{seen:?}");
    assert!(seen.out.starts_with("2\n0\nNoNewPrivs:\t1\n"), "{seen:?}");
}

#[test]
fn an_application_of_unit_brings_its_own_command() {
    let text = r#"{"type": "external", "working_directory": "/usr", "executable": "/bin/sh",
                   "arguments": ["-c", "pwd; echo $A"], "environment": {"A": "1"}}"#;
    assert_eq!(with("--unit", text, &["-q"]).seen(), (Some(0), "/usr\n1\n", ""));
}

#[test]
fn what_unit_does_and_seclude_does_not_is_named() {
    let unhonoured = |text: &str, what: &str| {
        refused("--unit", text, &format!("take FILE: seclude has nothing that honours {what}{HINT}"));
    };
    unhonoured(r#"{"cgroup": {"path": "x"}}"#, "cgroup");
    unhonoured(r#"{"namespaces": {"user": true}}"#, "namespaces.user");
    unhonoured(r#"{"uidmap": [{"container": 0, "host": 1, "size": 1, "x": 1}]}"#, "uidmap[0].x");
    unhonoured(r#"{"type": "external", "limits": {"timeout": 1}, "processes": 2}"#, "limits, processes");
    unhonoured(r#"{"type": "php"}"#, "type php, which is run by Unit itself and not by a command");
    unhonoured(
        r#"{"rootfs": "/srv", "automount": {"procfs": false}}"#,
        "automount.tmpfs, which is true unless the file says false",
    );
    refused("--unit", r#"{"uidmap": [{"container": 0, "host": 1}]}"#, "take FILE: uidmap[0].size is missing");
}

#[test]
fn process_and_linux_of_an_oci_file_are_done() {
    if !can(&["userns"]) {
        return;
    }
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let text = format!(
        r#"{{"ociVersion": "1.2.0", "hostname": "box", "process": {{"args": ["sh", "-c", "uname -n; pwd; echo $A $B; id -u; id -g"],
             "env": ["A=1", "PATH=/usr/bin:/bin"], "cwd": "/usr", "noNewPrivileges": true}},
             "linux": {{"namespaces": [{{"type": "user"}}, {{"type": "uts"}}],
             "uidMappings": [{{"containerID": 0, "hostID": {uid}, "size": 1}}],
             "gidMappings": [{{"containerID": 0, "hostID": {gid}, "size": 1}}]}}}}"#
    );
    let seen = with("--oci", &text, &["-q", "--user", "0:0"]);
    assert_eq!(seen.seen(), (Some(0), "box\n/usr\n1\n0\n0\n", ""));
    let seen = with("--oci", &text, &["-q", "--user", "0:0", "--hostname", "typed", "uname", "-n"]);
    assert_eq!(seen.seen(), (Some(0), "typed\n", ""));
}

#[test]
fn what_a_container_runtime_does_and_seclude_does_not_is_named() {
    let unhonoured = |text: &str, what: &str| {
        refused("--oci", text, &format!("take FILE: seclude has nothing that honours {what}{HINT}"));
    };
    unhonoured(
        r#"{"process": {"capabilities": {"effective": []}, "terminal": true}}"#,
        "process.capabilities.effective, process.terminal",
    );
    unhonoured(
        r#"{"process": {"scheduler": {"policy": "SCHED_IDLE", "runtime": 1}}}"#,
        "process.scheduler.runtime",
    );
    unhonoured(
        r#"{"linux": {"devices": [{}], "resources": {"pids": {"limit": 1}}}}"#,
        "linux.devices, linux.resources",
    );
    unhonoured(r#"{"root": {"path": "x", "readonly": true}}"#, "root.readonly");
    unhonoured(r#"{"mounts": [{"destination": "/dev", "type": "tmpfs"}]}"#, "mounts[0].destination /dev");
    unhonoured(r#"{"hooks": {"prestart": [{"path": "/x"}]}, "vm": {"x": 1}}"#, "hooks, vm");
    unhonoured(
        r#"{"linux": {"timeOffsets": {"boottime": {"secs": 1, "nanosecs": 2}}}}"#,
        "linux.timeOffsets.boottime.nanosecs",
    );
    refused("--oci", r#"{"process": {"env": ["A"]}}"#, "take FILE: process.env holds NAME=VALUE");
    refused("--oci", r#"{"process": {"user": {"uid": 1}}}"#, "take FILE: process.user.gid is missing");
}
