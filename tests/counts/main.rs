//! What a launch takes that no load of the machine changes: system calls, instructions, and what a waiting launcher holds.

#[path = "../machine/mod.rs"]
mod machine;
mod stepper;
mod waiting;

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use machine::{STRANGER, can, finish, is_root, scratch, seclude};

/// What one launch takes.
struct Counts {
    /// System calls of all its processes, the command's included, which makes none but its exit.
    calls: u64,
    /// Instructions of the launcher in user mode, up to its end or its exec; counted where others tell no more.
    instructions: Option<u64>,
}

struct Row {
    options: &'static str,
    privileged: bool,
    /// Of the static build.
    musl: Counts,
    /// Of the dynamic build.
    glibc: Counts,
}

/// One map, a fork, and a parent that waits.
const USER_NAMESPACE: &str = "--unshare user --user 0:0";
/// System calls of such a launch on the static build, in all its processes, at most.
const MOST: u64 = 70;

/// Today's counts of release builds, on Linux 6.18. A launch may take a tenth more.
const ROWS: &[Row] = &[
    Row {
        options: "--exec --user 65534:65534",
        privileged: true,
        musl: Counts { calls: 77, instructions: Some(63_051) },
        glibc: Counts { calls: 112, instructions: Some(292_685) },
    },
    Row {
        options: "",
        privileged: false,
        musl: Counts { calls: 41, instructions: None },
        glibc: Counts { calls: 77, instructions: None },
    },
    Row {
        options: USER_NAMESPACE,
        privileged: false,
        musl: Counts { calls: 64, instructions: Some(75_125) },
        glibc: Counts { calls: 100, instructions: Some(303_188) },
    },
    Row {
        options: "--unshare user,pid,mount,uts,ipc --user 0:0 --mount-proc --as-pid1",
        privileged: false,
        musl: Counts { calls: 77, instructions: None },
        glibc: Counts { calls: 113, instructions: None },
    },
    Row {
        options: "--unshare user,pid,mount,uts,ipc --user 0:0 --mount-proc",
        privileged: false,
        musl: Counts { calls: 93, instructions: Some(89_923) },
        glibc: Counts { calls: 129, instructions: Some(318_340) },
    },
    Row {
        options: "--exec --unshare user --user 0:0",
        privileged: false,
        musl: Counts { calls: 47, instructions: None },
        glibc: Counts { calls: 82, instructions: None },
    },
];

const HOW: &str = "If the growth is worth it, put what this build takes now in ROWS of tests/counts/main.rs, once for each of
    SECLUDE_TEST_CAN=root,release cargo test --release --test counts -- --nocapture
    SECLUDE_TEST_CAN=root,release cargo test --release --test counts --target x86_64-unknown-linux-musl -- --nocapture";

/// Calls that set a clock going which ends a sleep later.
const TIMERS: [&str; 5] = ["alarm", "setitimer", "timer_create", "timer_settime", "timerfd_settime"];

impl Row {
    fn today(&self) -> &Counts {
        if cfg!(target_env = "musl") { &self.musl } else { &self.glibc }
    }

    fn possible(&self) -> bool {
        can(if self.privileged { &["root"] } else { &["userns"] })
    }

    /// The words of the launch; the caller is root or a plain user, whoever runs the tests.
    fn command(&self, before: &[&str]) -> Command {
        let mut words = before.iter().map(Path::new).chain([seclude(), Path::new("-q")]);
        let mut command = Command::new(words.next().expect("seclude at least"));
        command.args(words).args(self.options.split_whitespace()).arg(nothing());
        command.env_clear().current_dir("/").env("PATH", std::env::var_os("PATH").unwrap_or_default());
        if !self.privileged && is_root() {
            command.uid(STRANGER).gid(STRANGER);
        }
        command
    }
}

/// A command without a C library, which does nothing, and with an argument tells that it runs and stays.
pub fn nothing() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let built = scratch("nothing").join("nothing");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/floor.c");
        let flags = ["-DTARGET", "-Os", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector"];
        let status = Command::new("cc").args(flags).arg("-o").arg(&built).arg(source).status();
        assert!(status.is_ok_and(|status| status.success()), "{source} can be compiled");
        built
    })
}

/// Fails where a count is more than a tenth above today's, with all that have moved.
fn hold(what: &str, counted: &[(&Row, u64)], today: impl Fn(&Counts) -> Option<u64>) {
    let today = |row: &Row| today(row.today()).unwrap_or(0);
    let told: Vec<String> = counted
        .iter()
        .map(|(row, now)| format!("{now:>8} now, {:>8} in ROWS: seclude {}", today(row), row.options))
        .collect();
    let told = format!("{what}:\n{}", told.join("\n"));
    println!("{told}");
    let over = counted.iter().any(|(row, now)| now * 10 > today(row) * 11);
    assert!(!over, "a launch takes more than a tenth above what it took\n{told}\n{HOW}");
}

#[test]
fn a_launch_makes_no_more_system_calls_than_it_did_and_sets_no_timer() {
    if !can(&["x86_64", "cc", "strace"]) {
        return;
    }
    let possible = ROWS.iter().filter(|row| row.possible());
    let counted: Vec<_> = possible
        .map(|row| {
            // Who of two processes comes first makes a call more or less.
            let counts = (0..3).map(|_| {
                let calls = calls(row);
                let timer = TIMERS.iter().find(|timer| calls.contains_key(**timer));
                assert_eq!(timer, None, "seclude {}", row.options);
                calls.values().sum::<u64>()
            });
            (row, counts.min().expect("three"))
        })
        .collect();
    hold("system calls", &counted, |counts| Some(counts.calls));
    let most =
        |row: &Row| cfg!(target_env = "musl") && !cfg!(debug_assertions) && row.options == USER_NAMESPACE;
    let over = counted.iter().find(|(row, calls)| most(row) && *calls > MOST);
    assert!(over.is_none(), "a launch into a user namespace takes {MOST} system calls at most");
}

/// How often each system call was made by all processes of a launch.
fn calls(row: &Row) -> BTreeMap<String, u64> {
    let outcome = finish(&mut row.command(&["strace", "-f", "-c", "-qq"]));
    assert_eq!(outcome.status, Some(0), "{}", outcome.err);
    // % time, seconds, usecs/call, calls, errors if any, name.
    let lines = outcome.err.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let calls: BTreeMap<String, u64> = lines
        .filter(|words| words.last() != Some(&"total"))
        .filter_map(|words| Some((words.last()?.to_string(), words.get(3)?.parse().ok()?)))
        // In a debug build std asks each descriptor that it closes whether it is open.
        .filter(|(name, _)| !(cfg!(debug_assertions) && name == "fcntl"))
        .collect();
    assert!(calls.contains_key("execve"), "a table of strace's: {}", outcome.err);
    calls
}

#[test]
fn a_launcher_executes_no_more_instructions_than_it_did() {
    if !can(&["release", "x86_64", "cc"]) {
        return;
    }
    let possible = ROWS.iter().filter(|row| row.today().instructions.is_some() && row.possible());
    let counted: Vec<_> = possible.map(|row| (row, stepper::instructions(&mut row.command(&[])))).collect();
    hold("instructions", &counted, |counts| counts.instructions);
}
