//! Ids, groups and capabilities as system calls, each read back. Source: credentials(7), capabilities(7).
#![allow(unsafe_code)]

use libc::{c_int, c_long};

use super::answer::expect;
use crate::plan::Sets;
use crate::seccomp::{Instruction, Program};
use crate::sys::{ask, call};

const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: c_int,
}

#[repr(C)]
#[derive(Clone, Copy, PartialEq)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

pub unsafe fn prctl(option: c_int, value: usize, more: usize) -> Result<c_long, c_int> {
    // SAFETY: the options used here take numbers only; the last two arguments have to be 0.
    unsafe { call!(SYS_prctl, option, value, more, 0, 0) }
}

/// Real, effective and saved id, of getresuid(2) or getresgid(2).
pub unsafe fn three(number: c_long) -> Result<[u32; 3], c_int> {
    let [mut real, mut effective, mut saved] = [0u32; 3];
    // SAFETY: three pointers to ids, which outlive the call.
    unsafe { ask(number, [&raw mut real, &raw mut effective, &raw mut saved].map(|id| id as usize)) }?;
    Ok([real, effective, saved])
}

pub unsafe fn set_groups(list: &[u32], room: &mut [u32]) -> Result<(), c_int> {
    // SAFETY: the lengths are those of the slices; the room is one longer than the list, so that more would be seen.
    unsafe {
        call!(SYS_setgroups, list.len(), list.as_ptr())?;
        let count = call!(SYS_getgroups, room.len(), room.as_mut_ptr())?;
        // The kernel keeps them in the order of its own ids, which a map can change.
        let read = room.get(..count as usize).unwrap_or_default();
        expect(read.len() == list.len() && read.iter().all(|gid| list.binary_search(gid).is_ok()))
    }
}

/// Takes from the bounding set what is not `kept`; `EINVAL` is the first capability that the kernel doesn't know.
///
/// Each is read back where a seccomp filter could have answered in the kernel's place; the kernel itself tells the truth.
/// Source: capabilities(7).
pub unsafe fn bound(kept: u64) -> Result<(), c_int> {
    // SAFETY: prctl with numbers.
    let is_filtered = unsafe { prctl(libc::PR_GET_SECCOMP, 0, 0) } != Ok(0);
    for capability in (0..64).filter(|number| kept >> number & 1 == 0) {
        // SAFETY: prctl with numbers.
        unsafe {
            match prctl(libc::PR_CAPBSET_DROP, capability, 0) {
                // Only where reading agrees that there is no such capability is this the end of the set.
                Err(libc::EINVAL)
                    if capability > 0 && prctl(libc::PR_CAPBSET_READ, capability, 0).is_err() =>
                {
                    return Ok(());
                }
                answer => answer?,
            };
            expect(!is_filtered || prctl(libc::PR_CAPBSET_READ, capability, 0)? == 0)?;
        }
    }
    Ok(())
}

/// What is ambient goes first and comes last: it is never beyond what is permitted and inheritable.
pub unsafe fn set_capabilities(sets: &Sets) -> Result<(), c_int> {
    let half = |set: u64, high: bool| (if high { set >> 32 } else { set }) as u32;
    let (permitted, inheritable) = (sets.permitted.0, sets.inheritable.0);
    let wanted = [false, true].map(|high| CapabilityData {
        effective: half(permitted, high),
        permitted: half(permitted, high),
        inheritable: half(inheritable, high),
    });
    let mut header = CapabilityHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let mut found = [CapabilityData { effective: 1, permitted: 1, inheritable: 1 }; 2];
    // SAFETY: version 3 takes a header and two structures, which outlive the calls.
    unsafe {
        prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as usize, 0)?;
        call!(SYS_capset, &raw mut header, wanted.as_ptr())?;
        call!(SYS_capget, &raw mut header, found.as_mut_ptr())?;
        for capability in (0..64).filter(|number| sets.ambient.0 >> number & 1 == 1) {
            prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as usize, capability)?;
            expect(prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_IS_SET as usize, capability)? == 1)?;
        }
    }
    expect(found == wanted)
}

/// Loads a filter, and reads back that there is one, unless the filter itself would end whoever asks.
///
/// `EACCES`: neither CAP_SYS_ADMIN nor no_new_privs. `EINVAL`: no program that the kernel takes, or no CONFIG_SECCOMP_FILTER.
/// Source: seccomp(2).
pub unsafe fn filter(program: &Program, readable: bool) -> Result<(), c_int> {
    // SAFETY: the program outlives the call; prctl with numbers.
    unsafe {
        load(&program.instructions, program.flags)?;
        // The filter's own answer, where it has one, is as good a sign as the kernel's.
        expect(!readable || prctl(libc::PR_GET_SECCOMP, 0, 0) != Ok(0))
    }
}

unsafe fn load(program: &[Instruction], flags: u32) -> Result<(), c_int> {
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: the program outlives the call, and is laid out as the kernel has it.
    unsafe { call!(SYS_seccomp, mode, flags, &raw const program) }.map(drop)
}

/// Loads the filter, and tries what it is to forbid on no file: without it the kernel would miss that first (`EBADF`).
///
/// `EACCES`: neither CAP_SYS_ADMIN nor no_new_privs. Source: seccomp(2).
pub unsafe fn no_typing(program: &[Instruction]) -> Result<(), c_int> {
    const TIOCSTI: c_int = 0x5412;
    let no_file = -1i32;
    // SAFETY: the program outlives the call; a null pointer is looked at by nobody.
    unsafe {
        load(program, 0)?;
        expect(call!(SYS_ioctl, no_file, TIOCSTI, 0) == Err(libc::EPERM))
    }
}
