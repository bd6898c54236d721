//! The kinds of namespace: word, clone bit, file in /proc/PID/ns, sysctl that limits them. One table, no policy.

use std::ffi::CStr;
use std::fmt::{self, Display};
use std::str::FromStr;

/// One kind of namespace. Source: namespaces(7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    User,
    Pid,
    Mount,
    Net,
    Uts,
    Ipc,
    Cgroup,
    Time,
}

struct Row {
    kind: Kind,
    word: &'static str,
    file: &'static str,
    flag: i32,
    limit: &'static str,
}

const TABLE: [Row; 8] = [
    Row { kind: Kind::User, word: "user", file: "user", flag: libc::CLONE_NEWUSER, limit: "user" },
    Row { kind: Kind::Pid, word: "pid", file: "pid", flag: libc::CLONE_NEWPID, limit: "pid" },
    Row { kind: Kind::Mount, word: "mount", file: "mnt", flag: libc::CLONE_NEWNS, limit: "mnt" },
    Row { kind: Kind::Net, word: "net", file: "net", flag: libc::CLONE_NEWNET, limit: "net" },
    Row { kind: Kind::Uts, word: "uts", file: "uts", flag: libc::CLONE_NEWUTS, limit: "uts" },
    Row { kind: Kind::Ipc, word: "ipc", file: "ipc", flag: libc::CLONE_NEWIPC, limit: "ipc" },
    Row { kind: Kind::Cgroup, word: "cgroup", file: "cgroup", flag: libc::CLONE_NEWCGROUP, limit: "cgroup" },
    Row { kind: Kind::Time, word: "time", file: "time", flag: libc::CLONE_NEWTIME, limit: "time" },
];

impl Kind {
    pub const ALL: [Kind; 8] =
        [Kind::User, Kind::Pid, Kind::Mount, Kind::Net, Kind::Uts, Kind::Ipc, Kind::Cgroup, Kind::Time];

    const fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The word of the command line and the report.
    pub const fn word(self) -> &'static str {
        self.row().word
    }

    /// The name in /proc/PID/ns.
    pub const fn file(self) -> &'static str {
        self.row().file
    }

    /// The file below /proc that shows what setns(2) has changed: what the children will have, where a process can't move
    /// itself.
    pub const fn joined_file(self) -> &'static CStr {
        match self {
            Kind::User => c"self/ns/user",
            Kind::Pid => c"self/ns/pid_for_children",
            Kind::Mount => c"self/ns/mnt",
            Kind::Net => c"self/ns/net",
            Kind::Uts => c"self/ns/uts",
            Kind::Ipc => c"self/ns/ipc",
            Kind::Cgroup => c"self/ns/cgroup",
            Kind::Time => c"self/ns/time_for_children",
        }
    }

    /// The flag of clone(2), unshare(2) and setns(2).
    pub const fn flag(self) -> i32 {
        self.row().flag
    }

    /// The file in /proc/sys/user that limits how many a user may have.
    pub fn sysctl(self) -> String {
        format!("user.max_{}_namespaces", self.row().limit)
    }

    /// The kind that a flag stands for, as NS_GET_NSTYPE gives it. Source: ioctl_ns(2).
    pub fn of_flag(flag: i32) -> Option<Kind> {
        TABLE.iter().find(|row| row.flag == flag).map(|row| row.kind)
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Kind {
    type Err = String;

    /// Takes the word or the kernel's name for it, in either case: `mount`, `mnt`, `CLONE_NEWNS`, `newnet`.
    fn from_str(text: &str) -> Result<Kind, String> {
        let lower = text.to_ascii_lowercase();
        let bare = lower.strip_prefix("clone_").unwrap_or(&lower);
        let bare = bare.strip_prefix("new").unwrap_or(bare);
        let found = TABLE
            .iter()
            .find(|row| bare == row.word || bare == row.file || (bare == "ns" && row.file == "mnt"));
        found
            .map(|row| row.kind)
            .ok_or_else(|| format!("the kinds are {}", Kind::ALL.map(Kind::word).join(" ")))
    }
}

/// A set of kinds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Kinds(u8);

impl Kinds {
    pub const NONE: Kinds = Kinds(0);
    pub const ALL: Kinds = Kinds(0xff);

    pub const fn has(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    pub const fn with(self, kind: Kind) -> Kinds {
        Kinds(self.0 | 1 << kind as u8)
    }

    pub const fn and(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    pub const fn without(self, other: Kinds) -> Kinds {
        Kinds(self.0 & !other.0)
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| self.has(*kind))
    }

    /// The set in a sentence: `a new user namespace`, `new user,pid namespaces`.
    pub fn as_new(self) -> String {
        match self.iter().count() {
            1 => format!("a new {self} namespace"),
            _ => format!("new {self} namespaces"),
        }
    }

    /// The flags of clone3(2) and setns(2), together.
    pub const fn flags(self) -> i32 {
        let (mut flags, mut index) = (0, 0);
        while index < TABLE.len() {
            if self.has(TABLE[index].kind) {
                flags |= TABLE[index].flag;
            }
            index += 1;
        }
        flags
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<T: IntoIterator<Item = Kind>>(kinds: T) -> Kinds {
        kinds.into_iter().fold(Kinds::NONE, Kinds::with)
    }
}

impl Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.iter().map(Kind::word).collect::<Vec<_>>().join(","))
    }
}

impl FromStr for Kinds {
    type Err = String;

    /// Takes `KIND[,KIND]…`, or `all`.
    fn from_str(text: &str) -> Result<Kinds, String> {
        if text.eq_ignore_ascii_case("all") {
            return Ok(Kinds::ALL);
        }
        text.split(',')
            .map(Kind::from_str)
            .collect::<Result<_, _>>()
            .map_err(|rule| format!("{rule}, or all"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_kinds() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!((kind as usize, TABLE[index].kind), (index, kind));
            assert_eq!(Kind::of_flag(kind.flag()), Some(kind));
        }
    }

    #[test]
    fn kernel_spellings_are_understood_in_either_case() {
        for text in ["mount", "MNT", "newns", "CLONE_NEWNS"] {
            assert_eq!(text.parse(), Ok(Kind::Mount), "{text}");
        }
        assert!("mounts".parse::<Kind>().is_err());
    }

    #[test]
    fn a_list_is_a_set() {
        let kinds: Kinds = "pid,user,pid".parse().unwrap();
        assert_eq!(kinds.to_string(), "user,pid");
        assert_eq!(kinds.flags(), libc::CLONE_NEWUSER | libc::CLONE_NEWPID);
        assert_eq!("all".parse(), Ok(Kinds::ALL));
        assert!("".parse::<Kinds>().is_err());
        assert!("user,".parse::<Kinds>().is_err());
    }
}
