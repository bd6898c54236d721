//! Counts the instructions of a process by ptrace(2), one step at a time, up to its end or its exec. Children go free.

use std::io::Error;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use libc::{c_int, c_long, pid_t};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

#[cfg(target_env = "musl")]
type Request = c_int;
#[cfg(not(target_env = "musl"))]
type Request = libc::c_uint;

/// More than any launch takes: where it is passed, the launch does not end.
const MOST: u64 = 20_000_000;

/// The instructions in user mode of a launch that ends well, a repeated string instruction counted by its rounds.
pub fn instructions(command: &mut Command) -> u64 {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    share_a_processor();
    // SAFETY: one system call between fork and exec.
    unsafe { command.pre_exec(|| ask(libc::PTRACE_TRACEME, 0, 0).map(drop)) };
    let pid = command.spawn().expect("the launcher starts").id() as pid_t;
    assert!(libc::WIFSTOPPED(wait(pid)), "it stops at its exec");
    let options = libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_EXITKILL;
    ask(libc::PTRACE_SETOPTIONS, pid, options as usize).expect("a stopped child takes options");
    let (mut count, mut signal) = (0, 0);
    while count < MOST {
        ask(libc::PTRACE_SINGLESTEP, pid, signal as usize).expect("a stopped child takes a step");
        let status = wait(pid);
        if !libc::WIFSTOPPED(status) {
            assert_eq!(status, 0, "the launch ends well");
            return count;
        }
        if status >> 16 == libc::PTRACE_EVENT_EXEC {
            ask(libc::PTRACE_DETACH, pid, 0).expect("a stopped child is let go");
            assert_eq!(wait(pid), 0, "the command ends well");
            return count;
        }
        match libc::WSTOPSIG(status) {
            libc::SIGTRAP => (count, signal) = (count + 1, 0),
            other => signal = other,
        }
    }
    panic!("a launch takes more than {MOST} instructions")
}

/// Keeps this thread and what it starts on one processor: a step is several times faster that way.
fn share_a_processor() {
    let own = Pid::from_raw(0);
    let allowed = sched_getaffinity(own).expect("our own thread");
    let first = (0..CpuSet::count()).find(|cpu| allowed.is_set(*cpu) == Ok(true)).expect("we run on one");
    let mut one = CpuSet::new();
    one.set(first).expect("it is in the set");
    sched_setaffinity(own, &one).expect("one of our own");
}

/// Its status, once it has stopped or ended.
fn wait(pid: pid_t) -> c_int {
    let mut status = 0;
    // SAFETY: our own child, and a status that outlives the call.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(waited, pid, "our own child can be waited for");
    status
}

fn ask(request: Request, pid: pid_t, data: usize) -> Result<c_long, Error> {
    // SAFETY: the requests used here take numbers alone.
    match unsafe { libc::ptrace(request, pid, 0usize, data) } {
        -1 => Err(Error::last_os_error()),
        answer => Ok(answer),
    }
}
