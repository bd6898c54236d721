//! Descriptors, signal mask and dispositions: what of the caller's reaches the command, and what does not.

use crate::machine::{caller, can, scratch};

/// Lists the command's descriptors without one of its own.
const LIST: &str = "import os; print(*sorted(int(n) for n in os.listdir(\"/proc/self/fd\") if os.path.exists(\"/proc/self/fd/\"+n)))";

#[test]
fn all_from_3_up_are_closed() {
    let seen = caller(
        r#"exec 3</ 5</dev/null 7>/dev/null 9<&0; "$0" -q sh -c 'for n in 3 4 5 6 7 8 9; do [ -e /proc/self/fd/$n ] && echo $n; done; echo checked'"#,
    );
    assert_eq!(seen.seen(), (Some(0), "checked\n", ""));
}

#[test]
fn those_that_are_named_stay_open() {
    let script = |option: &str| {
        format!(
            r#"exec 3</ 5</dev/null 7>/dev/null; "$0" -q {option} sh -c 'for n in 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$n ] && echo $n; done; true'"#
        )
    };
    assert_eq!(caller(&script("--keep-fd 5")).seen(), (Some(0), "5\n", ""));
    assert_eq!(caller(&script("--keep-fd 7,3")).seen(), (Some(0), "3\n7\n", ""));
    assert_eq!(caller(&script("--keep-fd 7 --keep-fd 5")).seen(), (Some(0), "5\n7\n", ""));
    assert_eq!(caller(&script("--keep-fd all")).seen(), (Some(0), "3\n5\n7\n", ""));
    let rule = "only a descriptor that the caller has open can stay open";
    let err = format!("seclude: plan: cannot take --keep-fd 9: {rule}\n");
    assert_eq!(caller(&script("--keep-fd 9")).seen(), (Some(125), "", err.as_str()));
}

#[test]
fn what_stays_open_is_what_the_caller_had() {
    let dir = scratch("kept");
    let script = format!(
        r#"cd {}; echo given > kept; exec 8<kept; rm kept; "$0" -q --keep-fd 8 sh -c 'read x <&8; echo "read $x"'"#,
        dir.display()
    );
    assert_eq!(caller(&script).seen(), (Some(0), "read given\n", ""));
}

#[test]
fn one_of_seclude_s_own_can_t_be_asked_for() {
    let rule = |fd: i32| {
        let rule = "only a descriptor that the caller has open can stay open";
        format!("seclude: plan: cannot take --keep-fd {fd}: {rule}\n")
    };
    let none = "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-";
    let file = scratch("own").join("report");
    // The report's file is 3 by then, and the channels are next.
    for options in ["", "--exec", "--leftovers wait", "--daemon", &format!("--report-to {}", file.display())]
    {
        for fd in 3..9 {
            let seen = caller(&format!(r#"{none}; exec "$0" {options} --keep-fd {fd} echo ran"#));
            assert_eq!(seen.seen(), (Some(125), "", rule(fd).as_str()), "{options}");
        }
    }
}

#[test]
fn all_is_all_of_the_caller_s_and_none_of_seclude_s() {
    let none = "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; exec 6</";
    let file = scratch("all").join("report");
    let look = "for n in 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$n ] && echo $n; done; true";
    for options in ["-q", "-q --exec", &format!("--report-to {}", file.display())] {
        let seen = caller(&format!(r#"{none}; exec "$0" {options} --keep-fd all sh -c '{look}'"#));
        assert_eq!(seen.seen(), (Some(0), "6\n", ""), "{options}");
    }
}

#[test]
fn none_of_seclude_s_own_is_left_whatever_is_asked() {
    if !can(&["userns", "python3"]) {
        return;
    }
    let quoted = LIST.replace('"', "\\\"");
    for options in [
        "",
        "-n all --user 0:0 --mount-proc",
        "--report json",
        "--report-to /dev/null -n user --user 0:0",
        "-v",
    ] {
        let seen = caller(&format!(r#"exec 9</; "$0" {options} python3 -c "{quoted}" 2>/dev/null"#));
        assert_eq!(seen.out, "0 1 2\n", "{options}: {seen:?}");
    }
}

#[test]
fn standard_streams_that_came_closed_hold_no_file_of_seclude_s() {
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let seen = caller(&format!(
            r#"exec 7>&1; "$0" -q --keep-fd 7 sh -c 'for n in 0 1 2; do readlink /proc/$$/fd/$n >&7; done; exit 42' {closed}; echo $? >&7"#
        ));
        let lines: Vec<&str> = seen.out.lines().collect();
        assert_eq!(lines.last(), Some(&"42"), "{closed}: {seen:?}");
        let wrong =
            lines[..lines.len() - 1].iter().find(|line| **line != "/dev/null" && !line.starts_with("pipe:["));
        assert_eq!(wrong, None, "{closed}: {seen:?}");
    }
}

#[test]
fn the_caller_s_mask_and_what_it_ignores_are_kept_but_for_sigpipe_and_sigchld() {
    if !can(&["python3"]) {
        return;
    }
    let bit = |signal: i32| 1u64 << (signal - 1);
    let cases = [
        ("pass", 0),
        ("signal.signal(signal.SIGHUP, signal.SIG_IGN); signal.signal(signal.SIGCHLD, signal.SIG_IGN)", 0),
        (
            "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM})",
            bit(libc::SIGUSR1) | bit(libc::SIGTERM),
        ),
        (
            "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
            !(bit(libc::SIGKILL) | bit(libc::SIGSTOP) | bit(32) | bit(33)),
        ),
    ];
    for (python, blocked) in cases {
        let script = format!("import os,signal,sys; {python}; os.execv(sys.argv[1], sys.argv[1:])");
        // Twice: what the caller has, and what a command of seclude's has.
        let read = "/bin/grep -E '^Sig(Blk|Ign):' /proc/self/status";
        let seen = caller(&format!(r#"for s in "" "$0 -q"; do python3 -c '{script}' $s {read}; done"#));
        let sets =
            seen.out.lines().filter_map(|line| u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok());
        let sets: Vec<u64> = sets.collect();
        let reset = bit(libc::SIGPIPE) | bit(libc::SIGCHLD);
        assert_eq!(sets, [blocked, sets[1], blocked, sets[1] & !reset], "{python}: {seen:?}");
        assert_ne!(sets[1] & reset, 0, "Python ignores SIGPIPE");
    }
}
