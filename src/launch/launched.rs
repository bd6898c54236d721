//! A command that runs, or is about to: who it is, what its process may still have to say, and how all of it is ended.

use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::time::Instant;

use nix::errno::Errno;

use super::guarded::unspoken;
use super::handshake::{Message, PID, Parent, READY};
use super::life::{self, Life};
use super::{failure, let_go, number, told_pid};
use crate::failure::{Failure, Stage};
use crate::plan::Plan;
use crate::sys::{self, Change};
use crate::terminal::Terminal;

/// A command that runs; where nobody has asked to see it off, it may not run yet, and its launch can still fail.
pub struct Launched<'a> {
    pub(super) plan: &'a Plan,
    /// The child: the command, or its init.
    pub pidfd: OwnedFd,
    pub child: i32,
    /// To the init, where there is one.
    pub life: Option<Life>,
    pub real_pid: i32,
    pub isolated_pid: i32,
    /// Where somebody asks how long it takes.
    pub started: Option<Instant>,
    /// Its own again where this is dropped.
    pub terminal: Terminal,
    /// To a process that was not waited for: it says who it is where an init has made it, then that it has failed, or
    /// nothing any more.
    pub(super) unheard: Option<Parent>,
    pub(super) refused: Option<Failure>,
}

impl Launched<'_> {
    /// The descriptor of what is not heard yet; -1 where there is no such thing.
    pub fn unheard(&self) -> RawFd {
        number(self.unheard.as_ref())
    }

    /// Takes in what its process has said by now, if it was not waited for: who the command is.
    pub fn overhear(&mut self) {
        while let Some(parent) = self.unheard.take_if(|_| self.refused.is_none()) {
            match parent.overhear() {
                Ok(Some(message)) => {
                    self.refused = self.take_in(&message).err();
                    self.unheard = Some(parent);
                }
                Ok(None) => {}
                Err(Errno::EAGAIN) => {
                    self.unheard = Some(parent);
                    break;
                }
                Err(Errno::EPIPE) => {
                    self.refused = Some(unspoken("it ended before it took its launcher's word"))
                }
                Err(errno) => {
                    self.refused = Some(Failure::errno(Stage::Handshake, "hear", "the child", errno));
                }
            }
        }
    }

    fn take_in(&mut self, message: &Message) -> Result<(), Failure> {
        if message.kind() != READY {
            return Err(failure(message, self.plan));
        }
        self.real_pid = told_pid(message)?;
        self.isolated_pid = message.word(PID) as i32;
        Ok(())
    }

    /// Once the child has ended: whether there was a command, or why there was none.
    pub fn verdict(&mut self) -> Result<(), Failure> {
        self.overhear();
        match self.refused.take() {
            None => Ok(()),
            Some(failure) => {
                let_go(self.plan);
                Err(failure)
            }
        }
    }

    /// Whether the way its init has ended is the way the command has.
    pub fn is_told_by(&self, init: &Change) -> bool {
        init.code == libc::CLD_EXITED && init.status != life::FAILED && !self.plan.observe
    }

    /// Ends the command, and all of its pid namespace if it has a new one, where there is nobody to stay with it.
    pub fn kill(&self) {
        let _ = sys::send(self.pidfd.as_fd(), self.child, libc::SIGKILL);
        let _ = sys::reap(self.pidfd.as_fd());
    }
}
