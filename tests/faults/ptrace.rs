//! ptrace(2) on x86-64 as functions: what is asked of a stopped process, and what is done to it.

use std::io::{Error, Result};

use libc::{c_int, c_long, pid_t};
use seclude::launch::handshake::RELEASE;

/// What a process has called, as the kernel has it: musl's headers have neither that nor the request.
#[repr(C)]
#[derive(Default)]
pub struct SyscallInfo {
    pub op: u8,
    arch: u32,
    instruction: u64,
    stack: u64,
    /// Of an entry.
    pub number: u64,
    pub args: [u64; 6],
    more: u64,
}

/// An operation of [`SyscallInfo`]: the call returns.
pub const EXIT: u8 = 2;
const GET_SYSCALL_INFO: c_int = 0x420e;

/// The number of a request is signed in one C library, and not in another.
pub fn ask(request: impl Into<i64>, pid: pid_t, address: usize, data: usize) -> Result<c_long> {
    // SAFETY: the requests used here take numbers, or a pointer to plain data that outlives the call.
    match unsafe { libc::ptrace(request.into() as _, pid, address, data) } {
        -1 => Err(Error::last_os_error()),
        answer => Ok(answer),
    }
}

pub fn syscall(pid: pid_t) -> Result<SyscallInfo> {
    let mut info = SyscallInfo::default();
    let size = size_of::<SyscallInfo>();
    ask(GET_SYSCALL_INFO, pid, size, &raw mut info as usize).map(|_| info)
}

pub fn says_release(pid: pid_t, args: [u64; 6]) -> bool {
    args[2] == 8
        && ask(libc::PTRACE_PEEKDATA, pid, args[1] as usize, 0).is_ok_and(|word| word as u32 == RELEASE)
}

/// Number -1 is no call.
pub fn skip(pid: pid_t) {
    let place = std::mem::offset_of!(libc::user_regs_struct, orig_rax);
    let _ = ask(libc::PTRACE_POKEUSER, pid, place, usize::MAX);
}

pub fn set_answer(pid: pid_t, errno: c_int) {
    let place = std::mem::offset_of!(libc::user_regs_struct, rax);
    let _ = ask(libc::PTRACE_POKEUSER, pid, place, -(errno as isize) as usize);
}

pub fn kill(pid: pid_t) {
    // SAFETY: a tracee that has not been reaped keeps its number.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}
