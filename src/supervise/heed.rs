//! What signals to seclude, and a command that stops, call for. Each signal reaches the command once.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::watch::{Watch, bit, failed};
use super::{Asked, EndedBy, leftovers};
use crate::failure::Failure;
use crate::launch::Scope;
use crate::sys::{self, Change, Whose};

/// How long one request to end may take to come twice: timeout(1) sends it to its child, and then to the whole group.
const TWICE: Duration = Duration::from_millis(100);

impl Asked {
    fn is_told_twice(&self, other: &Asked) -> bool {
        (self.signal, self.sender) == (other.signal, other.sender) && other.at - self.at < TWICE
    }
}

impl Watch<'_> {
    pub(super) fn heed_all(&mut self) -> Result<(), Failure> {
        while let Some(caught) = self.signals.next().map_err(failed)? {
            // What the kernel itself sends is from the terminal, to the whole foreground group.
            self.heed(caught.number, caught.sender, caught.code == libc::SI_KERNEL)?;
        }
        Ok(())
    }

    fn heed(&mut self, signal: i32, sender: u32, by_terminal: bool) -> Result<(), Failure> {
        let own_group = self.lifetime.own_group;
        match signal {
            libc::SIGCHLD => {
                // What has continued it is of interest where it is about to be ours too.
                let flags = if sys::is_pending(libc::SIGCONT) { 0 } else { libc::WCONTINUED };
                if let Some(change) = self.change(flags).filter(|change| change.code != libc::CLD_CONTINUED) {
                    self.suspend(change.status);
                }
                leftovers::reap(self.launched.child);
                return Ok(());
            }
            // It has taken away what was to continue us, and the command can't stop a second time.
            libc::SIGTSTP if by_terminal && self.stopped => {
                self.suspend(signal);
                return Ok(());
            }
            // The terminal has sent it to the whole group, and the command is in that.
            _ if by_terminal && !own_group => return Ok(()),
            libc::SIGCONT => {
                match self.change(libc::WCONTINUED) {
                    // Who continued us continued the group: to do it later would undo a stop that has come since.
                    Some(change) if change.code == libc::CLD_CONTINUED => self.lend_again(),
                    Some(change) => self.suspend(change.status),
                    None => self.go_on(),
                }
                return Ok(());
            }
            // The command has ended already, and what is waited for has nobody else to end it.
            libc::SIGTERM | libc::SIGINT | libc::SIGHUP | libc::SIGQUIT if self.ended.is_some() => {
                self.kill();
                return Ok(());
            }
            libc::SIGTERM | libc::SIGINT if !by_terminal => {
                let asked = Asked { at: Instant::now(), signal, sender };
                if let Some(first) = self.asked.filter(|first| first.at.elapsed() < self.lifetime.grace) {
                    if !first.is_told_twice(&asked) {
                        self.end(EndedBy::SecondSignal);
                    }
                    return Ok(());
                }
                self.asked = Some(asked);
                self.passed |= bit(signal);
            }
            _ => self.passed |= bit(signal),
        }
        self.send(signal, if by_terminal && own_group { Scope::Group } else { Scope::Command });
        Ok(())
    }

    /// That the command has stopped, or what else `flags` ask for, if there is no init to tell it.
    fn change(&self, flags: i32) -> Option<Change> {
        let launched = &self.launched;
        let child = Whose::Child(launched.pidfd.as_fd());
        let change = || sys::wait(child, libc::WSTOPPED | libc::WNOHANG | flags).ok().flatten();
        launched.life.is_none().then(change).flatten()
    }

    /// Continues the command, with the terminal if it was the command's before.
    fn go_on(&mut self) {
        self.lend_again();
        self.send(libc::SIGCONT, if self.lifetime.own_group { Scope::Group } else { Scope::Command });
    }

    fn lend_again(&mut self) {
        self.stopped = false;
        if std::mem::take(&mut self.owed) {
            self.launched.terminal.lend(self.launched.real_pid);
        }
    }

    /// A command that is gone misses it.
    pub(super) fn send(&self, signal: i32, scope: Scope) {
        let launched = &self.launched;
        let _ = match (&launched.life, scope) {
            (Some(life), scope) => life.order(signal, scope),
            (None, Scope::Command) => sys::send(launched.pidfd.as_fd(), launched.child, signal),
            // It is not reaped yet, so the number is its group's.
            (None, Scope::Group) => sys::kill(-launched.child, signal),
        };
    }

    /// The command has stopped. If it wants the terminal, and that is ours to lend, it gets it; else we stop with it, as
    /// the terminal would have stopped us, so that the shell that waits for us goes on.
    pub(super) fn suspend(&mut self, signal: i32) {
        let launched = &mut self.launched;
        let wants = [libc::SIGTTIN, libc::SIGTTOU].contains(&signal);
        if wants && self.lifetime.own_group && launched.terminal.lend(launched.real_pid) {
            return self.send(libc::SIGCONT, Scope::Group);
        }
        launched.terminal.concede(launched.real_pid);
        self.owed |= launched.terminal.take_back();
        if self.owed || wants || signal == libc::SIGTSTP {
            self.stopped = sys::stop_with_terminal(self.owed);
            // Nobody waits for us who could continue us, and so it: as little as us a key is to stop it.
            if !self.stopped && signal == libc::SIGTSTP {
                self.go_on();
            }
        }
    }
}
