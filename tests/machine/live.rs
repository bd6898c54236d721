//! A call of seclude whose command still runs: it can be looked at, spoken to, signalled, and is gone with the test.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, Command, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Outcome, PATIENCE, end, seclude, started};

pub struct Live {
    child: Option<Child>,
    input: Option<ChildStdin>,
    /// The first line of standard error.
    pub told: String,
    /// The two pids of that line.
    pub real: i32,
    pub isolated: i32,
}

/// Starts seclude with a command that stays: a shell script, which can wait with `read x`.
pub fn live(options: &[&str], script: &str) -> Live {
    let mut command = Command::new(seclude());
    command.args(options).args(["sh", "-c", script]);
    live_of(&mut command)
}

/// Starts a call that tells its pids on standard error.
pub fn live_of(command: &mut Command) -> Live {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = started(command).unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let input = child.stdin.take();
    let told = line(child.stderr.as_mut().expect("piped"));
    let pid = |word: &str| {
        let digits = told.split_once(word).map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit));
        digits.and_then(|digits| digits.collect::<String>().parse().ok()).unwrap_or(0)
    };
    let (real, isolated) = (pid("real pid "), pid("isolated pid "));
    Live { child: Some(child), input, told, real, isolated }
}

/// One line, a byte at a time, so that nothing behind it is lost; panics where none comes.
fn line<T: Read + AsFd>(from: &mut T) -> String {
    let mut bytes = Vec::new();
    loop {
        let ready = poll(&mut [PollFd::new(from.as_fd(), PollFlags::POLLIN)], PollTimeout::from(PATIENCE));
        assert_eq!(ready, Ok(1), "no line came; so far {:?}", String::from_utf8_lossy(&bytes));
        let mut byte = [0];
        match from.read(&mut byte).expect("a pipe can be read") {
            1 if byte[0] != b'\n' => bytes.push(byte[0]),
            _ => return String::from_utf8_lossy(&bytes).into_owned(),
        }
    }
}

impl Live {
    fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("it has not ended")
    }

    /// The pid of seclude itself.
    pub fn pid(&mut self) -> i32 {
        self.child().id() as i32
    }

    /// The next line of the command's standard output.
    pub fn line(&mut self) -> String {
        line(self.child().stdout.as_mut().expect("piped"))
    }

    pub fn say(&mut self, text: &str) {
        self.input.as_mut().expect("not closed yet").write_all(text.as_bytes()).expect("the command reads");
    }

    /// Sends seclude a signal.
    pub fn signal(&mut self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("our own child");
    }

    /// The inode text of a namespace of the command: `net:[4026531840]`.
    pub fn namespace(&self, file: &str) -> String {
        let link = fs::read_link(format!("/proc/{}/ns/{file}", self.real)).expect("the command runs");
        link.to_string_lossy().into_owned()
    }

    /// Closes its standard input, and waits for its end.
    pub fn close(mut self) -> Outcome {
        self.input = None;
        self.end()
    }

    /// Waits for its end alone, where its output may be open longer.
    pub fn end_alone(mut self) -> Outcome {
        let mut child = self.child.take().expect("it has not ended");
        (child.stdout, child.stderr) = (None, None);
        end(child)
    }

    /// Waits for its end, standard input still open.
    pub fn end(mut self) -> Outcome {
        end(self.child.take().expect("it has not ended"))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            if self.real > 0 {
                let _ = kill(Pid::from_raw(self.real), Signal::SIGKILL);
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
