//! A child as a clone: on a copy of this memory, or in this very memory, further down the stack. No policy.
#![allow(unsafe_code)]

use std::mem::zeroed;
use std::ptr;

use libc::{c_int, c_void};
use nix::errno::Errno;

use super::call;

/// What a child runs. It never returns.
pub type Run = extern "C" fn(*mut c_void) -> c_int;

/// How far below its parent's stack a child's begins that shares the memory: several times what a launcher takes until its
/// end. Below it the kernel lets the stack grow, and guards its limit, as it does for the parent. Source: mmap(2).
const BELOW: usize = 128 << 10;
/// The least RLIMIT_STACK with room for both, beside the words and the environment, which take a quarter at most.
const ROOM: libc::rlim_t = 1 << 20;

/// Whether the stack may grow as far as a child in this memory takes. Source: getrlimit(2).
pub fn has_room_below() -> bool {
    // SAFETY: plain data that outlives the call.
    unsafe {
        let mut limit: libc::rlimit = zeroed();
        libc::getrlimit(libc::RLIMIT_STACK, &mut limit) == 0 && limit.rlim_cur >= ROOM
    }
}

/// A clone(2) whose child runs `run(with)`: with `shares` in this memory, else in a copy of it.
///
/// `flags` holds CLONE_NEW* bits, CLONE_PIDFD where `pidfd` is not null, CLONE_PARENT: nothing else.
/// `ENOSPC`: a limit on namespaces, or 32 levels of them. `EPERM`: no privilege for them, a chroot, a filter.
/// `EAGAIN`: RLIMIT_NPROC or a pids cgroup. `EINVAL`, with `shares`: before Linux 6.3, our children are to have another
/// time namespace than we. Source: clone(2).
///
/// # Safety
///
/// This process has one thread, on the stack that the kernel made, and all signals are blocked. `run` makes system calls by
/// [`call!`] alone, never returns, and touches what `with` points to and nothing else that its parent writes to. With
/// `shares`, that stays where it is until the child executes a program, or is dead, and there is [room](has_room_below).
pub unsafe fn clone(
    flags: c_int,
    pidfd: *mut c_int,
    shares: bool,
    run: Run,
    with: *mut c_void,
) -> Result<c_int, c_int> {
    let flags = flags | libc::SIGCHLD;
    let none = ptr::null_mut::<c_void>();
    // SAFETY: as the caller vouches. Nothing is that far below us, nor will be; a null stack means a copy of this one.
    unsafe {
        if shares {
            let here = 0u8;
            let below = (ptr::from_ref(&here).addr() - BELOW) & !15;
            let stack = ptr::without_provenance_mut(below);
            return match libc::clone(run, stack, flags | libc::CLONE_VM, with, pidfd) {
                -1 => Err(Errno::last_raw()),
                pid => Ok(pid),
            };
        }
        let pid = call!(SYS_clone, flags, none, pidfd, none, none)?;
        if pid == 0 {
            run(with);
        }
        Ok(pid as c_int)
    }
}
