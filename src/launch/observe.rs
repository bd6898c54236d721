//! Who and where the command is before its exec: pids, ids, groups, capabilities, namespaces, and the time of each step.

use std::os::fd::OwnedFd;
use std::time::Instant;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::handshake::{self, Message};
use crate::failure::{Failure, Stage};
use crate::namespace::Kind;
use crate::plan::Plan;
use crate::plan::step::MAX_STEPS;
use crate::procfs::read_whole;

/// Read back, not asked for. Ids are as seen outside, by the launcher.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observed {
    /// Real, effective, saved and file system id.
    pub uids: [u32; 4],
    pub gids: [u32; 4],
    pub groups: Vec<u32>,
    /// Inheritable, permitted, effective, bounding, ambient.
    pub capabilities: [u64; 5],
    pub no_new_privs: bool,
    /// The secure bits, a bit for each.
    pub securebits: u32,
    /// Whether filters of system calls are in force already.
    pub is_filtered: bool,
    /// Inode numbers of the namespaces that the kernel has.
    pub namespaces: Vec<(Kind, u32)>,
    /// Microseconds of each step of the plan.
    pub micros: Vec<u32>,
}

/// A command on the brink of its exec.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    pub real_pid: i32,
    pub isolated_pid: i32,
    /// Real, effective and saved, as read back inside.
    pub uids: [u32; 3],
    pub gids: [u32; 3],
    /// What the kernel shows of it; only where the plan is to observe.
    pub observed: Option<Observed>,
    /// Since when it has been on its way, where that is asked.
    pub since: Option<Instant>,
}

impl Standing {
    /// Of a command that nobody asked about: what is known of it from here.
    pub(super) fn unheld(pid: i32, plan: &Plan, since: Option<Instant>) -> Standing {
        let isolated_pid = if plan.layout.made.has(Kind::Pid) { 1 } else { pid };
        Standing { real_pid: pid, isolated_pid, uids: [0; 3], gids: [0; 3], observed: None, since }
    }

    pub(super) fn of(
        message: &Message,
        real_pid: i32,
        status: Option<&OwnedFd>,
        plan: &Plan,
        since: Option<Instant>,
    ) -> Result<Standing, Failure> {
        Ok(Standing {
            real_pid,
            isolated_pid: message.word(handshake::PID) as i32,
            uids: message.words(handshake::IDS),
            gids: message.words(handshake::IDS + 3),
            observed: status.map(|status| Observed::read(status, message, plan)).transpose()?,
            since,
        })
    }
}

/// Opens the child's status while it is still the caller's to see.
pub fn open(dir: &OwnedFd, name: &str) -> Result<OwnedFd, Failure> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    openat(dir, "status", flags, Mode::empty())
        .map_err(|errno| Failure::errno(Stage::Proc, "open", format!("/proc/{name}/status"), errno))
}

impl Observed {
    fn read(status: &OwnedFd, message: &Message, plan: &Plan) -> Result<Observed, Failure> {
        let text = read_whole(status)
            .map_err(|errno| Failure::errno(Stage::Proc, "read", "the child's status", errno))?;
        let inodes: [u32; Kind::ALL.len()] = message.words(handshake::INODES);
        let namespaces = Kind::ALL.into_iter().zip(inodes).filter(|(_, inode)| *inode != 0).collect();
        let micros: [u32; MAX_STEPS] = message.words(handshake::MICROS);
        let micros = micros[..plan.steps.len()].to_vec();
        let securebits = message.word(handshake::SECUREBITS);
        parse(&text, securebits, namespaces, micros).ok_or_else(|| {
            let rule = "a line that every kernel since 4.10 has is missing";
            Failure::refused(Stage::Proc, "read", "the child's status", rule)
        })
    }
}

fn parse(text: &str, securebits: u32, namespaces: Vec<(Kind, u32)>, micros: Vec<u32>) -> Option<Observed> {
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::split_whitespace)
    };
    let four = |name| {
        let ids: Vec<u32> = field(name)?.filter_map(|id| id.parse().ok()).collect();
        ids.try_into().ok()
    };
    let set = |name| u64::from_str_radix(field(name)?.next()?, 16).ok();
    Some(Observed {
        uids: four("Uid")?,
        gids: four("Gid")?,
        groups: field("Groups")?.filter_map(|id| id.parse().ok()).collect(),
        capabilities: [set("CapInh")?, set("CapPrm")?, set("CapEff")?, set("CapBnd")?, set("CapAmb")?],
        no_new_privs: field("NoNewPrivs")?.next()? == "1",
        securebits,
        // A kernel without filters has no such line.
        is_filtered: field("Seccomp").and_then(|mut words| words.next()).is_some_and(|mode| mode == "2"),
        namespaces,
        micros,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_by_its_names() {
        let text = "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \nNSpid:\t7\t1\nCapInh:\t00\n\
                    CapPrm:\tff\nCapEff:\t0f\nCapBnd:\t000001ffffffffff\nCapAmb:\t00\nNoNewPrivs:\t1\n";
        let seen = parse(text, 1, vec![(Kind::Net, 7)], vec![]).unwrap();
        assert_eq!((seen.uids, seen.gids, seen.groups), ([1, 2, 3, 4], [5, 6, 7, 8], vec![9, 10]));
        assert_eq!(seen.capabilities, [0, 0xff, 0x0f, 0x1ff_ffff_ffff, 0]);
        assert!(seen.no_new_privs);
        assert_eq!(parse("Uid:\t1\n", 0, vec![], vec![]), None);
    }
}
