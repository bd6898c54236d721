//! Words that are no UTF-8: a value that has to be text is refused by its option, a path is taken as it is and shown escaped.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::Command;

use serde_json::{Value, json};

use crate::machine::{Outcome, can, finish, seclude};

/// `a`, 0xff, `b`.
fn odd(before: &str) -> OsString {
    OsString::from_vec([before.as_bytes(), b"a\xffb"].concat())
}

fn call(words: &[OsString]) -> Outcome {
    finish(Command::new(seclude()).args(words).current_dir("/"))
}

fn words(text: &[&str], last: &[OsString]) -> Vec<OsString> {
    text.iter().map(OsString::from).chain(last.iter().cloned()).collect()
}

fn refused(text: &[&str], before: &str, rule: &str) {
    let seen = call(&words(text, &[odd(before), "true".into()]));
    assert_eq!(seen.seen(), (Some(125), "", format!("seclude: usage: cannot {rule}\n").as_str()));
}

#[test]
fn a_value_that_is_text_is_refused_with_its_option_and_itself() {
    let texts = [
        "-u",
        "--user",
        "--group",
        "--groups",
        "--umask",
        "-n",
        "--unshare",
        "--share",
        "--join",
        "--persist",
        "--map-uid",
        "--map-gid",
        "--map",
        "--hostname",
        "--domainname",
        "--time-offset",
        "--timeout",
        "--kill-after",
        "--stop-signal",
        "--keep-fd",
        "--ok-status",
    ];
    for option in texts {
        refused(&["-q", option], "", &format!("take {option} a\\xffb: it is not UTF-8"));
    }
    for option in texts.iter().filter(|option| option.starts_with("--")) {
        refused(&["-q"], &format!("{option}="), &format!("take {option}=a\\xffb: it is not UTF-8"));
    }
    for (option, values) in [
        ("--setgroups", "the only value is deny"),
        ("--status", "the values are exit, reraise"),
        ("--report", "the values are text, json"),
        ("--leftovers", "the values are kill, wait, leave"),
        ("--propagation", "the values are private, slave, shared, unchanged"),
    ] {
        refused(&["-q", option], "", &format!("take {option} a\\xffb: {values}"));
        refused(&["-q"], &format!("{option}="), &format!("take {option} a\\xffb: {values}"));
    }
}

#[test]
fn an_option_that_there_is_not_is_shown_escaped() {
    refused(&["-q"], "--", "take --a\\xffb: there is no such option");
    refused(&["-q"], "--nope=", "take --nope: there is no such option");
}

#[test]
fn a_path_is_taken_byte_for_byte_and_shown_escaped() {
    let failed = |text: &[&str], before: &str, err: &str| {
        let seen = call(&words(text, &[odd(before), "true".into()]));
        let err = format!("seclude: {err}: No such file or directory (ENOENT)\n");
        assert_eq!(seen.seen(), (Some(125), "", err.as_str()), "{text:?}");
    };
    failed(&["-C"], "/nope/", "chdir: cannot enter /nope/a\\xffb");
    failed(&["--report-to"], "/nope/", "report: cannot open /nope/a\\xffb");
    failed(&["--config"], "/nope/", "config: cannot read /nope/a\\xffb");
    failed(&["--unit"], "/nope/", "config: cannot read /nope/a\\xffb");
    failed(&["--oci"], "/nope/", "config: cannot read /nope/a\\xffb");
    failed(&["--pid-file"], "/nope/", "pid-file: cannot make /nope/a\\xffb");
    if can(&["root"]) {
        let chroot = "root: cannot change the root to /nope/a\\xffb by chroot, which holds nobody";
        failed(&["-R"], "/nope/", chroot);
    }
    let err = "seclude: exec: cannot execute /nope/a\\xffb: there is no such file (ENOENT)\n";
    assert_eq!(call(&[odd("/nope/")]).seen(), (Some(127), "", err));
}

#[test]
fn a_directory_of_path_is_shown_escaped_where_it_stands_in_the_way() {
    let dir = crate::machine::scratch("odd");
    let inner = dir.join(odd(""));
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(inner.join("tool"), "").unwrap();
    let mut path = OsString::from("PATH=");
    path.push(&inner);
    let seen = call(&words(&["-q", "--env"], &[path, "tool".into()]));
    let shown = dir.display();
    let err = format!(
        "seclude: exec: cannot execute tool: {shown}/a\\xffb/tool is there, and may not be executed (EACCES)\n"
    );
    assert_eq!(seen.seen(), (Some(126), "", err.as_str()));
}

#[test]
fn plan_and_report_show_them_escaped() {
    let mut path = OsString::from("PATH=");
    path.push(odd("/"));
    let plan =
        call(&words(&["--dry-run", "--pid-file"], &[odd(""), "--env".into(), path, "x".into(), odd("")]));
    assert_eq!((plan.status, plan.err.as_str()), (Some(0), ""));
    let lines: Vec<&str> = plan.out.lines().collect();
    assert_eq!(lines[0], "command     x 'a\\xffb'");
    assert!(lines.contains(&"            pid file a\\xffb"), "{plan:?}");
    assert!(lines.contains(&"execute     /a\\xffb/x"), "{plan:?}");
    let seen = call(&words(&["--dry-run", "--report", "json", "--pid-file"], &[odd(""), odd("/"), odd("")]));
    let plan: Value = serde_json::from_str(&seen.out).unwrap();
    assert_eq!(plan["command"], json!(["/a\\xffb", "a\\xffb"]));
    assert_eq!(plan["candidates"], json!(["/a\\xffb"]));
    assert_eq!(plan["lifetime"]["pid_file"], "a\\xffb");
}
