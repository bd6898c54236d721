//! The child as /proc shows it: found there, its maps written and its share given, its status opened while it is still the caller's to see.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::PollTimeout;

use super::child::limits::{self, Whose};
use super::guarded::{self, Guarded, gone, has_ended};
use super::proc::Proc;
use super::{explain, maps, observe};
use crate::failure::Failure;
use crate::plan::{Plan, Step};

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
        share(plan, child.pid, &dir)?;
    }
    let status = plan.observe.then(|| observe::open(&dir, &name)).transpose()?;
    Ok(Place { dir, status })
}

/// Takes those steps that the child, born in its user namespace, couldn't.
fn share(plan: &Plan, pid: i32, dir: &OwnedFd) -> Result<(), Failure> {
    let whose = Whose { pid, dir: dir.as_raw_fd(), oom_score_adj: c"oom_score_adj" };
    for step in &plan.steps[..plan.from_outside] {
        if let Step::Ration(ration) = step {
            limits::take(ration, &whose).map_err(|errno| explain::step(step, errno, plan))?;
        }
    }
    Ok(())
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
