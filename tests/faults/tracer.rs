//! Runs a launch under ptrace(2), on x86-64, strikes at one system call of one process, and tells what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::ptr;
use std::time::{Duration, Instant};

use libc::{c_int, pid_t};

use crate::ptrace::{EXIT, ask, kill, says_release, set_answer, skip, syscall};
use crate::state;

/// How long a launch may take, and whatever it leaves may live on.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Launcher,
    Child,
    /// The child that stays behind as PID 1, once the command's process is there.
    Init,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blow {
    /// The call is not made, and this is its answer.
    Errno(c_int),
    /// The process is killed on the way into the call.
    Kill,
    /// The launcher is killed on the process's way into the call, and is gone before it goes on.
    Bereave,
}

/// A blow at the call of that index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Strike {
    pub role: Role,
    pub index: usize,
    pub blow: Blow,
}

/// What came of a launch.
#[derive(Default, Debug)]
pub struct Trace {
    /// The numbers of the calls: of the launcher's since it first asked who it is, of the child's until its exec.
    pub launcher: Vec<i64>,
    pub child: Vec<i64>,
    /// Of the process that another has taken the place of.
    pub init: Vec<i64>,
    /// How many calls each had entered when the launcher let the command go, that one included.
    pub release: Option<(usize, usize)>,
    pub status: Option<i32>,
    pub signal: Option<i32>,
    pub out: String,
    pub err: String,
    /// What the kernel showed of the command as it began; `None`: it never did.
    pub command: Option<String>,
    /// The launcher ended of its own will while the command had not.
    pub orphaned: bool,
    /// Processes, if any, that were there when patience ended.
    pub left: usize,
}

struct Tracer {
    launcher: pid_t,
    child: Option<pid_t>,
    init: Option<pid_t>,
    alive: BTreeSet<pid_t>,
    /// A command that has begun is held until its launcher waits for it.
    held: Option<pid_t>,
    waiting: bool,
    strike: Option<Strike>,
    /// Whose call is being failed, and what it is to be told.
    failing: BTreeMap<pid_t, c_int>,
    trace: Trace,
}

/// Runs a command to its end, with at most one blow struck.
#[expect(clippy::zombie_processes, reason = "it is waited for along with all others")]
pub fn run(command: &mut Command, strike: Option<Strike>) -> Trace {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: one system call between fork and exec.
    unsafe { command.pre_exec(|| ask(libc::PTRACE_TRACEME, 0, 0, 0).map(drop)) };
    let mut process = command.spawn().expect("the launcher starts");
    let launcher = process.id() as pid_t;
    // SAFETY: waits for our own child, which stops at its exec.
    unsafe { libc::waitpid(launcher, ptr::null_mut(), libc::__WALL) };
    let options = libc::PTRACE_O_TRACESYSGOOD
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_EXITKILL;
    ask(libc::PTRACE_SETOPTIONS, launcher, 0, options as usize).expect("a stopped child takes options");
    let (alive, failing) = (BTreeSet::from([launcher]), BTreeMap::new());
    let mut tracer = Tracer {
        launcher,
        child: None,
        init: None,
        alive,
        held: None,
        waiting: false,
        strike,
        failing,
        trace: Trace::default(),
    };
    tracer.go_on(launcher, 0);
    tracer.follow();
    let mut trace = tracer.trace;
    let (out, err) = (process.stdout.take(), process.stderr.take());
    out.expect("piped").read_to_string(&mut trace.out).expect("the output is text");
    err.expect("piped").read_to_string(&mut trace.err).expect("the messages are text");
    trace
}

impl Tracer {
    fn follow(&mut self) {
        let (mut deadline, mut idle) = (Instant::now() + PATIENCE, 0);
        loop {
            let mut status = 0;
            // Only this thread's processes: other tests trace in theirs.
            let flags = libc::__WALL | libc::__WNOTHREAD | libc::WNOHANG;
            // SAFETY: plain data that outlives the call.
            match unsafe { libc::waitpid(-1, &mut status, flags) } {
                -1 => return,
                0 if Instant::now() > deadline => {
                    self.trace.left = self.trace.left.max(self.alive.len());
                    self.alive.iter().for_each(|pid| kill(*pid));
                    deadline = Instant::now() + PATIENCE;
                }
                0 if idle < 200 => {
                    idle += 1;
                    std::thread::yield_now();
                }
                0 => std::thread::sleep(Duration::from_micros(200)),
                pid => {
                    idle = 0;
                    self.hear(pid, status);
                }
            }
        }
    }

    fn hear(&mut self, pid: pid_t, status: c_int) {
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            self.alive.remove(&pid);
            if self.held == Some(pid) {
                self.held = None;
            }
            if pid == self.launcher {
                self.trace.status = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
                self.trace.signal = libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status));
                self.trace.orphaned = self.held.is_some() && libc::WIFEXITED(status);
                self.free();
            }
            return;
        }
        let is_new = self.alive.insert(pid);
        match (libc::WSTOPSIG(status), status >> 16) {
            (signal, _) if signal == libc::SIGTRAP | 0x80 => self.call(pid),
            (libc::SIGTRAP, libc::PTRACE_EVENT_EXEC) => self.executed(pid),
            (libc::SIGTRAP, event) if event != 0 => {
                if [libc::PTRACE_EVENT_CLONE, libc::PTRACE_EVENT_FORK, libc::PTRACE_EVENT_VFORK]
                    .contains(&event)
                {
                    self.made(pid);
                }
                self.go_on(pid, 0);
            }
            (libc::SIGSTOP, _) if is_new => {
                self.born(pid);
                self.go_on(pid, 0);
            }
            (signal, _) => self.go_on(pid, signal),
        }
    }

    /// Who is told of first, by its parent's stop or by its own, depends; a parent that is killed may have none.
    fn made(&mut self, parent: pid_t) {
        let mut child: libc::c_ulong = 0;
        if ask(libc::PTRACE_GETEVENTMSG, parent, 0, &raw mut child as usize).is_ok() {
            self.born(child as pid_t);
        }
    }

    /// The newest is the child: that of a second clone, or of an init, goes on in the place of the first.
    fn born(&mut self, pid: pid_t) {
        if self.trace.command.is_none() && self.child != Some(pid) && self.init != Some(pid) {
            self.init = self.child.replace(pid);
        }
    }

    fn executed(&mut self, pid: pid_t) {
        if self.child == Some(pid) && self.trace.command.is_none() {
            let state = state::of(pid);
            // One that was killed meanwhile shows what it was no more.
            if syscall(pid).is_err() {
                return;
            }
            self.trace.command = Some(state);
            if self.alive.contains(&self.launcher) && !self.waiting {
                self.held = Some(pid);
                return;
            }
        }
        self.go_on(pid, 0);
    }

    fn free(&mut self) {
        if let Some(pid) = self.held.take() {
            self.go_on(pid, 0);
        }
    }

    /// Kills the launcher, and waits for its end.
    fn bereave(&mut self) {
        kill(self.launcher);
        while self.alive.contains(&self.launcher) {
            let mut status = 0;
            // SAFETY: plain data that outlives the call; it is a child of this thread's.
            unsafe { libc::waitpid(self.launcher, &mut status, libc::__WALL) };
            self.hear(self.launcher, status);
        }
    }

    /// To the next call, or, where a command runs already, to its next event.
    fn go_on(&self, pid: pid_t, signal: c_int) {
        let is_command = self.trace.command.is_some() && pid != self.launcher && Some(pid) != self.init;
        let how = if is_command { libc::PTRACE_CONT } else { libc::PTRACE_SYSCALL };
        // A process that has just been killed is not there to be told.
        let _ = ask(how, pid, 0, signal as usize);
    }

    fn call(&mut self, pid: pid_t) {
        let Ok(info) = syscall(pid) else { return };
        if info.op == EXIT {
            if let Some(errno) = self.failing.remove(&pid) {
                set_answer(pid, errno);
            }
            return self.go_on(pid, 0);
        }
        let (number, args) = (info.number as i64, info.args);
        let (role, calls) = match pid {
            _ if pid == self.launcher => (Role::Launcher, &mut self.trace.launcher),
            _ if Some(pid) == self.child && number != libc::SYS_exit_group => {
                (Role::Child, &mut self.trace.child)
            }
            _ if Some(pid) == self.init && number != libc::SYS_exit_group => {
                (Role::Init, &mut self.trace.init)
            }
            _ => return self.go_on(pid, 0),
        };
        if role == Role::Launcher && calls.is_empty() && number != libc::SYS_getresuid {
            return self.go_on(pid, 0);
        }
        calls.push(number);
        let index = calls.len() - 1;
        let counts = (self.trace.launcher.len(), self.trace.child.len());
        let struck = self.strike.filter(|strike| (strike.role, strike.index) == (role, index));
        match struck.map(|strike| strike.blow) {
            Some(Blow::Kill) => return kill(pid),
            Some(Blow::Bereave) => self.bereave(),
            Some(Blow::Errno(errno)) => {
                self.failing.insert(pid, errno);
                // A close that fails has closed all the same.
                if number != libc::SYS_close {
                    skip(pid);
                }
            }
            None if role == Role::Launcher && number == libc::SYS_sendto && says_release(pid, args) => {
                self.trace.release = Some(counts);
            }
            // The child's descriptor, that of the signals, and more: it waits.
            None if role == Role::Launcher && number == libc::SYS_poll && args[1] >= 2 => {
                self.waiting = true;
                self.free();
            }
            None => {}
        }
        self.go_on(pid, 0);
    }
}
