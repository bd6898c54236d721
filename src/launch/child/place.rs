//! Mounts, root, directory, host name and loopback as system calls. It decides nothing.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::mem::zeroed;
use std::ptr;

use libc::{c_char, c_int, c_long};

use super::answer::expect;
use super::descriptors::decimal;
use crate::sys::call;

pub unsafe fn mount(
    source: *const c_char,
    target: *const c_char,
    kind: *const c_char,
    flags: libc::c_ulong,
) -> Result<(), c_int> {
    let none = ptr::null::<c_char>();
    // SAFETY: each pointer is null or a NUL-terminated string of the caller's.
    unsafe { call!(SYS_mount, source, target, kind, flags, none) }.map(drop)
}

pub unsafe fn chdir(dir: *const c_char) -> Result<(), c_int> {
    // SAFETY: a NUL-terminated string of the caller's.
    unsafe { call!(SYS_chdir, dir) }.map(drop)
}

/// Enters a directory, and sees that it is the one. Without leave to search it, where it lies is not to be seen either.
pub unsafe fn enter(dir: *const c_char) -> Result<(), c_int> {
    // SAFETY: a NUL-terminated string of the caller's, and a constant.
    unsafe {
        let meant = identity(dir)?;
        chdir(dir)?;
        expect(identity(c".".as_ptr())? == meant)
    }
}

/// The working directory is below the root: the kernel's name for one that is not does not begin with a slash.
///
/// On its own, so that whoever does not come here has no page of its buffer on the stack. Source: getcwd(2).
#[inline(never)]
pub unsafe fn inside_root() -> Result<(), c_int> {
    let mut path = [0u8; 4096];
    // SAFETY: the length is that of the buffer.
    unsafe { call!(SYS_getcwd, path.as_mut_ptr(), path.len()) }?;
    expect(path.first() == Some(&b'/'))
}

/// Device and inode of what an open descriptor stands for.
pub unsafe fn identity_of(fd: c_int) -> Result<(u64, u64), c_int> {
    // SAFETY: plain data, filled in by the kernel.
    unsafe {
        let mut found: libc::stat = zeroed();
        call!(SYS_fstat, fd, &raw mut found)?;
        Ok((found.st_dev, found.st_ino))
    }
}

/// Device and inode of a file below a directory.
pub unsafe fn identity_at(dir: c_int, path: &CStr) -> Result<(u64, u64), c_int> {
    // SAFETY: plain data, filled in by the kernel; the path is NUL-terminated.
    unsafe {
        let mut found: libc::stat = zeroed();
        call!(SYS_newfstatat, dir, path.as_ptr(), &raw mut found, 0)?;
        Ok((found.st_dev, found.st_ino))
    }
}

/// Device and inode of a path.
pub unsafe fn identity(path: *const c_char) -> Result<(u64, u64), c_int> {
    // SAFETY: plain data, filled in by the kernel; the path is a NUL-terminated string of the caller's.
    unsafe {
        let mut found: libc::stat = zeroed();
        call!(SYS_newfstatat, libc::AT_FDCWD, path, &raw mut found, 0)?;
        Ok((found.st_dev, found.st_ino))
    }
}

/// Whether a directory is a procfs of the pid namespace that this process is in.
pub unsafe fn shows_us(dir: *const c_char) -> Result<bool, c_int> {
    let (mut name, size) = ([0u8; 16], 15usize);
    // SAFETY: the path is a NUL-terminated string of the caller's, the rest plain data that outlives the calls.
    unsafe {
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let fd = call!(SYS_openat, libc::AT_FDCWD, dir, flags, 0)?;
        let mut found: libc::statfs = zeroed();
        call!(SYS_fstatfs, fd, &raw mut found)?;
        let own = c"self".as_ptr();
        let read = call!(SYS_readlinkat, fd, own, name.as_mut_ptr(), size);
        let _ = call!(SYS_close, fd);
        let pid = CStr::from_bytes_until_nul(&name).map_or(-1, decimal);
        let is_proc = i128::from(found.f_type) == i128::from(libc::PROC_SUPER_MAGIC);
        Ok(is_proc && read? > 0 && c_long::from(pid) == call!(SYS_getpid)?)
    }
}

pub unsafe fn uname() -> Result<libc::utsname, c_int> {
    // SAFETY: plain data, filled in by the kernel with NUL-terminated names.
    unsafe {
        let mut names: libc::utsname = zeroed();
        call!(SYS_uname, &raw mut names).map(|_| names)
    }
}

/// Sets the limit of user namespaces below the own one to 0; it is of the user namespace of whoever writes it.
///
/// `EACCES`: no CAP_SYS_RESOURCE over it. `EROFS`: /proc/sys is read-only. Source: namespaces(7), /proc/sys/user.
pub unsafe fn no_user_namespaces(proc: c_int) -> Result<(), c_int> {
    let (path, limit, mut found) = (c"sys/user/max_user_namespaces", b"0", [0u8; 8]);
    let flags = libc::O_RDWR | libc::O_CLOEXEC;
    // SAFETY: the path is NUL-terminated, and the lengths are those of the buffers.
    unsafe {
        let file = call!(SYS_openat, proc, path.as_ptr(), flags, 0)?;
        let written = call!(SYS_write, file, limit.as_ptr(), limit.len());
        let start = 0;
        let read = call!(SYS_pread64, file, found.as_mut_ptr(), found.len(), start);
        let _ = call!(SYS_close, file);
        expect(written? == 1 && read? >= 1 && found.starts_with(b"0\n"))
    }
}

/// Brings up `lo` of the net namespace that the child is in. Source: netdevice(7).
pub unsafe fn loopback() -> Result<(), c_int> {
    // SAFETY: the request is plain data with a NUL-terminated name, and outlives the calls.
    unsafe {
        let socket = call!(SYS_socket, libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)?;
        let mut request: libc::ifreq = zeroed();
        request.ifr_name[0] = b'l' as c_char;
        request.ifr_name[1] = b'o' as c_char;
        call!(SYS_ioctl, socket, libc::SIOCGIFFLAGS, &raw mut request)?;
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as i16;
        call!(SYS_ioctl, socket, libc::SIOCSIFFLAGS, &raw mut request)?;
        request.ifr_ifru.ifru_flags = 0;
        call!(SYS_ioctl, socket, libc::SIOCGIFFLAGS, &raw mut request)?;
        let _ = call!(SYS_close, socket);
        expect(request.ifr_ifru.ifru_flags & libc::IFF_UP as i16 != 0)
    }
}
