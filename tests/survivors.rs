//! Launches killed at random points of their lives: none leaves a process that it should not, or has run its command early.

#[path = "machine/mod.rs"]
mod machine;

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use machine::processes::{pids, send, session, state, status, until, words};
use machine::{can, ends_within, scratch, seclude, started};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const LAUNCHES: usize = 500;
/// How long what is ending may take for it.
const PATIENCE: Duration = Duration::from_secs(20);
/// The command of a launch that is to end it sleeps longer than that, any other for an instant.
const LONG: &str = "1000";
const SHORT: &str = "0.003";

struct Way {
    options: &'static str,
    needs: &'static [&'static str],
    /// Whether the command is to end with its launcher.
    tied: bool,
}

const fn way(options: &'static str, needs: &'static [&'static str], tied: bool) -> Way {
    Way { options, needs, tied }
}

const WAYS: [Way; 17] = [
    way("-n user,pid -u root", &["userns"], true),
    way("-n user,pid,mount -u root --mount-proc", &["userns"], true),
    way("-n all -u root --mount-proc", &["userns"], true),
    way("-n user,pid,time -u root --time-offset monotonic=9", &["userns"], true),
    way("-n user,pid -u root --as-pid1", &["userns"], true),
    way("-n user,pid,time -u root --as-pid1", &["userns"], true),
    way("-n user,pid -u root --daemon", &["userns"], true),
    way("-n user,pid -u root --timeout 0.003", &["userns"], true),
    way("-n user,pid -u root --leftovers wait --new-session", &["userns"], true),
    way("-n pid", &["root"], true),
    way("-n pid,mount,ipc --mount-proc --user 1234:1234", &["root"], true),
    way("--die-with-parent", &[], true),
    way("--die-with-parent --user 1234:1234", &["root"], true),
    way("", &[], false),
    way("--leftovers kill --timeout 0.002", &[], false),
    way("-n user,time,mount -u root", &["userns"], false),
    way("--daemon", &[], false),
];

/// Numbers that look random and come again with the same seed: xorshift.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// One launch: its command writes a file, and a number that all of its processes have in their words names them.
struct Launch<'a> {
    way: &'a Way,
    number: String,
    ran: PathBuf,
    report: PathBuf,
    process: Child,
}

impl Launch<'_> {
    fn start<'a>(dir: &Path, way: &'a Way, index: usize) -> Launch<'a> {
        // sleep(1) adds it to the other, which it changes by nothing that counts.
        let number = format!("0.00000000{:07}{index:04}", std::process::id());
        let (ran, report) = (dir.join(format!("ran-{index}")), dir.join(format!("report-{index}")));
        let span = if way.tied { LONG } else { SHORT };
        let mut command = Command::new(seclude());
        command.args(["--report", "json", "--report-to"]).arg(&report).args(way.options.split_whitespace());
        command.args(["sh", "-c", "echo > \"$0\"; exec sleep \"$@\""]).arg(&ran).args([span, &number]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
        let process = started(&mut command).expect("seclude starts");
        Launch { way, number, ran, report, process }
    }

    /// All of its processes that live.
    fn living(&self) -> Vec<i32> {
        pids().filter(|pid| words(*pid).contains(&self.number)).collect()
    }

    /// The process that launches: with --daemon, the one in the background, once it is there.
    fn launcher(&self) -> i32 {
        let front = self.process.id() as i32;
        if !self.way.options.contains("--daemon") {
            return front;
        }
        // What is stopped parts no more, and what has ended has parted.
        send(front, Signal::SIGSTOP);
        until("its stop", || matches!(state(front), Some('T' | 'Z')));
        let depth = |pid| status(pid, "NSpid").map(|pids| pids.len());
        let parted = |pid: &i32| {
            let from = status(*pid, "PPid") == Some(vec![front.to_string()]);
            *pid != front && (from || session(*pid) == Some(*pid)) && depth(*pid) == depth(front)
        };
        self.living().into_iter().find(parted).unwrap_or(front)
    }

    /// Kills its launcher, and says what is wrong with what remains.
    fn kill(mut self) -> Result<bool, String> {
        let launcher = self.launcher();
        send(launcher, Signal::SIGKILL);
        if self.way.options.contains("--daemon") {
            send(self.process.id() as i32, Signal::SIGCONT);
        }
        if !ends_within(&self.process, PATIENCE.as_millis() as u16) {
            let _ = self.process.kill();
            return Err(format!("{:?}: seclude is there for ever", self.way.options));
        }
        self.process.wait().expect("our own child");
        let deadline = Instant::now() + PATIENCE;
        let mut left = self.living();
        while !left.is_empty() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
            left = self.living();
        }
        let shown: Vec<_> =
            left.iter().map(|pid| format!("{pid} {:?} {}", state(*pid), words(*pid))).collect();
        for pid in left {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let ran = self.ran.exists();
        let told = fs::read_to_string(&self.report).unwrap_or_default().contains("\"started\"");
        match (shown.is_empty(), ran && !told) {
            (false, _) => Err(format!("{:?}: {shown:?}", self.way.options)),
            (_, true) => Err(format!("{:?}: the command ran before it was told", self.way.options)),
            _ => Ok(ran),
        }
    }
}

/// The time from a launch's start until its command runs, if it isn't ended before.
fn length(dir: &Path, way: &Way, index: usize) -> Duration {
    let begun = Instant::now();
    let launch = Launch::start(dir, way, LAUNCHES + index);
    let process = launch.process.id() as i32;
    until("the command", || launch.ran.exists() || state(process) == Some('Z'));
    let length = begun.elapsed();
    launch.kill().unwrap_or_else(|wrong| panic!("{wrong}"));
    length
}

/// That of the middle one of five launches.
fn usual_length(dir: &Path, way: &Way, first: usize) -> Duration {
    let mut lengths: Vec<_> = (first..first + 5).map(|index| length(dir, way, index)).collect();
    lengths.sort();
    lengths[2]
}

#[test]
fn a_launcher_killed_at_any_point_leaves_nobody_behind() {
    let ways: Vec<&Way> = WAYS.iter().filter(|way| can(way.needs)).collect();
    let given = env::var("SECLUDE_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let seed = given.unwrap_or(now.as_nanos() as u64 | 1);
    let mut dice = Dice(seed);
    let dir = scratch("survivors");
    // Other users' commands write there too.
    fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o1777))
        .expect("our own directory");
    let lengths: Vec<_> =
        ways.iter().enumerate().map(|(index, way)| usual_length(&dir, way, 5 * index)).collect();

    let (mut wrong, mut ran) = (Vec::new(), 0);
    for index in 0..LAUNCHES {
        let chosen = index % ways.len();
        let delay = Duration::from_nanos(dice.below(lengths[chosen].as_nanos() as u64 * 3 / 2 + 1));
        let at = Instant::now() + delay;
        let launch = Launch::start(&dir, ways[chosen], index);
        while Instant::now() < at {
            thread::sleep((at - Instant::now()).min(Duration::from_micros(50)));
        }
        match launch.kill() {
            Ok(had_begun) => ran += usize::from(had_begun),
            Err(what) => wrong.push(format!("launch {index}, killed after {delay:?}: {what}")),
        }
    }
    let told = format!(
        "seed {seed}: {LAUNCHES} launches killed, {ran} of them while their command ran; survivors: {}\n",
        wrong.len()
    );
    let _ = std::io::stderr().write_all(told.as_bytes());
    assert!(wrong.is_empty(), "seed {seed}:\n{}", wrong.join("\n"));
    // Both sides of the exec have been struck.
    assert!((LAUNCHES / 20..LAUNCHES * 19 / 20).contains(&ran), "seed {seed}: {ran}");
}
