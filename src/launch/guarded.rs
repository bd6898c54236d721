//! A child that nobody can forget: killed and reaped unless it is taken over, and how it ended where it fell silent.

use std::mem::forget;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::child::{Born, Lent};
use super::handshake;
use super::life::{Life, Told};
use crate::failure::{Failure, Stage};
use crate::signal::Signal;
use crate::sys;

/// A child that is killed and reaped unless somebody takes it over.
pub struct Guarded<'a> {
    /// `None` once somebody else answers for it.
    pidfd: Option<OwnedFd>,
    pub pid: i32,
    /// Freed after it is reaped, or has executed the command.
    lent: Option<Lent<'a>>,
}

impl<'a> Guarded<'a> {
    pub fn new(Born { pidfd, pid, lent }: Born<'a>) -> Guarded<'a> {
        Guarded { pidfd: Some(pidfd), pid, lent: Some(lent) }
    }

    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_ref().expect("a child is taken over last").as_fd()
    }

    /// What is lent stays: whoever has it may still be on the way to its exec.
    pub fn taken_over(mut self) -> OwnedFd {
        forget(self.lent.take());
        self.pidfd.take().expect("a child is taken over once")
    }
}

impl Drop for Guarded<'_> {
    fn drop(&mut self) {
        if let Some(pidfd) = &self.pidfd {
            let _ = sys::send(pidfd.as_fd(), self.pid, libc::SIGKILL);
            let _ = sys::reap(pidfd.as_fd());
        }
    }
}

/// The first child has entered and ended; the second, which it left to us, is the command's.
pub fn take_over(carrier: Guarded, pid: i32) -> Result<Guarded<'static>, Failure> {
    // It is our child and not yet reaped, so the number is still its own; it has a memory of its own.
    let child = Guarded { pidfd: Some(open(pid, "the second child")?), pid, lent: None };
    drop(carrier);
    Ok(child)
}

/// A pidfd of a process whose number is known to be its own.
pub fn open(pid: i32, what: &str) -> Result<OwnedFd, Failure> {
    let failed = |errno| Failure::errno(Stage::Clone, "take over", what, errno);
    let number = Pid::from_raw(pid).ok_or_else(|| failed(Errno::ESRCH))?;
    pidfd_open(number, PidfdFlags::empty()).map_err(|errno| failed(Errno::from_raw(errno.raw_os_error())))
}

pub fn has_ended(child: &Guarded, patience: PollTimeout) -> bool {
    matches!(poll(&mut [PollFd::new(child.pidfd(), PollFlags::POLLIN)], patience), Ok(1))
}

/// The child has fallen silent before the command ran: its wait status says how, unless it is only slow. What its init
/// has told of the command says more than how the init itself ended.
pub fn gone(child: &Guarded, life: Option<&Life>, errno: Errno) -> Failure {
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
    let told = life.and_then(|life| match life.hear() {
        Ok(Some(Told::Ended(change))) => Some(change),
        _ => None,
    });
    match told.map_or_else(|| sys::reap(child.pidfd()), Ok) {
        Ok(ended) if ended.code == libc::CLD_EXITED => unspoken(&format!("it exited with {}", ended.status)),
        Ok(ended) => {
            let name = Signal::of_number(ended.status).map_or("?".to_string(), |signal| signal.to_string());
            unspoken(&format!("it was ended by signal {} ({name})", ended.status))
        }
        Err(errno) => Failure::errno(Stage::Handshake, "reap", "the child", errno),
    }
}

pub fn unspoken(what: &str) -> Failure {
    Failure::refused(Stage::Handshake, "hear", "the child before the command ran", what)
}
