//! The command's share of the machine as system calls, each read back: by itself, or by its launcher. It decides nothing.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::hint::black_box;
use std::ptr;

use libc::{c_int, c_long};

use super::answer::expect;
use crate::plan::Ration;
use crate::request::privilege::limits::IoPriority;
use crate::sys::call;

/// Words of a mask with a bit for each CPU that any kernel is built for.
const CPU_WORDS: usize = 128;
/// Bytes of stack that the steps after a limit, and the exec, have at least.
const STACK: usize = 64 << 10;
/// Source: ioprio_set(2).
const IOPRIO_WHO_PROCESS: c_int = 1;
const IOPRIO_CLASS_RT: c_long = 1;

/// Whose share it is.
pub struct Whose<'a> {
    /// 0 is who asks.
    pub pid: c_int,
    /// A directory of a verified /proc, and its file from there.
    pub dir: c_int,
    pub oom_score_adj: &'a CStr,
}

impl Whose<'_> {
    pub fn own(proc: c_int) -> Whose<'static> {
        Whose { pid: 0, dir: proc, oom_score_adj: c"self/oom_score_adj" }
    }
}

/// Sets it, and looks. It touches nothing but what is its own and that process.
pub fn take(ration: &Ration, whose: &Whose) -> Result<(), c_int> {
    let pid = whose.pid;
    // SAFETY: every pointer is to a local of this call, or to plain data of the plan, and outlives the system calls.
    unsafe {
        match ration {
            Ration::Raise(resource, hard) => match limits(pid, resource.number)? {
                [_, found] if found >= *hard => Ok(()),
                [soft, _] => limit(pid, resource.number, [soft, *hard]),
            },
            Ration::Limit(asked) => {
                let number = asked.resource.number;
                if number == libc::RLIMIT_AS as usize || number == libc::RLIMIT_STACK as usize {
                    hold_stack();
                }
                limit(pid, number, [asked.soft, asked.hard])
            }
            Ration::Nice(niceness) => {
                call!(SYS_setpriority, libc::PRIO_PROCESS, pid, *niceness)?;
                // The kernel answers from 1 to 40, since a negative answer would be an errno.
                expect(call!(SYS_getpriority, libc::PRIO_PROCESS, pid)? == c_long::from(20 - *niceness))
            }
            Ration::OomScoreAdj(score) => oom_score_adj(whose, score.to_bytes()),
            Ration::Affinity(cpus) => {
                call!(SYS_sched_setaffinity, pid, size_of_val(cpus.0.as_slice()), cpus.0.as_ptr())?;
                let mut found = [0u64; CPU_WORDS];
                call!(SYS_sched_getaffinity, pid, size_of_val(&found), found.as_mut_ptr())?;
                let asked = cpus.0.iter().chain(std::iter::repeat(&0));
                expect(found.iter().zip(asked).all(|(found, asked)| found == asked))
            }
            Ration::IoPriority(priority) => io_priority(pid, *priority),
            Ration::Scheduling(policy) => {
                let mut found = policy.priority;
                call!(SYS_sched_setscheduler, pid, policy.policy, &raw const policy.priority)?;
                expect(call!(SYS_sched_getscheduler, pid)? == c_long::from(policy.policy))?;
                call!(SYS_sched_getparam, pid, &raw mut found)?;
                expect(found == policy.priority)
            }
        }
    }
}

/// Has the stack grow now to what the rest of the launch takes of it: a limit of it, or of the address space, may forbid that later.
#[inline(never)]
fn hold_stack() {
    let mut below = [0u8; STACK];
    for page in below.chunks_mut(4096).rev() {
        black_box(page.first_mut());
    }
}

/// The soft and the hard limit.
fn limits(pid: c_int, resource: usize) -> Result<[u64; 2], c_int> {
    let (mut found, none) = ([0u64; 2], ptr::null::<u64>());
    // SAFETY: the kernel's structure is of two words, and outlives the call.
    unsafe { call!(SYS_prlimit64, pid, resource, none, found.as_mut_ptr()) }?;
    Ok(found)
}

fn limit(pid: c_int, resource: usize, both: [u64; 2]) -> Result<(), c_int> {
    let none = ptr::null_mut::<u64>();
    // SAFETY: as above.
    unsafe { call!(SYS_prlimit64, pid, resource, both.as_ptr(), none) }?;
    expect(limits(pid, resource)? == both)
}

fn io_priority(pid: c_int, priority: IoPriority) -> Result<(), c_int> {
    let asked = c_long::from(priority.value());
    // SAFETY: numbers alone.
    let found = unsafe {
        call!(SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, asked)?;
        call!(SYS_ioprio_get, IOPRIO_WHO_PROCESS, pid)?
    };
    // Of who has none, some kernels say what they make of its niceness.
    expect(found == asked || asked == 0 && found >> 13 != IOPRIO_CLASS_RT)
}

/// Source: proc_pid_oom_score_adj(5).
fn oom_score_adj(whose: &Whose, score: &[u8]) -> Result<(), c_int> {
    let (mut found, start) = ([0u8; 16], 0);
    // SAFETY: a NUL-terminated string, and buffers of the lengths that are named.
    unsafe {
        let flags = libc::O_RDWR | libc::O_CLOEXEC;
        let fd = call!(SYS_openat, whose.dir, whose.oom_score_adj.as_ptr(), flags, 0)?;
        let written = call!(SYS_write, fd, score.as_ptr(), score.len());
        let read = call!(SYS_pread64, fd, found.as_mut_ptr(), found.len(), start);
        let _ = call!(SYS_close, fd);
        expect(written? == score.len() as c_long)?;
        let length = read? as usize;
        expect(found.get(..length).and_then(|text| text.strip_suffix(b"\n")) == Some(score))
    }
}
