//! Signals as system calls, all 64 of them: each C library keeps some to itself, and would let those through.
#![allow(unsafe_code)]

use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::null;

use nix::errno::Errno;

use super::call;

/// The bytes of the kernel's signal set, a bit for each of 1 to 64.
pub const SET_BYTES: usize = 8;
/// Every signal.
pub const ALL: u64 = u64::MAX;

/// What is blocked. Source: sigprocmask(2).
pub fn mask() -> Result<u64, Errno> {
    let mut found = 0u64;
    let none = null::<u64>();
    // SAFETY: a set of the kernel's size, which outlives the call.
    let answer =
        unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, none, &raw mut found, SET_BYTES) };
    Errno::result(answer).map(|_| found)
}

/// Blocks these and no others; the kernel leaves out SIGKILL and SIGSTOP.
pub fn set_mask(mask: u64) -> Result<(), Errno> {
    let none = null::<u64>();
    // SAFETY: as above.
    let answer = unsafe { call!(SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, none, SET_BYTES) };
    answer.map(drop).map_err(Errno::from_raw)
}

/// A signal that was blocked, and has come.
pub struct Caught {
    pub number: i32,
    /// `si_code`: how it was sent.
    pub code: i32,
    pub sender: u32,
}

/// A descriptor that gives every blocked signal that comes. Source: signalfd(2).
pub struct Signals(OwnedFd);

impl Signals {
    pub fn open() -> Result<Signals, Errno> {
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        let all = ALL;
        // SAFETY: a set of the kernel's size, which outlives the call; the descriptor is new, and nobody else's.
        unsafe {
            let fd = libc::syscall(libc::SYS_signalfd4, -1, &raw const all, SET_BYTES, flags);
            Errno::result(fd).map(|fd| Signals(OwnedFd::from_raw_fd(fd as RawFd)))
        }
    }

    /// The next, if one has come.
    pub fn next(&self) -> Result<Option<Caught>, Errno> {
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: plain data of the size that is named, which outlives the call.
        let (answer, found) = unsafe {
            let mut found: libc::signalfd_siginfo = zeroed();
            let answer = libc::syscall(libc::SYS_read, self.0.as_raw_fd(), &raw mut found, size);
            (Errno::result(answer), found)
        };
        match answer {
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(errno) => Err(errno),
            Ok(_) => {
                let (number, code) = (found.ssi_signo as i32, found.ssi_code);
                Ok(Some(Caught { number, code, sender: found.ssi_pid }))
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
