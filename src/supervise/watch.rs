//! The watch itself: one poll over the child, its init, signals, the caller and the clock, and what each of them calls for.

use std::array;
use std::mem::forget;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Asked, End, EndedBy, Post, Way, leftovers, log};
use crate::failure::{Failure, Stage};
use crate::launch::{Launched, Scope, Told};
use crate::plan::lifetime::Containment;
use crate::plan::{Lifetime, Plan};
use crate::request::lifetime::Leftovers;
use crate::sys::{self, Change, Signals};

/// What comes when the time is up.
#[derive(Clone, Copy)]
enum Next {
    Nothing,
    Ask(Instant),
    Kill(Instant),
}

pub(super) struct Watch<'a> {
    pub(super) launched: &'a mut Launched,
    pub(super) lifetime: &'a Lifetime,
    pub(super) signals: Signals,
    caller: Option<BorrowedFd<'a>>,
    strangers: &'a [i32],
    next: Next,
    /// The first request to end, since the grace of the one before.
    pub(super) asked: Option<Asked>,
    /// The signals that were passed on, as [`bit`]s.
    pub(super) passed: u64,
    by: Option<EndedBy>,
    /// Whether seclude has stopped with the command, and has not continued it yet.
    pub(super) stopped: bool,
    /// Whether the terminal was the command's when it stopped.
    pub(super) owed: bool,
    /// How the command has ended, where its init has said so and lives on.
    pub(super) ended: Option<Change>,
    observes: bool,
    /// Whether init may still have something to say.
    listens: bool,
}

/// Stays until the command has ended, and with it what is not to outlive it. `kept` is what seclude still writes to;
/// `parted` is called once nothing else of the caller's is open.
///
/// A command whose end can't be awaited is ended: nothing that runs is left to nobody.
pub fn wait(
    launched: &mut Launched,
    plan: &Plan,
    post: &Post,
    kept: &[RawFd],
    parted: impl FnOnce(),
) -> Result<End, Failure> {
    let lifetime = &plan.lifetime;
    let answer = Signals::open().map_err(failed).and_then(|signals| {
        let caller = post.caller.as_ref().map(AsFd::as_fd);
        let timed = lifetime.timeout.zip(launched.started);
        let next = timed.map_or(Next::Nothing, |(span, started)| Next::Ask(started + span));
        let listens = launched.life.is_some();
        let mut watch = Watch {
            launched,
            lifetime,
            signals,
            caller,
            strangers: &post.strangers,
            next,
            asked: None,
            passed: 0,
            by: None,
            stopped: false,
            owed: false,
            ended: None,
            observes: plan.observe,
            listens,
        };
        watch.part_with_descriptors(kept);
        parted();
        let answer = watch.stay();
        // Our own end closes it soon enough.
        forget(watch);
        answer
    });
    if answer.is_err() {
        launched.kill();
    }
    launched.terminal.take_back();
    answer
}

/// A signal's place in a set: 1 to 64 are its bits.
pub(super) fn bit(signal: i32) -> u64 {
    1u64.checked_shl((signal - 1) as u32).unwrap_or(0)
}

pub(super) fn failed(errno: Errno) -> Failure {
    Failure::errno(Stage::Wait, "wait for", "the command", errno)
}

impl Watch<'_> {
    /// What the caller has handed over is the command's: nobody waits for us to close it, and its input is not ours.
    fn part_with_descriptors(&self, kept: &[RawFd]) {
        let launched = &self.launched;
        let mut own = vec![launched.pidfd.as_raw_fd(), self.signals.as_raw_fd()];
        own.extend(launched.life.as_ref().map(AsRawFd::as_raw_fd));
        own.extend(self.caller.map(|fd| fd.as_raw_fd()));
        own.extend(launched.terminal.descriptor());
        own.extend(kept);
        own.sort_unstable();
        let _ = sys::close_all_but(&own, 3);
        drop(own);
        // Their places are taken by something that is there anyway: nobody reads or writes it.
        let streams = if self.lifetime.daemon { &[0, 1, 2][..] } else { &[0, 1] };
        streams.iter().filter(|fd| !kept.contains(fd)).for_each(|fd| sys::replace(*fd, &launched.pidfd));
        // What has brought the command on its way is not needed any more, and is taken down while that runs.
        sys::give_back();
    }

    fn stay(&mut self) -> Result<End, Failure> {
        loop {
            let [ended, signaled, told, orphaned] = self.look()?;
            if ended {
                return self.finish();
            }
            if signaled {
                self.heed_all()?;
            }
            if told {
                self.hear()?;
            }
            if orphaned {
                self.caller = None;
                self.end(EndedBy::Parent);
            }
            self.look_at_the_clock();
        }
    }

    /// Sleeps until something happens: the child's end, a signal, a word of init's, the caller's end, or the time.
    fn look(&self) -> Result<[bool; 4], Failure> {
        let child = self.launched.pidfd.as_fd();
        let life = self.launched.life.as_ref().map(AsFd::as_fd).filter(|_| self.listens);
        let watched = [Some(child), Some(self.signals.as_fd()), life, self.caller];
        // The kernel looks past what has no events, and that only once the child has something, too.
        let mut fds = watched.map(|fd| {
            let events = if fd.is_some() { PollFlags::POLLIN } else { PollFlags::empty() };
            PollFd::new(fd.unwrap_or(child), events)
        });
        loop {
            match poll(&mut fds, self.patience()) {
                Err(Errno::EINTR) => continue,
                answer => answer.map_err(failed)?,
            };
            let ready = fds.each_ref().map(|fd| fd.any().unwrap_or(false));
            return Ok(array::from_fn(|index| watched[index].is_some() && ready[index]));
        }
    }

    fn patience(&self) -> PollTimeout {
        let (Next::Ask(at) | Next::Kill(at)) = self.next else { return PollTimeout::NONE };
        // Rounded up, so that nobody wakes before the time.
        let left = at.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
        PollTimeout::try_from(left.as_millis().min(i32::MAX as u128) as i32).unwrap_or(PollTimeout::MAX)
    }

    fn look_at_the_clock(&mut self) {
        let (Next::Ask(_) | Next::Kill(_)) = self.next else { return };
        let now = Instant::now();
        match self.next {
            // Only leftovers are left, and nobody is asked any more.
            Next::Ask(at) if now >= at && self.ended.is_some() => {
                self.next = Next::Nothing;
                self.end(EndedBy::Timeout);
            }
            Next::Ask(at) if now >= at => {
                self.by = self.by.or(Some(EndedBy::Timeout));
                self.next = Next::Kill(now + self.lifetime.grace);
                self.send(self.lifetime.stop_signal.number(), Scope::Command);
                // One that is stopped could not even end.
                self.send(libc::SIGCONT, Scope::Command);
            }
            Next::Kill(at) if now >= at => {
                self.next = Next::Nothing;
                self.end(EndedBy::Timeout);
            }
            _ => {}
        }
    }

    fn hear(&mut self) -> Result<(), Failure> {
        while self.listens {
            match self.launched.life.as_ref().map_or(Ok(None), |life| life.hear()).map_err(failed)? {
                None => break,
                Some(Told::Stopped(signal)) => self.suspend(signal),
                Some(Told::Ended(change)) => self.ended = Some(change),
                // All of the namespace is ending, which can take longer than its last word.
                Some(Told::Gone) => self.listens = false,
            }
        }
        Ok(())
    }

    /// Ends all that there is.
    pub(super) fn end(&mut self, by: EndedBy) {
        self.by = self.by.or(Some(by));
        self.kill();
    }

    pub(super) fn kill(&self) {
        let _ = sys::send(self.launched.pidfd.as_fd(), self.launched.child, libc::SIGKILL);
    }

    /// The child has ended, and with an init all of the namespace.
    fn finish(&mut self) -> Result<End, Failure> {
        self.hear()?;
        let child = sys::reap(self.launched.pidfd.as_fd()).map_err(failed)?;
        let wall = self.launched.started.map(|started| started.elapsed());
        let has_init = self.launched.life.is_some();
        if has_init
            && self.ended.is_none()
            && child.code == libc::CLD_EXITED
            && !self.launched.is_told_by(&child)
        {
            let rule = "its init has ended without a word";
            return Err(Failure::refused(Stage::Wait, "wait for", "the command", rule));
        }
        let command = self.ended.unwrap_or(child);
        let way = Way::of(&command);
        self.settle_leftovers()?;
        let passed = matches!(way, Way::Signaled { signal, .. } if self.passed & bit(signal) != 0);
        let lent = self.launched.terminal.take_back();
        if let Way::Signaled { signal: signal @ (libc::SIGINT | libc::SIGQUIT), .. } = way
            && lent
            && !passed
        {
            // A key has sent it, as it would have to the whole job: a script that runs us ends too.
            let _ = sys::kill(0, signal);
        }
        let by = self.by.unwrap_or(if passed { EndedBy::Signal } else { EndedBy::Itself });
        let tree = match (has_init, self.observes) {
            (true, _) => Some(child.usage),
            (false, true) => Some(sys::usage_of_children().map_err(failed)?),
            (false, false) => None,
        };
        let pid = self.launched.real_pid;
        let started = self.launched.started.filter(|_| self.observes);
        let denied = started.and_then(|started| log::denied(way, pid, started));
        Ok(End { way, by, denied, wall, usage: command.usage, tree })
    }

    /// What outlives the command where no pid namespace has ended it.
    fn settle_leftovers(&mut self) -> Result<(), Failure> {
        if self.lifetime.containment != Containment::Subreaper {
            return Ok(());
        }
        let stopped = self.by.is_some();
        match self.lifetime.leftovers {
            Leftovers::Leave if !stopped => Ok(()),
            Leftovers::Wait if !stopped => self.wait_for_leftovers(),
            _ => leftovers::kill(self.strangers),
        }
    }

    fn wait_for_leftovers(&mut self) -> Result<(), Failure> {
        loop {
            leftovers::reap(0);
            if leftovers::left(self.strangers)?.is_empty() {
                return Ok(());
            }
            let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            fds.extend(self.caller.map(|caller| PollFd::new(caller, PollFlags::POLLIN)));
            let _ = poll(&mut fds, self.patience());
            if fds.get(1).is_some_and(|caller| caller.any().unwrap_or(false)) {
                self.by = Some(EndedBy::Parent);
            } else if matches!(self.next, Next::Ask(at) | Next::Kill(at) if Instant::now() >= at) {
                self.by = Some(EndedBy::Timeout);
            }
            let mut over = self.by.is_some();
            while let Some(caught) = self.signals.next().map_err(failed)? {
                let ends = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT];
                over |= ends.contains(&caught.number);
            }
            if over {
                return leftovers::kill(self.strangers);
            }
        }
    }
}
