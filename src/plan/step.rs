//! The steps of a child between its release and the exec: each as data, with its stage and its words. It does none of them.

use std::ffi::{CString, OsStr};
use std::fmt::{self, Display};
use std::os::unix::ffi::OsStrExt;

use super::Ration;
use super::landlock::Ruleset;
use crate::capability::Capabilities;
use crate::failure::{Stage, shown};
use crate::namespace::{Kind, Kinds};
use crate::request::namespaces::{JoinTarget, Propagation};
use crate::request::privilege::Securebits;
use crate::seccomp::{Instruction, Program};

/// Steps in one launch at most; a plan of all options has about half as many.
pub const MAX_STEPS: usize = 80;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Nobody in a namespace that is entered may trace the child or read its memory.
    Undumpable,
    Join {
        kind: Kind,
        target: JoinTarget,
    },
    NewTime,
    TimeOffsets(CString),
    /// The new time namespace becomes this process's own: else only its children would live in it.
    EnterTime,
    /// A second clone, in place of the first child, which ends: what only a child of the entered namespaces can have.
    Carry(Kinds),
    /// New namespaces in place, where seclude becomes the command.
    Unshare(Kinds),
    /// PID 1 stays behind as init, and its child goes on as the command.
    Init,
    /// The new user namespace has a limit of 0 for further ones below it.
    NoUserns,
    Loopback,
    Hostname(CString),
    Domainname(CString),
    Propagation(Propagation),
    /// Makes DIR a mount point and the root, with the old root stacked on it until [`Step::LeaveOldRoot`].
    Pivot(CString),
    Chroot(CString),
    MountProc(CString),
    LeaveOldRoot,
    NewSession,
    OwnGroup,
    /// These of the standard streams become /dev/null.
    Streams(Vec<i32>),
    Ration(Ration),
    Umask(u32),
    Chdir {
        dir: CString,
        retried: bool,
    },
    /// The second try of the chdir, if the first was refused.
    ChdirAgain,
    /// The working directory is below the new root.
    InsideRoot,
    /// The command can't type into the caller's terminal.
    NoTyping(Vec<Instruction>),
    /// What is not in it is taken from the bounding set.
    Bounding(Capabilities),
    Securebits(Securebits),
    /// The permitted set outlives the change of user ids.
    KeepCapabilities,
    /// In ascending order, each once.
    Groups(Vec<u32>),
    Gid(u32),
    Uid(u32),
    /// Permitted and effective, inheritable, ambient.
    Capabilities(Sets),
    /// User id 0 can't be taken back.
    Irrevocable,
    NoNewPrivs,
    /// The command reaches no more than the rules say.
    Landlock(Ruleset),
    /// System calls are filtered from now on. `readable`: whether it lets be read that it is in force.
    Filter {
        program: Program,
        readable: bool,
    },
    /// The kernel kills the command when its parent ends.
    DeathSignal,
    /// All from 3 up are closed, but for these, which are in ascending order.
    Descriptors(Vec<i32>),
}

/// Three of the five capability sets; what is permitted is effective as well. Source: capabilities(7).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Sets {
    pub permitted: Capabilities,
    pub inheritable: Capabilities,
    pub ambient: Capabilities,
}

impl Sets {
    pub const NONE: Sets =
        Sets { permitted: Capabilities::NONE, inheritable: Capabilities::NONE, ambient: Capabilities::NONE };
}

impl Step {
    pub fn stage(&self) -> Stage {
        match self {
            Step::Undumpable | Step::Join { .. } => Stage::Join,
            Step::NewTime | Step::TimeOffsets(_) | Step::EnterTime => Stage::TimeOffset,
            Step::Carry(_) => Stage::Clone,
            Step::Unshare(_) => Stage::Unshare,
            Step::Init => Stage::Init,
            Step::NoUserns => Stage::NoUserns,
            Step::Loopback => Stage::Loopback,
            Step::Hostname(_) => Stage::Hostname,
            Step::Domainname(_) => Stage::Domainname,
            Step::Propagation(_) => Stage::Propagation,
            Step::Pivot(_) | Step::Chroot(_) | Step::LeaveOldRoot => Stage::Root,
            Step::MountProc(_) => Stage::MountProc,
            Step::NewSession | Step::OwnGroup => Stage::Session,
            Step::Streams(_) => Stage::Streams,
            Step::Ration(ration) => ration.stage(),
            Step::Umask(_) => Stage::Umask,
            Step::Chdir { .. } | Step::ChdirAgain | Step::InsideRoot => Stage::Chdir,
            Step::NoTyping(_) => Stage::Typing,
            Step::Bounding(_) => Stage::Bounding,
            Step::Securebits(_) => Stage::Securebits,
            Step::Groups(_) => Stage::Groups,
            Step::Gid(_) => Stage::Gid,
            Step::Uid(_) | Step::Irrevocable => Stage::Uid,
            Step::KeepCapabilities | Step::Capabilities(_) => Stage::Capabilities,
            Step::NoNewPrivs => Stage::NoNewPrivs,
            Step::Landlock(_) => Stage::Landlock,
            Step::Filter { .. } => Stage::Seccomp,
            Step::DeathSignal => Stage::DeathSignal,
            Step::Descriptors(_) => Stage::Descriptors,
        }
    }

    /// The step as a verb and its object: `mount`, `a fresh procfs on /proc`.
    pub fn words(&self) -> (&'static str, String) {
        let text = |text: &CString| shown(OsStr::from_bytes(text.to_bytes()));
        match self {
            Step::Undumpable => ("become", "undumpable".to_string()),
            Step::Join { kind, target } => {
                ("join", format!("the {kind} namespace {}", shown(target.path(*kind))))
            }
            Step::NewTime => ("make", "a new time namespace".to_string()),
            Step::EnterTime => ("enter", "the new time namespace".to_string()),
            Step::TimeOffsets(offsets) => ("set", format!("the clocks to {}", text(offsets))),
            Step::Carry(kinds) if kinds.is_empty() => ("clone", "the command's process".to_string()),
            Step::Carry(kinds) => ("clone", format!("the command's process into {}", kinds.as_new())),
            Step::Unshare(kinds) => ("make", kinds.as_new()),
            Step::Init => ("start", "init as PID 1, and the command's process".to_string()),
            Step::NoUserns => ("set", "the limit of further user namespaces to 0".to_string()),
            Step::Loopback => ("bring up", "the loopback interface".to_string()),
            Step::Hostname(name) => ("set", format!("the host name to {}", text(name))),
            Step::Domainname(name) => ("set", format!("the domain name to {}", text(name))),
            Step::Propagation(how) => ("make", format!("all mounts {}", propagation_word(*how))),
            Step::Pivot(dir) => ("change the root to", text(dir)),
            Step::Chroot(dir) => {
                ("change the root to", format!("{} by chroot, which holds nobody", text(dir)))
            }
            Step::MountProc(dir) => ("mount", format!("a fresh procfs on {}", text(dir))),
            Step::LeaveOldRoot => ("unmount", "the old root".to_string()),
            Step::NewSession => ("start", "a session of its own".to_string()),
            Step::OwnGroup => ("start", "a process group of its own".to_string()),
            Step::Streams(list) if list.is_empty() => ("keep", "the standard streams".to_string()),
            Step::Streams(list) => ("turn", format!("descriptors {} to /dev/null", few(list))),
            Step::Ration(ration) => ration.words(),
            Step::Umask(mask) => ("set", format!("the file mode mask to {mask:04o}")),
            Step::Chdir { dir, .. } => ("enter", text(dir)),
            Step::ChdirAgain => ("enter", "the working directory as the new user".to_string()),
            Step::InsideRoot => ("stay", "below the new root".to_string()),
            Step::NoTyping(_) => ("keep", "the command from typing into the caller's terminal".to_string()),
            Step::Bounding(Capabilities::NONE) => ("empty", "the bounding set".to_string()),
            Step::Bounding(kept) => ("leave", format!("{kept} in the bounding set")),
            Step::Securebits(bits) => ("set", format!("the secure bits to {}", bits.names().join(","))),
            Step::KeepCapabilities => ("keep", "the capabilities across the change of user ids".to_string()),
            Step::Groups(list) if list.is_empty() => ("drop", "all supplementary groups".to_string()),
            Step::Groups(list) => ("set", format!("the supplementary groups to {}", few(list))),
            Step::Gid(gid) => ("become", format!("gid {gid}")),
            Step::Uid(uid) => ("become", format!("uid {uid}")),
            Step::Capabilities(Sets::NONE) => ("empty", "the capability sets".to_string()),
            Step::Capabilities(Sets { permitted, inheritable, ambient }) => (
                "set",
                format!("the capabilities to {permitted}, inheritable {inheritable}, ambient {ambient}"),
            ),
            Step::Irrevocable => ("make sure", "that uid 0 can't be taken back".to_string()),
            Step::NoNewPrivs => ("set", "no_new_privs".to_string()),
            Step::Landlock(ruleset) => ("restrict", landlocked(ruleset)),
            Step::Filter { program, .. } => {
                ("filter", format!("system calls by {} instructions", program.instructions.len()))
            }
            Step::DeathSignal => ("set", "the parent-death signal to SIGKILL".to_string()),
            Step::Descriptors(kept) if kept.is_empty() => ("close", "descriptors from 3 up".to_string()),
            Step::Descriptors(kept) => ("close", format!("descriptors from 3 up, but for {}", few(kept))),
        }
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (verb, object) = self.words();
        write!(f, "{verb} {object}")
    }
}

pub fn propagation_word(how: Propagation) -> &'static str {
    match how {
        Propagation::Private => "private",
        Propagation::Slave => "slave",
        Propagation::Shared => "shared",
        Propagation::Unchanged => "unchanged",
    }
}

fn landlocked(ruleset: &Ruleset) -> String {
    let list = |names: &[&str]| if names.is_empty() { "nothing".to_string() } else { names.join(", ") };
    match ruleset.unenforced.as_slice() {
        [] => format!("{} by Landlock", list(&ruleset.enforced)),
        lacking => format!("{} by Landlock: the kernel lacks {}", list(&ruleset.enforced), list(lacking)),
    }
}

fn few<T: Display>(list: &[T]) -> String {
    const SHOWN: usize = 8;
    let words: Vec<_> = list.iter().take(SHOWN).map(T::to_string).collect();
    match list.len() {
        0..=SHOWN => words.join(" "),
        count => format!("{} and {} more", words.join(" "), count - SHOWN),
    }
}
