//! What has to be in place before there is a command to stay with: the caller in view, orphans ours, strangers known.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::getppid;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::leftovers;
use crate::failure::{Failure, Stage};
use crate::plan::Plan;
use crate::plan::lifetime::Containment;

pub struct Post {
    /// The process whose end ends the command.
    pub(super) caller: Option<OwnedFd>,
    /// Children that seclude has from before: who executed it may have left some.
    pub(super) strangers: Vec<i32>,
}

impl Post {
    pub fn take(plan: &Plan) -> Result<Post, Failure> {
        let caller = plan.lifetime.parent.map(watch).transpose()?;
        let mut strangers = Vec::new();
        if plan.lifetime.containment == Containment::Subreaper {
            let failed = |errno| Failure::errno(Stage::Probe, "become", "a subreaper", errno);
            prctl::set_child_subreaper(true).map_err(failed)?;
            strangers = leftovers::present()?;
        }
        Ok(Post { caller, strangers })
    }
}

/// Keeps the caller in view by a descriptor: unlike a parent-death signal, that is about the process and not a thread.
fn watch(pid: i32) -> Result<OwnedFd, Failure> {
    let failed = |errno| Failure::errno(Stage::Probe, "watch", format!("the caller, process {pid}"), errno);
    let number = Pid::from_raw(pid).ok_or_else(|| failed(Errno::ESRCH))?;
    let pidfd = pidfd_open(number, PidfdFlags::empty())
        .map_err(|errno| failed(Errno::from_raw(errno.raw_os_error())))?;
    // Whoever has its number now is still our parent, so this is the one.
    match getppid().as_raw() == pid {
        true => Ok(pidfd),
        false => Err(failed(Errno::ESRCH)),
    }
}
