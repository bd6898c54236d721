//! What a launcher does and holds while its command runs: it sleeps until something happens, in little memory.

use std::fs;
use std::io::{Read, Write, stderr};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use crate::machine::{STRANGER, can, ends_within, is_root, seclude};
use crate::nothing;

/// KiB that a waiting launcher may hold for itself in all its processes, on the static build.
const MOST: usize = 300;
/// How long a launcher may take until it does no more.
const PATIENCE: Duration = Duration::from_secs(10);

const USER: &str = "--unshare user --user 0:0";
const INIT: &str = "--unshare user,pid,mount,uts,ipc --user 0:0 --mount-proc";

/// A launch whose command has begun and stays.
struct Waiting(Child);

impl Waiting {
    fn start(options: &str) -> Waiting {
        let mut command = Command::new(seclude());
        command.arg("-q").args(options.split_whitespace()).arg(nothing()).arg("stay");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).current_dir("/");
        if is_root() {
            command.uid(STRANGER).gid(STRANGER);
        }
        let mut child = command.spawn().expect("seclude starts");
        let read = child.stdout.as_mut().expect("piped").read(&mut [0]);
        assert_eq!(read.ok(), Some(1), "the command tells that it runs");
        Waiting(child)
    }

    /// The launcher, and its init where it has one.
    fn processes(&self, has_init: bool) -> Vec<u32> {
        let launcher = self.0.id();
        let mut processes = vec![launcher];
        if has_init {
            let path = format!("/proc/{launcher}/task/{launcher}/children");
            let children = fs::read_to_string(path).expect("a launcher that waits has children");
            processes.push(children.trim().parse().expect("one child: the init"));
        }
        processes
    }

    /// The launcher's processes, once all of them sleep in a poll without an end of its own; panics where one does not.
    fn asleep(&self, has_init: bool) -> Vec<u32> {
        let processes = self.processes(has_init);
        let begun = Instant::now();
        while let Some(pid) = processes.iter().find(|pid| !polls_without_end(**pid)) {
            let does = fs::read_to_string(format!("/proc/{pid}/syscall"));
            assert!(begun.elapsed() < PATIENCE, "process {pid} of {processes:?} is in {does:?}");
            yield_now();
        }
        processes
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        if !ends_within(&self.0, 10_000) {
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}

/// Whether a process sleeps in poll(2) with no timeout, or in ppoll(2) with none.
fn polls_without_end(pid: u32) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/syscall"))
        .expect("a process of the launcher's can be looked at");
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = words.first().and_then(|word| word.parse::<i64>().ok());
    let timeout = words.get(3).and_then(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok());
    match (number, timeout) {
        (Some(libc::SYS_poll), Some(timeout)) => timeout as i32 == -1,
        (Some(libc::SYS_ppoll), Some(timeout)) => timeout == 0,
        _ => false,
    }
}

/// Its launches, and whether each has an init. That one shows itself to root alone.
fn launches() -> impl Iterator<Item = (&'static str, bool)> {
    [(USER, false), (INIT, true)].into_iter().filter(|(_, has_init)| !has_init || can(&["root"]))
}

#[test]
fn a_launcher_that_waits_is_woken_by_nothing_but_events() {
    if !can(&["x86_64", "cc", "userns"]) {
        return;
    }
    for (options, has_init) in launches() {
        let waiting = Waiting::start(options);
        for pid in waiting.asleep(has_init) {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it is there");
            assert!(status.contains("\nThreads:\t1\n"), "nobody else to be woken: {status}");
            // A kernel without checkpoints shows no timers.
            let timers = fs::read_to_string(format!("/proc/{pid}/timers")).unwrap_or_default();
            assert_eq!(timers, "", "seclude {options}");
        }
    }
}

#[test]
fn a_launcher_that_waits_holds_little() {
    if !can(&["x86_64", "cc", "userns"]) {
        return;
    }
    for (options, has_init) in launches() {
        let waiting = Waiting::start(options);
        let held: Vec<usize> = waiting.asleep(has_init).into_iter().map(private).collect();
        let text = format!("{held:?} KiB private of a waiting seclude {options}\n");
        let _ = stderr().write_all(text.as_bytes());
        if cfg!(target_env = "musl") && !cfg!(debug_assertions) {
            assert!(held.iter().sum::<usize>() <= MOST, "more than {MOST}: {text}");
        }
    }
}

/// KiB that nobody else has mapped.
fn private(pid: u32) -> usize {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it can be looked at");
    let lines = text.lines().filter(|line| line.starts_with("Private_"));
    lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok()).sum()
}
