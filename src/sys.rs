//! The unsafe system calls of the launcher that nix and rustix lack; each names the kernel contract it keeps. No policy.
#![allow(unsafe_code)]

pub mod call;
mod children;
mod clone;
mod heap;
mod signals;
mod start;
mod text;

use std::ffi::CStr;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

pub use call::{ask, call};
pub use children::{
    Change, USAGE_WORDS, Usage, Whose, await_child, fork, kill, reap, send, usage_of_children, wait,
};
pub use clone::{Run, clone, has_room_below};
pub use heap::Heap;
pub use signals::{ALL, Caught, SET_BYTES, Signals, mask, set_mask};
pub use start::{begin, end};
pub use text::give_back;

/// Sees that this process may have `room` descriptors open, as far as the limits allow; gives the limit as it was where it
/// has been changed. Source: getrlimit(2).
pub fn raise_descriptors(room: u64) -> Option<libc::rlimit> {
    let mut found = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: plain data that outlives the calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut found) == -1 || found.rlim_cur >= room {
            return None;
        }
        let whole = libc::rlimit { rlim_cur: room, rlim_max: found.rlim_max.max(room) };
        let soft = libc::rlimit { rlim_cur: room.min(found.rlim_max), ..found };
        let raised = [whole, soft].iter().any(|limit| libc::setrlimit(libc::RLIMIT_NOFILE, limit) == 0);
        raised.then_some(found)
    }
}

/// This process's own hard limit of a resource. Source: prlimit(2).
pub fn hard_limit(resource: usize) -> Option<u64> {
    let (own, none, mut found) = (0, std::ptr::null::<u64>(), [0u64; 2]);
    // SAFETY: the kernel's structure is of two words, and outlives the call.
    unsafe { call!(SYS_prlimit64, own, resource, none, found.as_mut_ptr()) }.ok().map(|_| found[1])
}

/// The ABI of the kernel's Landlock; 0 where it has none, or it was not enabled at boot. Source: landlock_create_ruleset(2).
pub fn landlock_abi() -> i32 {
    const VERSION: usize = 1;
    let (none, size) = (std::ptr::null::<u64>(), 0);
    // SAFETY: numbers, and a null pointer that nobody looks at.
    unsafe { call!(SYS_landlock_create_ruleset, none, size, VERSION) }.map_or(0, |abi| abi as i32)
}

/// Stops this process, or its whole group, as a terminal's SIGTSTP would, and returns once it is continued: true. It is
/// false, and at once, where nobody could continue it.
///
/// SIGTSTP and SIGCONT are blocked before and after; a caller that ignores SIGTSTP is not stopped. Source: signal(7).
pub fn stop_with_terminal(group: bool) -> bool {
    // SAFETY: plain data that outlives the calls, and numbers.
    unsafe {
        let mut set: libc::sigset_t = zeroed();
        libc::sigaddset(&mut set, libc::SIGTSTP);
        libc::kill(if group { 0 } else { libc::getpid() }, libc::SIGTSTP);
        libc::sigprocmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        // The stop has taken away an older SIGCONT, so this one ended it; or it did, and the next SIGTSTP took that away.
        let waiting = pending();
        [libc::SIGCONT, libc::SIGTSTP].into_iter().any(|signal| libc::sigismember(&waiting, signal) == 1)
    }
}

/// Whether a signal that is blocked waits for this process.
pub fn is_pending(signal: i32) -> bool {
    // SAFETY: plain data that outlives the call.
    unsafe { libc::sigismember(&pending(), signal) == 1 }
}

/// The signals that wait. Source: sigpending(2).
fn pending() -> libc::sigset_t {
    // SAFETY: plain data that outlives the call.
    unsafe {
        let mut set = zeroed();
        libc::sigpending(&mut set);
        set
    }
}

/// Makes one of the standard streams another file. Source: dup2(2).
pub fn replace(stream: RawFd, file: impl AsFd) {
    // SAFETY: descriptors 0, 1 and 2 are nobody's in particular, and whoever uses them goes on with the other file.
    unsafe { libc::dup2(file.as_fd().as_raw_fd(), stream) };
}

/// Takes back the SIGPIPE or SIGXFSZ that a write of our own has brought on us: where they are blocked they wait, ignored or
/// not, and would be taken for somebody's word to the command. Source: sigtimedwait(2).
pub fn forget_own_write() {
    // SAFETY: plain data that outlives the calls.
    unsafe {
        let mut set: libc::sigset_t = zeroed();
        for signal in [libc::SIGPIPE, libc::SIGXFSZ] {
            libc::sigaddset(&mut set, signal);
        }
        let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        libc::sigtimedwait(&set, std::ptr::null_mut(), &at_once);
    }
}

/// Ends this process by `signal`, without a core. Returns where that is not to be had, as for PID 1.
pub fn end_by(signal: i32) {
    // SAFETY: plain data that outlives the calls; the default disposition runs no code of ours.
    unsafe {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &none);
        // Where cores go to a program, the limit is not asked.
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        libc::signal(signal, libc::SIG_DFL);
        libc::kill(libc::getpid(), signal);
    }
    let others = u64::checked_shl(1, (signal - 1) as u32).map_or(ALL, |bit| !bit);
    let _ = set_mask(others);
}

/// Closes every descriptor from `first` up but `kept`, in ascending order. It allocates nothing.
///
/// `ENOSYS`, `EPERM`: close_range(2) is filtered, or older than Linux 5.9.
pub fn close_all_but(kept: &[RawFd], first: RawFd) -> Result<(), Errno> {
    let mut next = first;
    for fd in kept.iter().copied().filter(|fd| *fd >= first).chain([RawFd::MAX]) {
        if fd > next || fd == RawFd::MAX {
            let last = if fd == RawFd::MAX { fd } else { fd.wrapping_sub(1) };
            // SAFETY: numbers alone; whoever calls uses none of the descriptors in between any more.
            unsafe { call!(SYS_close_range, next, last, 0) }.map_err(Errno::from_raw)?;
        }
        next = fd.wrapping_add(1);
    }
    Ok(())
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

/// The variables that the kernel gave, each `NAME=VALUE`.
pub fn variables() -> Vec<&'static CStr> {
    let mut found = Vec::new();
    let mut next = environ();
    // SAFETY: the list ends with a null pointer, and its strings live as long as the process, which changes none.
    unsafe {
        while !next.is_null() && !(*next).is_null() {
            found.push(CStr::from_ptr(*next));
            next = next.add(1);
        }
    }
    found
}

/// The capabilities that this process has bounding, those that the kernel has, and those that are ambient, a bit each.
///
/// Source: PR_CAPBSET_READ(2const), PR_CAP_AMBIENT(2const).
pub fn capability_sets() -> [u64; 3] {
    let ask = |option: libc::c_int, value: usize, more: usize| {
        // SAFETY: numbers alone.
        unsafe { call!(SYS_prctl, option, value, more, 0, 0) }
    };
    let mut sets = [0; 3];
    for capability in 0..64 {
        let Ok(bounding) = ask(libc::PR_CAPBSET_READ, capability, 0) else { break };
        let ambient = ask(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_IS_SET as usize, capability);
        let found = [bounding == 1, true, ambient == Ok(1)];
        for (set, is_there) in sets.iter_mut().zip(found) {
            *set |= u64::from(is_there) << capability;
        }
    }
    sets
}

/// The effective, the permitted and the inheritable capabilities, a bit each. Source: capget(2).
pub fn capabilities() -> Result<[u64; 3], Errno> {
    const VERSION_3: u32 = 0x2008_0522;
    let (mut header, mut data) = ([VERSION_3, 0], [[0u32; 3]; 2]);
    // SAFETY: version 3 takes a header of two words and two structures of three, which outlive the call.
    unsafe { call!(SYS_capget, header.as_mut_ptr(), data.as_mut_ptr()) }.map_err(Errno::from_raw)?;
    Ok([0, 1, 2].map(|set| u64::from(data[0][set]) | u64::from(data[1][set]) << 32))
}

/// The supplementary groups of this process. nix asks sysconf(3) how many there can be, and the kernel knows how many there
/// are. Source: getgroups(2).
pub fn groups() -> Result<Vec<u32>, Errno> {
    let (none, nowhere) = (0, std::ptr::null_mut::<u32>());
    // SAFETY: a null pointer where only the count is asked for, then a buffer of as many ids as is said.
    unsafe {
        let count = call!(SYS_getgroups, none, nowhere).map_err(Errno::from_raw)?;
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut list = vec![0u32; count as usize];
        let read = call!(SYS_getgroups, list.len(), list.as_mut_ptr()).map_err(Errno::from_raw)?;
        list.truncate(read as usize);
        Ok(list)
    }
}

/// Whether setgroups(2) is for this process: more groups than there can be are `EINVAL` to who may set any, and `EPERM` to
/// who lacks CAP_SETGID, or is where setgroups is denied. Source: setgroups(2), user_namespaces(7).
pub fn may_set_groups() -> bool {
    let (too_many, nowhere) = (-1, std::ptr::null::<u32>());
    // SAFETY: the count is refused before the list is looked at.
    unsafe { call!(SYS_setgroups, too_many, nowhere) == Err(libc::EINVAL) }
}

/// The groups of a user, `gid` among them, in a buffer that grows up to `most`; `None` where there are more.
///
/// nix asks sysconf(3) how many there can be, and musl says 32. Source: getgrouplist(3).
pub fn group_list(user: &CStr, gid: u32, most: usize) -> Option<Vec<u32>> {
    let mut room = 64;
    while room <= most.next_power_of_two() * 2 {
        let (mut list, mut count) = (vec![0u32; room], room as i32);
        // SAFETY: a string, and a buffer of as many ids as is said, which outlive the call.
        let answer = unsafe { libc::getgrouplist(user.as_ptr(), gid, list.as_mut_ptr(), &raw mut count) };
        if answer >= 0 {
            list.truncate(usize::try_from(count).unwrap_or(0));
            return Some(list).filter(|list| list.len() <= most);
        }
        room *= 2;
    }
    None
}

/// The environment as the kernel gave it, to be handed on as it is.
pub fn environ() -> *const *const libc::c_char {
    unsafe extern "C" {
        static environ: *const *const libc::c_char;
    }
    // SAFETY: read before any thread could change it; nothing in this crate sets variables.
    unsafe { environ }
}
