//! Goes into the background: the process that the caller waits for stays in front until it is known what came of the launch.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{pipe2, read, setsid, write};

use crate::failure::{Failure, Stage};
use crate::sys;

/// Which of the two processes this is.
pub enum Side {
    /// The caller's own child, with the status that it is to end with.
    Front(u8),
    /// The one that launches, in a session of its own.
    Back(Back),
}

/// The word that the front waits for; unsaid, it is a failure.
pub struct Back(OwnedFd);

/// Parts seclude in two. The front returns once it has the other's word.
pub fn part() -> Result<Side, Failure> {
    let failed = |errno| Failure::errno(Stage::Background, "go", "into the background", errno);
    let (ear, mouth) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
    if sys::fork().map_err(failed)?.is_none() {
        drop(ear);
        setsid().map_err(failed)?;
        return Ok(Side::Back(Back(mouth)));
    }
    drop(mouth);
    let mut status = [0];
    loop {
        match read(&ear, &mut status) {
            Err(Errno::EINTR) => continue,
            Ok(1) => return Ok(Side::Front(status[0])),
            Ok(_) => {
                let rule = "the process in the background ended without a word";
                return Err(Failure::refused(Stage::Background, "hear", "what came of the launch", rule));
            }
            Err(errno) => return Err(failed(errno)),
        }
    }
}

impl Back {
    /// Whether somebody waits in front: a command that nobody wants any more is not to begin.
    pub fn has_front(&self) -> Result<(), Failure> {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::empty())];
        match poll(&mut fds, PollTimeout::ZERO) {
            Ok(0) => Ok(()),
            _ => {
                let rule = "the process in front, which the caller waits for, has ended";
                Err(Failure::refused(Stage::Background, "go", "into the background", rule))
            }
        }
    }

    /// Lets the front end with this status, and keeps nothing of the caller's streams.
    pub fn say(self, status: u8) {
        if write(&self.0, &[status]).is_err() {
            sys::forget_own_write();
        }
    }
}

impl AsRawFd for Back {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}
