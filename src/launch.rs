//! Carries a plan out: clone, map, let go, hear the verdict; on failure kill, reap, explain. It decides nothing.

mod child;
mod explain;
mod found;
mod guarded;
pub mod handshake;
mod image;
mod init;
mod inplace;
mod joins;
mod launched;
mod life;
mod maps;
mod observe;
mod persist;
mod proc;
mod program;

use std::mem::forget;
use std::os::fd::AsRawFd;
use std::time::Instant;

use libc::rlimit;
use nix::errno::Errno;

pub use inplace::exec;
pub use launched::Launched;
pub use life::{Life, Scope, Told};
pub use observe::{Observed, Standing};

use crate::failure::{Failure, Stage};
use crate::namespace::Kind;
use crate::plan::lifetime::Model;
use crate::plan::{Plan, Step};
use crate::sys;
use crate::terminal::Terminal;
use found::{Place, meet, place};
use guarded::{Guarded, gone, unspoken};
use handshake::Message;
use image::{Ends, Image};
use persist::Kept;
use proc::Proc;

/// The descriptors that a launch has open at once, at most, beside those of joined namespaces.
const DESCRIPTORS: u64 = 16;

/// A command that is ready and waits for its release. Dropped, it never runs.
pub struct Held<'a> {
    plan: &'a Plan,
    child: Guarded<'a>,
    parent: handshake::Parent,
    life: Option<Life>,
    kept: Kept,
    pub standing: Standing,
}

/// Brings a child to the brink of the exec, with everything done and verified, and holds it there; where the plan has
/// nobody to ask for it, to the brink of its first step, with its maps written.
///
/// Leaves all signals blocked, so that none is lost on the way to the command; after a failure they are the caller's.
pub fn hold(plan: &Plan) -> Result<Held<'_>, Failure> {
    ready(plan).inspect_err(|_| let_go(plan))
}

/// Gives the signals back: a failure is to be told, and whoever tells it can be ended meanwhile.
pub fn let_go(plan: &Plan) {
    let _ = sys::set_mask(plan.exec.signal_mask);
}

/// What has to hold before anything is done. Gives RLIMIT_NOFILE as it was, where the launch needs more.
fn check(plan: &Plan) -> Result<Option<rlimit>, Failure> {
    plan.permitted()?;
    program::find(&plan.exec, &plan.command)?;
    if !sys::is_single_threaded() {
        let rule = "only a process with one thread is cloned";
        return Err(Failure::refused(Stage::Clone, "clone", "a child", rule));
    }
    hold_signals()?;
    Ok(sys::raise_descriptors(DESCRIPTORS + plan.layout.joined.len() as u64))
}

fn ready(plan: &Plan) -> Result<Held<'_>, Failure> {
    let nofile = check(plan)?;
    let proc = reads_proc(plan).then(Proc::open).transpose()?;
    let joins = joins::open_all(plan, proc.as_ref())?;
    let null = image::null(plan)?;
    let has_init = plan.lifetime.model == Model::Init;
    let relayed = has_init && plan.says_who() || plan.layout.carried.is_some();
    let (parent, childs) = handshake::channel(relayed).map_err(explain::channels)?;
    let (life, inits) = has_init.then(life::line).transpose().map_err(explain::channels)?.unzip();
    let image = Image::new(
        plan,
        &joins,
        &Ends {
            null: number(null.as_ref()),
            channel: childs.as_raw_fd(),
            life: number(inits.as_ref()),
            parent: [parent.as_raw_fd(), number(life.as_ref())],
            nofile,
            ..Ends::none(number(proc.as_ref()))
        },
    );

    let since = plan.is_timed().then(Instant::now);
    let child = child::clone(plan.layout.cloned, image, plan.shares_memory)
        .map(Guarded::new)
        .map_err(|errno| explain::clone(errno, plan.layout.cloned))?;
    drop((childs, inits));
    let (child, mut place) = settle(plan, proc.as_ref(), child, &parent)?;
    let hear = |kind| hear(&parent, &child, life.as_ref(), plan, kind);
    if has_init && plan.observe {
        let message = hear(handshake::CARRIED)?;
        let pid = told_pid(&message)?;
        place = meet(plan, proc.as_ref(), pid)?;
        proceed(&parent, pid)?;
    }

    if !plan.hold {
        // It goes on, steps and all, when it is released: nobody has to know more of it before.
        let standing = Standing::unheld(child.pid, plan, since);
        // Who waits for the command closes all that it does not need, and does so while that runs.
        forget((proc, place));
        return Ok(Held { plan, child, parent, life, kept: Kept::default(), standing });
    }
    let message = hear(handshake::READY)?;
    let kept = Kept::bind(&plan.layout.persist, place.as_ref().map(|place| &place.dir))?;
    let status = place.as_ref().and_then(|place| place.status.as_ref());
    let real_pid = if relayed { told_pid(&message)? } else { child.pid };
    let standing = Standing::of(&message, real_pid, status, plan, since)?;
    Ok(Held { plan, child, parent, life, kept, standing })
}

/// The number of a descriptor; -1 where there is none.
fn number<T: AsRawFd>(fd: Option<&T>) -> i32 {
    fd.map_or(-1, AsRawFd::as_raw_fd)
}

fn hold_signals() -> Result<(), Failure> {
    let held = sys::set_mask(sys::ALL).and_then(|()| sys::default_sigchld());
    held.map_err(|errno| Failure::errno(Stage::Channel, "hold", "signals", errno))
}

fn reads_proc(plan: &Plan) -> bool {
    let by_proc = |step: &Step| {
        matches!(step, Step::NewTime | Step::NoUserns | Step::Join { .. } | Step::Unshare(_))
            || step.stage() == Stage::OomScoreAdj
    };
    let layout = &plan.layout;
    plan.maps.is_some() || plan.observe || !layout.persist.is_empty() || plan.steps.iter().any(by_proc)
}

/// Writes the maps of the child that lives in the new user namespace, and lets it, and the second in its place, proceed.
fn settle<'a>(
    plan: &Plan,
    proc: Option<&Proc>,
    child: Guarded<'a>,
    parent: &handshake::Parent,
) -> Result<(Guarded<'a>, Option<Place>), Failure> {
    let carried = plan.layout.carried.is_some();
    let user_first = plan.layout.cloned.has(Kind::User);
    let place = place(plan, proc, &child, !carried || user_first)?;
    if plan.hold {
        proceed(parent, child.pid)?;
    }
    if !carried {
        return Ok((child, place));
    }
    let message = hear(parent, &child, None, plan, handshake::CARRIED)?;
    let child = guarded::take_over(child, told_pid(&message)?)?;
    let place = found::place(plan, proc, &child, !user_first)?;
    proceed(parent, child.pid)?;
    Ok((child, place))
}

/// The pid of who has spoken, as the kernel translates it for us.
fn told_pid(message: &Message) -> Result<i32, Failure> {
    message.sender.ok_or_else(|| unspoken("the kernel did not say who spoke"))
}

impl<'a> Held<'a> {
    /// Lets the command run, and returns once it does.
    pub fn release(self) -> Result<Launched, Failure> {
        let plan = self.plan;
        self.run().inspect_err(|_| let_go(plan))
    }

    fn run(self) -> Result<Launched, Failure> {
        let Standing { mut real_pid, mut isolated_pid, .. } = self.standing;
        let mut terminal = Terminal::later();
        if self.plan.lifetime.foreground {
            terminal.lend(real_pid);
        }
        // From now on it may run.
        let started = self.plan.is_timed().then(Instant::now);
        let silent = |errno| gone(&self.child, self.life.as_ref(), errno);
        let word = if self.plan.hold { handshake::RELEASE } else { handshake::PROCEED };
        self.parent.go(word, real_pid).map_err(silent)?;
        // To sleep until then is faster than to go on: what else is to be done is done while the command runs.
        while let Some(message) = self.parent.hear().map_err(silent)? {
            if self.plan.hold || message.kind() != handshake::READY {
                return Err(failure(&message, self.plan));
            }
            real_pid = told_pid(&message)?;
            isolated_pid = message.word(handshake::PID) as i32;
        }
        if self.plan.lifetime.seeks_terminal {
            // While its standard streams are still ours.
            terminal.seek();
        }
        self.kept.stay();
        let child = self.child.pid;
        Ok(Launched {
            pidfd: self.child.taken_over(),
            child,
            life: self.life,
            real_pid,
            isolated_pid,
            started,
            terminal,
            says_status: !self.plan.observe,
        })
    }
}

fn proceed(parent: &handshake::Parent, pid: i32) -> Result<(), Failure> {
    match parent.go(handshake::PROCEED, pid) {
        // It is dead; how, is heard next.
        Ok(()) | Err(Errno::EPIPE) => Ok(()),
        Err(errno) => Err(Failure::errno(Stage::Handshake, "release", "the child", errno)),
    }
}

/// The child's next message, which is of this kind.
fn hear(
    parent: &handshake::Parent,
    child: &Guarded,
    life: Option<&Life>,
    plan: &Plan,
    kind: u32,
) -> Result<Message, Failure> {
    match parent.hear() {
        Ok(Some(message)) if message.kind() == kind => Ok(message),
        Ok(Some(message)) if message.kind() == handshake::FAILED => Err(failure(&message, plan)),
        Ok(Some(_)) => Err(unspoken("the child spoke out of turn")),
        Ok(None) => Err(gone(child, life, Errno::EPIPE)),
        Err(errno) => Err(gone(child, life, errno)),
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
