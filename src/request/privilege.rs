//! What may be asked of the command's privilege, and of its share of the machine. Syntax only.

pub mod landlock;
pub mod limits;

use std::path::PathBuf;
use std::str::FromStr;

use self::landlock::{Lacking, Scoped, Scopes, port};
use super::option::options;
use crate::capability::{CapList, CapSet};
use limits::{Cpus, IoPriority, Limit, Scheduling, niceness, oom_score_adj};

options! {
    /// The options under "Privilege".
    pub struct PrivilegeArgs {
        /// Take capabilities from what the command would have, and from its bounding set; repeatable
        many cap_drop: CapList = "cap-drop", "CAP[,CAP]...|all";
        /// Leave the command with these as well, across the exec; with --cap-drop all, with these alone; repeatable
        many cap_add: CapList = "cap-add", "CAP[,CAP]...|all";
        /// The ambient set, which a user who is not root keeps across an exec
        one cap_ambient: CapSet = "cap-ambient", "LIST|all|none"
            => |arg| arg.allow_hyphen_values(true);
        /// The inheritable set
        one cap_inheritable: CapSet = "cap-inheritable", "LIST|all|none"
            => |arg| arg.allow_hyphen_values(true);
        /// The bounding set, beyond which no program that is executed gains any
        one cap_bounding: CapSet = "cap-bounding", "LIST|all|none"
            => |arg| arg.allow_hyphen_values(true);
        /// What user id 0 and a change of user ids mean to capabilities
        one securebits: Securebits = "securebits", "BIT[,BIT]...";
        /// Leave the command without user namespaces of its own making
        flag no_userns = "no-userns";
        /// Filter the command's system calls: an OCI profile in JSON, or compiled BPF
        one seccomp: PathBuf = "seccomp", "FILE";
        /// Answer these system calls with EPERM; repeatable
        many deny_syscall: CallList = "deny-syscall", "NAME[,NAME]...";
        /// Let it read files and list directories nowhere but there and beneath; repeatable
        many landlock_read: PathBuf = "landlock-read", "PATH";
        /// Let it change files and directories nowhere but there and beneath; repeatable
        many landlock_write: PathBuf = "landlock-write", "PATH";
        /// Let it execute files nowhere but there and beneath; repeatable
        many landlock_exec: PathBuf = "landlock-exec", "PATH";
        /// Let it connect to no other TCP port; repeatable
        many(port) landlock_connect: u16 = "landlock-connect", "PORT";
        /// Let it bind no other TCP port; repeatable
        many(port) landlock_bind: u16 = "landlock-bind", "PORT";
        /// Cut it off from abstract sockets or processes outside: abstract-socket, signal; repeatable
        many landlock_scope: Scopes = "landlock-scope", "SCOPE[,SCOPE]...";
        /// Go without what this kernel's Landlock lacks, and report it
        one landlock: Lacking = "landlock", "best-effort";
        /// No program that the command executes gains privilege from it
        flag no_new_privs = "no-new-privs";
        /// A resource limit: nofile=1024:4096, core=0, as=2G, cpu=unlimited
        many rlimit: Limit = "rlimit", "NAME=SOFT[:HARD]"
            => |arg| arg.allow_hyphen_values(true);
        /// The command's niceness, from -20 to 19
        one(niceness) nice: i32 = "nice", "N"
            => |arg| arg.allow_hyphen_values(true);
        /// How soon the kernel ends it for memory, from -1000 to 1000
        one(oom_score_adj) oom_score_adj: i32 = "oom-score-adj", "N"
            => |arg| arg.allow_hyphen_values(true);
        /// The CPUs that it runs on: 0-3,7
        one cpu_affinity: Cpus = "cpu-affinity", "LIST"
            => |arg| arg.allow_hyphen_values(true);
        /// Its scheduling: other, batch, idle, fifo:N or rr:N, N from 1 to 99
        one sched: Scheduling = "sched", "POLICY[:PRIORITY]";
        /// Its I/O priority: none, idle, rt:N or be:N, N from 0 to 7
        one ioprio: IoPriority = "ioprio", "CLASS[:LEVEL]";
    }
}

/// System calls by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallList(pub Vec<String>);

impl FromStr for CallList {
    type Err = String;

    fn from_str(text: &str) -> Result<CallList, String> {
        let names: Vec<String> = text.split(',').map(str::to_string).collect();
        match names.iter().any(String::is_empty) {
            true => Err("it holds an empty name".to_string()),
            false => Ok(CallList(names)),
        }
    }
}

impl PrivilegeArgs {
    /// Whether system calls are filtered.
    pub fn filters(&self) -> bool {
        self.seccomp.is_some() || !self.deny_syscall.is_empty()
    }

    /// Whether there are rules of Landlock.
    pub fn landlocks(&self) -> bool {
        let ports = [&self.landlock_connect, &self.landlock_bind];
        let scopes = self.landlock_scope.iter().any(|scopes| !scopes.0.is_empty());
        self.landlocks_paths() || scopes || ports.iter().any(|ports| !ports.is_empty())
    }

    pub fn landlocks_paths(&self) -> bool {
        let paths = [&self.landlock_read, &self.landlock_write, &self.landlock_exec];
        paths.iter().any(|paths| !paths.is_empty())
    }

    pub fn landlock_scopes(&self, scope: Scoped) -> bool {
        self.landlock_scope.iter().any(|scopes| scopes.0.contains(&scope))
    }

    /// Whether anything is said of the sets, or touches them.
    pub fn asks_for_capabilities(&self) -> bool {
        let exact = [self.cap_ambient, self.cap_inheritable, self.cap_bounding];
        let listed = !(self.cap_add.is_empty() && self.cap_drop.is_empty());
        listed || self.no_userns || exact.iter().any(Option::is_some)
    }
}

/// The secure bits by name, each with its number. Source: capabilities(7).
const BITS: [(&str, u32); 7] = [
    ("noroot", 0),
    ("noroot-locked", 1),
    ("no-setuid-fixup", 2),
    ("no-setuid-fixup-locked", 3),
    ("keep-caps-locked", 5),
    ("no-cap-ambient-raise", 6),
    ("no-cap-ambient-raise-locked", 7),
];

/// The secure bits that are to be set, a bit for each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Securebits(pub u32);

impl Securebits {
    pub const NOROOT: u32 = 1;
    /// Until the exec, which clears it.
    pub const KEEP_CAPS: u32 = 1 << 4;
    pub const NO_AMBIENT_RAISE: u32 = 1 << 6;

    pub fn names(self) -> Vec<&'static str> {
        BITS.iter().filter(|(_, number)| self.0 >> number & 1 == 1).map(|(name, _)| *name).collect()
    }
}

impl FromStr for Securebits {
    type Err = String;

    fn from_str(text: &str) -> Result<Securebits, String> {
        let mut bits = 0;
        for word in text.split(',') {
            let word = word.replace('_', "-");
            let Some((_, number)) = BITS.iter().find(|(name, _)| *name == word) else {
                let names = BITS.map(|(name, _)| name).join(", ");
                return Err(format!("the bits are {names}"));
            };
            bits |= 1 << number;
        }
        Ok(Securebits(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secure_bits_are_words() {
        let bits: Securebits = "noroot,no_setuid_fixup_locked".parse().unwrap();
        assert_eq!((bits.0, bits.names()), (0b1001, vec!["noroot", "no-setuid-fixup-locked"]));
        for wrong in ["", "keep-caps", "noroot,", "1", "NOROOT"] {
            assert!(wrong.parse::<Securebits>().is_err(), "{wrong:?} was taken");
        }
    }
}
