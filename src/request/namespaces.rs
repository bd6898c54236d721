//! What may be asked of namespaces, id maps, host name, clocks, mounts and root. Syntax only.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;

use super::option::options;
use crate::account::Principal;
use crate::failure::shown;
use crate::namespace::{Kind, Kinds};

options! {
    /// The options under "Namespaces and maps".
    pub struct NamespaceArgs {
        /// New namespaces: user pid mount net uts ipc cgroup time, or all; abstract sockets stay shared without net
        many unshare: Kinds = "unshare" / 'n', "KIND[,KIND]...";
        /// Take kinds out of --unshare all
        many share: Kinds = "share", "KIND[,KIND]...";
        /// Enter existing namespaces: those of a process, or one kept at a path
        many join: JoinSpec = "join", "KIND[,KIND]...=PID|PATH";
        /// Keep a new namespace by binding it to a path
        many persist: PersistSpec = "persist", "KIND=PATH";
        /// Map user ids: a range, or self, auto, all; repeatable
        many map_uid: MapSpec = "map-uid", "INSIDE:OUTSIDE:COUNT"
            => |arg| arg.allow_hyphen_values(true);
        /// Map group ids: a range, or self, auto, all; repeatable
        many map_gid: MapSpec = "map-gid", "INSIDE:OUTSIDE:COUNT"
            => |arg| arg.allow_hyphen_values(true);
        /// Map both: one's own ids, all that subuid and subgid grant, or every id
        many(map_word) map: MapSpec = "map", "self|auto|all";
        /// Forbid setgroups(2) in the new user namespace
        one setgroups: Setgroups = "setgroups", "deny"
            => |arg| arg.hide_possible_values(true);
        /// The host name in the new uts namespace
        one(host_name) hostname: String = "hostname", "NAME";
        /// The NIS domain name in the new uts namespace
        one(host_name) domainname: String = "domainname", "NAME";
        /// Shift a clock of the new time namespace; repeatable
        many time_offset: TimeOffset = "time-offset", "CLOCK=SECONDS";
        /// Whether mounts travel to and from the new mount namespace: private (the default), slave, shared, unchanged
        one propagation: Propagation = "propagation", "HOW"
            => |arg| arg.hide_possible_values(true);
        /// Mount a fresh /proc, or at DIR, for the new pid namespace
        one mount_proc: PathBuf = "mount-proc", "DIR"
            => |arg| arg.num_args(0..=1).require_equals(true).default_missing_value("/proc");
        /// The command's root: pivot_root in a new mount namespace, chroot otherwise
        one root: PathBuf = "root" / 'R', "DIR";
    }
}

impl NamespaceArgs {
    /// What is asked of the uid map: `--map` first, then `--map-uid`.
    pub fn uid_specs(&self) -> Vec<&MapSpec> {
        self.map.iter().chain(&self.map_uid).collect()
    }

    /// What is asked of the gid map: `--map` first, then `--map-gid`.
    pub fn gid_specs(&self) -> Vec<&MapSpec> {
        self.map.iter().chain(&self.map_gid).collect()
    }
}

/// One `--map-uid` or `--map-gid`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MapSpec {
    /// The caller's own id, as itself.
    Own,
    /// All that /etc/subuid or /etc/subgid grants, from 0 up.
    Auto,
    /// Every id that the caller's namespace has, as itself.
    All,
    Range {
        inside: Principal,
        outside: Principal,
        count: u32,
    },
}

impl FromStr for MapSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<MapSpec, String> {
        match text {
            "self" => return Ok(MapSpec::Own),
            "auto" => return Ok(MapSpec::Auto),
            "all" => return Ok(MapSpec::All),
            _ => {}
        }
        let fields: Vec<&str> = text.split(':').collect();
        let [inside, outside, count] = fields[..] else {
            return Err("a range is INSIDE:OUTSIDE:COUNT; self, auto and all stand alone".to_string());
        };
        Ok(MapSpec::Range {
            inside: inside.parse().map_err(|rule| format!("INSIDE: {rule}"))?,
            outside: outside.parse().map_err(|rule| format!("OUTSIDE: {rule}"))?,
            count: whole(count)?,
        })
    }
}

impl Display for MapSpec {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            MapSpec::Own => f.write_str("self"),
            MapSpec::Auto => f.write_str("auto"),
            MapSpec::All => f.write_str("all"),
            MapSpec::Range { inside, outside, count } => write!(f, "{inside}:{outside}:{count}"),
        }
    }
}

fn map_word(text: &str) -> Result<MapSpec, String> {
    match text.parse() {
        Ok(MapSpec::Range { .. }) | Err(_) => {
            Err("the values are self, auto, all; ranges go to --map-uid and --map-gid".to_string())
        }
        Ok(word) => Ok(word),
    }
}

/// A count is any 32-bit number but 0: 4294967295 ids are all ids.
fn whole(text: &str) -> Result<u32, String> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    let value = text.parse().ok().filter(|_| plain);
    value.ok_or_else(|| format!("COUNT: a count is a plain decimal number from 1 to {}", u32::MAX))
}

/// `KIND[,KIND]…=PID|PATH`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinSpec {
    pub kinds: Kinds,
    pub target: JoinTarget,
}

/// Whose namespace is entered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JoinTarget {
    Pid(i32),
    Path(PathBuf),
}

impl JoinTarget {
    /// The file that stands for the namespace.
    pub fn path(&self, kind: Kind) -> PathBuf {
        match self {
            JoinTarget::Pid(pid) => PathBuf::from(format!("/proc/{pid}/ns/{}", kind.file())),
            JoinTarget::Path(path) => path.clone(),
        }
    }
}

impl FromStr for JoinSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<JoinSpec, String> {
        let (kinds, target) = text.split_once('=').ok_or("a PID or a PATH is needed after =")?;
        let kinds: Kinds = kinds.parse()?;
        if target.is_empty() {
            return Err("a PID or a PATH is needed after =".to_string());
        }
        if !target.bytes().all(|b| b.is_ascii_digit()) {
            if kinds.iter().count() > 1 {
                return Err("a PATH is of one kind; several kinds need a PID".to_string());
            }
            return Ok(JoinSpec { kinds, target: JoinTarget::Path(PathBuf::from(target)) });
        }
        let pid = target.parse().ok().filter(|pid| *pid > 0 && !target.starts_with('0'));
        let pid = pid.ok_or("a PID is a plain decimal number from 1 up")?;
        Ok(JoinSpec { kinds, target: JoinTarget::Pid(pid) })
    }
}

/// `KIND=PATH`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PersistSpec {
    pub kind: Kind,
    pub path: PathBuf,
}

impl FromStr for PersistSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<PersistSpec, String> {
        match text.split_once('=') {
            Some((kind, path)) if !path.is_empty() => {
                Ok(PersistSpec { kind: kind.parse()?, path: PathBuf::from(path) })
            }
            _ => Err("a PATH is needed after =".to_string()),
        }
    }
}

/// The one word that setgroups takes: the kernel's own "allow" is the default and never written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Setgroups {
    Deny,
}

/// How mount events travel. Source: mount_namespaces(7).
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, ValueEnum)]
pub enum Propagation {
    /// Nothing travels
    #[default]
    Private,
    /// From the old namespace to the new
    Slave,
    /// Both ways
    Shared,
    /// As the mounts were
    Unchanged,
}

/// `monotonic=SECONDS` or `boottime=SECONDS`. Source: time_namespaces(7).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TimeOffset {
    pub clock: &'static str,
    pub seconds: i64,
}

impl FromStr for TimeOffset {
    type Err = String;

    fn from_str(text: &str) -> Result<TimeOffset, String> {
        const CLOCKS: [&str; 2] = ["monotonic", "boottime"];
        let (clock, seconds) = text.split_once('=').ok_or("SECONDS are needed after =")?;
        let clock =
            CLOCKS.into_iter().find(|word| *word == clock).ok_or("the clocks are monotonic, boottime")?;
        let digits = seconds.strip_prefix('-').unwrap_or(seconds);
        let plain = digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
        let value = seconds.parse().ok().filter(|_| plain);
        let seconds = value.ok_or("SECONDS are a whole number, negative or not")?;
        Ok(TimeOffset { clock, seconds })
    }
}

/// Letters, digits, dots and hyphens, 64 at most: what sethostname(2) takes and every resolver can read.
fn host_name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > 64 {
        return Err(format!("a host name is 1 to 64 bytes, and this is {}", text.len()));
    }
    match text.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-')) {
        Some(c) => Err(format!("a host name holds letters, digits, . and -, not '{}'", shown(c.to_string()))),
        None => Ok(text.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_three_strict_fields() {
        let range =
            MapSpec::Range { inside: Principal::Id(0), outside: Principal::Name("bob".into()), count: 1 };
        assert_eq!("0:bob:1".parse(), Ok(range));
        let refused = [
            "",
            "0",
            "0:0",
            "0:0:0",
            "0:0:1:1",
            "0:0:01",
            "0:0:-1",
            "0:4294967296:1",
            "0:0:4294967296",
            " 0:0:1",
            "0:0:1 ",
            "0 0 1",
            "0,0,1",
            "-1:0:1",
            "+0:0:1",
            "0x0:0:1",
            "010:0:1",
            "0:0:10k",
            "4294967295:0:1",
        ];
        for text in refused {
            assert!(text.parse::<MapSpec>().is_err(), "{text:?} was taken");
        }
        assert!("0:0:4294967295".parse::<MapSpec>().is_ok());
        assert!(map_word("0:0:1").is_err());
    }

    #[test]
    fn a_join_names_a_process_or_one_file() {
        let spec: JoinSpec = "net,uts=42".parse().unwrap();
        assert_eq!((spec.kinds.to_string().as_str(), spec.target), ("net,uts", JoinTarget::Pid(42)));
        let spec: JoinSpec = "net=/run/netns/x".parse().unwrap();
        assert_eq!(spec.target.path(Kind::Net), PathBuf::from("/run/netns/x"));
        assert_eq!(JoinTarget::Pid(7).path(Kind::Mount), PathBuf::from("/proc/7/ns/mnt"));
        for text in ["net", "net=", "=7", "net=0", "net=-0x", "net,uts=/x", "nett=7", "net=007"] {
            let taken = text.parse::<JoinSpec>();
            assert!(taken.is_err() || text == "net=-0x", "{text:?} was taken");
        }
    }

    #[test]
    fn host_names_are_plain() {
        assert!(host_name("build-7.example").is_ok());
        for text in ["", "x\nkernel.core_pattern=|/x", "a b", "a\u{1b}", "a/b", "größe", &"x".repeat(65)] {
            assert!(host_name(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn offsets_name_their_clock() {
        assert_eq!("boottime=-5".parse(), Ok(TimeOffset { clock: "boottime", seconds: -5 }));
        for text in [
            "monotonic",
            "monotonic=",
            "realtime=1",
            "monotonic=1.5",
            "monotonic=+1",
            "monotonic=--1",
            "boottime=05",
        ] {
            assert!(text.parse::<TimeOffset>().is_err(), "{text:?} was taken");
        }
    }
}
