//! A terminal and who sits at it: typed into, read from, resized, looked at, hung up. It asserts nothing about seclude.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::sys::termios::{LocalFlags, OutputFlags, SetArg, tcgetattr, tcsetattr};
use nix::unistd::{Pid, setsid, tcgetpgrp};

use super::processes::{children, pids, session, status};
use super::{PATIENCE, ends_within, seclude, started};

/// What the shells at a terminal, and those within them, say when they wait for a line.
pub const PROMPT: &str = "ready> ";
pub const CTRL_C: &str = "\x03";
pub const CTRL_D: &str = "\x04";
pub const CTRL_Z: &str = "\x1a";
pub const CTRL_BACKSLASH: &str = "\x1c";

/// The shells with job control that a test can sit at.
pub const SHELLS: [&[&str]; 2] = [&["bash", "--norc", "--noprofile", "--noediting", "-i"], &["sh", "-i"]];

/// A terminal that shows no more than what is written to it: no echo, and line ends as they are.
pub struct Tty {
    screen: File,
    leader: Child,
    /// What has been shown and not been looked for yet.
    shown: String,
}

impl Tty {
    /// A shell with job control, waiting for a line, to whom `$S` is seclude.
    pub fn shell(words: &[&str]) -> Tty {
        let mut tty = Tty::of(Command::new(words[0]).args(&words[1..]));
        tty.until(PROMPT);
        tty
    }

    /// Bash, or whatever `sh` is where there is none.
    pub fn new() -> Tty {
        let [bash, sh] = SHELLS;
        Tty::shell(if super::program("bash") { bash } else { sh })
    }

    /// Starts a process as the leader of the session whose terminal this is.
    pub fn of(command: &mut Command) -> Tty {
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("our own terminal");
        let name = ptsname_r(&master).expect("a terminal has a name");
        let slave = open(name.as_str(), OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC, Mode::empty())
            .expect("our own terminal");
        let mut modes = tcgetattr(&slave).expect("a terminal has modes");
        modes.local_flags.remove(LocalFlags::ECHO | LocalFlags::ECHOCTL);
        // A key that sends a signal throws away what is still to be shown, a prompt that is quicker among it.
        modes.local_flags.insert(LocalFlags::NOFLSH);
        modes.output_flags.remove(OutputFlags::OPOST);
        tcsetattr(&slave, SetArg::TCSANOW, &modes).expect("our own terminal");
        let copy = || slave.try_clone().expect("a descriptor");
        command.stdin(copy()).stdout(copy()).stderr(copy());
        command.env("PS1", PROMPT).env("TERM", "dumb").env("S", seclude());
        for name in ["ENV", "BASH_ENV", "PROMPT_COMMAND", "HISTFILE"] {
            command.env_remove(name);
        }
        // SAFETY: two system calls between fork and exec.
        unsafe { command.pre_exec(lead) };
        let leader = started(command).unwrap_or_else(|error| panic!("{command:?}: {error}"));
        // What is left of the command's own copies would keep the terminal open past its end.
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null());
        let screen = File::from(OwnedFd::from(master));
        Tty { screen, leader, shown: String::new() }
    }

    pub fn say(&mut self, text: &str) {
        self.screen.write_all(text.as_bytes()).expect("a terminal takes what is typed");
    }

    /// Waits until `text` is shown, and gives what stood before it; panics where it is not.
    #[track_caller]
    pub fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.shown.find(text) {
                let rest = self.shown.split_off(at + text.len());
                let mut before = std::mem::replace(&mut self.shown, rest);
                before.truncate(at);
                return before;
            }
            assert!(self.read(), "{text:?} was not shown, but {:?}", self.shown);
        }
    }

    /// Waits for something more to be shown; false where nothing comes, or nobody has the terminal open any more.
    fn read(&mut self) -> bool {
        let wait = &mut [PollFd::new(self.screen.as_fd(), PollFlags::POLLIN)];
        let mut bytes = [0; 4096];
        if poll(wait, PollTimeout::from(PATIENCE)) != Ok(1) {
            return false;
        }
        let size = self.screen.read(&mut bytes).unwrap_or(0);
        self.shown += &String::from_utf8_lossy(&bytes[..size]);
        size > 0
    }

    /// What is shown until the shell waits for a line again.
    #[track_caller]
    pub fn prompt(&mut self) -> String {
        self.until(PROMPT)
    }

    /// Has the shell run a line; gives what is shown of it.
    #[track_caller]
    pub fn run(&mut self, line: &str) -> String {
        self.say(&format!("{line}\n"));
        self.prompt()
    }

    /// The process group in the foreground.
    pub fn foreground(&self) -> i32 {
        tcgetpgrp(&self.screen).expect("a terminal that leads a session has one").as_raw()
    }

    /// The leader of the session.
    pub fn leader(&self) -> i32 {
        self.leader.id() as i32
    }

    /// The seclude that is the leader's own child.
    pub fn seclude(&self) -> i32 {
        let named = self.named("seclude");
        children(self.leader()).into_iter().find(|pid| named.contains(pid)).expect("it runs")
    }

    /// Makes it `rows` high, of which its foreground group is told.
    pub fn resize(&self, rows: u16) {
        let size = libc::winsize { ws_row: rows, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the structure is the one that TIOCSWINSZ takes, and outlives the call.
        let answer = unsafe { libc::ioctl(self.screen.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        assert_eq!(answer, 0, "our own terminal");
    }

    /// The processes of its session whose command is of that name.
    pub fn named(&self, name: &str) -> Vec<i32> {
        let own = |pid: &i32| {
            let named = || status(*pid, "Name").is_some_and(|words| words == [name]);
            session(*pid) == Some(self.leader()) && (name.is_empty() || named())
        };
        pids().filter(own).collect()
    }

    /// Waits for the leader's end, and gives its status and what is shown until then.
    pub fn end(&mut self) -> (Option<i32>, String) {
        assert!(ends_within(&self.leader, PATIENCE), "it was still there; shown: {:?}", self.shown);
        let status = self.leader.wait().expect("our own child").code();
        while self.read() {}
        (status, std::mem::take(&mut self.shown))
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        for pid in self.named("") {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _ = self.leader.kill();
        let _ = self.leader.wait();
    }
}

/// A session of its own, and standard input its terminal.
fn lead() -> std::io::Result<()> {
    setsid()?;
    // SAFETY: numbers alone.
    match unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
