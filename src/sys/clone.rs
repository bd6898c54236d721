//! A child as a clone: on a copy of this memory, or in this very memory on a stack of its own. No policy.
#![allow(unsafe_code)]

use std::ptr::{self, NonNull};

use libc::{c_int, c_void};
use nix::errno::Errno;

use super::call;

/// What a child runs. It never returns.
pub type Run = extern "C" fn(*mut c_void) -> c_int;

/// The bytes of a stack: several times what the deepest child takes, and a fault for each page of it that is touched.
const STACK: usize = 64 << 10;
/// Below it, where nothing may be touched: no architecture has larger pages.
const GUARD: usize = 64 << 10;

/// A stack for a child that shares this memory.
pub struct Stack(NonNull<c_void>);

impl Stack {
    /// `None` where there is no memory for it.
    pub fn new() -> Option<Stack> {
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE;
        // SAFETY: a new mapping, which nobody else knows of, and a part of it.
        unsafe {
            let start = libc::mmap(ptr::null_mut(), GUARD + STACK, libc::PROT_NONE, kind, -1, 0);
            let start = NonNull::new(start).filter(|start| start.as_ptr() != libc::MAP_FAILED)?;
            let stack = Stack(start);
            let access = libc::PROT_READ | libc::PROT_WRITE;
            (libc::mprotect(start.as_ptr().byte_add(GUARD), STACK, access) == 0).then_some(stack)
        }
    }

    /// Where it begins, and grows down from.
    pub fn top(&self) -> *mut c_void {
        // SAFETY: the end of the mapping.
        unsafe { self.0.as_ptr().byte_add(GUARD + STACK) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours; whoever ran on it is gone, as [`clone`] asks.
        unsafe { libc::munmap(self.0.as_ptr(), GUARD + STACK) };
    }
}

/// A clone(2) whose child runs `run(with)` on `stack`, in this memory; on a copy of both where `stack` is null.
///
/// `flags` holds CLONE_NEW* bits, CLONE_PIDFD where `pidfd` is not null, CLONE_PARENT: nothing else.
/// `ENOSPC`: a limit on namespaces, or 32 levels of them. `EPERM`: no privilege for them, a chroot, a filter.
/// `EAGAIN`: RLIMIT_NPROC or a pids cgroup. `EINVAL`, with a stack: before Linux 6.3, our children are to have another
/// time namespace than we. Source: clone(2).
///
/// # Safety
///
/// This process has one thread, and all signals are blocked. `run` makes system calls by [`call!`] alone, never returns,
/// and touches what `with` points to and nothing else that its parent writes to. With a stack, both stay where they are
/// until the child executes a program, or is dead.
pub unsafe fn clone(
    flags: c_int,
    pidfd: *mut c_int,
    stack: *mut c_void,
    run: Run,
    with: *mut c_void,
) -> Result<c_int, c_int> {
    let flags = flags | libc::SIGCHLD;
    let none = ptr::null_mut::<c_void>();
    // SAFETY: as the caller vouches; a null stack means a copy of this one.
    unsafe {
        if !stack.is_null() {
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
