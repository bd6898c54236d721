//! What may be asked of the command's identity: ids, groups, environment, directory, mask. Syntax only.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use clap::Args;
use clap::builder::{MapValueParser, OsStringValueParser, TypedValueParser, ValueParserFactory};

use crate::account::{GroupsSpec, Principal, UserSpec};

#[derive(Args, Clone, Default, PartialEq, Eq, Debug)]
#[command(next_help_heading = "Identity")]
pub struct IdentityArgs {
    /// Become this user, as seen inside the user namespace: a name or a number
    #[arg(short, long, value_name = "USER[:GROUP]", allow_hyphen_values = true)]
    pub user: Option<UserSpec>,

    /// The primary group; replaces the user's own
    #[arg(short, long, value_name = "GROUP", allow_hyphen_values = true)]
    pub group: Option<Principal>,

    /// Supplementary groups: init (the user's), keep, none, or a list
    #[arg(long, value_name = "init|keep|none|LIST", allow_hyphen_values = true)]
    pub groups: Vec<GroupsSpec>,

    /// Start from an empty environment
    #[arg(long)]
    pub clear_env: bool,

    /// Set a variable, or with NAME alone keep the caller's; repeatable
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub env: Vec<EnvSpec>,

    /// Remove a variable; repeatable
    #[arg(long, value_name = "NAME", value_parser = OsStringValueParser::new().try_map(unset))]
    pub unset_env: Vec<OsString>,

    /// Leave HOME, USER, LOGNAME and SHELL as they are
    #[arg(long, conflicts_with = "clear_env")]
    pub keep_env: bool,

    /// The working directory
    #[arg(short = 'C', long, value_name = "DIR")]
    pub chdir: Option<PathBuf>,

    /// The file mode mask, in octal
    #[arg(long, value_name = "OCTAL", value_parser = umask, allow_hyphen_values = true)]
    pub umask: Option<u32>,

    /// The command's own name for itself
    #[arg(long, value_name = "NAME")]
    pub argv0: Option<OsString>,
}

/// `NAME=VALUE`, or `NAME` for the caller's own value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EnvSpec {
    pub name: OsString,
    pub value: Option<OsString>,
}

impl ValueParserFactory for EnvSpec {
    type Parser = MapValueParser<OsStringValueParser, fn(OsString) -> EnvSpec>;

    fn value_parser() -> Self::Parser {
        OsStringValueParser::new().map(EnvSpec::split)
    }
}

impl EnvSpec {
    fn split(text: OsString) -> EnvSpec {
        let bytes = text.as_bytes();
        match bytes.iter().position(|b| *b == b'=') {
            None => EnvSpec { name: text, value: None },
            Some(at) => EnvSpec {
                name: OsString::from_vec(bytes[..at].to_vec()),
                value: Some(OsString::from_vec(bytes[at + 1..].to_vec())),
            },
        }
    }
}

fn unset(text: OsString) -> Result<OsString, String> {
    match text.as_bytes() {
        [] => Err("it is empty: a variable's name is needed".to_string()),
        name if name.contains(&b'=') => Err("a variable's name has no =".to_string()),
        _ => Ok(text),
    }
}

fn umask(text: &str) -> Result<u32, String> {
    let octal = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let mask = u32::from_str_radix(text, 8).ok().filter(|mask| octal && *mask <= 0o777);
    mask.ok_or_else(|| "a mask is one to four octal digits, 0777 at most".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_octal() {
        assert_eq!(umask("022"), Ok(0o22));
        assert_eq!(umask("0777"), Ok(0o777));
        for text in ["", "8", "1000", "0o22", "-1", "+22", "00022"] {
            assert!(umask(text).is_err(), "{text:?} was taken");
        }
    }
}
