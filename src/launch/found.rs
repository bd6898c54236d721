//! The child as /proc shows it: found there, its maps written, its status opened while it is still the caller's to see.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::PollTimeout;

use super::guarded::{self, Guarded, gone, has_ended};
use super::proc::Proc;
use super::{maps, observe};
use crate::failure::Failure;
use crate::plan::Plan;

/// The child as /proc shows it.
pub struct Place {
    pub dir: OwnedFd,
    pub status: Option<OwnedFd>,
}

/// Finds the child in /proc and, if this is the one that lives in the new user namespace, writes its maps.
pub fn place(
    plan: &Plan,
    proc: Option<&Proc>,
    child: &Guarded,
    maps_here: bool,
) -> Result<Option<Place>, Failure> {
    let Some(proc) = proc else { return Ok(None) };
    reach(plan, proc, child, maps_here).map(Some).map_err(|failure| {
        // The files of a dying process refuse all, a little before its end can be seen; why it died says more.
        let dying = matches!(failure.kernel_errno(), Some(Errno::EACCES | Errno::ENOENT | Errno::ESRCH));
        let patience = PollTimeout::from(if dying { 100u8 } else { 0 });
        if has_ended(child, patience) { gone(child, None, Errno::EPIPE) } else { failure }
    })
}

fn reach(plan: &Plan, proc: &Proc, child: &Guarded, maps_here: bool) -> Result<Place, Failure> {
    let (dir, name) = proc.child(child.pid, child.pidfd())?;
    if let Some(maps) = plan.maps.as_ref().filter(|_| maps_here) {
        maps::write_all(maps, &dir, &name)?;
    }
    let status = plan.observe.then(|| observe::open(&dir, &name)).transpose()?;
    Ok(Place { dir, status })
}

/// The command's own process as /proc shows it, where the child is its init.
pub fn meet(plan: &Plan, proc: Option<&Proc>, pid: i32) -> Result<Option<Place>, Failure> {
    let Some(proc) = proc else { return Ok(None) };
    // It waits for our word, and nobody but its init could reap it.
    let pidfd = guarded::open(pid, "the command's process")?;
    let (dir, name) = proc.child(pid, pidfd.as_fd())?;
    let status = plan.observe.then(|| observe::open(&dir, &name)).transpose()?;
    Ok(Some(Place { dir, status }))
}
