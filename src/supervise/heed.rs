//! What signals to seclude, and a command that stops, call for. Each signal reaches the command once.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::watch::{Watch, bit, failed};
use super::{EndedBy, leftovers};
use crate::failure::Failure;
use crate::launch::Scope;
use crate::sys::{self, Whose};

/// `si_code` of what the kernel itself sends: from the terminal, to the whole foreground group.
const SI_KERNEL: i32 = 0x80;

/// How long one request to end may take to come twice: timeout(1) sends it to its child, and then to the whole group.
const TWICE: Duration = Duration::from_millis(100);

/// That somebody has asked the command to end, by TERM or INT to seclude.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    at: Instant,
    signal: i32,
    sender: u32,
}

impl Asked {
    fn is_told_twice(&self, other: &Asked) -> bool {
        (self.signal, self.sender) == (other.signal, other.sender) && other.at - self.at < TWICE
    }
}

impl Watch<'_> {
    pub(super) fn heed_all(&mut self) -> Result<(), Failure> {
        while let Some(info) = self.signals.read_signal().map_err(failed)? {
            self.heed(info.ssi_signo as i32, info.ssi_pid, info.ssi_code == SI_KERNEL)?;
        }
        Ok(())
    }

    fn heed(&mut self, signal: i32, sender: u32, by_terminal: bool) -> Result<(), Failure> {
        let own_group = self.lifetime.own_group;
        match signal {
            libc::SIGCHLD => {
                if self.launched.life.is_none() {
                    let child = Whose::Child(self.launched.pidfd.as_fd());
                    if let Ok(Some(change)) = sys::wait(child, libc::WSTOPPED | libc::WNOHANG) {
                        self.suspend(change.status);
                    }
                }
                leftovers::reap(self.launched.child);
                return Ok(());
            }
            // The terminal has sent it to the whole group, and the command is in that.
            _ if by_terminal && !own_group => return Ok(()),
            libc::SIGCONT => {
                self.go_on();
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

    /// Continues the command, with the terminal if it was the command's before.
    fn go_on(&mut self) {
        if std::mem::take(&mut self.owed) {
            self.launched.terminal.lend(self.launched.real_pid);
        }
        self.send(libc::SIGCONT, if self.lifetime.own_group { Scope::Group } else { Scope::Command });
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
        let lent = launched.terminal.take_back();
        if lent || wants || signal == libc::SIGTSTP {
            self.owed = lent;
            let stopped = sys::stop_with_terminal(lent);
            // Nobody waits for us who could continue us, and so it: as little as us a key is to stop it.
            if !stopped && signal == libc::SIGTSTP {
                self.go_on();
            }
        }
    }
}
