//! The machine under test: what it can do, who calls seclude on it, and how a call ends. It asserts nothing about seclude.
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod ability;
pub mod counter;
pub mod live;
pub mod processes;
pub mod pty;

#[allow(unused_imports, reason = "each test binary uses its part")]
pub use ability::{can, program, skipped};

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{self, SigHandler, Signal};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Milliseconds that one call of seclude may take.
const PATIENCE: u16 = 30_000;
/// A user whom no database knows and to whom nothing is granted.
pub const STRANGER: u32 = 61_234;
/// A user to whom the test's own /etc/subuid and /etc/subgid grant [`GRANT`].
pub const GRANTED: u32 = 61_235;
/// What the names of scratch directories start with; the pid of the tests follows.
const SCRATCH: &str = "seclude-test-";
/// The first of 65536 ids that are granted.
pub const GRANT: u32 = 700_000;

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The seclude of this build, where every user of the machine can execute it.
pub fn seclude() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let copy = scratch("bin").join("seclude");
        copied(Path::new(env!("CARGO_BIN_EXE_seclude")), &copy);
        copy
    })
}

/// Copies a file to one that everyone may execute.
///
/// By a process of its own: a descriptor of ours, open for writing, would be inherited by whatever another test starts just
/// then, and the kernel executes no file that somebody writes to (`ETXTBSY`).
pub fn copied(from: &Path, to: &Path) {
    let copy =
        Command::new("sh").args(["-ec", "cp \"$0\" \"$1\"; chmod 755 \"$1\""]).arg(from).arg(to).status();
    assert!(copy.is_ok_and(|status| status.success()), "{to:?} can be made");
}

/// Makes a script that everyone may execute.
pub fn script(path: &Path, text: &str) {
    let draft = path.with_extension("draft");
    fs::write(&draft, text).expect("a file can be written");
    copied(&draft, path);
    fs::remove_file(&draft).expect("our own file");
}

/// A new directory that everyone may enter and only its maker may change. It stays for a look until the next run of tests.
pub fn scratch(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    static SWEPT: OnceLock<()> = OnceLock::new();
    SWEPT.get_or_init(sweep);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("{SCRATCH}{}-{number}-{name}", std::process::id()));
    fs::create_dir_all(&dir).expect("a scratch directory can be made");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("its mode can be set");
    dir
}

/// Takes away what test processes that are gone have left, and what one of our own pid has.
fn sweep() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner =
            name.to_str().and_then(|name| name.strip_prefix(SCRATCH)?.split('-').next()?.parse::<u32>().ok());
        let left = |pid: u32| pid == std::process::id() || !Path::new("/proc").join(pid.to_string()).exists();
        if owner.is_some_and(left) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// How a call ended.
#[derive(Debug)]
pub struct Outcome {
    /// Exit status; `None` where a signal ended it.
    pub status: Option<i32>,
    pub signal: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Outcome {
    /// Exit status, standard output and standard error, to be compared at once.
    pub fn seen(&self) -> (Option<i32>, &str, &str) {
        (self.status, &self.out, &self.err)
    }
}

/// Calls `program` with `args`, standard input from /dev/null, and waits for its end.
pub fn run(program: impl AsRef<OsStr>, args: &[&str]) -> Outcome {
    let mut command = Command::new(program);
    command.args(args);
    finish(&mut command)
}

/// Calls seclude as whoever runs the tests.
pub fn call(args: &[&str]) -> Outcome {
    run(seclude(), args)
}

/// Calls seclude on a shell script.
pub fn sh(options: &[&str], script: &str) -> Outcome {
    call(&[options, &["sh", "-c", script]].concat())
}

/// Calls a shell script in which `"$0"` is seclude: a caller with habits of its own.
pub fn caller(script: &str) -> Outcome {
    run("sh", &["-c", script, &seclude().to_string_lossy()])
}

/// Calls seclude as another user without groups; takes root.
pub fn call_as(uid: u32, args: &[&str]) -> Outcome {
    finish(Command::new(seclude()).args(args).uid(uid).gid(uid).current_dir("/"))
}

/// Calls seclude as another user on a machine whose files of /etc (`"subuid"`, `"group"`, …) hold what is given; takes
/// root and unshare(1), and changes nothing outside a mount namespace of its own.
pub fn call_with_etc(etc: &BTreeMap<&str, String>, uid: u32, args: &[&str]) -> Outcome {
    let dir = scratch("etc");
    let mut script = String::from("set -e\n");
    for (name, text) in etc {
        fs::write(dir.join(name), text).expect("a file can be written");
        script += &format!(
            "[ -e /etc/{name} ] || : > /etc/{name}\nmount --bind {}/{name} /etc/{name}\n",
            dir.display()
        );
    }
    script += &format!("exec setpriv --reuid {uid} --regid {uid} --clear-groups \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]);
    finish(command.arg(seclude()).args(args).current_dir("/"))
}

/// The /etc files that grant [`GRANTED`] its ids, and an entry for it, without which newuidmap(1) serves nobody.
pub fn grants() -> BTreeMap<&'static str, String> {
    let line = format!("{GRANTED}:{GRANT}:65536\n");
    let passwd = format!("root:x:0:0::/root:/bin/sh\ntess:x:{GRANTED}:{GRANTED}::/:/bin/sh\n");
    BTreeMap::from([("passwd", passwd), ("subuid", line.clone()), ("subgid", line)])
}

/// Starts a command with every signal at its default: whoever runs the tests in the background ignores some.
pub fn started(command: &mut Command) -> io::Result<Child> {
    let defaults = || {
        for signal in Signal::iterator().filter(|signal| ![Signal::SIGKILL, Signal::SIGSTOP].contains(signal))
        {
            // SAFETY: the default disposition runs no code, and signal(2) may be called between fork and exec.
            unsafe { signal::signal(signal, SigHandler::SigDfl) }?;
        }
        Ok(())
    };
    // SAFETY: nothing in it allocates, locks or unwinds.
    unsafe { command.pre_exec(defaults) }.spawn()
}

/// Starts a command, and waits for its end and for that of its output.
pub fn finish(command: &mut Command) -> Outcome {
    let child = started(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    end(child.unwrap_or_else(|error| panic!("{command:?}: {error}")))
}

/// Waits for the end of a child whose standard output and error are pipes; kills one that takes too long.
pub fn end(mut child: Child) -> Outcome {
    fn drained(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = from.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    }
    let out = child.stdout.take().map(drained);
    let err = child.stderr.take().map(drained);
    if !ends_within(&child, PATIENCE) {
        let _ = child.kill();
        let _ = child.wait();
        panic!("{child:?} was still there after {PATIENCE} ms");
    }
    let status = child.wait().expect("our own child");
    let text = |thread: Option<thread::JoinHandle<String>>| {
        thread.map(|t| t.join().expect("read")).unwrap_or_default()
    };
    Outcome { status: status.code(), signal: status.signal(), out: text(out), err: text(err) }
}

/// Whether a child ends in that many milliseconds; returns as soon as it does.
pub fn ends_within(child: &Child, milliseconds: u16) -> bool {
    let pid = Pid::from_raw(child.id() as i32).expect("a child has a pid");
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("a child that is not reaped has a pidfd");
    poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], PollTimeout::from(milliseconds)) == Ok(1)
}
