//! A /proc that was shown to be procfs, and its files. Nothing is read from or written to a place that only looks like it.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use rustix::buffer::spare_capacity;
use rustix::io::pread;

use crate::failure::{Failure, Stage};

/// What the kernel gives of a file at once, at most.
const PAGE: usize = 4096;

/// A directory that may be of procfs, to be [verified] before it is used.
pub fn open(path: &str) -> Result<OwnedFd, Errno> {
    openat(AT_FDCWD, path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

/// A directory, once it is shown to be of procfs.
pub fn verified(dir: OwnedFd) -> Result<OwnedFd, Failure> {
    let status = fstatfs(&dir).map_err(|errno| Failure::errno(Stage::Proc, "open", "/proc", errno))?;
    if status.filesystem_type() == PROC_SUPER_MAGIC {
        return Ok(dir);
    }
    let rule = "it is not procfs, and nothing that matters is read from or written to a place that only looks like it";
    Err(Failure::refused(Stage::Proc, "use", "/proc", rule).hint("mount it: mount -t proc proc /proc"))
}

/// A file from its beginning to its end, wherever it was read or written before.
pub fn read_whole(file: &OwnedFd) -> Result<String, Errno> {
    let mut text = Vec::new();
    loop {
        text.reserve(PAGE);
        let offset = text.len() as u64;
        let count = pread(file, spare_capacity(&mut text), offset);
        // The kernel goes on with another line as long as there is room for it in a page.
        if count.map_err(|errno| Errno::from_raw(errno.raw_os_error()))? < PAGE / 2 {
            text.shrink_to_fit();
            return Ok(String::from_utf8(text)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()));
        }
    }
}
