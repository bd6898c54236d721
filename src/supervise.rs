//! Waits for the command, passes signals on, and turns its wait status into ours. It knows no report and no plan.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};

use crate::failure::{Failure, Stage};
use crate::launch::Launched;
use crate::sys::{self, Ended};

/// The signals that are passed on to the command.
pub const FORWARDED: [Signal; 8] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGCONT,
];

/// `si_code` of what the kernel itself sends: from the terminal, to the whole foreground group.
const SI_KERNEL: i32 = 0x80;

/// How the command ended.
#[derive(Clone, Copy)]
pub struct End {
    pub way: Way,
    pub wall: Duration,
    pub usage: libc::rusage,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    Exited(u8),
    Signaled { signal: i32, core: bool },
}

impl Way {
    fn of(ended: &Ended) -> Way {
        match ended.code {
            libc::CLD_EXITED => Way::Exited(ended.status as u8),
            code => Way::Signaled { signal: ended.status, core: code == libc::CLD_DUMPED },
        }
    }

    /// The command's own status, or 128 and the signal's number.
    pub fn exit_status(self) -> u8 {
        match self {
            Way::Exited(status) => status,
            Way::Signaled { signal, .. } => 128u8.wrapping_add(signal as u8),
        }
    }
}

/// Stays until the command has ended. `mask` is what was blocked when seclude was started.
///
/// A command whose end can't be awaited is ended: nothing that runs is left to nobody.
pub fn wait(launched: &Launched, mask: &SigSet) -> Result<End, Failure> {
    let answer = stay(launched, mask);
    if answer.is_err() {
        let _ = sys::send(launched.pidfd.as_fd(), launched.real_pid, libc::SIGKILL);
        let _ = sys::reap(launched.pidfd.as_fd());
    }
    answer
}

fn stay(launched: &Launched, mask: &SigSet) -> Result<End, Failure> {
    let failed = |errno| Failure::errno(Stage::Wait, "wait for", "the command", errno);
    let forwarded: SigSet = FORWARDED.into_iter().collect();
    let signals =
        SignalFd::with_flags(&forwarded, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(failed)?;
    // What is not passed on works as it does for any program: Ctrl-Z stops us along with the command.
    let mut own = *mask;
    own.extend(&forwarded);
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&own), None).map_err(failed)?;
    loop {
        let mut fds = [
            PollFd::new(launched.pidfd.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            answer => answer.map_err(failed)?,
        };
        let [ended, signaled] = fds.map(|fd| fd.any().unwrap_or(false));
        if signaled {
            while let Some(signal) = signals.read_signal().map_err(failed)? {
                pass_on(launched, &signal);
            }
        }
        if ended {
            let ended = sys::reap(launched.pidfd.as_fd()).map_err(failed)?;
            return Ok(End { way: Way::of(&ended), wall: launched.started.elapsed(), usage: ended.usage });
        }
    }
}

/// A signal of the terminal's has reached the command already; any other is sent on. A command that is gone misses it.
fn pass_on(launched: &Launched, signal: &siginfo) {
    if signal.ssi_code == SI_KERNEL {
        return;
    }
    let _ = sys::send(launched.pidfd.as_fd(), launched.real_pid, signal.ssi_signo as i32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_128_and_its_number() {
        assert_eq!(Way::Exited(42).exit_status(), 42);
        assert_eq!(Way::Signaled { signal: libc::SIGKILL, core: false }.exit_status(), 137);
        assert_eq!(Way::Signaled { signal: 64, core: false }.exit_status(), 192);
    }
}
