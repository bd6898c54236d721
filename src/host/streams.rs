//! The caller's terminal and standard streams: whether it has one and leads it, and who may wait on them.

use std::fs;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd;

use crate::sys;

pub fn leads_terminal() -> bool {
    let own = unistd::getpid();
    let foreground = |fd| sys::borrowed(fd).and_then(|fd| unistd::tcgetpgrp(fd).ok());
    unistd::getpgrp() == own && [0, 1].into_iter().all(|fd| foreground(fd) == Some(own))
}

/// By the name that it has for every process of its session (`ENXIO`: there is none), or on a standard stream.
pub fn has_terminal() -> bool {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let controls = |fd| sys::borrowed(fd).is_some_and(|fd| unistd::tcgetpgrp(fd).is_ok());
    match openat(AT_FDCWD, "/dev/tty", flags, Mode::empty()) {
        Err(Errno::ENXIO) => false,
        Err(_) => (0..3).any(controls),
        Ok(_) => true,
    }
}

/// Before Linux 6.2 there is no such word, and it does. Source: TIOCSTI(2const).
pub fn lets_type() -> bool {
    fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").map_or(true, |text| text.trim() != "0")
}

/// Standard input always; output and error where somebody may wait at the other end for their close.
pub fn passing_streams() -> Vec<i32> {
    let stays = |fd: i32| {
        let found = sys::borrowed(fd).and_then(|fd| fstat(fd).ok());
        found.is_some_and(|found| {
            let kind = found.st_mode & SFlag::S_IFMT.bits();
            let file = kind == SFlag::S_IFREG.bits();
            let device = kind == SFlag::S_IFCHR.bits() || kind == SFlag::S_IFBLK.bits();
            let terminal = sys::borrowed(fd).is_some_and(|fd| unistd::isatty(fd).unwrap_or(false));
            file || device && !terminal
        })
    };
    [0].into_iter().chain([1, 2].into_iter().filter(|fd| !stays(*fd))).collect()
}
