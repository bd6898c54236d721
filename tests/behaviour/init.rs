//! The init of a new pid namespace: the command's own status, no zombie, nothing of it or of the caller to be had, all gone with it.

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::machine::live::{Live, live, live_of};
use crate::machine::processes::{Nap, number, send, status, until, words};
use crate::machine::{Outcome, call, caller, can, seclude, sh};

const NEW: [&str; 6] = ["-q", "-n", "user,pid,mount", "--user", "0:0", "--mount-proc"];
/// The same with both pids told.
const TOLD: [&str; 5] = ["-n", "user,pid,mount", "--user", "0:0", "--mount-proc"];

fn inside(script: &str) -> Outcome {
    sh(&NEW, script)
}

/// The init of a command that runs.
fn init_of(job: &Live) -> i32 {
    number(job.real, "PPid")
}

#[test]
fn the_command_is_pid_2_and_its_parent_seclude_s_pid_1() {
    if !can(&["userns"]) {
        return;
    }
    let seen = inside("echo $$ $PPID; cat /proc/1/comm; tr '\\0' ' ' < /proc/2/cmdline | cut -c1-6");
    assert_eq!(seen.seen(), (Some(0), "2 1\nseclude\nsh -c \n", ""));
}

#[test]
fn the_real_pid_that_is_told_is_the_command_s_and_not_its_init_s() {
    if !can(&["userns"]) {
        return;
    }
    let mut job = live(&TOLD, "echo up; read x");
    assert_eq!(job.line(), "up");
    assert_eq!(job.told, format!("seclude: sh: real pid {}, isolated pid 2", job.real));
    assert_eq!(words(job.real), "sh -c echo up; read x");
    assert_eq!(status(job.real, "NSpid").unwrap().last().unwrap(), "2");
    let init = init_of(&job);
    assert_eq!(status(init, "NSpid").unwrap().last().unwrap(), "1");
    assert_eq!((number(init, "PPid"), status(init, "Name").unwrap()), (job.pid(), vec!["seclude".into()]));
}

#[test]
fn the_status_is_the_command_s_own() {
    if !can(&["userns"]) {
        return;
    }
    for status in [0, 1, 42, 125, 255] {
        assert_eq!(inside(&format!("exit {status}")).seen(), (Some(status), "", ""));
    }
}

#[test]
fn a_signal_to_oneself_ends_the_command_as_it_would_outside() {
    if !can(&["userns"]) {
        return;
    }
    for (signal, status) in [
        ("HUP", 129),
        ("INT", 130),
        ("QUIT", 131),
        ("ABRT", 134),
        ("KILL", 137),
        ("SEGV", 139),
        ("PIPE", 141),
        ("TERM", 143),
        ("34", 162),
        ("64", 192),
    ] {
        let seen = inside(&format!("ulimit -c 0; kill -{signal} $$; exit 9"));
        assert_eq!((seen.status, seen.signal, seen.err.as_str()), (Some(status), None, ""), "{signal}");
    }
    // What PID 1 sends to itself, and has no handler for, the kernel drops.
    let alone = [&NEW[..], &["--as-pid1"]].concat();
    assert_eq!(sh(&alone, "kill -TERM $$; kill -KILL $$; exit 9").status, Some(9));
}

#[test]
fn abort_is_134() {
    if !can(&["userns", "perl"]) {
        return;
    }
    let abort = ["sh", "-c", "ulimit -c 0; exec perl -MPOSIX -e 'POSIX::abort()'"];
    assert_eq!(call(&[&NEW[..], &abort].concat()).seen(), (Some(134), "", ""));
}

#[test]
fn an_orphan_is_reaped_by_init_while_the_command_runs() {
    if !can(&["userns"]) {
        return;
    }
    // Each inner shell ends before its child, which so becomes init's.
    let orphans =
        "for i in 1 2 3 4 5 6 7 8 9 10; do sh -c '(read x < /proc/sys/kernel/ostype; exit 3) & exit 0'; done";
    let seen = inside(&format!(
        "{orphans}; until set -- /proc/[0-9]*; [ $# = 2 ]; do :; done; echo $@; kill -0 1 && echo alive; exit 5"
    ));
    assert_eq!(seen.seen(), (Some(5), "/proc/1 /proc/2\nalive\n", ""));
}

#[test]
fn an_orphan_s_status_is_never_taken_for_the_command_s() {
    if !can(&["userns"]) {
        return;
    }
    let orphan = "pid=$(sh -c 'sh -c \"kill -KILL \\$\\$\" >/dev/null & echo $!'); while [ -e /proc/$pid ]; do :; done";
    assert_eq!(inside(&format!("{orphan}; exit 6")).seen(), (Some(6), "", ""));
}

/// CVE-2019-5736: by /proc/PID/exe of the launcher, a command wrote to the launcher's own program.
#[test]
fn init_is_closed_to_a_command_in_a_user_namespace() {
    if !can(&["userns"]) {
        return;
    }
    closed(&NEW);
}

/// CVE-2019-5736: by /proc/PID/exe of the launcher, a command wrote to the launcher's own program.
#[test]
fn init_is_closed_to_a_command_that_is_another_user() {
    if !can(&["root"]) {
        return;
    }
    closed(&["-q", "-n", "pid,mount", "--mount-proc", "--user", "61234:61234"]);
}

/// Neither init's program nor its memory, descriptors, directory or environment can be had by the command.
fn closed(options: &[&str]) {
    let script = "for file in exe cwd root; do readlink /proc/1/$file && echo $file; done
        for file in mem environ maps auxv; do (: < /proc/1/$file) 2>/dev/null && cat /proc/1/$file && echo $file; done
        for fd in 0 1 2 3 4 5 6 7 8 9; do readlink /proc/1/fd/$fd && echo $fd; done
        (cd /proc/1/root) 2>/dev/null && echo entered; cat /proc/1/comm";
    assert_eq!(sh(options, script).seen(), (Some(0), "seclude\n", ""), "{options:?}");
}

#[test]
fn the_command_itself_can_be_looked_at_by_its_own() {
    if !can(&["userns"]) {
        return;
    }
    let seen = inside("readlink /proc/2/exe > /dev/null && ls /proc/2/fd | head -3 | xargs");
    assert_eq!(seen.seen(), (Some(0), "0 1 2\n", ""));
}

#[test]
fn init_holds_nothing_of_the_caller_s() {
    if !can(&["root", "bash"]) {
        return;
    }
    let script = "exec 5</etc/passwd 7</; cd /usr; exec \"$0\" -n pid --keep-fd 5 sh -c 'echo up; read x'";
    let mut job = live_of(Command::new("bash").args(["-c", script]).arg(seclude()));
    assert_eq!(job.line(), "up");
    let init = init_of(&job);
    let links = || {
        let entries = fs::read_dir(format!("/proc/{init}/fd")).unwrap().flatten();
        let mut links: Vec<String> = entries
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .map(|link| link.to_string_lossy().split(":[").next().unwrap_or_default().to_string())
            .collect();
        links.sort();
        links
    };
    // It closes them beside the command's start.
    until("init's two descriptors", || links().len() == 2);
    assert_eq!(links(), ["anon_inode", "socket"]);
    let cwd = format!("/proc/{init}/cwd");
    until("init's directory", || fs::read_link(&cwd).is_ok_and(|dir| dir.as_os_str() == "/"));
    assert_eq!(fs::read_link(format!("/proc/{}/cwd", job.real)).unwrap().as_os_str(), "/usr");
}

#[test]
fn a_pipe_ends_with_the_command_whatever_it_leaves_behind() {
    if !can(&["userns"]) {
        return;
    }
    let nap = Nap::new();
    let seen = caller(&format!(
        r#"{{ "$0" {} sh -c 'setsid sleep {1} & sleep {1} & echo out; exit 3'; echo $?; }} | cat; echo done"#,
        NEW.join(" "),
        nap.0
    ));
    assert_eq!(seen.seen(), (Some(0), "out\n3\ndone\n", ""));
    assert_eq!(nap.sleepers(), [0; 0]);
}

#[test]
fn a_signal_to_init_reaches_the_command_once() {
    if !can(&["userns", "bash"]) {
        return;
    }
    let names = ["HUP", "INT", "QUIT", "USR1", "USR2", "TERM", "ALRM", "WINCH", "CONT", "RTMIN", "RTMAX-1"];
    let traps: String = names.iter().map(|name| format!("trap 'echo got {name}' {name}; ")).collect();
    let script = format!("{traps} echo up; while :; do read -t 0.02 x; [ \"$x\" = end ] && exit 7; done");
    let mut job = live_of(Command::new(seclude()).args(TOLD).args(["bash", "-c", &script]));
    assert_eq!(job.line(), "up");
    let init = init_of(&job);
    for name in names {
        let sent = crate::machine::run("bash", &["-c", &format!("kill -{name} {init}")]);
        assert_eq!(sent.seen(), (Some(0), "", ""));
        assert_eq!(job.line(), format!("got {name}"));
    }
    job.say("end\n");
    let ended = job.end();
    assert_eq!(ended.seen(), (Some(7), "", ""));
}

#[test]
fn a_killed_launcher_leaves_nothing_in_a_new_pid_namespace() {
    if !can(&["userns"]) {
        return;
    }
    for extra in [&[][..], &["--as-pid1"], &["--new-session"], &["--leftovers", "wait"]] {
        let nap = Nap::new();
        let script =
            format!("setsid sleep {0} & sh -c 'sleep {0} & exit' & trap '' TERM INT HUP; sleep {0}", nap.0);
        let mut job = live(&[&TOLD[..], extra].concat(), &script);
        nap.until(3);
        job.signal(Signal::SIGKILL);
        nap.until(0);
        assert_eq!(job.end().signal, Some(9), "{extra:?}");
    }
}

#[test]
fn a_killed_init_takes_all_with_it_and_the_status_says_so() {
    if !can(&["userns"]) {
        return;
    }
    let nap = Nap::new();
    let mut job = live(&TOLD, &format!("setsid sleep {0} & echo up; exec sleep {0}", nap.0));
    assert_eq!(job.line(), "up");
    nap.until(2);
    send(init_of(&job), Signal::SIGKILL);
    assert_eq!(job.end().status, Some(137));
    assert_eq!(nap.sleepers(), [0; 0]);
}

#[test]
fn a_launch_in_a_launch_has_an_init_of_its_own() {
    if !can(&["userns"]) {
        return;
    }
    let nap = Nap::new();
    let mut job = live(
        &TOLD,
        &format!(
            "{} {} sh -c 'echo $$ $PPID; setsid sleep {2} & exec sleep {2}'",
            seclude().display(),
            NEW.join(" "),
            nap.0
        ),
    );
    assert_eq!(job.line(), "2 1");
    let sleepers = nap.until(2);
    assert_eq!(status(sleepers[0], "NSpid").unwrap().len() - status(job.real, "NSpid").unwrap().len(), 1);
    job.signal(Signal::SIGKILL);
    nap.until(0);
    assert_eq!(job.end().signal, Some(9));
}
