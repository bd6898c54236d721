//! Processes as /proc shows them: found by a mark in their words, looked at, waited for. It asserts nothing about seclude.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::PATIENCE;

/// Waits for a condition, and panics where it does not come.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_millis(PATIENCE.into());
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE} ms");
        thread::sleep(Duration::from_millis(1));
    }
}

/// The words behind `NAME:` in a process's status; `None` where it is gone.
pub fn status(pid: i32, name: &str) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.split_whitespace().map(str::to_string).collect())
}

/// A number of a process's status; panics where it is gone.
pub fn number(pid: i32, name: &str) -> i32 {
    status(pid, name).and_then(|words| words.first()?.parse().ok()).unwrap_or_else(|| panic!("{pid} {name}"))
}

/// `R`, `S`, `T`, `Z`, …; `None` where it is gone.
pub fn state(pid: i32) -> Option<char> {
    status(pid, "State").and_then(|words| words.first()?.chars().next())
}

/// The leader of the session of a process.
pub fn session(pid: i32) -> Option<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may hold anything, a parenthesis too.
    text.rsplit_once(')')?.1.split_whitespace().nth(3)?.parse().ok()
}

/// The words of a process, a space between them.
pub fn words(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim_end_matches('\0').replace('\0', " ")
}

pub fn children(pid: i32) -> Vec<i32> {
    pids().filter(|other| status(*other, "PPid").is_some_and(|words| words == [pid.to_string()])).collect()
}

pub fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap_or_else(|errno| panic!("{signal} to {pid}: {errno}"));
}

/// Sends a signal that may have no name.
pub fn send_number(pid: i32, signal: i32) {
    // SAFETY: numbers alone.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "signal {signal} to {pid}");
}

pub fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").expect("/proc is there").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A duration for sleep(1) that nobody else sleeps, by which its processes are found. It is longer than any test waits,
/// and those that still sleep when this is dropped are ended.
pub struct Nap(pub String);

impl Nap {
    pub fn new() -> Nap {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Nap(format!("100.{:08}{number:03}", std::process::id()))
    }

    /// Those that sleep it, zombies not among them.
    pub fn sleepers(&self) -> Vec<i32> {
        let line = format!("sleep {}", self.0);
        pids().filter(|pid| words(*pid) == line).collect()
    }

    /// Waits until that many sleep it.
    pub fn until(&self, count: usize) -> Vec<i32> {
        until(&format!("{count} processes that sleep {}", self.0), || self.sleepers().len() == count);
        self.sleepers()
    }
}

impl Drop for Nap {
    fn drop(&mut self) {
        for pid in self.sleepers() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}
