//! A command that runs: who it is, and how all of it is ended.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use super::life::{self, Life};
use crate::sys::{self, Change};
use crate::terminal::Terminal;

/// A command that runs.
pub struct Launched {
    /// The child: the command, or its init.
    pub pidfd: OwnedFd,
    pub child: i32,
    /// To the init, where there is one.
    pub life: Option<Life>,
    /// The command's, where it [says who it is](crate::plan::Plan::says_who); else the child's, and nobody asks.
    pub real_pid: i32,
    pub isolated_pid: i32,
    /// Where somebody asks how long it takes.
    pub started: Option<Instant>,
    /// Its own again where this is dropped.
    pub terminal: Terminal,
    /// Whether init ends as the command has, and says no more than that.
    pub(super) says_status: bool,
}

impl Launched {
    /// Whether the way its init has ended is the way the command has.
    pub fn is_told_by(&self, init: &Change) -> bool {
        self.says_status && init.code == libc::CLD_EXITED && init.status != life::FAILED
    }

    /// Ends the command, and all of its pid namespace if it has a new one, where there is nobody to stay with it.
    pub fn kill(&self) {
        let _ = sys::send(self.pidfd.as_fd(), self.child, libc::SIGKILL);
        let _ = sys::reap(self.pidfd.as_fd());
    }
}
