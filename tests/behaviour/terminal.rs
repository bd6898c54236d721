//! The terminal: what is typed at it reaches the command once, it is the command's while that is in front, and the shell's after.

use std::fs;

use nix::sys::signal::Signal;

use crate::machine::counter::COUNTER;
use crate::machine::processes::{Nap, send, state, until};
use crate::machine::pty::{CTRL_BACKSLASH, CTRL_C, CTRL_D, CTRL_Z, SHELLS, Tty};
use crate::machine::{can, scratch};

pub const NEW: &str = "-n user,pid -u root";

/// The ways that a command can hold to its terminal: in seclude's group, or leading one of its own.
pub fn ways() -> Vec<&'static str> {
    let mut ways = vec!["", "--new-session"];
    if can(&["userns"]) {
        ways.extend([NEW, "-n user,pid,mount -u root --mount-proc", "-n user,pid -u root --as-pid1"]);
    }
    ways
}

/// Those that leave the command its terminal.
pub fn attached() -> Vec<&'static str> {
    ways().into_iter().filter(|way| *way != "--new-session").collect()
}

/// Those where it can be stopped: PID 1 of a namespace can't, but by who is outside.
pub fn stoppable() -> Vec<&'static str> {
    attached().into_iter().filter(|way| !way.contains("pid1")).collect()
}

#[test]
fn what_the_terminal_sends_reaches_the_command_once_and_the_prompt_comes_back() {
    if !can(&["perl"]) {
        return;
    }
    let file = scratch("counter").join("counter.pl");
    fs::write(&file, COUNTER[2]).expect("a file can be written");
    for way in ways() {
        let mut tty = Tty::new();
        tty.say(&format!("$S -q {way} perl {}; echo status $?\n", file.display()));
        tty.until("ready\n");
        let seclude = tty.seclude();
        for (key, number) in [(CTRL_C, 2), (CTRL_BACKSLASH, 3), (CTRL_Z, 20), (CTRL_C, 2)] {
            tty.say(key);
            assert_eq!(tty.until(&format!("got {number}\n")), "", "{way}");
        }
        for rows in [30, 40] {
            tty.resize(rows);
            assert_eq!(tty.until("got 28\n"), "", "{way}");
        }
        // What came twice would stand before this.
        send(seclude, Signal::SIGUSR1);
        assert_eq!(tty.until("got 10\n"), "", "{way}");
        send(seclude, Signal::SIGUSR1);
        assert_eq!(tty.prompt(), "status 7\n", "{way}");
    }
}

#[test]
fn ctrl_c_ends_a_command_and_all_that_is_with_it() {
    for shell in SHELLS {
        for way in stoppable() {
            let nap = Nap::new();
            let mut tty = Tty::shell(shell);
            tty.say(&format!("$S -q {way} sh -c 'sleep {0} & echo up; exec sleep {0}'\n", nap.0));
            tty.until("up\n");
            nap.until(2);
            tty.say(CTRL_C);
            tty.prompt();
            // Background children of a shell without job control ignore it, which ends them only with their namespace.
            let left = if way.is_empty() { 1 } else { 0 };
            assert_eq!(nap.sleepers().len(), left, "{way}");
            assert_eq!(tty.run("echo $?"), if way.contains("pid1") { "137\n" } else { "130\n" }, "{way}");
        }
    }
}

#[test]
fn ctrl_z_stops_the_job_and_fg_continues_it() {
    for shell in SHELLS {
        for way in stoppable() {
            let mut tty = Tty::shell(shell);
            tty.say(&format!("$S -q {way} sh -c 'echo up; while read x; do echo read $x; done; exit 5'\n"));
            tty.until("up\n");
            for line in ["one", "two"] {
                tty.say(&format!("{line}\n"));
                assert_eq!(tty.until(&format!("read {line}\n")), "", "{way}");
                let command = tty.named("sh").into_iter().find(|pid| *pid != tty.leader()).expect("it runs");
                let seclude = tty.seclude();
                tty.say(CTRL_Z);
                let shown = tty.prompt();
                assert!(shown.contains("Stopped"), "{way}: {shown}");
                until("both stopped", || [command, seclude].iter().all(|pid| state(*pid) == Some('T')));
                assert_eq!(tty.foreground(), tty.leader());
                tty.say("fg\n");
                // The shell shows what it continues, in words of its own.
                tty.until("exit 5");
                tty.until("\n");
                if !way.is_empty() {
                    until("the command in front", || tty.foreground() == command);
                }
            }
            tty.say(CTRL_D);
            assert_eq!(tty.prompt(), "", "{way}");
            assert_eq!(tty.run("echo $?"), "5\n", "{way}");
        }
    }
}

/// A fifo, and the words that wait for a line in it.
pub fn gate() -> (String, String) {
    let path = scratch("gate").join("fifo").display().to_string();
    nix::unistd::mkfifo(path.as_str(), nix::sys::stat::Mode::S_IRWXU).expect("a fifo can be made");
    let waits = format!("read x < {path}");
    (path, waits)
}

#[test]
fn bg_continues_a_stopped_job_in_the_background_and_it_reads_once_it_is_in_front() {
    for shell in SHELLS {
        for way in stoppable() {
            let (fifo, waits) = gate();
            let mut tty = Tty::shell(shell);
            let script = format!("echo up; {waits}; echo on; read y; echo read $y; exit 6");
            tty.say(&format!("$S -q {way} sh -c '{script}'\n"));
            tty.until("up\n");
            let seclude = tty.seclude();
            tty.say(CTRL_Z);
            tty.prompt();
            tty.run("bg");
            until("seclude going on", || state(seclude) != Some('T'));
            assert_eq!(tty.foreground(), tty.leader(), "{way}");
            tty.say(&format!("echo > {fifo}\n"));
            tty.until("on\n");
            // It wants to read, and may not.
            until("seclude's stop", || state(seclude) == Some('T'));
            assert_eq!(tty.foreground(), tty.leader(), "{way}");
            // Whether the shell waits for a line already, or tells of the job first, depends.
            tty.say("echo and; echo now\n");
            tty.until("and\nnow\n");
            tty.prompt();
            tty.say("fg\n");
            tty.until("exit 6");
            tty.until("\n");
            tty.say("line\n");
            assert_eq!(tty.prompt(), "read line\n", "{way}");
            assert_eq!(tty.run("echo $?"), "6\n", "{way}");
        }
    }
}

#[test]
fn in_the_background_seclude_grabs_no_terminal() {
    for shell in SHELLS {
        for way in attached() {
            let (fifo, waits) = gate();
            let mut tty = Tty::shell(shell);
            tty.run(&format!("$S -q {way} sh -c '{waits}; exit 6' &"));
            until("the command", || tty.named("sh").len() + tty.named("bash").len() > 1);
            assert_eq!(tty.run("echo here"), "here\n", "{way}");
            assert_eq!(tty.foreground(), tty.leader(), "{way}");
            assert!(
                tty.run(&format!("echo > {fifo}; wait %1; echo status $?")).contains("status 6\n"),
                "{way}"
            );
        }
    }
}

#[test]
fn a_shell_inside_has_job_control() {
    if !can(&["userns", "bash"]) {
        return;
    }
    for way in attached() {
        let nap = Nap::new();
        let mut tty = Tty::new();
        tty.say(&format!("$S -q {way} bash --norc --noediting -i\n"));
        assert_eq!(tty.prompt(), "", "{way}");
        let seclude = tty.seclude();
        tty.say(&format!("sleep {}\n", nap.0));
        let sleeper = nap.until(1)[0];
        for _ in 0..2 {
            tty.say(CTRL_Z);
            assert!(tty.prompt().contains("Stopped"), "{way}");
            until("the job's stop", || state(sleeper) == Some('T'));
            assert_ne!(state(seclude), Some('T'), "{way}");
            tty.say("fg\n");
            tty.until(&format!("sleep {}\n", nap.0));
            until("the job's going on", || state(sleeper) == Some('S'));
        }
        tty.say(CTRL_C);
        tty.prompt();
        assert_eq!(nap.sleepers(), [0; 0], "{way}");
        assert_eq!(tty.run("echo $?"), "130\n", "{way}");
        // The shell in there is itself stopped, and continued.
        if !way.contains("pid1") {
            tty.say("suspend -f\n");
            assert!(tty.prompt().contains("Stopped"), "{way}");
            assert_eq!(tty.foreground(), tty.leader(), "{way}");
            tty.say("fg\n");
            tty.until("-i\n");
        }
        tty.say("exit 8\n");
        tty.until("exit\n");
        tty.prompt();
        assert_eq!(tty.run("echo $?"), "8\n", "{way}");
    }
}

#[test]
fn a_signal_to_group_0_inside_reaches_nobody_outside() {
    if !can(&["userns"]) {
        return;
    }
    for way in attached().into_iter().filter(|way| !way.is_empty()) {
        let mut tty = Tty::new();
        tty.run("trap 'echo hit' TERM");
        let shown =
            tty.run(&format!("$S -q {way} sh -c 'trap : TERM; kill -TERM 0; exit 4'; echo status $?"));
        assert_eq!(shown, "status 4\n", "{way}");
        // In a script, caller and seclude share a group.
        let line = format!("sh -c '$S -q {way} sh -c \"kill -TERM 0; exit 4\"; echo status $?'");
        let status = if way.contains("pid1") { 4 } else { 143 };
        assert_eq!(tty.run(&line), format!("status {status}\n"), "{way}");
    }
}

#[test]
fn no_stop_is_undone_by_what_continued_the_job_before() {
    for way in stoppable() {
        for _ in 0..5 {
            let mut tty = Tty::new();
            tty.say(&format!("$S -q {way} sh -c 'echo up; while read x; do echo read $x; done; exit 5'\n"));
            tty.until("up\n");
            let command = tty.named("sh").into_iter().find(|pid| *pid != tty.leader()).expect("it runs");
            for time in 0..10 {
                tty.say(CTRL_Z);
                tty.until("Stopped");
                tty.prompt();
                // In seclude's group it may be the last to stop, and it reads what is there until then.
                until("the command's stop", || state(command) == Some('T'));
                tty.say("fg\n");
                tty.until("exit 5");
                tty.until("\n");
                // The command goes on at once, and seclude may not yet have.
                tty.say(&format!("{time}\n"));
                assert_eq!(tty.until(&format!("read {time}\n")), "", "{way}");
            }
        }
    }
}
