//! Stays with the command: passes signals on, ends it when its time is up, and says how it ended. It knows no report.

mod heed;
mod leftovers;
mod log;
mod post;
mod watch;

use std::time::{Duration, Instant};

pub use log::Denied;
pub use post::Post;
pub use watch::wait;

use crate::plan::Lifetime;
use crate::request::lifetime::StatusForm;
use crate::signal::Signal;
use crate::sys::{self, Change, Usage};

/// The exit status where the time was up, as timeout(1) has it.
const TIMED_OUT: u8 = 124;

/// How the command ended.
#[derive(Clone, Copy)]
pub struct End {
    pub way: Way,
    pub by: EndedBy,
    /// What a filter has ended it for, where the kernel's log tells it. Only where the plan is to observe.
    pub denied: Option<Denied>,
    /// Only where the plan is timed.
    pub wall: Option<Duration>,
    /// What the command has used, and those of its children that it waited for.
    pub usage: Usage,
    /// What all of its processes have used that ended before seclude's report.
    /// Only where the plan is to observe.
    pub tree: Option<Usage>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    Exited(u8),
    Signaled { signal: i32, core: bool },
}

/// Who ended it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndedBy {
    Itself,
    /// A signal that seclude passed on.
    Signal,
    /// A second TERM or INT to seclude within the grace.
    SecondSignal,
    Timeout,
    /// The end of seclude's caller.
    Parent,
}

/// That somebody has asked the command to end, by TERM or INT to seclude.
#[derive(Clone, Copy)]
struct Asked {
    at: Instant,
    signal: i32,
    sender: u32,
}

impl EndedBy {
    pub fn word(self) -> &'static str {
        match self {
            EndedBy::Itself => "command",
            EndedBy::Signal => "signal",
            EndedBy::SecondSignal => "second-signal",
            EndedBy::Timeout => "timeout",
            EndedBy::Parent => "parent",
        }
    }
}

impl Way {
    fn of(change: &Change) -> Way {
        match change.code {
            libc::CLD_EXITED => Way::Exited(change.status as u8),
            code => Way::Signaled { signal: change.status, core: code == libc::CLD_DUMPED },
        }
    }

    /// The command's own status, or 128 and the signal's number.
    pub fn exit_status(self) -> u8 {
        match self {
            Way::Exited(status) => status,
            Way::Signaled { signal, .. } => 128u8.wrapping_add(signal as u8),
        }
    }

    pub fn signal(self) -> Option<Signal> {
        match self {
            Way::Exited(_) => None,
            Way::Signaled { signal, .. } => Signal::of_number(signal),
        }
    }
}

impl End {
    /// What seclude ends with: 124 where the time was up, 0 for a status that counts as success, else the command's.
    pub fn exit_status(&self, lifetime: &Lifetime) -> u8 {
        match (self.by, self.way.exit_status()) {
            (EndedBy::Timeout, _) => TIMED_OUT,
            (_, status) if lifetime.ok_status.contains(&status) => 0,
            (_, status) => status,
        }
    }

    /// Ends seclude by the signal that ended the command, if that was asked for; returns where there is none.
    pub fn reraise(&self, lifetime: &Lifetime) {
        let by_signal = self.by != EndedBy::Timeout && self.exit_status(lifetime) != 0;
        if let Way::Signaled { signal, .. } = self.way
            && lifetime.status == StatusForm::Reraise
            && by_signal
        {
            sys::end_by(signal);
        }
    }
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
