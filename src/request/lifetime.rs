//! What may be asked of the command's life: which descriptors go with it. Syntax only.

use std::str::FromStr;

use clap::Args;

#[derive(Args, Clone, Default, PartialEq, Eq, Debug)]
#[command(next_help_heading = "Lifetime")]
pub struct LifetimeArgs {
    /// Descriptors from 3 up that stay open, or all; the others are closed
    #[arg(long, value_name = "N[,N]...|all", allow_hyphen_values = true)]
    pub keep_fd: Vec<KeepFd>,
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
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let value = text.parse().ok().filter(|_| plain);
    value.ok_or_else(|| "a descriptor is a plain decimal number".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_plain_numbers() {
        assert_eq!("3,9".parse(), Ok(KeepFd::These(vec![3, 9])));
        assert_eq!("all".parse(), Ok(KeepFd::All));
        for text in ["", "3,", "-1", "+3", "x", "2147483648"] {
            assert!(text.parse::<KeepFd>().is_err(), "{text:?} was taken");
        }
    }
}
