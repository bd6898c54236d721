//! What may be asked of the command's life: who stays with it, what ends it, what may outlive it, which descriptors go with it. Syntax only.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;

use super::option::options;
use crate::signal::Signal;

options! {
    /// The options under "Lifetime".
    pub struct LifetimeArgs {
        /// Make the command itself PID 1 of the new pid namespace: no init
        flag as_pid1 = "as-pid1";
        /// Become the command, as in a container's entrypoint: no parent stays
        flag exec = "exec";
        /// Return once the command runs, and leave it in the background
        flag daemon = "daemon";
        /// A file that holds the command's real pid for as long as it runs
        one pid_file: PathBuf = "pid-file", "PATH";
        /// End the command after this long: 10, 1.5s, 2m, 1h, 1d
        one(timeout) timeout: Duration = "timeout", "DURATION"
            => |arg| arg.allow_hyphen_values(true);
        /// How long it has for its end before all is killed; 5s by default
        one(duration) kill_after: Duration = "kill-after", "DURATION"
            => |arg| arg.allow_hyphen_values(true);
        /// The signal that --timeout asks it to end with; TERM by default
        one stop_signal: Signal = "stop-signal", "SIGNAL"
            => |arg| arg.allow_hyphen_values(true);
        /// End the command and its processes when the caller of seclude ends
        flag die_with_parent = "die-with-parent";
        /// What outlives it; by default kill in a new pid namespace, else leave
        one leftovers: Leftovers = "leftovers", "kill|wait|leave"
            => |arg| arg.hide_possible_values(true);
        /// Start the command in a session of its own, without a terminal
        flag new_session = "new-session";
        /// Descriptors from 3 up that stay open, or all; the others are closed
        many keep_fd: KeepFd = "keep-fd", "N[,N]...|all"
            => |arg| arg.allow_hyphen_values(true);
        /// Where signal N ended it: exit with 128+N, or end by N as well
        one status: StatusForm = "status", "exit|reraise"
            => |arg| arg.hide_possible_values(true);
        /// Statuses of the command that become 0: numbers, or signals' names
        many ok_status: OkStatus = "ok-status", "LIST"
            => |arg| arg.allow_hyphen_values(true).value_delimiter(',');
    }
}

/// What becomes of processes that outlive the command.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Leftovers {
    Kill,
    Wait,
    Leave,
}

/// How a death by signal is handed on.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, ValueEnum)]
pub enum StatusForm {
    #[default]
    Exit,
    Reraise,
}

/// A status that counts as success.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OkStatus(pub u8);

impl FromStr for OkStatus {
    type Err = String;

    /// Takes 0 to 255, or a signal by name, which is 128 and its number.
    fn from_str(text: &str) -> Result<OkStatus, String> {
        let rule = || "a status is a plain decimal number from 0 to 255, or the name of a signal".to_string();
        if text.bytes().all(|b| b.is_ascii_digit()) {
            let plain = !text.is_empty() && (text == "0" || !text.starts_with('0'));
            return text.parse().ok().filter(|_| plain).map(OkStatus).ok_or_else(rule);
        }
        let signal: Signal = text.parse().map_err(|_| rule())?;
        Ok(OkStatus(128 + signal.number() as u8))
    }
}

/// Descriptors of the caller's that the command inherits beside 0, 1 and 2.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeepFd {
    All,
    These(Vec<i32>),
}

impl FromStr for KeepFd {
    type Err = String;

    fn from_str(text: &str) -> Result<KeepFd, String> {
        if text == "all" {
            return Ok(KeepFd::All);
        }
        text.split(',').map(descriptor).collect::<Result<_, _>>().map(KeepFd::These)
    }
}

/// A descriptor in plain decimal.
pub fn descriptor(text: &str) -> Result<i32, String> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let value = text.parse().ok().filter(|_| plain);
    value.ok_or_else(|| "a descriptor is a plain decimal number".to_string())
}

/// A number of seconds, minutes, hours or days, with a fraction or not: `10`, `1.5s`, `2m`, `1h`, `1d`. 49 days at most.
fn duration(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(49 * 86_400);
    let rule = || "a duration is a number such as 10, 1.5s, 2m, 1h or 1d, 49d at most".to_string();
    let (number, unit) = match text.char_indices().next_back() {
        Some((at, unit @ ('s' | 'm' | 'h' | 'd'))) => (&text[..at], unit),
        _ => (text, 's'),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| (1..=9).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(rule());
    }
    let seconds = match unit {
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => 1u64,
    };
    let nanos = format!("{fraction:0<9}").parse().map_err(|_| rule())?;
    let span = Duration::from_secs(whole.parse().map_err(|_| rule())?) + Duration::from_nanos(nanos);
    u32::try_from(seconds)
        .ok()
        .and_then(|unit| span.checked_mul(unit))
        .filter(|span| *span <= LONGEST)
        .ok_or_else(rule)
}

fn timeout(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("a command that has no time at all can't be started".to_string()),
        span => Ok(span),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_plain_numbers() {
        assert_eq!("3,9".parse(), Ok(KeepFd::These(vec![3, 9])));
        assert_eq!("all".parse(), Ok(KeepFd::All));
        for text in ["", "3,", "-1", "+3", "03", "x", "2147483648"] {
            assert!(text.parse::<KeepFd>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        let millis = |text: &str| duration(text).map(|span| span.as_millis());
        for (text, expected) in [
            ("10", 10_000),
            ("1.5s", 1_500),
            ("0.25", 250),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("0", 0),
            ("1.5d", 129_600_000),
        ] {
            assert_eq!(millis(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "s",
            "-1",
            "+1",
            "1e3",
            "1x",
            "1ms",
            ".5",
            "1.",
            "50d",
            "1.2.3",
            " 1",
            "1 s",
            "inf",
            "9999999999",
        ] {
            assert!(duration(text).is_err(), "{text:?} was taken");
        }
        assert!(timeout("0").is_err() && timeout("0.0s").is_err());
    }

    #[test]
    fn a_status_is_a_number_or_a_signal() {
        assert_eq!(
            ["0", "255", "TERM", "sigint"].map(str::parse),
            [Ok(OkStatus(0)), Ok(OkStatus(255)), Ok(OkStatus(143)), Ok(OkStatus(130))]
        );
        for text in ["", "256", "-1", "01", "TERMS"] {
            assert!(text.parse::<OkStatus>().is_err(), "{text:?} was taken");
        }
    }
}
