//! A pipe that is full and that nobody reads: who counts on a report waits for its reader, and not for ever; a failure hardly at all.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;
use nix::unistd::{pipe2, write};

use crate::machine::processes::{Nap, children, send, until};
use crate::machine::{can, ends_within, finish, scratch, seclude, started};

/// Bytes that the pipes take: one page, the least there is.
const ROOM: i32 = 4096;
/// Longer than they take, as one word.
const LONG: usize = 9_000;
/// How long a report is waited for, as main has it, and how long a failure.
const REPORT: Duration = Duration::from_secs(10);
const FAILURE: Duration = Duration::from_secs(1);

/// A pipe of one page, empty or full, and its reader, who does not read.
fn pipe(full: bool) -> (OwnedFd, OwnedFd) {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
    assert_eq!(fcntl(&writer, FcntlArg::F_SETPIPE_SZ(ROOM)), Ok(ROOM));
    if full {
        fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        while write(&writer, &[b'x'; 4096]) != Err(Errno::EAGAIN) {}
        fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
    }
    (reader, writer)
}

pub struct Call {
    pub child: Child,
    since: Instant,
    reader: File,
}

/// A call whose standard error is such a pipe.
pub fn call(full: bool, words: &[&str]) -> Call {
    let (reader, writer) = pipe(full);
    let mut command = Command::new(seclude());
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer);
    let since = Instant::now();
    Call { child: started(&mut command).unwrap(), since, reader: reader.into() }
}

impl Call {
    /// All that is written until nobody can write any more.
    pub fn read(&mut self) -> String {
        let mut text = String::new();
        self.reader.read_to_string(&mut text).unwrap();
        text
    }

    /// The status, and how long it took; killed where it takes more than half a minute.
    fn end(&mut self) -> (Option<i32>, Duration) {
        if !ends_within(&self.child, 30_000) {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
            panic!("it waits for a reader that never comes");
        }
        (self.child.wait().unwrap().code(), self.since.elapsed())
    }
}

#[test]
fn a_report_that_nobody_reads_is_given_up_and_nothing_runs() {
    let marker = scratch("unread").join("ran");
    let touch = format!("touch {}", marker.display());
    let long = "y".repeat(LONG);
    // All at once: each waits as long as it may.
    let mut calls: Vec<(&str, Call)> = vec![
        ("full", call(true, &["--report", "json", "sh", "-c", &touch])),
        ("too long", call(false, &["--report", "json", "sh", "-c", &touch, &long])),
        ("in place", call(false, &["--exec", "--report", "json", "sh", "-c", &touch, &long])),
        ("verbose", call(false, &["-v", "--report", "text", "sh", "-c", &touch, &long])),
        ("background", call(false, &["--daemon", "--report", "json", "sh", "-c", &touch, &long])),
    ];
    for (name, call) in &mut calls {
        let (status, took) = call.end();
        assert_eq!(status, Some(125), "{name}");
        assert!(took >= REPORT, "{name}: a slow reader is waited for, {took:?}");
    }
    assert!(!marker.exists());
}

#[test]
fn a_line_that_nobody_counts_on_is_left_out_and_the_command_runs() {
    let long = "y".repeat(LONG);
    for (full, words) in [
        (true, &["sh", "-c", "exit 9"][..]),
        (true, &["-v", "sh", "-c", "exit 9"]),
        (false, &["-v", "sh", "-c", "exit 9", &long]),
        (false, &["--exec", "-v", "sh", "-c", "exit 9", &long]),
    ] {
        let mut call = call(full, words);
        let (status, took) = call.end();
        assert_eq!(status, Some(9), "{full}");
        assert!(took < REPORT, "{full}: {took:?}");
    }
}

#[test]
fn a_failure_is_told_for_a_second_and_no_longer() {
    let long = "y".repeat(LONG);
    for (full, words, expected) in [
        (true, &["/nope"][..], 127),
        (true, &["-q", "-C", "/nope", "true"], 125),
        (true, &["--no-such-option"], 125),
        (true, &["--exec", "/nope"], 127),
        (true, &["--daemon", "/nope"], 127),
        (false, &[&format!("/{long}")], 126),
    ] {
        let mut call = call(full, words);
        let (status, took) = call.end();
        assert_eq!(status, Some(expected), "{words:?}");
        assert!(took >= FAILURE && took < REPORT, "{took:?}");
    }
}

#[test]
fn a_signal_that_comes_meanwhile_ends_it() {
    let mut calls: Vec<Call> = vec![
        call(true, &["--report", "json", "sleep", "60"]),
        call(false, &["--report", "json", "sh", "-c", "sleep 60", &"y".repeat(LONG)]),
    ];
    for call in &mut calls {
        let pid = call.child.id() as i32;
        // Its child waits for its release.
        until("a child", || !children(pid).is_empty());
        send(pid, Signal::SIGTERM);
    }
    for call in &mut calls {
        use std::os::unix::process::ExitStatusExt;
        assert!(ends_within(&call.child, 30_000), "nothing ends it");
        assert_eq!(call.child.wait().unwrap().signal(), Some(15));
    }
}

#[test]
fn a_namespace_that_was_kept_is_let_go_where_a_signal_comes_meanwhile() {
    if !can(&["root", "unshare", "bash"]) {
        return;
    }
    let (nap, place) = (Nap::new(), scratch("kept").join("net"));
    let script = format!(
        r#"cd "${{2%/*}}" && mkfifo pipe && exec 4<>pipe 5>pipe && {{ head -c 65536 /dev/zero >&5; }}
        "$1" --report json -n net --persist "net=$2" sleep {} 2>&5 &
        until grep -q " $2 " /proc/self/mountinfo; do kill -0 $! || exit 9; done; [ -e "$2" ] && echo bound
        kill -TERM $!; wait $!; echo $?; [ -e "$2" ] && echo there; grep -c " $2 " /proc/self/mountinfo"#,
        nap.0
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "bash", "-c", &script, "bash"]);
    let seen = finish(command.arg(seclude()).arg(&place));
    assert_eq!(seen.seen(), (Some(1), "bound\n143\n0\n", ""));
    assert_eq!(nap.sleepers(), [0; 0]);
}
