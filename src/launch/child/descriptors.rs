//! Closes descriptors: all that are not reserved, in few calls where the kernel allows it.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::mem::size_of;

use libc::{c_int, c_long};

use super::super::image::Image;
use super::answer::check;

/// Closes what is not reserved. Where close_range(2) is filtered, every descriptor that /proc lists.
pub unsafe fn close_gaps(image: &Image) -> Result<(), c_int> {
    for (first, last) in &image.gaps {
        // SAFETY: no descriptor in a gap is used again by this process.
        match check(unsafe { libc::syscall(libc::SYS_close_range, *first, *last, 0) }) {
            // SAFETY: as above.
            Err(libc::ENOSYS | libc::EPERM) => return unsafe { close_listed(image) },
            answer => drop(answer?),
        }
    }
    Ok(())
}

pub unsafe fn close_listed(image: &Image) -> Result<(), c_int> {
    // SAFETY: getdents64 fills the buffer with records whose length and NUL-terminated name the kernel vouches for.
    unsafe {
        let (at, path) = match image.proc {
            -1 => (libc::AT_FDCWD, c"/proc/self/fd".as_ptr()),
            proc => (proc, c"self/fd".as_ptr()),
        };
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let dir = check(libc::syscall(libc::SYS_openat, at, path, flags, 0))?;
        let mut buffer = [0u64; 256];
        loop {
            let size = size_of::<[u64; 256]>();
            let filled = check(libc::syscall(libc::SYS_getdents64, dir, buffer.as_mut_ptr(), size))?;
            let mut offset = 0;
            while offset < filled {
                let record = buffer.as_ptr().byte_offset(offset as isize).cast::<libc::dirent64>();
                offset += c_long::from((*record).d_reclen);
                let name = CStr::from_ptr((&raw const (*record).d_name).cast());
                let number = decimal(name);
                if number > 2 && c_long::from(number) != dir && !image.reserved.contains(&number) {
                    libc::syscall(libc::SYS_close, number);
                }
            }
            if filled == 0 {
                libc::syscall(libc::SYS_close, dir);
                return Ok(());
            }
        }
    }
}

/// A number in decimal; -1 for what is none.
fn decimal(text: &CStr) -> c_int {
    let mut number: c_int = 0;
    for byte in text.to_bytes() {
        if !byte.is_ascii_digit() {
            return -1;
        }
        number = number.wrapping_mul(10).wrapping_add(c_int::from(byte - b'0'));
    }
    number
}
