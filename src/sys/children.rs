//! Children as system calls: made, waited for, signalled, and what they have used. No policy.
#![allow(unsafe_code)]

use std::mem::zeroed;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;

use super::is_single_threaded;

/// What a process has used, and those of its children that it has waited for: 18 words. Source: getrusage(2).
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Usage(pub [i64; USAGE_WORDS]);

pub const USAGE_WORDS: usize = 18;

impl Usage {
    /// Microseconds in user mode.
    pub fn user(&self) -> i64 {
        self.0[0] * 1_000_000 + self.0[1]
    }

    /// Microseconds in the kernel.
    pub fn system(&self) -> i64 {
        self.0[2] * 1_000_000 + self.0[3]
    }

    /// Peak resident memory of the largest process, in KiB.
    pub fn max_rss(&self) -> i64 {
        self.0[4]
    }

    pub fn minor_faults(&self) -> i64 {
        self.0[8]
    }

    pub fn major_faults(&self) -> i64 {
        self.0[9]
    }

    /// Reads from a block device, in units of 512 bytes.
    pub fn blocks_in(&self) -> i64 {
        self.0[11]
    }

    pub fn blocks_out(&self) -> i64 {
        self.0[12]
    }

    pub fn voluntary_switches(&self) -> i64 {
        self.0[16]
    }

    pub fn involuntary_switches(&self) -> i64 {
        self.0[17]
    }
}

/// Whose change of state is waited for.
#[derive(Clone, Copy)]
pub enum Whose<'a> {
    Child(BorrowedFd<'a>),
    Number(i32),
    Any,
}

/// A change of a child's state, and what the child has used.
#[derive(Clone, Copy)]
pub struct Change {
    pub pid: i32,
    /// Exit status or signal, as `si_code` says.
    pub status: i32,
    /// `CLD_EXITED`, `CLD_KILLED`, `CLD_DUMPED` or `CLD_STOPPED`.
    pub code: i32,
    pub usage: Usage,
}

/// Waits for a child's change of state; with `WNOHANG`, `None` where there is none. Retries `EINTR`.
///
/// `ECHILD`: not our child, or no child at all. Source: waitid(2).
pub fn wait(whose: Whose, flags: i32) -> Result<Option<Change>, Errno> {
    let (kind, id) = match whose {
        Whose::Child(pidfd) => (libc::P_PIDFD, pidfd.as_raw_fd()),
        Whose::Number(pid) => (libc::P_PID, pid),
        Whose::Any => (libc::P_ALL, 0),
    };
    loop {
        // SAFETY: both structures are plain data of the kernel's sizes, which it fills in, and outlive the call.
        let answer = unsafe {
            let (mut info, mut usage): (libc::siginfo_t, Usage) = (zeroed(), zeroed());
            let answer = libc::syscall(libc::SYS_waitid, kind, id, &raw mut info, flags, &raw mut usage);
            Errno::result(answer).map(|_| Change {
                pid: info.si_pid(),
                status: info.si_status(),
                code: info.si_code,
                usage,
            })
        };
        match answer {
            Err(Errno::EINTR) => continue,
            answer => return answer.map(|change| Some(change).filter(|change| change.pid != 0)),
        }
    }
}

/// Waits for the child of `pidfd` and reaps it. `ECHILD`: not our child.
pub fn reap(pidfd: BorrowedFd) -> Result<Change, Errno> {
    wait(Whose::Child(pidfd), libc::WEXITED)?.ok_or(Errno::ECHILD)
}

/// What the children have used that were waited for, and theirs. Source: getrusage(2).
pub fn usage_of_children() -> Result<Usage, Errno> {
    let mut usage = Usage::default();
    // SAFETY: plain data of the kernel's size, which outlives the call.
    Errno::result(unsafe { libc::syscall(libc::SYS_getrusage, libc::RUSAGE_CHILDREN, &raw mut usage) })
        .map(|_| usage)
}

/// Sends a signal by number, to a group if it is negative: to whom only this process could reap. Source: kill(2).
pub fn kill(target: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: numbers alone.
    Errno::result(unsafe { libc::kill(target, signal) }).map(drop)
}

/// Sleeps until a child's state has changed, with SIGCHLD blocked, or until the time is over. Source: sigtimedwait(2).
pub fn await_child(span: Duration) {
    // SAFETY: plain data that outlives the call.
    unsafe {
        let mut set: libc::sigset_t = zeroed();
        libc::sigaddset(&mut set, libc::SIGCHLD);
        let time = libc::timespec { tv_sec: span.as_secs() as i64, tv_nsec: i64::from(span.subsec_nanos()) };
        libc::sigtimedwait(&set, std::ptr::null_mut(), &time);
    }
}

/// A fork(2) of a process with one thread; `None` in the child, which goes on with a copy of everything.
pub fn fork() -> Result<Option<i32>, Errno> {
    if !is_single_threaded() {
        return Err(Errno::EBUSY);
    }
    // SAFETY: no other thread could hold a lock that the child would wait for.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Child => Ok(None),
        nix::unistd::ForkResult::Parent { child } => Ok(Some(child.as_raw())),
    }
}

/// Sends a signal to a child that is not reaped; by its number where pidfd_send_signal(2) is filtered (`ENOSYS`, `EPERM`).
///
/// `ESRCH`: it has ended. Source: pidfd_send_signal(2).
pub fn send(pidfd: BorrowedFd, pid: i32, signal: i32) -> Result<(), Errno> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: numbers and a null pointer, which means what kill(2) would send.
    let answer = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, none, 0) };
    match Errno::result(answer) {
        // SAFETY: numbers alone; until it is reaped the number is the child's own.
        Err(Errno::ENOSYS | Errno::EPERM) => Errno::result(unsafe { libc::kill(pid, signal) }).map(drop),
        answer => answer.map(drop),
    }
}
