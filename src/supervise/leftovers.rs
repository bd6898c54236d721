//! What outlives the command and has become seclude's: found, ended, or waited for. It leaves alone who was there before.

use std::fs;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::failure::{Failure, Stage};
use crate::sys::{self, Whose};

/// How long processes may take to end that are being killed.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait for one of them before looking again: a killed process's children become ours a little later.
const PAUSE: Duration = Duration::from_millis(5);

/// Reaps every child that has ended, but for `spared`.
pub fn reap(spared: i32) {
    const PEEK: i32 = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    while let Ok(Some(ended)) = sys::wait(Whose::Any, PEEK) {
        if ended.pid == spared || sys::wait(Whose::Number(ended.pid), libc::WEXITED | libc::WNOHANG).is_err()
        {
            return;
        }
    }
}

/// The children that seclude has, those that have ended and are not reaped among them.
pub fn present() -> Result<Vec<i32>, Failure> {
    match sys::wait(Whose::Any, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) {
        Err(Errno::ECHILD) => Ok(Vec::new()),
        _ => listed().ok_or_else(|| {
            let rule = "/proc does not list them";
            Failure::refused(Stage::Wait, "find", "the processes that are seclude's", rule)
        }),
    }
}

/// By the kernel's own list, or, where it keeps none (CONFIG_PROC_CHILDREN), by every process's parent.
fn listed() -> Option<Vec<i32>> {
    if let Ok(text) = fs::read_to_string("/proc/thread-self/children") {
        return Some(text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect());
    }
    let own = std::process::id();
    let entries = fs::read_dir("/proc").ok()?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let parent = |pid: &i32| {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before it may hold anything, a parenthesis too.
        text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    Some(pids.filter(|pid| parent(pid) == Some(own)).collect())
}

/// Those that are there now and were not before the launch.
pub fn left(strangers: &[i32]) -> Result<Vec<i32>, Failure> {
    Ok(present()?.into_iter().filter(|pid| !strangers.contains(pid)).collect())
}

/// Kills what is left until nothing is. What a killed process leaves behind becomes ours, and is next.
pub fn kill(strangers: &[i32]) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        reap(0);
        let left = left(strangers)?;
        let Some(first) = left.first() else { return Ok(()) };
        let refused = |errno| Failure::errno(Stage::Wait, "end", format!("process {first}"), errno);
        // Nobody but us reaps them, so the numbers are their own.
        let answers: Vec<_> = left.iter().map(|pid| sys::kill(*pid, libc::SIGKILL)).collect();
        if answers.iter().all(|answer| *answer == Err(Errno::EPERM)) {
            return Err(refused(Errno::EPERM));
        }
        if Instant::now() > deadline {
            return Err(refused(Errno::ETIMEDOUT));
        }
        sys::await_child(PAUSE);
    }
}
