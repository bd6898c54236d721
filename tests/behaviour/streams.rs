//! Standard streams and other odd things to be started with: closed, full, unread, few, ignored, blocked; none changes a status.

use std::fs;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{pipe2, write};

use crate::machine::live::live;
use crate::machine::processes::{Nap, state};
use crate::machine::{STRANGER, caller, can, ends_within, scratch, seclude, started};

const NEW: &str = "-n user,pid --user 0:0";

/// The ways to live, each with its options, as far as the machine can.
fn ways() -> Vec<String> {
    let mut ways = vec![String::new(), "--exec".to_string(), "--leftovers wait".to_string()];
    if can(&["userns"]) {
        ways.extend([NEW.to_string(), format!("{NEW} --as-pid1"), format!("{NEW} --leftovers wait")]);
        ways.push("--exec -n user,net --user 0:0".to_string());
    }
    ways
}

/// Every set of closed standard streams, as redirections, and where an open one goes.
fn closed() -> impl Iterator<Item = (String, [&'static str; 3])> {
    let each = [("</etc/passwd", "<&-", "/etc/passwd"), ("", ">&-", "pipe"), ("", "2>&-", "pipe")];
    (0..8).map(move |set| {
        let words =
            each.iter().enumerate().map(|(n, (open, shut, _))| if set >> n & 1 == 1 { *shut } else { *open });
        let links = [0, 1, 2].map(|n| if set >> n & 1 == 1 { "/dev/null" } else { each[n].2 });
        (words.collect::<Vec<_>>().join(" "), links)
    })
}

#[test]
fn streams_that_came_closed_are_dev_null_and_the_others_the_caller_s() {
    let look = "exec 3<&0 4>&1 5>&2; for n in 3 4 5; do readlink /proc/self/fd/$n >&7; done; exit 42";
    for way in ways() {
        for (redirections, links) in closed() {
            let script =
                format!(r#"exec 7>&1; "$0" -q --keep-fd 7 {way} sh -c '{look}' {redirections}; echo $? >&7"#);
            let seen = caller(&script);
            let found: Vec<&str> = seen.out.lines().map(|line| line.split(":[").next().unwrap()).collect();
            assert_eq!(found, [&links[..], &["42"]].concat(), "{way} {redirections}: {seen:?}");
        }
    }
}

#[test]
fn a_failure_has_its_status_whatever_is_closed() {
    for way in ways().into_iter().chain(["--daemon".to_string()]) {
        for (redirections, links) in closed() {
            let seen = caller(&format!(r#""$0" -q {way} /nope {redirections}; echo $?"#));
            let told = seen.err == "seclude: exec: cannot execute /nope: there is no such file (ENOENT)\n";
            assert_eq!(
                (seen.out.as_str(), told),
                ("127\n", links[2] == "pipe"),
                "{way} {redirections}: {seen:?}"
            );
        }
    }
}

#[test]
fn a_daemon_starts_whatever_is_closed() {
    for (redirections, _) in closed() {
        let (nap, file) = (Nap::new(), scratch("closed").join("pid"));
        let script = format!(
            r#"exec 7>&1; "$0" -q --daemon --pid-file {} sleep {} {redirections}; echo $? >&7"#,
            file.display(),
            nap.0
        );
        assert_eq!(caller(&script).out, "0\n", "{redirections}");
        let real: i32 = fs::read_to_string(&file).unwrap().trim_end().parse().unwrap();
        let links = [0, 1, 2].map(|n| fs::read_link(format!("/proc/{real}/fd/{n}")).unwrap());
        assert_eq!(links.map(|link| link.into_os_string()), ["/dev/null"; 3]);
    }
}

/// A pipe that takes no byte more, and its reader, who does not read.
fn full() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    while write(&writer, &[b'x'; 4096]) != Err(Errno::EAGAIN) {}
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
    (reader, writer)
}

/// The status of a call whose standard error is such a pipe.
fn with_full_error(options: &str, command: &[&str]) -> Option<i32> {
    let (_reader, writer) = full();
    let mut call = Command::new(seclude());
    call.args(options.split_whitespace()).args(command);
    let mut child = started(call.stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer)).unwrap();
    if !ends_within(&child, 20_000) {
        child.kill().unwrap();
        child.wait().unwrap();
        return None;
    }
    child.wait().unwrap().code()
}

#[test]
fn a_full_pipe_that_nobody_reads_holds_nobody() {
    for way in ways() {
        assert_eq!(with_full_error(&way, &["sh", "-c", "exit 9"]), Some(9), "{way}");
        assert_eq!(with_full_error(&format!("{way} -q"), &["sh", "-c", "exit 9"]), Some(9), "{way}");
    }
    assert_eq!(with_full_error("--daemon", &["true"]), Some(0));
}

#[test]
fn a_failure_has_its_status_though_nobody_reads_it() {
    for way in ["", "--exec", "--daemon"] {
        assert_eq!(with_full_error(way, &["/nope"]), Some(127), "{way}");
    }
    assert_eq!(with_full_error("--hostname x", &["true"]), Some(125));
    assert_eq!(with_full_error("--no-such-option", &["true"]), Some(125));
}

#[test]
fn a_full_disk_below_standard_error_changes_no_status() {
    for way in ways() {
        let seen = caller(&format!(
            r#""$0" {way} sh -c 'exit 9' 2>/dev/full; echo $?; "$0" {way} /nope 2>/dev/full; echo $?"#
        ));
        assert_eq!(seen.out, "9\n127\n", "{way}");
    }
}

#[test]
fn a_caller_that_ignores_sigchld_has_the_status() {
    for way in ways() {
        let seen = caller(&format!(
            r#"exec env --ignore-signal=CHLD "$0" -q {way} sh -c 'sh -c "exit 1"; exit 42'"#
        ));
        assert_eq!(seen.seen(), (Some(42), "", ""), "{way}");
    }
    let (nap, run) = (Nap::new(), r#"exec env --ignore-signal=CHLD "$0" -q"#);
    let seen =
        caller(&format!(r#"{run} --leftovers kill sh -c 'sleep {} > /dev/null 2>&1 & exit 42'"#, nap.0));
    assert_eq!((seen.status, nap.sleepers()), (Some(42), vec![]));
    assert_eq!(caller(&format!("{run} --daemon true")).seen(), (Some(0), "", ""));
}

#[test]
fn a_caller_that_blocks_all_signals_has_the_status_and_its_time_kept() {
    for way in ways() {
        let seen = caller(&format!(r#"exec env --block-signal "$0" -q {way} sh -c 'exit 42'"#));
        assert_eq!(seen.seen(), (Some(42), "", ""), "{way}");
        if !way.contains("--exec") {
            // The command has TERM blocked as well, so that only KILL ends it.
            let timed = format!("{way} --timeout 0.1 --kill-after 0.1");
            let seen = caller(&format!(r#"exec env --block-signal "$0" -q {timed} sleep 60"#));
            assert_eq!(seen.seen(), (Some(124), "", ""), "{way}");
        }
    }
}

#[test]
fn six_descriptors_are_enough() {
    let limited = |options: &str| {
        let seen = caller(&format!(r#"ulimit -n 6; exec "$0" -q {options} sh -c 'ulimit -n; exit 42'"#));
        assert_eq!(seen.seen(), (Some(42), "6\n", ""), "{options}");
    };
    limited("");
    limited("--exec");
    if can(&["root", "resource"]) {
        limited("-n pid");
        limited("-n pid,mount,net --mount-proc --user 1234:1235");
    }
    if can(&["root", "setpriv"]) {
        let plain = format!(r#"exec setpriv --reuid {STRANGER} --regid {STRANGER} --clear-groups "$0" -q"#);
        let seen = caller(&format!(r#"cd /; ulimit -n 6; {plain} sh -c 'ulimit -n; exit 42'"#));
        assert_eq!(seen.seen(), (Some(42), "6\n", ""), "a plain user");
    }
    if can(&["userns"]) {
        // Where only the soft limit is low, anybody may raise it for a while.
        let seen = caller(&format!(r#"ulimit -S -n 6; exec "$0" -q {NEW} sh -c 'ulimit -n; exit 42'"#));
        assert_eq!(seen.seen(), (Some(42), "6\n", ""));
    }
}

#[test]
fn the_command_s_input_is_never_read() {
    for way in ways() {
        let all = format!(r#"printf 'one\ntwo\n' | {{ "$0" -q {way} true; cat; }}"#);
        assert_eq!(caller(&all).seen(), (Some(0), "one\ntwo\n", ""), "{way}");
        let rest =
            format!(r#"printf 'one\ntwo\nthree\n' | {{ "$0" -q {way} sh -c 'read x; echo got $x'; cat; }}"#);
        assert_eq!(caller(&rest).seen(), (Some(0), "got one\ntwo\nthree\n", ""), "{way}");
    }
}

#[test]
fn output_that_the_command_closes_ends_for_its_reader_while_seclude_waits() {
    for way in ways().iter().filter(|way| !way.contains("--exec")) {
        let options: Vec<&str> = way.split_whitespace().collect();
        let mut job = live(&options, "echo up; exec >&-; read x; exit 8");
        assert_eq!((job.line(), job.line()), ("up".to_string(), String::new()), "{way}");
        assert!(state(job.real).is_some_and(|state| state != 'Z') && state(job.pid()).is_some(), "{way}");
        job.say("x\n");
        assert_eq!(job.end().status, Some(8), "{way}");
    }
}

#[test]
fn input_that_the_command_closes_ends_for_its_writer_while_seclude_waits() {
    for way in ways() {
        let file = scratch("writer").join("ended");
        let stay = format!(
            "exec <&-; until [ -e {} ] || [ $((n += 1)) = 4000 ]; do sleep 0.01; done; exit 8",
            file.display()
        );
        let script =
            format!(r#"{{ yes 2>/dev/null; : > {}; }} | "$0" -q {way} sh -c '{stay}'"#, file.display());
        assert_eq!(caller(&script).seen(), (Some(8), "", ""), "{way}");
    }
}

#[test]
fn a_descriptor_that_is_handed_over_is_the_command_s_to_close() {
    for way in ways() {
        // The reader's cat ends though the command stays until it has.
        let file = scratch("reader").join("ended");
        let stay = format!(
            "exec 9>&-; until [ -e {} ] || [ $((n += 1)) = 4000 ]; do sleep 0.01; done; exit 8",
            file.display()
        );
        let script = format!(
            r#"{{ "$0" -q --keep-fd 9 {way} sh -c '{stay}' 9>&1 >/dev/null 2>/dev/null; echo $? >&2; }} | {{ cat; : > {}; }}"#,
            file.display()
        );
        // The braces hold the pipe as well, so it is given to seclude alone.
        let script = script.replace("9>&1 >/dev/null", "9>&1 >/dev/null &\n exec >/dev/null; wait $!");
        assert_eq!(caller(&script).seen(), (Some(0), "", "8\n"), "{way}");
    }
}

#[test]
fn a_reader_that_is_gone_is_the_command_s_to_notice() {
    for way in ways().iter().filter(|way| !way.contains("--as-pid1")) {
        let seen = caller(&format!(r#"{{ "$0" -q {way} yes; echo $? >&2; }} | head -1"#));
        assert_eq!(seen.seen(), (Some(0), "y\n", "141\n"), "{way}");
    }
}
