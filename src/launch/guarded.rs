//! A child that nobody can forget: killed and reaped unless it is taken over, and how it ended where it fell silent.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::handshake;
use crate::failure::{Failure, Stage};
use crate::sys;

/// A child that is killed and reaped unless somebody takes it over.
pub struct Guarded {
    /// `None` once somebody else answers for it.
    pidfd: Option<OwnedFd>,
    pub pid: i32,
}

impl Guarded {
    pub fn new(pidfd: OwnedFd, pid: i32) -> Guarded {
        Guarded { pidfd: Some(pidfd), pid }
    }

    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_ref().expect("a child is taken over last").as_fd()
    }

    pub fn taken_over(mut self) -> OwnedFd {
        self.pidfd.take().expect("a child is taken over once")
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(pidfd) = &self.pidfd {
            let _ = sys::send(pidfd.as_fd(), self.pid, libc::SIGKILL);
            let _ = sys::reap(pidfd.as_fd());
        }
    }
}

/// The first child has entered and ended; the second, which it left to us, is the command's.
pub fn take_over(carrier: Guarded, pid: i32) -> Result<Guarded, Failure> {
    let failed = |errno| Failure::errno(Stage::Clone, "take over", "the second child", errno);
    let number = Pid::from_raw(pid).ok_or_else(|| failed(Errno::ESRCH))?;
    // It is our child and not yet reaped, so the number is still its own.
    let pidfd = pidfd_open(number, PidfdFlags::empty())
        .map_err(|errno| failed(Errno::from_raw(errno.raw_os_error())))?;
    let child = Guarded::new(pidfd, pid);
    drop(carrier);
    Ok(child)
}

pub fn has_ended(child: &Guarded, patience: PollTimeout) -> bool {
    matches!(poll(&mut [PollFd::new(child.pidfd(), PollFlags::POLLIN)], patience), Ok(1))
}

/// The child has fallen silent before the command ran: its wait status says how, unless it is only slow.
pub fn gone(child: &Guarded, errno: Errno) -> Failure {
    match errno {
        Errno::EPIPE => {}
        Errno::ETIMEDOUT => {
            return unspoken(&format!("it was silent for {} s", handshake::PATIENCE.as_secs()));
        }
        errno => return Failure::errno(Stage::Handshake, "hear", "the child", errno),
    }
    // A second's grace at most: the channel closes just before the process ends.
    if !has_ended(child, PollTimeout::from(1000u16)) {
        return unspoken("it closed its channel and lives on");
    }
    match sys::reap(child.pidfd()) {
        Ok(ended) if ended.code == libc::CLD_EXITED => unspoken(&format!("it exited with {}", ended.status)),
        Ok(ended) => {
            let name = Signal::try_from(ended.status).map_or("a signal", Signal::as_str);
            unspoken(&format!("it was ended by signal {} ({name})", ended.status))
        }
        Err(errno) => Failure::errno(Stage::Handshake, "reap", "the child", errno),
    }
}

pub fn unspoken(what: &str) -> Failure {
    Failure::refused(Stage::Handshake, "hear", "the child before the command ran", what)
}
