//! What may be asked of the command's identity: ids, groups, environment, directory, mask. Syntax only.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use clap::builder::{MapValueParser, OsStringValueParser, TypedValueParser, ValueParserFactory};

use super::option::options;
use crate::account::{GroupsSpec, Principal, UserSpec};

options! {
    /// The options under "Identity".
    pub struct IdentityArgs {
        /// Become this user, as seen inside the user namespace: a name or a number
        one user: UserSpec = "user" / 'u', "USER[:GROUP]"
            => |arg| arg.allow_hyphen_values(true);
        /// The primary group; replaces the user's own
        one group: Principal = "group" / 'g', "GROUP"
            => |arg| arg.allow_hyphen_values(true);
        /// Supplementary groups: init (the user's), keep, none, or a list
        many groups: GroupsSpec = "groups", "init|keep|none|LIST"
            => |arg| arg.allow_hyphen_values(true);
        /// Start from an empty environment
        flag clear_env = "clear-env";
        /// Set a variable, or with NAME alone keep the caller's; repeatable
        many env: EnvSpec = "env", "NAME[=VALUE]";
        /// Remove a variable; repeatable
        many(OsStringValueParser::new().try_map(unset)) unset_env: OsString = "unset-env", "NAME";
        /// Leave HOME, USER, LOGNAME and SHELL as they are
        flag keep_env = "keep-env" not "clear-env";
        /// The working directory
        one chdir: PathBuf = "chdir" / 'C', "DIR";
        /// The file mode mask, in octal
        one(umask) umask: u32 = "umask", "OCTAL"
            => |arg| arg.allow_hyphen_values(true);
        /// The command's own name for itself
        one argv0: OsString = "argv0", "NAME";
    }
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
