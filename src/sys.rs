//! The unsafe system calls of the launcher that nix and rustix lack; each names the kernel contract it keeps. No policy.
#![allow(unsafe_code)]

use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Which side of a clone this is.
pub enum Cloned {
    Child,
    Parent { pid: i32, pidfd: OwnedFd },
}

/// A fork-like clone3(2) into new namespaces, with a pidfd; clone(2) where clone3 is filtered (`ENOSYS`, `EPERM`).
///
/// `flags` holds CLONE_NEW* bits only, and no CLONE_NEWTIME, which clone(2) can't say.
/// `ENOSPC`: a limit on namespaces, or 32 levels of them. `EPERM`: no privilege for them, a chroot, a filter.
/// `EAGAIN`: RLIMIT_NPROC or a pids cgroup. Source: clone(2).
///
/// # Safety
///
/// The process has one thread. In the child nothing runs but system calls, and it never returns from its own code.
pub unsafe fn clone(flags: i32) -> Result<Cloned, Errno> {
    let mut pidfd: RawFd = -1;
    // SAFETY: the structure is of the size that is named, the pointer to pidfd outlives the call, and a null stack
    // means a copy of this one. The caller keeps the rest.
    let pid = unsafe {
        let mut args: libc::clone_args = zeroed();
        args.flags = (flags | libc::CLONE_PIDFD) as u64;
        args.pidfd = &raw mut pidfd as u64;
        args.exit_signal = libc::SIGCHLD as u64;
        let answer =
            Errno::result(libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()));
        match answer {
            Err(Errno::ENOSYS | Errno::EPERM) => {
                let flags = (flags | libc::CLONE_PIDFD | libc::SIGCHLD) as libc::c_ulong;
                let none = std::ptr::null_mut::<libc::c_void>();
                Errno::result(libc::syscall(libc::SYS_clone, flags, none, &raw mut pidfd, none, none))?
            }
            answer => answer?,
        }
    };
    match pid {
        0 => Ok(Cloned::Child),
        // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
        pid => Ok(Cloned::Parent { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}

/// How a child ended, and what it used.
#[derive(Clone, Copy)]
pub struct Ended {
    /// Exit status or signal, as `si_code` says.
    pub status: i32,
    /// `CLD_EXITED`, `CLD_KILLED` or `CLD_DUMPED`.
    pub code: i32,
    pub usage: libc::rusage,
}

/// Waits for the child of `pidfd` and reaps it. Retries `EINTR`. `ECHILD`: not our child. Source: waitid(2).
pub fn reap(pidfd: BorrowedFd) -> Result<Ended, Errno> {
    loop {
        // SAFETY: both structures are plain data that the kernel fills in, and outlive the call.
        let answer = unsafe {
            let (mut info, mut usage): (libc::siginfo_t, libc::rusage) = (zeroed(), zeroed());
            let fd = pidfd.as_raw_fd() as libc::id_t;
            let answer = libc::syscall(
                libc::SYS_waitid,
                libc::P_PIDFD,
                fd,
                &raw mut info,
                libc::WEXITED,
                &raw mut usage,
            );
            Errno::result(answer).map(|_| Ended { status: info.si_status(), code: info.si_code, usage })
        };
        if answer.as_ref().err() != Some(&Errno::EINTR) {
            return answer;
        }
    }
}

/// Sends a signal to a child that is not reaped; by its number where pidfd_send_signal(2) is filtered (`ENOSYS`, `EPERM`).
///
/// `ESRCH`: it has ended. Source: pidfd_send_signal(2).
pub fn send(pidfd: BorrowedFd, pid: i32, signal: i32) -> Result<(), Errno> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: numbers and a null pointer, which means what kill(2) would send.
    let answer = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, none, 0) };
    match Errno::result(answer) {
        // SAFETY: numbers alone; until it is reaped the number is the child's own.
        Err(Errno::ENOSYS | Errno::EPERM) => Errno::result(unsafe { libc::kill(pid, signal) }).map(drop),
        answer => answer.map(drop),
    }
}

/// SIGCHLD as the kernel has it at first: a caller's "ignore" would have children reaped before we ask.
pub fn default_sigchld() -> Result<(), Errno> {
    let action = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default disposition runs no code of ours.
    unsafe { sigaction(Signal::SIGCHLD, &action).map(drop) }
}

/// Whether this program was started with more privilege than its caller has. Source: getauxval(3), AT_SECURE.
pub fn is_secure() -> bool {
    // SAFETY: getauxval reads the process's own auxiliary vector.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Whether this process has one thread: unshare(2) takes CLONE_THREAD, as a thing that is so already, from no other.
pub fn is_single_threaded() -> bool {
    // SAFETY: the call changes nothing where it succeeds.
    let answer = unsafe { libc::unshare(libc::CLONE_THREAD) };
    Errno::result(answer) != Err(Errno::EINVAL)
}

/// The kind of namespace that a descriptor stands for, as a CLONE_NEW* flag. `ENOTTY`: none. Source: ioctl_ns(2).
pub fn namespace_type(fd: impl AsFd) -> Result<i32, Errno> {
    // SAFETY: NS_GET_NSTYPE takes no argument.
    Errno::result(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), NS_GET_NSTYPE) })
}

/// `_IO(0xb7, 3)`. Source: ioctl_ns(2).
const NS_GET_NSTYPE: libc::Ioctl = 0xb703;

/// A descriptor of the caller's by its number, to be asked about or written to; `None` for a negative number.
pub fn borrowed(fd: RawFd) -> Option<BorrowedFd<'static>> {
    // SAFETY: the number is the caller's own choice, and whoever uses it learns of EBADF from the kernel.
    (fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
}

/// The environment as the kernel gave it, to be handed on as it is.
pub fn environ() -> *const *const libc::c_char {
    unsafe extern "C" {
        static environ: *const *const libc::c_char;
    }
    // SAFETY: read before any thread could change it; nothing in this crate sets variables.
    unsafe { environ }
}
