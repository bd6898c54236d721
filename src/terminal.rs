//! The controlling terminal: whose group is in its foreground. It lends it and takes it back; it reads and writes nothing.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

use crate::sys;

/// The terminal of seclude's session, if it has one; seclude's own group has it back when this is dropped.
///
/// Whoever calls has SIGTTOU blocked, so that a change from the background stops nobody. Source: tcsetpgrp(3).
pub struct Terminal {
    file: Option<OwnedFd>,
    /// Whether it has been looked for.
    sought: bool,
    lent: bool,
}

impl Terminal {
    /// Looks for it on the standard streams, and keeps a descriptor of its own; a command can reach one that is on none.
    pub fn find() -> Terminal {
        let terminals = [0, 1, 2].into_iter().filter_map(sys::borrowed).filter(|fd| tcgetpgrp(fd).is_ok());
        let file = terminals.filter_map(|fd| fd.try_clone_to_owned().ok()).next();
        let by_name = || openat(AT_FDCWD, "/dev/tty", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()).ok();
        Terminal { file: file.or_else(by_name), sought: true, lent: false }
    }

    /// One that is looked for when it is first needed: most commands never stop.
    pub fn later() -> Terminal {
        Terminal { file: None, sought: false, lent: false }
    }

    /// Looks for it, unless that was done.
    pub fn seek(&mut self) {
        if !self.sought {
            *self = Terminal::find();
        }
    }

    pub fn descriptor(&self) -> Option<RawFd> {
        self.file.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Puts a group in the foreground, if seclude's own is there now; whether it is there.
    pub fn lend(&mut self, group: i32) -> bool {
        self.seek();
        let Some(file) = &self.file else { return false };
        let (now, group) = (tcgetpgrp(file), Pid::from_raw(group));
        let lent = now == Ok(group) || now == Ok(getpgrp()) && tcsetpgrp(file, group).is_ok();
        self.lent |= lent;
        lent
    }

    /// A group that has put itself in the foreground, as an interactive shell's does, has it lent from now on.
    pub fn concede(&mut self, group: i32) {
        self.seek();
        self.lent |= self.file.as_ref().is_some_and(|file| tcgetpgrp(file) == Ok(Pid::from_raw(group)));
    }

    /// Puts seclude's own group back; whether the terminal had been lent.
    pub fn take_back(&mut self) -> bool {
        let lent = std::mem::take(&mut self.lent);
        if let Some(file) = self.file.as_ref().filter(|_| lent) {
            let _ = tcsetpgrp(file, getpgrp());
        }
        lent
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.take_back();
    }
}
