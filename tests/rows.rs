//! seclude's rows in the tables of how launchers of its kind behave: each cell measured, compared with the right value, and shown.

#[path = "machine/mod.rs"]
mod machine;

use std::fmt::Display;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use machine::counter::{COUNTER, catchable};
use machine::live::{Live, live, live_of};
use machine::processes::{Nap, send, send_number, state, until};
use machine::{Outcome, call, caller, can, run, scratch, script, seclude};
use nix::sys::signal::Signal;

const PLAIN: &[&str] = &[];
/// Without a pid namespace, but with all that holds what the command leaves.
const TIED: &[&str] = &["--die-with-parent", "--leftovers", "kill"];
const NEW: &[&str] = &["-n", "user,pid", "-u", "root"];

/// The ways of which there is a row.
fn ways() -> Vec<&'static [&'static str]> {
    if can(&["userns", "perl"]) { vec![PLAIN, TIED, NEW] } else { vec![PLAIN, TIED] }
}

/// A row, cell by cell: what the column is, what was measured, and what is right.
struct Row {
    title: String,
    cells: Vec<[String; 3]>,
}

impl Row {
    fn new(table: &str, way: &[&str]) -> Row {
        let title = format!("{table}: seclude {}", way.join(" "));
        Row { title: title.trim_end().to_string(), cells: Vec::new() }
    }

    fn cell(&mut self, column: impl Display, measured: impl Display, right: impl Display) {
        self.cells.push([column.to_string(), measured.to_string(), right.to_string()]);
    }

    /// Shows it, past the harness, and then compares.
    fn shown(self) {
        let cells: Vec<_> =
            self.cells.iter().map(|[column, measured, _]| format!("{column}: {measured}")).collect();
        let _ =
            std::io::stderr().write_all(format!("| {} | {} |\n", self.title, cells.join(" | ")).as_bytes());
        for [column, measured, right] in &self.cells {
            assert_eq!(measured, right, "{}: {column}", self.title);
        }
    }
}

fn lives(pid: i32) -> bool {
    state(pid).is_some_and(|state| state != 'Z')
}

fn status(seen: &Outcome) -> String {
    seen.status.map_or_else(|| format!("signal {:?}", seen.signal), |status| status.to_string())
}

fn quietly(way: &[&str], command: &[&str]) -> Outcome {
    call(&[&["-q"], way, command].concat())
}

/// How many are left once no more of them end.
fn survivors(nap: &Nap, right: usize) -> usize {
    until("the end of those that are to end", || nap.sleepers().len() <= right);
    nap.sleepers().len()
}

#[test]
fn exit_codes_of_commands() {
    let bad = scratch("rows").join("bad");
    script(&bad, "#!/nope/nope\n");
    for way in ways() {
        let mut row = Row::new("0.1 exit codes", way);
        let abort = "ulimit -c 0; exec perl -MPOSIX -e 'POSIX::abort()'";
        for (column, script, right) in [
            ("exit 42", "exit 42", 42),
            ("kill -TERM $$", "kill -TERM $$", 143),
            ("kill -KILL $$", "kill -KILL $$", 137),
            ("abort()", if can(&["perl"]) { abort } else { "ulimit -c 0; kill -ABRT $$" }, 134),
        ] {
            row.cell(column, status(&quietly(way, &["sh", "-c", script])), right);
        }
        row.cell("not found", status(&quietly(way, &["nosuchcmd"])), 127);
        row.cell("not executable", status(&quietly(way, &["/etc/passwd"])), 126);
        row.cell("missing interpreter", status(&quietly(way, &[bad.to_str().unwrap()])), 127);
        row.cell("unknown option", status(&quietly(way, &["--no-such-option"])), 125);
        let nap = Nap::new();
        let begun = Instant::now();
        let seen = quietly(way, &["sh", "-c", &format!("sleep {} > /dev/null 2>&1 & exit 3", nap.0)]);
        let at_once = begun.elapsed() < Duration::from_secs(50);
        row.cell("exit 3, one left behind", format!("{} {at_once}", status(&seen)), "3 true");
        let right = usize::from(way == PLAIN);
        row.cell("it survives", survivors(&nap, right), right);
        let mut job = live(way, "echo up; exec sleep 100");
        assert_eq!(job.line(), "up");
        job.signal(Signal::SIGTERM);
        row.cell("TERM to the launcher", status(&job.end()), 143);
        row.shown();
    }
}

#[test]
fn exit_codes_of_entrypoints() {
    let dir = scratch("rows");
    let path = |name: &str| dir.join(name).display().to_string();
    script(dir.join("bad").as_path(), "#!/nope/nope\n");
    script(dir.join("none").as_path(), "exit 0\n");
    fs::write(dir.join("no-x"), "#!/bin/sh\n").expect("a file can be written");
    for way in ways() {
        let mut row = Row::new("1.2 exit codes", way);
        for (column, words, right) in [
            ("exit 7", &["sh", "-c", "exit 7"][..], 7),
            ("exit 143", &["sh", "-c", "exit 143"], 143),
            ("absent path", &[&path("absent")], 127),
            ("absent name", &["absent-absent"], 127),
            ("no x bit", &[&path("no-x")], 126),
            ("directory", &[&path("")], 126),
            ("bad #!", &[&path("bad")], 127),
            // execvp(3) would have sh run it; what is no program is not guessed at.
            ("no #!", &[&path("none")], 126),
            ("kill -9 $$", &["sh", "-c", "kill -9 $$"], 137),
            ("kill -15 $$", &["sh", "-c", "kill -15 $$"], 143),
            ("no command", &[], 125),
        ] {
            row.cell(column, status(&quietly(way, words)), right);
        }
        row.shown();
    }
}

/// A command that ends with 7 at any of four signals, and its child that sleeps; both are named by what they sleep.
fn trapping(way: &[&str], nap: &Nap) -> Live {
    let script = format!("trap 'exit 7' TERM INT HUP USR1; sleep {0} & echo up; wait; sleep {0}", nap.0);
    let mut job = live(way, &script);
    assert_eq!(job.line(), "up");
    nap.until(1);
    job
}

#[test]
fn a_signal_to_the_launcher() {
    for way in ways() {
        let mut row = Row::new("0.2 a signal to the launcher", way);
        for (name, signal) in [
            ("TERM", Signal::SIGTERM),
            ("INT", Signal::SIGINT),
            ("HUP", Signal::SIGHUP),
            ("USR1", Signal::SIGUSR1),
        ] {
            let nap = Nap::new();
            let mut job = trapping(way, &nap);
            job.signal(signal);
            let command = job.real;
            row.cell(name, status(&job.end_alone()), 7);
            assert!(!lives(command), "{name}: the command is gone");
            drop(nap);
        }
        let nap = Nap::new();
        let mut job = trapping(way, &nap);
        job.signal(Signal::SIGKILL);
        let command = job.real;
        // Its launcher is a zombie of ours until it is waited for, and the command somebody else's at once.
        let right = if way == PLAIN { 2 } else { usize::from(way == TIED) };
        let left = || nap.sleepers().len() + usize::from(lives(command));
        until("the end of those that are to end", || left() <= right);
        row.cell("KILL: survivors", left(), right);
        row.shown();
    }
}

#[test]
fn what_the_command_inherits() {
    if !can(&["bash"]) {
        return;
    }
    for way in ways() {
        let mut row = Row::new("0.3 what is inherited", way);
        // HUP ignored, USR2 blocked, an umask, a descriptor and a variable.
        let asked_of = |launcher: &str, command: &str| {
            let set = "trap '' HUP; umask 027; cd /usr; exec 9< /etc/passwd; export SECRET_TOKEN=x";
            let line = format!("{set}; exec env --block-signal=USR2 {launcher} {command}");
            let seen = run("bash", &["-c", &line]);
            assert_eq!((seen.status, seen.err.as_str()), (Some(0), ""), "{command}");
            seen.out
        };
        let launcher = format!("{} -q {}", seclude().display(), way.join(" "));
        let asked = |command: &str| asked_of(&launcher, command);
        let (text, without) = (asked("cat /proc/self/status"), asked_of("", "cat /proc/self/status"));
        let field = |name| value(&text, name);
        // Whoever runs the tests may ignore 32 or 33, which nobody can reset.
        let ignored = value(&without, "SigIgn");
        assert!(ignored.ends_with("0000001"), "HUP and no other below 32: {ignored}");
        let pid = field("NSpid").split_whitespace().last().unwrap_or_default().to_string();
        let outside = pid == field("Pid");
        row.cell(
            "pid",
            if outside { "the real one" } else { &pid },
            if way == NEW { "2" } else { "the real one" },
        );
        row.cell(
            "descriptors",
            asked("ls /proc/self/fd").split_whitespace().collect::<Vec<_>>().join(" "),
            "0 1 2 3",
        );
        row.cell("blocked", field("SigBlk"), "0000000000000800");
        row.cell("ignored", field("SigIgn"), ignored);
        row.cell("environment", asked("printenv SECRET_TOKEN").trim(), "x");
        row.cell("directory", asked("pwd").trim(), "/usr");
        row.cell("umask", field("Umask"), "0027");
        row.cell("NoNewPrivs", field("NoNewPrivs"), own("NoNewPrivs"));
        row.cell("Seccomp", field("Seccomp"), own("Seccomp"));
        // Root of a new user namespace has all that this kernel knows.
        let last: u32 = fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap().trim().parse().unwrap();
        let full = format!("{:016x}", (1u64 << (last + 1)) - 1);
        row.cell("CapBnd", field("CapBnd"), if way == NEW { full } else { own("CapBnd") });
        let limits = asked("cat /proc/self/limits") == caller("exec cat /proc/self/limits").out;
        row.cell("limits and niceness", format!("{limits} {}", asked("nice").trim()), "true 0");
        row.shown();
    }
}

/// A line of a status as text.
fn value(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
    line.unwrap_or_default().to_string()
}

/// A field of the status of a process of ours.
fn own(name: &str) -> String {
    machine::processes::status(std::process::id() as i32, name).unwrap_or_default().join(" ")
}

#[test]
fn signals_that_are_passed_on() {
    if !can(&["perl"]) {
        return;
    }
    for way in ways() {
        let mut row = Row::new("1.5 signals passed on", way);
        let mut job = live_of(Command::new(seclude()).args(["--kill-after", "0"]).args(way).args(COUNTER));
        assert_eq!(job.line(), "ready");
        let told: Vec<_> = catchable()
            .map(|number| {
                send_number(job.pid(), number);
                (number, job.line() == format!("got {number}"))
            })
            .collect();
        let lost: Vec<_> = told.iter().filter(|(_, got)| !got).map(|(number, _)| *number).collect();
        row.cell("of 1 to 64", told.len() - lost.len(), 59);
        row.cell("lost", format!("{lost:?}"), "[]");
        send(job.pid(), Signal::SIGUSR1);
        row.cell("twice", format!("{:?}", job.end().out), "\"\"");
        // A job of its own, whose parent could continue it: the tests themselves may run where nobody could.
        let mut command = Command::new(seclude());
        command.args(way).args(["sh", "-c", "echo up; read x; exit 5"]).process_group(0);
        let mut job = live_of(&mut command);
        assert_eq!(job.line(), "up");
        job.signal(Signal::SIGTSTP);
        let (command, launcher) = (job.real, job.pid());
        until("the stop of both", || state(command) == Some('T') && state(launcher) == Some('T'));
        row.cell("TSTP stops", "both", "both");
        job.signal(Signal::SIGCONT);
        job.say("x\n");
        row.cell("CONT continues", status(&job.end()), 5);
        row.shown();
    }
}

#[test]
fn orphans_of_a_killed_launcher() {
    for way in ways() {
        let mut row = Row::new("1.6 orphans of two sleepers", way);
        for (signal, right) in [
            (Signal::SIGKILL, if way == PLAIN { 2 } else { usize::from(way == TIED) }),
            (Signal::SIGTERM, usize::from(way == PLAIN)),
        ] {
            let nap = Nap::new();
            let mut job = live(way, &format!("setsid sleep {0} & exec sleep {0}", nap.0));
            nap.until(2);
            job.signal(signal);
            job.end_alone();
            row.cell(signal, survivors(&nap, right), right);
        }
        row.shown();
    }
}
