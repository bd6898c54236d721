//! Launches where something that programs take for granted is missing: streams, descriptors, calls, or a /proc of one's own.

use std::process::Command;

use crate::machine::{Outcome, can, finish, scratch, seclude};
use crate::tells_why;

const NAMESPACES: &str = "-n user,pid,mount --mount-proc --user 0:0";

/// Runs a script whose `$0` is seclude.
fn script(text: &str) -> Outcome {
    finish(Command::new("sh").args(["-c", text]).arg(seclude()).current_dir("/"))
}

#[test]
fn any_of_the_standard_streams_may_be_closed() {
    if !can(&["userns"]) {
        return;
    }
    let dir = scratch("closed");
    for closed in ["0<&-", "1>&-", "2>&-", "0<&- 1>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"] {
        let told = dir.join("told");
        let inner = format!(
            "for fd in 0 1 2 3; do [ -e /proc/self/fd/$fd ] && echo $fd; done > {}; true",
            told.display()
        );
        let outcome = script(&format!("\"$0\" {NAMESPACES} -- sh -c '{inner}' {closed}"));
        assert_eq!(outcome.status, Some(0), "{closed}: {outcome:?}");
        assert_eq!(std::fs::read_to_string(&told).expect("it was told"), "0\n1\n2\n", "{closed}");
    }
}

#[test]
fn a_full_standard_error_keeps_no_command_from_running_unless_a_report_was_asked_for() {
    let outcome = script("\"$0\" echo ran 2> /dev/full");
    assert_eq!((outcome.status, outcome.out.as_str()), (Some(0), "ran\n"));
    let outcome = script("\"$0\" --report json echo ran 2> /dev/full");
    assert_eq!((outcome.status, outcome.out.as_str()), (Some(125), ""));
}

#[test]
fn with_few_descriptors_a_launch_is_whole_or_refused() {
    if !can(&["userns"]) {
        return;
    }
    for options in ["", NAMESPACES, "-n user,time --user 0:0"] {
        let mut whole = 0;
        // With four the loader has one to read libraries by.
        for limit in 4..=12 {
            let outcome = script(&format!("ulimit -n {limit} && exec \"$0\" {options} -- /bin/echo ran"));
            match outcome.status {
                Some(0) => whole += i32::from(outcome.out == "ran\n"),
                _ => {
                    assert_eq!(
                        (outcome.status, outcome.out.as_str(), whole),
                        (Some(125), "", 0),
                        "{limit} {options}"
                    );
                    assert!(
                        tells_why(&outcome.err) && outcome.err.contains("EMFILE"),
                        "{limit}: {outcome:?}"
                    );
                }
            }
        }
        assert!(whole >= 3, "{options}: {whole}");
    }
}

#[test]
fn a_pid_to_join_is_the_callers_where_proc_shows_another_pid_namespace() {
    if !can(&["root"]) {
        return;
    }
    let ready = scratch("foreign").join("ready");
    let ready = ready.display();
    let text = format!(
        "unshare --uts sh -c 'echo inner > /proc/sys/kernel/hostname; : > {ready}; exec sleep 30' &
         until [ -e {ready} ]; do :; done; \"$0\" -q --join uts=$! uname -n"
    );
    let outcome = finish(Command::new("unshare").args(["--pid", "--fork", "sh", "-c", &text]).arg(seclude()));
    assert_eq!((outcome.status, outcome.out.as_str(), outcome.err.as_str()), (Some(0), "inner\n", ""));
}

#[test]
fn without_proc_what_needs_none_works_and_what_does_is_refused() {
    if !can(&["root"]) {
        return;
    }
    let text =
        "umount -l /proc && \"$0\" -q -n pid,mount --mount-proc cat /proc/2/comm && \"$0\" -n user true";
    let private = ["--mount", "--propagation", "private", "sh", "-c", text];
    let outcome = finish(Command::new("unshare").args(private).arg(seclude()));
    assert_eq!((outcome.status, outcome.out.as_str()), (Some(125), "cat\n"));
    assert!(outcome.err.starts_with("seclude: proc: cannot use /proc: it is not procfs"), "{outcome:?}");
}
