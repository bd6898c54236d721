//! What the kernel's log says of a command that a filter of system calls has ended. Where it says nothing, neither is said here.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::read;

use super::Way;

/// The system call that a filter killed for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Denied {
    /// `AUDIT_ARCH_…`, whose table of system calls it is. Source: linux/audit.h.
    pub audit: u32,
    pub number: u32,
}

/// The kernel writes it from a thread of its own, which may come to it after the command's end.
const PATIENCE: Duration = Duration::from_millis(250);

/// How far the clock of the log is behind others, at most: it ticks.
const TICK: Duration = Duration::from_millis(10);

/// The first pid namespace, whose pids the log has. Source: linux/proc_ns.h.
const FIRST_PID_NAMESPACE: u64 = 0xeffffffc;

/// What the process with this pid, which was `started` then or later, was ended by SIGSYS for. None where the log is not ours to
/// read, or another program reads the audit records.
pub(super) fn denied(way: Way, pid: i32, started: Instant) -> Option<Denied> {
    let Way::Signaled { signal: libc::SIGSYS, .. } = way else { return None };
    let since = SystemTime::now()
        .checked_sub(started.elapsed() + TICK)?
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()?;
    if std::fs::metadata("/proc/self/ns/pid").ok()?.ino() != FIRST_PID_NAMESPACE {
        return None;
    }
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let log = openat(AT_FDCWD, "/dev/kmsg", flags, Mode::empty()).ok()?;
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        match next(&log) {
            Ok(record) => match parse(&record, pid, since) {
                None => continue,
                found => return found,
            },
            // What was not read in time is overwritten.
            Err(Errno::EPIPE) => continue,
            Err(Errno::EAGAIN) => {
                let left = end.saturating_duration_since(Instant::now()).as_millis() as u16;
                let _ = poll(&mut [PollFd::new(log.as_fd(), PollFlags::POLLIN)], PollTimeout::from(left));
            }
            Err(_) => return None,
        }
    }
    None
}

/// Each read(2) is one record. Source: Documentation/ABI/testing/dev-kmsg.
fn next(log: &OwnedFd) -> Result<String, Errno> {
    let mut bytes = vec![0; 8192];
    let length = read(log, &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

/// A record of an end by a filter, of this process and not older than that.
fn parse(record: &str, pid: i32, since: Duration) -> Option<Denied> {
    // Between semicolon and line end is the text. A name in it that holds a blank or a quote is written in hexadecimal.
    let (head, text) = record.split_once(';')?;
    // What a process has written there has a facility, above three bits of the level; the kernel's own is 0.
    let own = head.split(',').next()?.parse::<u32>().ok()? < 8;
    let text = text.lines().next().filter(|_| own)?;
    let text = text.strip_prefix("audit: type=1326 audit(")?;
    let (time, text) = text.split_once(':')?;
    let (seconds, millis) = time.split_once('.')?;
    let time = Duration::new(seconds.parse().ok()?, millis.parse::<u32>().ok()?.checked_mul(1_000_000)?);
    let field = |name: &str| text.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let is_it = time >= since && field("pid")? == pid.to_string() && field("sig")? == "31";
    let denied = Denied {
        audit: u32::from_str_radix(field("arch")?, 16).ok()?,
        number: field("syscall")?.parse().ok()?,
    };
    is_it.then_some(denied)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of Linux 6.18.
    const RECORD: &str = "5,506,20310801966,-;audit: type=1326 audit(1795630499.914:82): auid=4294967295 uid=0 gid=0 \
        ses=4294967295 pid=4589 comm=\"mkdir\" exe=\"/usr/bin/mkdir\" sig=31 arch=c000003e syscall=83 compat=0 \
        ip=0x7f01f745df37 code=0x80000000\n";

    #[test]
    fn a_record_is_of_this_process_and_of_its_time() {
        let at = Duration::from_millis(1_795_630_499_914);
        let tick = Duration::from_millis(1);
        assert_eq!(parse(RECORD, 4589, at), Some(Denied { audit: 0xc000_003e, number: 83 }));
        assert_eq!(parse(RECORD, 4589, at + tick), None);
        assert_eq!(parse(RECORD, 458, at), None);
        assert_eq!(parse(&RECORD.replace("sig=31", "sig=0"), 4589, at), None);
        assert_eq!(parse(&RECORD.replace("type=1326", "type=1327"), 4589, at), None);
        assert_eq!(parse(&RECORD.replace("5,506", "13,506"), 4589, at), None);
        assert_eq!(parse("5,1,2,-;audit: type=1326 audit(1.2", 4589, at), None);
    }
}
