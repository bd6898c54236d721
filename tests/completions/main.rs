//! What a TAB does in bash, zsh and fish: lists, users, values that are glued to their option, and the command's own completion.

#[path = "../machine/mod.rs"]
mod machine;
mod shells;

use clap::CommandFactory;
use machine::can;
use seclude::request::Request;
use shells::{EVERY, TAB, bash, fish, zsh};

/// A line, and what a TAB at its end makes of it.
type Cases<'a> = &'a [(&'a str, &'a str)];

#[track_caller]
fn hold(cases: Cases, answers: impl Fn(&[&str]) -> Vec<String>) {
    let lines: Vec<&str> = cases.iter().map(|(line, _)| *line).collect();
    let found = answers(&lines);
    let found: Vec<(&str, &str)> = lines.into_iter().zip(found.iter().map(String::as_str)).collect();
    assert_eq!(found, cases);
}

#[test]
fn bash_completes_options_and_values() {
    if !can(&["bash"]) {
        return;
    }
    let cases: Cases = &[
        ("seclude --unsha", "seclude --unshare "),
        ("seclude --unshare user,pi", "seclude --unshare user,pid"),
        ("seclude --unshare=user,pi", "seclude --unshare=user,pid"),
        ("seclude --unshare al", "seclude --unshare all"),
        ("seclude --unshare user,a", "seclude --unshare user,a"),
        ("seclude --unshare pid,p", "seclude --unshare pid,p"),
        ("seclude --join user,p", "seclude --join user,pid"),
        ("seclude --join al", "seclude --join all"),
        ("seclude --join net=src/mai", "seclude --join net=src/main.rs "),
        ("seclude --join all=src/mai", "seclude --join all=src/mai"),
        ("seclude --join net,uts=src/mai", "seclude --join net,uts=src/mai"),
        ("seclude --persist=net=src/mai", "seclude --persist=net=src/main.rs "),
        ("seclude -u roo", "seclude -u root"),
        ("seclude --user root:roo", "seclude --user root:root "),
        ("seclude -uroo", "seclude -uroot"),
        ("seclude -quroot:roo", "seclude -quroot:root "),
        ("seclude -nuser,pi", "seclude -nuser,pid"),
        ("seclude -qnuser,pi", "seclude -qnuser,pid"),
        ("seclude -C src/lau", "seclude -C src/launch/"),
        ("seclude -Csrc/lau", "seclude -Csrc/launch/"),
        ("seclude -qRsrc/lau", "seclude -qRsrc/launch/"),
        ("seclude --chdir=src/lau", "seclude --chdir=src/launch/"),
        ("seclude --report-to f", "seclude --report-to fd:"),
        ("seclude --report-to fd:", "seclude --report-to fd:"),
        ("seclude --report-to=fd:", "seclude --report-to=fd:"),
        ("seclude --report-to src/mai", "seclude --report-to src/main.rs "),
        ("seclude --stop-signal XCP", "seclude --stop-signal XCPU "),
        ("seclude --ok-status=3,XCP", "seclude --ok-status=3,XCPU"),
        ("seclude --pid-file src/mai", "seclude --pid-file src/main.rs "),
        ("seclude --rlimit nof", "seclude --rlimit nofile="),
        ("seclude --rlimit=msg", "seclude --rlimit=msgqueue="),
        ("seclude --rlimit nofile=unl", "seclude --rlimit nofile=unlimited "),
        ("seclude --sched ba", "seclude --sched batch "),
        ("seclude --sched fi", "seclude --sched fifo:"),
        ("seclude --ioprio be:4", "seclude --ioprio be:4 "),
        ("seclude --cap-drop net_bi", "seclude --cap-drop net_bind_service"),
        ("seclude --cap-add=kill,net_ra", "seclude --cap-add=kill,net_raw"),
        ("seclude --cap-add kill,al", "seclude --cap-add kill,al"),
        ("seclude --cap-ambient +net_ra", "seclude --cap-ambient +net_raw"),
        ("seclude --cap-bounding non", "seclude --cap-bounding none"),
        ("seclude --securebits noroot-l", "seclude --securebits noroot-locked"),
    ];
    hold(cases, |lines| bash(TAB, lines));
}

#[test]
fn bash_offers_what_a_list_does_not_have() {
    if !can(&["bash"]) {
        return;
    }
    let cases: Cases = &[
        ("seclude --gr", "seclude --group --groups "),
        ("seclude --ok-status 254,25", "seclude --ok-status 254,25 254,250 254,251 254,252 254,253 254,255 "),
        (
            "seclude --unshare user,pid,mount,net,",
            "seclude --unshare user,pid,mount,net,cgroup user,pid,mount,net,ipc user,pid,mount,net,time user,pid,mount,net,uts ",
        ),
    ];
    hold(cases, |lines| bash(EVERY, lines));
}

#[test]
fn bash_hands_over_as_it_does_for_the_command_alone() {
    if !can(&["bash"]) {
        return;
    }
    let alone = [
        "mytool-1 al",
        "shown --x=a:b",
        "shown   z",
        "shown \"a b\" 'c",
        "late g",
        "never a",
        "told x=y",
        "filtered ",
        "directories src/lau",
        "nothing src/mai",
        "unknown src/mai",
    ];
    let direct = bash(TAB, &alone);
    assert_eq!(
        direct[..2],
        ["mytool-1 alpha ", "shown --x=a:shown,b,:,5,6,shown --x = a : b,shown --x=a:b,13 "]
    );
    for before in
        ["seclude ", "seclude -- ", "seclude  -u root:root -nuser,pid  ", "seclude --user=root:root -- "]
    {
        let lines: Vec<String> = alone.iter().map(|line| format!("{before}{line}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let wanted: Vec<String> = direct.iter().map(|line| format!("{before}{line}")).collect();
        assert_eq!(bash(TAB, &lines), wanted);
    }
    hold(
        &[
            ("seclude mytool-", "seclude mytool-1 "),
            ("seclude -- mytool-", "seclude -- mytool-1 "),
            ("seclude ./mytool-1 al", "seclude ./mytool-1 alpha "),
            ("seclude mytool-1 --unsha", "seclude mytool-1 --unsha"),
        ],
        |lines| bash(TAB, lines),
    );
}

#[test]
fn zsh_completes_options_and_values() {
    if !can(&["zsh"]) {
        return;
    }
    let cases: Cases = &[
        ("seclude --unsha", "seclude --unshare="),
        ("seclude --unshare user,pi", "seclude --unshare user,pid,"),
        ("seclude --unshare=user,pi", "seclude --unshare=user,pid,"),
        ("seclude --unshare al", "seclude --unshare all,"),
        ("seclude --unshare user,a", "seclude --unshare user,a"),
        ("seclude --unshare pid,p", "seclude --unshare pid,p"),
        ("seclude --join user,p", "seclude --join user,pid,"),
        ("seclude --join al", "seclude --join all,"),
        ("seclude --join user,a", "seclude --join user,a"),
        ("seclude --join net=src/mai", "seclude --join net=src/main.rs "),
        ("seclude --join net,uts=src/mai", "seclude --join net,uts=src/mai"),
        ("seclude -u roo", "seclude -u root "),
        ("seclude --user=roo", "seclude --user=root "),
        ("seclude --user root:roo", "seclude --user root:root "),
        ("seclude -uroo", "seclude -uroot "),
        ("seclude -quroot:roo", "seclude -quroot:root "),
        ("seclude -nuser,pi", "seclude -nuser,pid,"),
        ("seclude -qnuser,pi", "seclude -qnuser,pid,"),
        ("seclude -groo", "seclude -groot "),
        ("seclude -Csrc/lau", "seclude -Csrc/launch/"),
        ("seclude -qRsrc/lau", "seclude -qRsrc/launch/"),
        ("seclude -nuser --unsha", "seclude -nuser --unshare="),
        ("seclude --time-offset mono", "seclude --time-offset monotonic="),
        ("seclude --report-to f", "seclude --report-to fd:"),
        ("seclude --stop-signal XCP", "seclude --stop-signal XCPU "),
        ("seclude --ok-status 3,XCP", "seclude --ok-status 3,XCPU,"),
        ("seclude --leftovers le", "seclude --leftovers leave "),
        ("seclude --status rer", "seclude --status reraise "),
        ("seclude --pid-file src/mai", "seclude --pid-file src/main.rs "),
        ("seclude --rlimit nof", "seclude --rlimit nofile="),
        ("seclude --rlimit nofile=unl", "seclude --rlimit nofile=unlimited "),
        ("seclude --sched ba", "seclude --sched batch "),
        ("seclude --sched fi", "seclude --sched fifo:"),
        ("seclude --ioprio be:4", "seclude --ioprio be:4 "),
    ];
    hold(cases, zsh);
}

#[test]
fn zsh_hands_over_to_the_command_itself() {
    if !can(&["zsh"]) {
        return;
    }
    let cases: Cases = &[
        ("seclude mytool-", "seclude mytool-1 "),
        ("seclude -- mytool-", "seclude -- mytool-1 "),
        ("seclude mytool-1 al", "seclude mytool-1 alpha "),
        ("seclude -- mytool-1 al", "seclude -- mytool-1 alpha "),
        ("seclude -q -- mytool-1 al", "seclude -q -- mytool-1 alpha "),
        ("seclude -u root mytool-1 al", "seclude -u root mytool-1 alpha "),
        ("seclude -uroot mytool-1 al", "seclude -uroot mytool-1 alpha "),
        ("seclude -nuser,pid mytool-1 al", "seclude -nuser,pid mytool-1 alpha "),
        ("seclude -C/usr mytool-1 al", "seclude -C/usr mytool-1 alpha "),
        ("seclude -qnuser mytool-1 al", "seclude -qnuser mytool-1 alpha "),
        ("seclude -uroot:root -- mytool-1 al", "seclude -uroot:root -- mytool-1 alpha "),
        ("seclude --unshare user mytool-1 al", "seclude --unshare user mytool-1 alpha "),
        ("seclude -- mytool-1 --als", "seclude -- mytool-1 --also "),
        ("seclude mytool-1 --unsha", "seclude mytool-1 --unsha"),
    ];
    hold(cases, zsh);
}

#[test]
fn fish_completes_options_and_values() {
    if !can(&["fish"]) {
        return;
    }
    let cases: Cases = &[
        ("seclude --unsha", "--unshare"),
        ("seclude --unshare us", "user"),
        ("seclude --unshare user,pi", "user,pid"),
        ("seclude --unshare=user,pi", "--unshare=user,pid"),
        ("seclude --unshare al", "all"),
        ("seclude --unshare pid,all", ""),
        ("seclude --join al", "all"),
        ("seclude --join user,p", "user,pid"),
        ("seclude --join pid,all", ""),
        ("seclude --join net=src/mai", "net=src/main.rs"),
        ("seclude --join net,uts=src/mai", ""),
        ("seclude --persist ne", "net="),
        ("seclude --persist=net=src/mai", "--persist=net=src/main.rs"),
        ("seclude -u roo", "root"),
        ("seclude --user root:roo", "root:root"),
        ("seclude -uroo", "-uroot"),
        ("seclude -uroot:roo", "-uroot:root"),
        ("seclude -groo", "-groot"),
        ("seclude -nus", "-nuser"),
        ("seclude -nuser,pi", "-nuser,pid"),
        ("seclude -qnuser,pi", "-qnuser,pid"),
        ("seclude -C src/lau", "src/launch/"),
        ("seclude -Csrc/lau", "-Csrc/launch/"),
        ("seclude -qRsrc/lau", "-qRsrc/launch/"),
        ("seclude --groups root,roo", ""),
        ("seclude --groups ini", "init"),
        ("seclude --report-to f", "fd:"),
        ("seclude --stop-signal XCP", "XCPU"),
        ("seclude --ok-status XCP", "XCPU"),
        ("seclude --ok-status 3,XCP", "3,XCPU"),
        (
            "seclude --ok-status 143,14",
            "143,14 143,140 143,141 143,142 143,144 143,145 143,146 143,147 143,148 143,149",
        ),
        ("seclude --leftovers ", "kill leave wait"),
        ("seclude --rlimit nof", "nofile="),
        ("seclude --rlimit nofile=un", "nofile=unlimited"),
        ("seclude --sched fi", "fifo:"),
        ("seclude --ioprio be:4", "be:4"),
    ];
    hold(cases, fish);
}

#[test]
fn fish_hands_over_to_the_command_itself() {
    if !can(&["fish"]) {
        return;
    }
    let cases: Cases = &[
        ("seclude mytool-", "mytool-1"),
        ("seclude -- mytool-", "mytool-1"),
        ("seclude mytool-1 al", "alpha"),
        ("seclude -- mytool-1 al", "alpha"),
        ("seclude -q -- mytool-1 al", "alpha"),
        ("seclude -u root mytool-1 al", "alpha"),
        ("seclude -uroot mytool-1 al", "alpha"),
        ("seclude -nuser,pid mytool-1 al", "alpha"),
        ("seclude -C/usr mytool-1 al", "alpha"),
        ("seclude -uroot:root -- mytool-1 al", "alpha"),
        ("seclude -- mytool-1 --als", "--also"),
        ("seclude mytool-1 --unsha", ""),
    ];
    hold(cases, fish);
}

#[test]
fn the_shells_know_which_options_take_the_next_word() {
    let mut whole = Request::command();
    whole.build();
    let line = |arg: &clap::Arg| {
        let takes = arg.get_action().takes_values() && !arg.is_require_equals_set();
        arg.get_long().map(|long| format!("seclude --{long}{} --unsha", if takes { " 1" } else { "" }))
    };
    let lines: Vec<String> = whole.get_arguments().filter_map(line).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let longer = |end: &str| lines.iter().map(|line| format!("{line}{end}")).collect::<Vec<_>>();
    if can(&["bash"]) {
        assert_eq!(bash(TAB, &lines), longer("re "));
    }
    if can(&["zsh"]) {
        // Nothing goes with these two.
        let alone =
            |line: &&str| line.starts_with("seclude --help ") || line.starts_with("seclude --version ");
        let wanted =
            lines.iter().map(|line| if alone(line) { line.to_string() } else { format!("{line}re=") });
        assert_eq!(zsh(&lines), wanted.collect::<Vec<_>>());
    }
    if can(&["fish"]) {
        assert_eq!(fish(&lines), vec!["--unshare"; lines.len()]);
    }
}
