//! The lifeline between launcher and init: what either says after the command runs. Its end is the other's death.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};

use super::handshake::packets;
use crate::sys::{Change, USAGE_WORDS, Usage};

/// The command has stopped, and lives on.
pub const STOPPED: i64 = 1;
/// The command has ended.
pub const ENDED: i64 = 2;

/// What init exits with where it fails. Where nobody observes, what else it exits with is the command's own status: that
/// spares a word, and a launcher that wakes for it while the namespace ends.
pub const FAILED: i32 = 125;

/// What init says: which of the two, `si_code`, `si_status`, and what the command has used.
pub const TOLD: usize = 3 + USAGE_WORDS;
/// What the launcher says: a signal, and whom it is for.
pub const ORDER: usize = 2;

/// Whom a signal is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Scope {
    Command = 0,
    /// The command's whole process group.
    Group = 1,
}

/// What init has told of the command.
pub enum Told {
    Stopped(i32),
    Ended(Change),
    /// Nothing more: init is ending, and all of the namespace with it.
    Gone,
}

/// The launcher's end.
pub struct Life(OwnedFd);

/// The launcher's end and init's; both are CLOEXEC.
pub fn line() -> Result<(Life, OwnedFd), Errno> {
    packets().map(|(ours, inits)| (Life(ours), inits))
}

impl Life {
    /// Has init send a signal. `EPIPE`: it has ended.
    pub fn order(&self, signal: i32, scope: Scope) -> Result<(), Errno> {
        let mut bytes = [0; ORDER * 4];
        bytes[..4].copy_from_slice(&signal.to_ne_bytes());
        bytes[4..].copy_from_slice(&(scope as i32).to_ne_bytes());
        send(self.0.as_raw_fd(), &bytes, MsgFlags::MSG_NOSIGNAL).map(drop)
    }

    /// What init has told, if it has told something that is not heard yet.
    pub fn hear(&self) -> Result<Option<Told>, Errno> {
        let mut bytes = [0; TOLD * 8];
        let size = loop {
            match recv(self.0.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
                // An order came too late for it: told once, and before its last word.
                Err(Errno::EINTR | Errno::ECONNRESET) => continue,
                Err(Errno::EAGAIN) => return Ok(None),
                Ok(0) => return Ok(Some(Told::Gone)),
                answer => break answer?,
            }
        };
        if size != bytes.len() {
            return Err(Errno::EPROTO);
        }
        let mut words = [0i64; TOLD];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = i64::from_ne_bytes(chunk.try_into().expect("chunks of eight"));
        }
        let [kind, code, status, usage @ ..] = words;
        let (code, status) = (code as i32, status as i32);
        Ok(Some(match kind {
            STOPPED => Told::Stopped(status),
            _ => Told::Ended(Change { pid: 0, status, code, usage: Usage(usage) }),
        }))
    }
}

impl AsFd for Life {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Life {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}
