//! Signals by name and by number, real-time ones included. One table, no policy: nothing is sent or blocked here.

use std::fmt::{self, Display};
use std::str::FromStr;

/// The first and the last real-time signal, as the C library counts them. Source: signal(7).
const REAL_TIME: [i32; 2] = [34, 64];

const NAMES: [(i32, &str); 31] = [
    (libc::SIGHUP, "HUP"),
    (libc::SIGINT, "INT"),
    (libc::SIGQUIT, "QUIT"),
    (libc::SIGILL, "ILL"),
    (libc::SIGTRAP, "TRAP"),
    (libc::SIGABRT, "ABRT"),
    (libc::SIGBUS, "BUS"),
    (libc::SIGFPE, "FPE"),
    (libc::SIGKILL, "KILL"),
    (libc::SIGUSR1, "USR1"),
    (libc::SIGSEGV, "SEGV"),
    (libc::SIGUSR2, "USR2"),
    (libc::SIGPIPE, "PIPE"),
    (libc::SIGALRM, "ALRM"),
    (libc::SIGTERM, "TERM"),
    (libc::SIGSTKFLT, "STKFLT"),
    (libc::SIGCHLD, "CHLD"),
    (libc::SIGCONT, "CONT"),
    (libc::SIGSTOP, "STOP"),
    (libc::SIGTSTP, "TSTP"),
    (libc::SIGTTIN, "TTIN"),
    (libc::SIGTTOU, "TTOU"),
    (libc::SIGURG, "URG"),
    (libc::SIGXCPU, "XCPU"),
    (libc::SIGXFSZ, "XFSZ"),
    (libc::SIGVTALRM, "VTALRM"),
    (libc::SIGPROF, "PROF"),
    (libc::SIGWINCH, "WINCH"),
    (libc::SIGIO, "IO"),
    (libc::SIGPWR, "PWR"),
    (libc::SIGSYS, "SYS"),
];

/// A signal that the kernel has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Signal(i32);

impl Signal {
    pub const TERM: Signal = Signal(libc::SIGTERM);
    pub const KILL: Signal = Signal(libc::SIGKILL);

    /// The signal of that number, 1 to 64.
    pub fn of_number(number: i32) -> Option<Signal> {
        (1..=REAL_TIME[1]).contains(&number).then_some(Signal(number))
    }

    pub const fn number(self) -> i32 {
        self.0
    }
}

impl Display for Signal {
    /// The kernel's name: `SIGTERM`, `SIGRTMIN+3`; 32 and 33, which the C library keeps to itself, as numbers.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [first, _] = REAL_TIME;
        match NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => write!(f, "SIG{name}"),
            None if self.0 == first => f.write_str("SIGRTMIN"),
            None if self.0 > first => write!(f, "SIGRTMIN+{}", self.0 - first),
            None => write!(f, "{}", self.0),
        }
    }
}

impl FromStr for Signal {
    type Err = String;

    /// Takes a name in either case, with or without SIG, `RTMIN+N`, `RTMAX-N`, or a number.
    fn from_str(text: &str) -> Result<Signal, String> {
        let digits = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
            true => text.parse::<i32>().ok(),
            false => None,
        };
        let upper = text.to_ascii_uppercase();
        let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
        let [first, last] = REAL_TIME;
        let offset = |rest: &str, sign: char| match rest {
            "" => Some(0),
            rest => rest.strip_prefix(sign).and_then(digits),
        };
        let real_time = |number: i32| Some(number).filter(|number| (first..=last).contains(number));
        let found = match NAMES.iter().find(|(_, name)| *name == bare) {
            Some((number, _)) => Some(*number),
            None if bare == "POLL" => Some(libc::SIGIO),
            None => match (bare.strip_prefix("RTMIN"), bare.strip_prefix("RTMAX")) {
                (Some(rest), _) => offset(rest, '+').and_then(|more| real_time(first.checked_add(more)?)),
                (_, Some(rest)) => offset(rest, '-').and_then(|less| real_time(last - less)),
                _ => digits(text).filter(|number| !text.starts_with('0') && *number <= last),
            },
        };
        found
            .and_then(Signal::of_number)
            .ok_or_else(|| "a signal is a name such as TERM or RTMIN+3, or a number from 1 to 64".to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_understood_in_either_case_with_or_without_their_prefix() {
        for (text, number) in
            [("TERM", 15), ("sigterm", 15), ("15", 15), ("SigRtMin+3", 37), ("RTMAX-1", 63), ("RTMIN", 34)]
        {
            assert_eq!(text.parse(), Ok(Signal(number)), "{text}");
        }
        for text in [
            "",
            "0",
            "65",
            "-1",
            "+9",
            "09",
            "TERMS",
            "SIG",
            "RTMIN+31",
            "RTMAX-31",
            "RTMIN-1",
            "99999999999",
        ] {
            assert!(text.parse::<Signal>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn every_signal_is_read_back_from_its_name() {
        for number in 1..=64 {
            let signal = Signal::of_number(number).expect("the kernel has it");
            assert_eq!(signal.to_string().parse(), Ok(signal), "{signal}");
        }
    }
}
