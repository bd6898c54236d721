//! How rules of Landlock are written. Syntax only: what a kernel has of them is decided by the plan.

use std::str::FromStr;

use clap::ValueEnum;

/// What becomes of rules that the kernel can't enforce.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Lacking {
    /// The launch goes without them, and the report tells it
    BestEffort,
}

/// What is cut off from whatever lives outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scoped {
    AbstractSocket,
    Signal,
}

impl Scoped {
    pub const ALL: [Scoped; 2] = [Scoped::AbstractSocket, Scoped::Signal];

    pub fn word(self) -> &'static str {
        match self {
            Scoped::AbstractSocket => "abstract-socket",
            Scoped::Signal => "signal",
        }
    }
}

/// A comma list of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scopes(pub Vec<Scoped>);

impl FromStr for Scopes {
    type Err = String;

    fn from_str(text: &str) -> Result<Scopes, String> {
        let one = |word| {
            let found = Scoped::ALL.into_iter().find(|scope| scope.word() == word);
            found.ok_or_else(|| format!("the scopes are {}", Scoped::ALL.map(Scoped::word).join(", ")))
        };
        text.split(',').map(one).collect::<Result<_, _>>().map(Scopes)
    }
}

/// A port of TCP.
pub fn port(text: &str) -> Result<u16, String> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let rule = "a port is a plain decimal number from 0 to 65535";
    text.parse().ok().filter(|_| is_plain).ok_or_else(|| rule.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_whole_words() {
        let both: Scopes = "signal,abstract-socket".parse().unwrap();
        assert_eq!(both.0, [Scoped::Signal, Scoped::AbstractSocket]);
        for wrong in ["", "sig", "signal,", "Signal", "abstract_socket", "abstract-sockets"] {
            assert!(wrong.parse::<Scopes>().is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn a_port_is_a_plain_number() {
        assert_eq!((port("0"), port("65535")), (Ok(0), Ok(65535)));
        for wrong in ["", "+80", "-1", "65536", "80-90", "http", "0x50"] {
            assert!(port(wrong).is_err(), "{wrong:?} was taken");
        }
    }
}
