//! The verified /proc, and the child's directory in it. Nothing in /proc is reached by a path that was not shown to be procfs.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::Mode;
use nix::unistd;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::failure::{Failure, Stage};
use crate::procfs::{self, read_whole};

/// /proc, shown to be procfs.
pub struct Proc(OwnedFd);

impl Proc {
    pub fn open() -> Result<Proc, Failure> {
        let failed = |errno| Failure::errno(Stage::Proc, "open", "/proc", errno);
        procfs::verified(procfs::open("/proc").map_err(failed)?).map(Proc)
    }

    /// The child's directory, and its name, which is the child's pid in the pid namespace that this /proc shows.
    pub fn child(&self, pid: i32, pidfd: BorrowedFd) -> Result<(OwnedFd, String), Failure> {
        let failed = |errno| Failure::errno(Stage::Proc, "open", format!("/proc/{pid}"), errno);
        let name = match self.is_ours()? {
            true => pid.to_string(),
            // Only the kernel can say what the child is called there.
            false => self.shown_pid(pidfd).map_err(failed)?,
        };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = openat(&self.0, name.as_str(), flags, Mode::empty()).map_err(|errno| {
            let failure = Failure::errno(Stage::Proc, "open", format!("/proc/{name}"), errno);
            match errno {
                Errno::ENOENT | Errno::EACCES => failure.hint("/proc may be mounted with hidepid"),
                _ => failure,
            }
        })?;
        Ok((dir, name))
    }

    /// Our own directory.
    pub fn own(&self) -> Result<OwnedFd, Failure> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        openat(&self.0, "self", flags, Mode::empty())
            .map_err(|errno| Failure::errno(Stage::Proc, "open", "/proc/self", errno))
    }

    /// The number that this /proc has for the process that we know by that one.
    pub fn number(&self, pid: i32) -> Result<i32, Failure> {
        if self.is_ours()? {
            return Ok(pid);
        }
        let failed = |errno| Failure::errno(Stage::Proc, "find", format!("process {pid} in /proc"), errno);
        let known = Pid::from_raw(pid).ok_or_else(|| failed(Errno::ESRCH))?;
        let pidfd =
            pidfd_open(known, PidfdFlags::empty()).map_err(|e| failed(Errno::from_raw(e.raw_os_error())))?;
        let shown = self.shown_pid(pidfd.as_fd()).map_err(failed)?;
        shown.parse().map_err(|_| failed(Errno::ESRCH))
    }

    /// Whether this /proc is of the pid namespace that we are in.
    fn is_ours(&self) -> Result<bool, Failure> {
        let own = readlinkat(&self.0, "self").map_err(|errno| match errno {
            Errno::ENOENT => {
                Failure::refused(Stage::Proc, "use", "/proc", "it shows a pid namespace that has no seclude")
            }
            errno => Failure::errno(Stage::Proc, "read", "/proc/self", errno),
        })?;
        Ok(own.to_str() == Some(unistd::getpid().to_string().as_str()))
    }

    fn shown_pid(&self, pidfd: BorrowedFd) -> Result<String, Errno> {
        let file = openat(
            &self.0,
            format!("self/fdinfo/{}", pidfd.as_raw_fd()).as_str(),
            OFlag::O_RDONLY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )?;
        let text = read_whole(&file)?;
        let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")).map(str::trim);
        match pid {
            Some(pid) if pid.parse::<u32>().is_ok_and(|pid| pid > 0) => Ok(pid.to_string()),
            _ => Err(Errno::ESRCH),
        }
    }
}

impl AsRawFd for Proc {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}
