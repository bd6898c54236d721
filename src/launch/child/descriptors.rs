//! Closes descriptors: all but those that are kept, in few calls where the kernel allows it.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::mem::size_of;

use libc::{c_int, c_long};
use nix::errno::Errno;

use super::answer::expect;
use super::credentials::prctl;
use crate::sys::{self, call};

/// Closes every descriptor from `first` up but `kept`, in ascending order. Where close_range(2) is filtered, what /proc lists.
pub unsafe fn close_all_but(kept: &[c_int], first: c_int, proc: c_int) -> Result<(), c_int> {
    // SAFETY: prctl with numbers; what was kept is all that this process uses.
    unsafe {
        match sys::close_all_but(kept, first) {
            Err(Errno::ENOSYS | Errno::EPERM) => close_listed(kept, first, proc),
            // A filter can have the call say that it was done.
            Ok(()) if prctl(libc::PR_GET_SECCOMP, 0, 0) != Ok(0) => match close_listed(kept, first, proc) {
                Err(libc::ENOENT | libc::ENOTDIR) => probe(kept, first),
                answer => answer,
            },
            answer => answer.map_err(|errno| errno as c_int),
        }
    }
}

unsafe fn close_listed(kept: &[c_int], first: c_int, proc: c_int) -> Result<(), c_int> {
    // SAFETY: getdents64 fills the buffer with records whose length and NUL-terminated name the kernel vouches for.
    unsafe {
        let (at, path) = match proc {
            -1 => (libc::AT_FDCWD, c"/proc/self/fd".as_ptr()),
            proc => (proc, c"self/fd".as_ptr()),
        };
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let dir = call!(SYS_openat, at, path, flags, 0)?;
        let mut buffer = [0u64; 256];
        loop {
            let size = size_of::<[u64; 256]>();
            let filled = call!(SYS_getdents64, dir, buffer.as_mut_ptr(), size)?;
            let mut offset = 0;
            while offset < filled {
                let record = buffer.as_ptr().byte_offset(offset as isize).cast::<libc::dirent64>();
                offset += c_long::from((*record).d_reclen);
                let name = CStr::from_ptr((&raw const (*record).d_name).cast());
                let number = decimal(name);
                if number >= first && c_long::from(number) != dir && !kept.contains(&number) {
                    let _ = call!(SYS_close, number);
                }
            }
            if filled == 0 {
                let _ = call!(SYS_close, dir);
                return Ok(());
            }
        }
    }
}

/// Without a list: whether the first of them, at least, are closed.
fn probe(kept: &[c_int], first: c_int) -> Result<(), c_int> {
    const PROBED: c_int = 1024;
    // SAFETY: numbers alone; asking for a flag changes nothing.
    let is_open = |fd| unsafe { call!(SYS_fcntl, fd, libc::F_GETFD) }.is_ok();
    expect((first..PROBED).all(|fd| kept.contains(&fd) || !is_open(fd)))
}

/// A number in decimal; -1 for what is none.
pub fn decimal(text: &CStr) -> c_int {
    let mut number: c_int = 0;
    for byte in text.to_bytes() {
        if !byte.is_ascii_digit() {
            return -1;
        }
        number = number.wrapping_mul(10).wrapping_add(c_int::from(byte - b'0'));
    }
    number
}
