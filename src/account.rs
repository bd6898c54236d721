//! How a user or a group is written: NAME, ID, USER:GROUP, lists. Syntax only: nothing is looked up here.

use std::fmt::{self, Display};
use std::str::FromStr;

use crate::failure::shown;
use crate::idmap::MAX_ID;

/// Supplementary groups that setgroups(2) takes: NGROUPS_MAX.
pub const MAX_GROUPS: usize = 65_536;
/// Bytes in a name: LOGIN_NAME_MAX without its NUL.
const MAX_NAME: usize = 255;

/// A user or a group, by number or by name. Digits only is always a number, never a name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Principal {
    Id(u32),
    Name(String),
}

impl FromStr for Principal {
    type Err = String;

    fn from_str(text: &str) -> Result<Principal, String> {
        if text.is_empty() {
            return Err("it is empty: a name or a number is needed".to_string());
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return id(text).map(Principal::Id);
        }
        name(text).map(Principal::Name)
    }
}

impl Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Principal::Id(id) => write!(f, "{id}"),
            Principal::Name(name) => f.write_str(&shown(name)),
        }
    }
}

/// An id in plain decimal: no sign, no blank, no leading zero, 4294967294 at most. It is never wrapped.
pub fn id(text: &str) -> Result<u32, String> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !(text.len() > 1 && text.starts_with('0'));
    let value = text.parse().ok().filter(|id| plain && *id <= MAX_ID);
    value.ok_or_else(|| format!("an id is a plain decimal number from 0 to {MAX_ID}"))
}

fn name(text: &str) -> Result<String, String> {
    if let Some(at) = text.bytes().position(|b| b.is_ascii_control()) {
        return Err(format!("byte {} is the control character 0x{:02x}", at + 1, text.as_bytes()[at]));
    }
    if text.len() > MAX_NAME {
        return Err(format!("a name is at most {MAX_NAME} bytes, and this is {}", text.len()));
    }
    let starts_well = text.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
    if !starts_well {
        return Err(format!(
            "a name starts with a letter or _, an id is a plain decimal number from 0 to {MAX_ID}"
        ));
    }
    match text.chars().find(|c| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':' | ',')) {
        Some(c) => Err(format!("a name does not contain '{}'", shown(c.to_string()))),
        None => Ok(text.to_string()),
    }
}

/// `USER[:GROUP]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserSpec {
    pub user: Principal,
    pub group: Option<Principal>,
}

impl FromStr for UserSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<UserSpec, String> {
        match text.split_once(':') {
            None => Ok(UserSpec { user: text.parse()?, group: None }),
            Some((user, group)) => {
                let user = user.parse().map_err(|rule| format!("before the colon: {rule}"))?;
                let group = group.parse().map_err(|rule| format!("after the colon: {rule}"))?;
                Ok(UserSpec { user, group: Some(group) })
            }
        }
    }
}

impl Display for UserSpec {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.group {
            Some(group) => write!(f, "{}:{group}", self.user),
            None => self.user.fmt(f),
        }
    }
}

/// Which supplementary groups: a word, or exactly these.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupsSpec {
    Init,
    Keep,
    None,
    List(Vec<Principal>),
}

impl FromStr for GroupsSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<GroupsSpec, String> {
        match text {
            "init" => Ok(GroupsSpec::Init),
            "keep" => Ok(GroupsSpec::Keep),
            "none" => Ok(GroupsSpec::None),
            "" => Err("it is empty: init, keep, none, or a list of groups".to_string()),
            list => list.split(',').map(Principal::from_str).collect::<Result<_, _>>().map(GroupsSpec::List),
        }
    }
}

impl GroupsSpec {
    /// Joins what repeated options say: lists grow, a word stands alone.
    pub fn joined(specs: &[GroupsSpec]) -> Result<Option<GroupsSpec>, String> {
        let [first, rest @ ..] = specs else { return Ok(None) };
        let mut joined = first.clone();
        for spec in rest {
            match (&mut joined, spec) {
                (GroupsSpec::List(all), GroupsSpec::List(more)) => all.extend(more.iter().cloned()),
                _ => return Err("init, keep and none stand alone; only lists can be repeated".to_string()),
            }
        }
        match &joined {
            GroupsSpec::List(all) if all.len() > MAX_GROUPS => {
                Err(format!("{} groups: the kernel takes {MAX_GROUPS}", all.len()))
            }
            _ => Ok(Some(joined)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_plain_decimal_and_never_wraps() {
        assert_eq!("0".parse(), Ok(Principal::Id(0)));
        assert_eq!("4294967294".parse(), Ok(Principal::Id(MAX_ID)));
        let refused = [
            "",
            " 5",
            "5 ",
            "5x",
            "-1",
            "+5",
            "0x10",
            "010",
            "00",
            "4294967295",
            "4294967296",
            "4294967297",
            "18446744073709551615",
            "18446744073709551616",
            "1.5",
            "1e3",
            "5abc",
            "5\n",
            "٥",
            "1abc",
        ];
        for text in refused {
            assert!(text.parse::<Principal>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn names_are_what_a_passwd_file_can_hold() {
        for text in
            ["root", "_apt", "first.last", "systemd-network", "host$", "CORP\\bob", "user@domain", "jörg"]
        {
            assert_eq!(text.parse(), Ok(Principal::Name(text.to_string())));
        }
        for text in ["a b", "a/b", "../x", "a\nb", "a\u{1b}b", "-root", ".x", "a,b", &"x".repeat(300)] {
            assert!(text.parse::<Principal>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn both_halves_of_a_pair_are_needed() {
        let pair: UserSpec = "bob:1234".parse().unwrap();
        assert_eq!((pair.user, pair.group), (Principal::Name("bob".into()), Some(Principal::Id(1234))));
        for text in ["", ":", ":0", "0:", "a:b:c", "0:-1"] {
            assert!(text.parse::<UserSpec>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn lists_grow_and_words_stand_alone() {
        let specs = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<GroupsSpec>>();
        let joined = GroupsSpec::joined(&specs(&["1,2", "adm"])).unwrap();
        let list = vec![Principal::Id(1), Principal::Id(2), Principal::Name("adm".into())];
        assert_eq!(joined, Some(GroupsSpec::List(list)));
        assert!(GroupsSpec::joined(&specs(&["none", "1"])).is_err());
        assert!(GroupsSpec::joined(&[GroupsSpec::List(vec![Principal::Id(1); MAX_GROUPS + 1])]).is_err());
        assert!("1,,2".parse::<GroupsSpec>().is_err());
    }
}
