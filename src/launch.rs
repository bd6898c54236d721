//! Carries a plan out: clone, map, let go, hear the verdict; on failure kill, reap, explain. It decides nothing.

mod child;
mod explain;
pub mod handshake;
mod image;
mod maps;
mod observe;
mod persist;
mod proc;
mod program;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::stat::Mode;
use rustix::process::{Pid, PidfdFlags, Signal as Kill, pidfd_open, pidfd_send_signal};

pub use observe::Observed;

use crate::failure::{Failure, Stage, shown};
use crate::namespace::Kind;
use crate::plan::{Plan, Step};
use crate::sys::{self, Cloned};
use handshake::Message;
use image::Image;
use persist::Kept;
use proc::Proc;

/// A child that is killed and reaped unless somebody takes it over.
struct Guarded {
    /// `None` once somebody else answers for it.
    pidfd: Option<OwnedFd>,
    pid: i32,
}

impl Guarded {
    fn new(pidfd: OwnedFd, pid: i32) -> Guarded {
        Guarded { pidfd: Some(pidfd), pid }
    }

    fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_ref().expect("a child is taken over last").as_fd()
    }

    fn taken_over(mut self) -> OwnedFd {
        self.pidfd.take().expect("a child is taken over once")
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(pidfd) = &self.pidfd {
            let _ = pidfd_send_signal(pidfd, Kill::KILL);
            let _ = sys::reap(pidfd.as_fd());
        }
    }
}

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
/// Leaves all signals blocked, so that none is lost on the way to the command.
pub fn hold(plan: &Plan) -> Result<Held<'_>, Failure> {
    plan.permitted()?;
    program::find(&plan.exec, &plan.command)?;
    if !sys::is_single_threaded() {
        let rule = "only a process with one thread is cloned";
        return Err(Failure::refused(Stage::Clone, "clone", "a child", rule));
    }
    let blocked = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None);
    blocked
        .and_then(|()| sys::default_sigchld())
        .map_err(|errno| Failure::errno(Stage::Channel, "hold", "signals", errno))?;
    let with_proc = plan.maps.is_some()
        || plan.observe
        || !plan.layout.persist.is_empty()
        || plan.steps.iter().any(|step| matches!(step, Step::TimeOffsets(_)));
    let proc = with_proc.then(Proc::open).transpose()?;
    let joins = open_joins(plan)?;
    let (parent, child_ends) = handshake::channels().map_err(|errno| {
        let failure = Failure::errno(Stage::Channel, "make", "the channels to the child", errno);
        match errno {
            Errno::EMFILE => failure.hint("RLIMIT_NOFILE leaves no descriptors: ulimit -n"),
            Errno::ENFILE => failure.hint("the machine's fs.file-max is reached"),
            _ => failure,
        }
    })?;
    let mut image = Image::new(plan, &joins, proc.as_ref().map(AsFd::as_fd), &child_ends, &parent);

    let cloned_at = Instant::now();
    let cloned = child::clone(plan.layout.cloned, &mut image);
    let Cloned::Parent { pid, pidfd } = cloned.map_err(|errno| explain::clone(errno, plan.layout.cloned))?
    else {
        unreachable!("the child never returns")
    };
    let mut child = Guarded::new(pidfd, pid);
    drop(child_ends);
    let carried = plan.layout.carried.is_some();
    let user_first = plan.layout.cloned.has(Kind::User);
    let mut place = place(plan, proc.as_ref(), &child, !carried || user_first)?;
    proceed(&parent, &child)?;
    if carried {
        let message = hear(&parent, &child, plan)?;
        if message.kind() != handshake::CARRIED {
            return Err(unspoken("the child spoke out of turn"));
        }
        child = take_over(child, message.sender)?;
        place = self::place(plan, proc.as_ref(), &child, !user_first)?;
        proceed(&parent, &child)?;
    }
    let message = hear(&parent, &child, plan)?;
    if message.kind() != handshake::READY {
        return Err(unspoken("the child spoke out of turn"));
    }
    let name = place.as_ref().map(|place| place.name.as_str()).unwrap_or_default();
    let kept = Kept::bind(&plan.layout.persist, name)?;
    let observed = match place.as_ref().and_then(|place| place.status.as_ref()) {
        Some(status) => Some(Observed::read(status, &message, plan)?),
        None => None,
    };
    let real_pid = message.sender;
    let isolated_pid = message.word(handshake::PID) as i32;
    let uids = message.words(handshake::IDS);
    let gids = message.words(handshake::IDS + 3);
    Ok(Held { plan, child, parent, kept, real_pid, isolated_pid, uids, gids, observed, cloned_at })
}

impl Held<'_> {
    /// Lets the command run, and returns once it does.
    pub fn release(self) -> Result<Launched, Failure> {
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
    reach(plan, proc, child, maps_here).map(Some).map_err(|failure| match has_ended(child, PollTimeout::ZERO) {
        // The files of a dead process refuse all; why it died says more.
        true => gone(child, Errno::EPIPE),
        false => failure,
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

/// The child's next message, which is not a failure.
fn hear(parent: &handshake::Parent, child: &Guarded, plan: &Plan) -> Result<Message, Failure> {
    match parent.hear() {
        Ok(Some(message)) if message.kind() == handshake::FAILED => Err(failure(&message, plan)),
        Ok(Some(message)) => Ok(message),
        Ok(None) => Err(gone(child, Errno::EPIPE)),
        Err(errno) => Err(gone(child, errno)),
    }
}

/// The first child has entered and ended; the second, which it left to us, is the command's.
fn take_over(carrier: Guarded, pid: i32) -> Result<Guarded, Failure> {
    let failed = |errno| Failure::errno(Stage::Clone, "take over", "the second child", errno);
    let number = Pid::from_raw(pid).ok_or_else(|| failed(Errno::ESRCH))?;
    // It is our child and not yet reaped, so the number is still its own.
    let pidfd = pidfd_open(number, PidfdFlags::empty())
        .map_err(|errno| failed(Errno::from_raw(errno.raw_os_error())))?;
    let child = Guarded::new(pidfd, pid);
    drop(carrier);
    Ok(child)
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

fn has_ended(child: &Guarded, patience: PollTimeout) -> bool {
    matches!(poll(&mut [PollFd::new(child.pidfd(), PollFlags::POLLIN)], patience), Ok(1))
}

/// The child has fallen silent before the command ran: its wait status says how, unless it is only slow.
fn gone(child: &Guarded, errno: Errno) -> Failure {
    match errno {
        Errno::EPIPE => {}
        Errno::ETIMEDOUT => return unspoken(&format!("it was silent for {} s", handshake::PATIENCE.as_secs())),
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

fn unspoken(what: &str) -> Failure {
    Failure::refused(Stage::Handshake, "hear", "the child before the command ran", what)
}

/// Opens every namespace that is joined, in the order of the steps, and sees that each is of its kind.
fn open_joins(plan: &Plan) -> Result<Vec<OwnedFd>, Failure> {
    let mut joins = Vec::new();
    for step in &plan.steps {
        let Step::Join { kind, target } = step else { continue };
        let path = target.path(*kind);
        let failed = |errno| {
            let failure =
                Failure::errno(Stage::Join, "open", format!("the {kind} namespace {}", shown(&path)), errno);
            match errno {
                Errno::EACCES => failure.hint("the process is of another user, or is not to be traced"),
                _ => failure,
            }
        };
        let fd = open(&path, OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK, Mode::empty())
            .map_err(failed)?;
        let found = sys::namespace_type(&fd).ok().and_then(Kind::of_flag);
        if found != Some(*kind) {
            let object = format!("{} as a {kind} namespace", shown(&path));
            let rule =
                found.map_or("it is no namespace".to_string(), |found| format!("it is of kind {found}"));
            return Err(Failure::refused(Stage::Join, "join", object, rule));
        }
        joins.push(fd);
    }
    Ok(joins)
}
