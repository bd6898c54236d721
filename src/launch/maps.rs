//! Writes the child's maps from outside: /proc, or newuidmap and newgidmap. Each is read back; what differs is a failure.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::write;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::explain;
use crate::failure::{Cause, Failure, Stage, words};
use crate::idmap::IdMap;
use crate::plan::{MapPlan, MapWriter, Maps};
use crate::procfs::read_whole;
use crate::sys;

/// How long newuidmap may take.
const HELPER_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of its standard error that are kept.
const HELPER_WORDS: usize = 4096;

/// Writes uid_map, setgroups "deny" if that is planned, and gid_map, of the process whose /proc directory is `dir`.
pub fn write_all(maps: &Maps, dir: &OwnedFd, pid: &str) -> Result<(), Failure> {
    write_map(Stage::MapUid, "uid_map", &maps.uid, dir, pid)?;
    if maps.deny_setgroups {
        deny_setgroups(dir)?;
    }
    write_map(Stage::MapGid, "gid_map", &maps.gid, dir, pid)
}

/// Writes "deny", which no one can take back; the kernel's "allow" is the default and never written.
///
/// `EPERM`: gid_map stands already. Source: user_namespaces(7).
fn deny_setgroups(dir: &OwnedFd) -> Result<(), Failure> {
    let failed = |errno| explain::map_file(Stage::Setgroups, "write", "deny to setgroups", errno, dir);
    let file = openat(dir, "setgroups", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()).map_err(failed)?;
    write(&file, b"deny").map_err(failed)?;
    match read_whole(&file).map_err(failed)?.trim() {
        "deny" => Ok(()),
        other => Err(differs(Stage::Setgroups, "setgroups", other, "deny")),
    }
}

/// Writes a map in a single write(2); the kernel takes it once.
///
/// At most 340 lines (Linux 4.15; 5 before). `EPERM`: a range that the writer may not map. `EINVAL`: an overlap.
/// Source: user_namespaces(7).
fn write_map(stage: Stage, name: &str, plan: &MapPlan, dir: &OwnedFd, pid: &str) -> Result<(), Failure> {
    let failed = |errno| explain::map_file(stage, "write", &format!("{} to {name}", plan.map), errno, dir);
    let mode = match plan.writer {
        MapWriter::Direct => OFlag::O_RDWR,
        MapWriter::Helper(_) => OFlag::O_RDONLY,
    };
    let file = openat(dir, name, mode | OFlag::O_CLOEXEC, Mode::empty()).map_err(failed)?;
    match &plan.writer {
        MapWriter::Direct => {
            let text = plan.map.text();
            if write(&file, text.as_bytes()).map_err(failed)? != text.len() {
                return Err(failed(Errno::EMSGSIZE));
            }
        }
        MapWriter::Helper(program) => run_helper(stage, program, pid, &plan.map)?,
    }
    let shown = read_whole(&file).map_err(failed)?;
    match IdMap::from_kernel(&shown) {
        Some(map) if map == plan.map => Ok(()),
        Some(map) => Err(differs(stage, name, &map.to_string(), &plan.map.to_string())),
        None => Err(differs(stage, name, "nothing", &plan.map.to_string())),
    }
}

fn differs(stage: Stage, name: &str, found: &str, planned: &str) -> Failure {
    Failure::refused(stage, "verify", name, format!("it holds {found}, and was to hold {planned}"))
}

fn run_helper(stage: Stage, program: &Path, pid: &str, map: &IdMap) -> Result<(), Failure> {
    let object = format!("{map} to {}", if stage == Stage::MapUid { "uid_map" } else { "gid_map" });
    let mut command = Command::new(program);
    command
        .arg(pid)
        .env_clear()
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    for range in map.ranges() {
        command.args([range.inside, range.outside, range.count].map(|number| number.to_string()));
    }
    let cause = |status, stderr| Cause::Helper { program: program.to_path_buf(), status, stderr };
    let failure = |cause| Failure { stage, verb: "write", object: object.clone(), cause, hint: None };
    let failed = |error: std::io::Error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
        failure(Cause::Because(errno, format!("{} did not start: {}", program.display(), words(errno))))
    };
    let mut helper = command.spawn().map_err(failed)?;
    let (status, stderr) = finish(&mut helper).map_err(failed)?;
    match status {
        Some(status) if status.success() => Ok(()),
        status => {
            let failure = failure(cause(status, stderr));
            Err(match explain::helper(program) {
                Some(hint) => failure.hint(hint),
                None => failure,
            })
        }
    }
}

/// Waits for the helper as long as it may take; `None`: it was killed for taking longer.
fn finish(helper: &mut Child) -> std::io::Result<(Option<ExitStatus>, String)> {
    let number = helper.id() as i32;
    let pidfd = pidfd_open(Pid::from_raw(number).expect("a child has a pid"), PidfdFlags::empty())?;
    let deadline = Instant::now() + HELPER_PATIENCE;
    let mut pipe = helper.stderr.take().expect("piped");
    let (mut words, mut ended, mut listening) = (Vec::new(), false, true);
    let mut buffer = vec![0; HELPER_WORDS];
    // What it says is read as it comes, so that it is never held up; whoever it may leave behind can hold the other end
    // open, so the end of that is not waited for.
    while !ended && Instant::now() < deadline {
        let left = deadline.saturating_duration_since(Instant::now()).as_millis() as u16;
        let mut fds =
            [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN), PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut fds[..1 + usize::from(listening)], PollTimeout::from(left));
        let [over, told] = fds.map(|fd| fd.any().unwrap_or(false));
        ended = over;
        if told {
            let count = pipe.read(&mut buffer)?;
            let room = HELPER_WORDS - words.len();
            words.extend_from_slice(&buffer[..count.min(room)]);
            listening = count > 0;
        }
    }
    if !ended {
        // With whomever it has started.
        let _ = sys::kill(-number, libc::SIGKILL);
        helper.kill()?;
    }
    let status = helper.wait()?;
    Ok((ended.then_some(status), String::from_utf8_lossy(&words).into_owned()))
}
