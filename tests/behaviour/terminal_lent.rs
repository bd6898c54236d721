//! Whose the terminal is: lent to the command where that is right, kept from it where it isn't, and the caller's again after.

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::machine::counter::COUNTER;
use crate::machine::processes::{Nap, children, send, state, until};
use crate::machine::pty::{CTRL_C, CTRL_Z, SHELLS, Tty};
use crate::machine::{can, scratch, seclude};
use crate::terminal::{NEW, attached};

/// Runs seclude as a job in front, and tells whose the terminal is after, and how seclude ended: a shell would take the
/// terminal back on its own.
const CALLER: &str = r#"
use POSIX; $SIG{TTOU} = "IGNORE"; my $pid = fork;
if (!$pid) { setpgid(0, 0); tcsetpgrp(0, $$); $SIG{TTOU} = "DEFAULT"; exec @ARGV; }
waitpid $pid, 0;
print tcgetpgrp(0) == $pid ? "its own" : "another's", ", ", $? >> 8, ", ", $? & 127, "\n";
"#;

#[test]
fn the_terminal_is_the_caller_s_again_however_the_command_ends() {
    if !can(&["userns", "perl"]) {
        return;
    }
    for (options, command, shown) in [
        ("", "exit 3", "its own, 3, 0\n"),
        ("", "kill -KILL $$", "its own, 137, 0\n"),
        ("--as-pid1", "exit 3", "its own, 3, 0\n"),
        ("--timeout 0.01", "sleep 100", "its own, 124, 0\n"),
        ("--timeout 0.01 --kill-after 0.01", "trap : TERM; while :; do :; done", "its own, 124, 0\n"),
        ("--status reraise", "kill -KILL $$", "its own, 0, 9\n"),
        ("--leftovers wait", "setsid sleep 0.01 & exit 3", "its own, 3, 0\n"),
    ] {
        let mut words = vec!["-e", CALLER, seclude().to_str().unwrap(), "-q"];
        words.extend(NEW.split(' ').chain(options.split_whitespace()).chain(["sh", "-c", command]));
        let mut tty = Tty::of(Command::new("perl").args(words));
        assert_eq!(tty.end(), (Some(0), shown.to_string()), "{options} {command}");
    }
    // A command that could not be executed had it lent already.
    let file = scratch("tty").join("garbage");
    fs::write(&file, "\x7fELF").expect("a file can be written");
    crate::machine::copied(&file, &file.with_extension("x"));
    let path = file.with_extension("x").display().to_string();
    for (command, status) in [("/nope/nope", 127), (path.as_str(), 126)] {
        let mut words = vec!["-e", CALLER, seclude().to_str().unwrap(), "-q"];
        words.extend(NEW.split(' ').chain([command]));
        let (_, shown) = Tty::of(Command::new("perl").args(words)).end();
        assert!(shown.ends_with(&format!("\nits own, {status}, 0\n")), "{shown}");
    }
}

#[test]
fn a_pager_at_the_end_of_a_pipeline_reads_the_terminal_while_seclude_runs() {
    for shell in SHELLS {
        for way in attached() {
            let nap = Nap::new();
            let mut tty = Tty::shell(shell);
            let pager = "read l; echo got $l; read x < /dev/tty; echo typed $x; read x < /dev/tty";
            tty.say(&format!("$S -q {way} sh -c 'echo line; exec sleep {}' | sh -c '{pager}'\n", nap.0));
            tty.until("got line\n");
            nap.until(1);
            tty.say("hello\n");
            assert_eq!(tty.until("typed hello\n"), "", "{way}");
            if way.contains("pid1") {
                // It ignores it, and is ended with its launcher.
                send(tty.seclude(), Signal::SIGKILL);
            }
            tty.say(CTRL_C);
            tty.prompt();
            nap.until(0);
        }
    }
}

/// The shell learns of it when the last of them is about to.
fn stopped(pids: &[i32]) {
    until("all stopped", || pids.iter().all(|pid| state(*pid) == Some('T')));
}

#[test]
fn a_command_in_a_pipeline_has_the_terminal_when_it_reads() {
    for shell in SHELLS {
        for way in attached().into_iter().filter(|way| !way.contains("pid1")) {
            let mut tty = Tty::shell(shell);
            let script = "echo up; while read x; do echo read $x; done; exit 5";
            tty.say(&format!("$S -q {way} sh -c '{script}' | cat\n"));
            tty.until("up\n");
            for line in ["one", "two"] {
                tty.say(&format!("{line}\n"));
                assert_eq!(tty.until(&format!("read {line}\n")), "", "{way}");
                let job = children(tty.leader());
                assert_eq!(job.len(), 2);
                tty.say(CTRL_Z);
                assert!(tty.prompt().contains("Stopped"), "{way}");
                stopped(&job);
                tty.say("fg\n");
                tty.until("exit 5");
                tty.until("\n");
            }
            // Only now is it in front for sure.
            tty.say("three\n");
            tty.until("read three\n");
            tty.say(CTRL_C);
            tty.prompt();
            until("seclude's end", || tty.named("seclude").is_empty());
        }
    }
}

#[test]
fn ctrl_c_and_ctrl_z_reach_all_of_the_command_s_group_while_that_has_not_the_terminal() {
    for way in attached().into_iter().filter(|way| !way.contains("pid1")) {
        let nap = Nap::new();
        let mut tty = Tty::new();
        tty.say(&format!("$S -q {way} sh -c 'sleep {0} | sleep {0}; exit 3' | cat\n", nap.0));
        let two = nap.until(2);
        assert_ne!(tty.foreground(), tty.leader());
        tty.say(CTRL_Z);
        assert!(tty.prompt().contains("Stopped"), "{way}");
        stopped(&two);
        tty.say("fg\n");
        until("both going on", || two.iter().all(|pid| state(*pid) == Some('S')));
        tty.say(CTRL_C);
        tty.prompt();
        nap.until(0);
    }
}

#[test]
fn a_key_that_the_command_was_sent_makes_no_later_request_to_end_the_second() {
    if !can(&["perl"]) {
        return;
    }
    let dir = scratch("counter");
    let (file, out) = (dir.join("counter.pl"), dir.join("out"));
    fs::write(&file, COUNTER[2]).expect("a file can be written");
    for way in attached() {
        let mut tty = Tty::new();
        let (file, to) = (file.display(), out.display());
        tty.say(&format!(": > {to}; $S -q {way} perl {file} > {to}; echo status $?\n"));
        let mut told = String::new();
        let mut tells = |line: &str| {
            told += line;
            until(line, || fs::read_to_string(&out).is_ok_and(|text| text == told));
        };
        tells("ready\n");
        // Not lent, so that the key is passed on.
        tty.say(CTRL_C);
        tells("got 2\n");
        send(tty.seclude(), Signal::SIGTERM);
        tells("got 15\n");
        send(tty.seclude(), Signal::SIGUSR1);
        tells("got 10\n");
        send(tty.seclude(), Signal::SIGUSR1);
        assert_eq!(tty.prompt(), "status 7\n", "{way}");
        fs::remove_file(&out).expect("our own file");
    }
}

#[test]
fn a_script_that_runs_seclude_is_ended_by_ctrl_c_with_it() {
    for way in attached().into_iter().filter(|way| !way.contains("pid1")) {
        let mut tty = Tty::new();
        for command in ["echo up; exec sleep 100", "echo up; read x", "read x; echo up; read x"] {
            tty.say(&format!("sh -c '$S -q {way} sh -c \"{command}\"; echo after'\n"));
            if command.starts_with("read") {
                // Now it has the terminal for itself.
                tty.say("x\n");
            }
            tty.until("up\n");
            tty.say(CTRL_C);
            assert_eq!(tty.prompt().trim(), "", "{way} {command}");
            until("seclude's end", || tty.named("seclude").is_empty());
        }
    }
}

#[test]
fn a_job_that_nobody_could_continue_is_not_stopped() {
    for way in attached() {
        let mut words: Vec<&str> = vec!["-q"];
        words.extend(way.split_whitespace());
        words.extend(["sh", "-c", "echo up; while read x; do echo read $x; done; exit 5"]);
        // Whoever leads a session has no shell to wait for it: the kernel lets nobody there be stopped by a key.
        let mut tty = Tty::of(Command::new(seclude()).args(words));
        tty.until("up\n");
        for line in ["one", "two"] {
            tty.say(CTRL_Z);
            tty.say(&format!("{line}\n"));
            assert_eq!(tty.until(&format!("read {line}\n")), "", "{way}");
        }
        tty.say("\x04");
        assert_eq!(tty.end(), (Some(5), String::new()), "{way}");
    }
}

#[test]
fn a_command_reads_the_terminal_that_none_of_its_streams_is() {
    for way in attached().into_iter().filter(|way| !way.contains("pid1")) {
        let mut tty = Tty::new();
        let dir = scratch("tty");
        let script = "read x < /dev/tty; echo read $x > /dev/tty";
        tty.say(&format!("$S -q {way} sh -c '{script}' < /dev/null > {0}/out 2>&1\n", dir.display()));
        tty.say("hello\n");
        assert_eq!(tty.until("read hello\n"), "", "{way}");
        assert_eq!(tty.prompt(), "");
    }
}

#[test]
fn in_a_session_of_its_own_or_in_the_background_it_has_no_terminal() {
    for way in ["--new-session", "--daemon"] {
        let mut tty = Tty::new();
        let out = scratch("tty").join("out");
        let script = "(: < /dev/tty) 2> /dev/null; echo none $? > \"$0.new\"; mv \"$0.new\" \"$0\"";
        let shown = tty.run(&format!("$S -q {way} sh -c '{script}' {}; echo status $?", out.display()));
        assert_eq!(shown, "status 0\n", "{way}");
        until("its word", || out.exists());
        assert_ne!(fs::read_to_string(&out).expect("it is there"), "none 0\n", "{way}");
        assert_eq!(tty.foreground(), tty.leader());
    }
}
