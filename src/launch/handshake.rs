//! Every byte that parent and child exchange: fixed-width words, whole or not at all. It waits, and decides nothing.
//!
//! The channel is a socket of packets. From parent to child it says *go*: permission to proceed, with the child's real
//! pid. From child to parent it reports, and the kernel itself translates the sender's pid for the reader. Its end is
//! never success on its own: to the child it means that the launcher is gone, to the launcher that the child is, or, once
//! the child has been released, that it has become the command.

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixCredentials, recvmsg, send,
    setsockopt, socketpair, sockopt,
};
use nix::sys::time::TimeVal;

use crate::namespace::Kind;
use crate::plan::step::MAX_STEPS;

/// How long a child may take from one message to the next.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What *go* says: a word, and the child's real pid.
pub const GO_BYTES: usize = 8;
/// The child's maps stand and it may take its steps.
pub const PROCEED: u32 = 0x5ec1_0001;
/// The report is written and the child may execute the command.
pub const RELEASE: u32 = 0x5ec1_0002;

/// The words of a report.
pub const WORDS: usize = MICROS + MAX_STEPS;
pub const KIND: usize = 0;
/// The step that failed; [`EXEC`] for the execve itself.
pub const STEP: usize = 1;
/// The errno; 0 where the kernel agreed and a second look did not.
pub const ERRNO: usize = 2;
pub const DETAIL: usize = 3;
pub const PID: usize = 4;
/// Real, effective and saved uid, then gid, as seen inside.
pub const IDS: usize = 5;
pub const SECUREBITS: usize = IDS + 6;
pub const INODES: usize = SECUREBITS + 1;
pub const MICROS: usize = INODES + Kind::ALL.len();

pub const CARRIED: u32 = 1;
pub const READY: u32 = 2;
pub const FAILED: u32 = 3;

/// In place of a step: the execve.
pub const EXEC: u32 = u32::MAX;

/// The parent's end.
pub struct Parent(OwnedFd);

/// The parent's end and the child's; both are CLOEXEC. `EMFILE`, `ENFILE`: no descriptor is left.
///
/// `relayed`: whether somebody else than the parent's own child will speak, whose pid only the kernel can tell.
pub fn channel(relayed: bool) -> Result<(Parent, OwnedFd), Errno> {
    let (parent, child) = packets()?;
    let patience = TimeVal::new(PATIENCE.as_secs() as i64, 0);
    setsockopt(&parent, sockopt::ReceiveTimeout, &patience)?;
    if relayed {
        setsockopt(&parent, sockopt::PassCred, &true)?;
    }
    Ok((Parent(parent), child))
}

pub(super) fn packets() -> Result<(OwnedFd, OwnedFd), Errno> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
}

/// A message from the child, and its sender's pid as the kernel translates it for us.
pub struct Message {
    words: [u32; WORDS],
    /// `None` where the channel was not made to tell.
    pub sender: Option<i32>,
}

impl Message {
    /// What a process has said to itself, where seclude becomes the command.
    pub fn own(words: [u32; WORDS], pid: i32) -> Message {
        Message { words, sender: Some(pid) }
    }

    pub fn kind(&self) -> u32 {
        self.words[KIND]
    }

    pub fn word(&self, index: usize) -> u32 {
        self.words[index]
    }

    pub fn words<const N: usize>(&self, from: usize) -> [u32; N] {
        std::array::from_fn(|index| self.words[from + index])
    }
}

impl Parent {
    /// Lets the child go on. `EPIPE`: it is dead.
    pub fn go(&self, word: u32, real_pid: i32) -> Result<(), Errno> {
        let mut bytes = [0; GO_BYTES];
        bytes[..4].copy_from_slice(&word.to_ne_bytes());
        bytes[4..].copy_from_slice(&real_pid.to_ne_bytes());
        match send(self.0.as_raw_fd(), &bytes, MsgFlags::MSG_NOSIGNAL) {
            Ok(GO_BYTES) => Ok(()),
            Ok(_) => Err(Errno::EPROTO),
            // It has left something unread.
            Err(Errno::ECONNRESET) => Err(Errno::EPIPE),
            Err(errno) => Err(errno),
        }
    }

    /// The next message, or `None` where the child's side has ended. `ETIMEDOUT`: nothing came in time. `EPIPE`: it has
    /// ended without taking the last word to it.
    pub fn hear(&self) -> Result<Option<Message>, Errno> {
        let mut untaken = false;
        loop {
            match self.receive() {
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => return Err(Errno::ETIMEDOUT),
                // Told once, and before what it has said.
                Err(Errno::ECONNRESET) => untaken = true,
                Ok(None) if untaken => return Err(Errno::EPIPE),
                answer => return answer,
            }
        }
    }

    fn receive(&self) -> Result<Option<Message>, Errno> {
        let mut bytes = [0; WORDS * 4];
        let mut control = nix::cmsg_space!(UnixCredentials);
        let mut buffers = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let packet = recvmsg::<()>(self.0.as_raw_fd(), &mut buffers, Some(&mut control), flags)?;
        let sender = packet.cmsgs()?.find_map(|message| match message {
            ControlMessageOwned::ScmCredentials(credentials) => Some(credentials.pid()),
            _ => None,
        });
        match (packet.bytes, sender) {
            (0, _) => Ok(None),
            (size, sender) if size == WORDS * 4 => {
                let mut words = [0; WORDS];
                for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(4)) {
                    *word = u32::from_ne_bytes(chunk.try_into().expect("chunks of four"));
                }
                Ok(Some(Message { words, sender }))
            }
            _ => Err(Errno::EPROTO),
        }
    }
}

impl AsRawFd for Parent {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}
