//! Carries a plan out: clone, map, let go, hear the verdict; on failure kill, reap, explain. It decides nothing.

mod child;
mod explain;
mod guarded;
pub mod handshake;
mod image;
mod joins;
mod maps;
mod observe;
mod persist;
mod proc;
mod program;

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::PollTimeout;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};

pub use observe::Observed;

use crate::failure::{Failure, Stage};
use crate::namespace::Kind;
use crate::plan::{Plan, Step};
use crate::request::namespaces::JoinTarget;
use crate::sys::{self, Cloned};
use guarded::{Guarded, gone, has_ended, unspoken};
use handshake::Message;
use image::Image;
use persist::Kept;
use proc::Proc;

/// A command that is ready and waits for its release. Dropped, it never runs.
pub struct Held<'a> {
    plan: &'a Plan,
    child: Guarded,
    parent: handshake::Parent,
    kept: Kept,
    pub real_pid: i32,
    pub isolated_pid: i32,
    /// Real, effective and saved, as read back inside.
    pub uids: [u32; 3],
    pub gids: [u32; 3],
    /// What the kernel shows of it; only where the plan is to observe.
    pub observed: Option<Observed>,
    pub cloned_at: Instant,
}

/// A command that runs.
pub struct Launched {
    pub pidfd: OwnedFd,
    pub real_pid: i32,
    pub isolated_pid: i32,
    pub started: Instant,
}

/// Brings a child to the brink of the exec, with everything done, verified and read back, and holds it there.
///
/// Leaves all signals blocked, so that none is lost on the way to the command; after a failure they are the caller's.
pub fn hold(plan: &Plan) -> Result<Held<'_>, Failure> {
    ready(plan).inspect_err(|_| let_go(plan))
}

/// Gives the signals back: a failure is to be told, and whoever tells it can be ended meanwhile.
pub fn let_go(plan: &Plan) {
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&plan.exec.signal_mask), None);
}

fn ready(plan: &Plan) -> Result<Held<'_>, Failure> {
    plan.permitted()?;
    program::find(&plan.exec, &plan.command)?;
    if !sys::is_single_threaded() {
        let rule = "only a process with one thread is cloned";
        return Err(Failure::refused(Stage::Clone, "clone", "a child", rule));
    }
    hold_signals()?;
    let proc = reads_proc(plan).then(Proc::open).transpose()?;
    let joins = joins::open_all(plan, proc.as_ref())?;
    let (parent, child_ends) = handshake::channels().map_err(explain::channels)?;
    let mut image = Image::new(plan, &joins, proc.as_ref().map(AsFd::as_fd), &child_ends, &parent);

    let cloned_at = Instant::now();
    let child = child::clone(plan.layout.cloned, &mut image);
    let Cloned::Parent { pid, pidfd } = child.map_err(|errno| explain::clone(errno, plan.layout.cloned))?
    else {
        unreachable!("the child never returns")
    };
    let child = Guarded::new(pidfd, pid);
    drop(child_ends);
    let (child, place) = settle(plan, proc.as_ref(), child, &parent)?;

    let message = hear(&parent, &child, plan, handshake::READY)?;
    let name = place.as_ref().map(|place| place.name.as_str()).unwrap_or_default();
    let kept = Kept::bind(&plan.layout.persist, name)?;
    let status = place.as_ref().and_then(|place| place.status.as_ref());
    let observed = status.map(|status| Observed::read(status, &message, plan)).transpose()?;
    let real_pid = message.sender;
    let isolated_pid = message.word(handshake::PID) as i32;
    let uids = message.words(handshake::IDS);
    let gids = message.words(handshake::IDS + 3);
    Ok(Held { plan, child, parent, kept, real_pid, isolated_pid, uids, gids, observed, cloned_at })
}

fn hold_signals() -> Result<(), Failure> {
    let blocked = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None);
    let held = blocked.and_then(|()| sys::default_sigchld());
    held.map_err(|errno| Failure::errno(Stage::Channel, "hold", "signals", errno))
}

fn reads_proc(plan: &Plan) -> bool {
    let by_proc = |step: &Step| match step {
        Step::TimeOffsets(_) => true,
        Step::Join { target, .. } => matches!(target, JoinTarget::Pid(_)),
        _ => false,
    };
    let layout = &plan.layout;
    plan.maps.is_some() || plan.observe || !layout.persist.is_empty() || plan.steps.iter().any(by_proc)
}

/// Writes the maps of the child that lives in the new user namespace, and lets it, and the second in its place, proceed.
fn settle(
    plan: &Plan,
    proc: Option<&Proc>,
    child: Guarded,
    parent: &handshake::Parent,
) -> Result<(Guarded, Option<Place>), Failure> {
    let carried = plan.layout.carried.is_some();
    let user_first = plan.layout.cloned.has(Kind::User);
    let place = place(plan, proc, &child, !carried || user_first)?;
    proceed(parent, &child)?;
    if !carried {
        return Ok((child, place));
    }
    let message = hear(parent, &child, plan, handshake::CARRIED)?;
    let child = guarded::take_over(child, message.sender)?;
    let place = self::place(plan, proc, &child, !user_first)?;
    proceed(parent, &child)?;
    Ok((child, place))
}

impl Held<'_> {
    /// Lets the command run, and returns once it does.
    pub fn release(self) -> Result<Launched, Failure> {
        let plan = self.plan;
        self.run().inspect_err(|_| let_go(plan))
    }

    fn run(self) -> Result<Launched, Failure> {
        if let Err(errno) = self.parent.go(handshake::RELEASE, self.real_pid) {
            return Err(gone(&self.child, errno));
        }
        match self.parent.hear() {
            Ok(None) => {}
            Ok(Some(message)) => return Err(failure(&message, self.plan)),
            Err(errno) => return Err(gone(&self.child, errno)),
        }
        self.kept.stay();
        let (real_pid, isolated_pid) = (self.real_pid, self.isolated_pid);
        Ok(Launched { pidfd: self.child.taken_over(), real_pid, isolated_pid, started: Instant::now() })
    }
}

/// The child as /proc shows it.
struct Place {
    name: String,
    status: Option<OwnedFd>,
}

/// Finds the child in /proc and, if this is the one that lives in the new user namespace, writes its maps.
fn place(
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
        if has_ended(child, patience) { gone(child, Errno::EPIPE) } else { failure }
    })
}

fn reach(plan: &Plan, proc: &Proc, child: &Guarded, maps_here: bool) -> Result<Place, Failure> {
    let (dir, name) = proc.child(child.pid, child.pidfd())?;
    if let Some(maps) = plan.maps.as_ref().filter(|_| maps_here) {
        maps::write_all(maps, &dir, &name)?;
    }
    let status = plan.observe.then(|| observe::open(&dir, &name)).transpose()?;
    Ok(Place { name, status })
}

fn proceed(parent: &handshake::Parent, child: &Guarded) -> Result<(), Failure> {
    match parent.go(handshake::PROCEED, child.pid) {
        // It is dead; how, is heard next.
        Ok(()) | Err(Errno::EPIPE) => Ok(()),
        Err(errno) => Err(Failure::errno(Stage::Handshake, "release", "the child", errno)),
    }
}

/// The child's next message, which is of this kind.
fn hear(parent: &handshake::Parent, child: &Guarded, plan: &Plan, kind: u32) -> Result<Message, Failure> {
    match parent.hear() {
        Ok(Some(message)) if message.kind() == kind => Ok(message),
        Ok(Some(message)) if message.kind() == handshake::FAILED => Err(failure(&message, plan)),
        Ok(Some(_)) => Err(unspoken("the child spoke out of turn")),
        Ok(None) => Err(gone(child, Errno::EPIPE)),
        Err(errno) => Err(gone(child, errno)),
    }
}

/// What a failed step's message means.
fn failure(message: &Message, plan: &Plan) -> Failure {
    let errno = message.word(handshake::ERRNO) as i32;
    match message.word(handshake::STEP) {
        handshake::EXEC => explain::exec(errno, message.word(handshake::DETAIL), plan),
        index => match plan.steps.get(index as usize) {
            Some(step) => explain::step(step, errno, plan),
            None => unspoken("the child named a step that the plan does not have"),
        },
    }
}
