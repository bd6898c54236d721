//! Tells plan, start, end and failure, as text or JSON, each record in one write(2). The only room that knows the report's JSON.

mod json;
mod text;

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::write;

use crate::failure::{Failure, Stage, shown};
use crate::launch::{Launched, Standing};
use crate::plan::Plan;
use crate::request::report::{Form, Place, ReportArgs};
use crate::supervise::End;
use crate::sys;

pub use text::{coloured, failed as plain};

/// How long a reader may leave a full pipe unread, where somebody counts on the report.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where reports go, and how they are told.
pub struct Report {
    form: Form,
    quiet: bool,
    verbose: bool,
    to: To,
    /// Whether somebody said where or how, and so counts on it: then a report that can't be written is a failure.
    said: bool,
    /// Whether nobody has read what was told last.
    unread: Cell<bool>,
}

enum To {
    Standard(i32),
    Descriptor(BorrowedFd<'static>),
    File(OwnedFd),
}

/// One row of what this machine allows.
pub struct Finding {
    pub check: String,
    pub answer: Result<(), Failure>,
}

impl Report {
    /// Opens the place that was named. A file is appended to, and made with mode 0666 less the mask.
    pub fn open(args: &ReportArgs) -> Result<Report, Failure> {
        let to = match &args.report_to {
            None if args.dry_run || args.doctor => To::Standard(1),
            None => To::Standard(2),
            Some(Place::Path(path)) => {
                let flags =
                    OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
                let failed = |errno| Failure::errno(Stage::Report, "open", shown(path), errno);
                To::File(open(path, flags, Mode::from_bits_truncate(0o666)).map_err(failed)?)
            }
            Some(Place::Descriptor(number)) => {
                let failed = |errno| Failure::errno(Stage::Report, "write to", format!("fd:{number}"), errno);
                let fd = sys::borrowed(*number).ok_or_else(|| failed(Errno::EBADF))?;
                let flags = fcntl(fd, FcntlArg::F_GETFL).map_err(failed)?;
                if flags & libc::O_ACCMODE == libc::O_RDONLY {
                    return Err(failed(Errno::EBADF));
                }
                To::Descriptor(fd)
            }
        };
        let form = args.report.unwrap_or_default();
        let said = args.report.is_some() || args.report_to.is_some() || args.dry_run || args.doctor;
        Ok(Report { form, quiet: args.quiet, verbose: args.verbose, to, said, unread: Cell::new(false) })
    }

    /// What reports are written to, beyond the standard streams.
    pub fn descriptor(&self) -> Option<RawFd> {
        match &self.to {
            To::Standard(_) => None,
            To::Descriptor(fd) => Some(fd.as_raw_fd()),
            To::File(file) => Some(file.as_raw_fd()),
        }
    }

    /// Closes the report's place with an exec: who becomes the command does not hand it over, unless that was asked for.
    pub fn end_with_exec(&self, handed_over: impl Fn(RawFd) -> bool) -> Result<(), Failure> {
        let failed =
            |errno| Failure::errno(Stage::Report, "keep to seclude", "the report's descriptor", errno);
        match &self.to {
            To::Descriptor(fd) if fd.as_raw_fd() > 2 && !handed_over(fd.as_raw_fd()) => {
                fcntl(*fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map(drop).map_err(failed)
            }
            _ => Ok(()),
        }
    }

    pub fn planned(&self, plan: &Plan) -> Result<(), Failure> {
        self.tell(match self.form {
            Form::Text => text::plan(plan),
            Form::Json => json::plan(plan),
        })
    }

    /// To be told before the command can run.
    pub fn started(&self, plan: &Plan, standing: &Standing) -> Result<(), Failure> {
        if self.quiet {
            return Ok(());
        }
        self.tell(match self.form {
            Form::Text if self.verbose => {
                text::plan(plan) + &text::steps(plan, standing) + &text::started(plan, standing)
            }
            Form::Text => text::started(plan, standing),
            Form::Json => json::started(plan, standing),
        })
    }

    pub fn ended(&self, plan: &Plan, launched: &Launched, end: &End) -> Result<(), Failure> {
        match self.form {
            _ if self.quiet => Ok(()),
            Form::Text if self.verbose => self.tell(text::ended(plan, end)),
            Form::Text => Ok(()),
            Form::Json => self.tell(json::ended(plan, launched, end)),
        }
    }

    /// Tells a failure where reports go; whether standard error has been told by that.
    pub fn failed(&self, failure: &Failure) -> bool {
        match (self.form, &self.to) {
            (Form::Text, To::Standard(_)) => false,
            (Form::Text, _) => {
                let _ = self.tell(text::failed(failure));
                false
            }
            (Form::Json, to) => self.tell(json::failed(failure)).is_ok() && matches!(to, To::Standard(2)),
        }
    }

    pub fn found(&self, findings: &[Finding]) -> Result<(), Failure> {
        self.tell(match self.form {
            Form::Text => text::findings(findings),
            Form::Json => findings.iter().map(json::finding).collect(),
        })
    }

    /// One write(2). What nobody asked for is not waited for, and not missed.
    fn tell(&self, record: String) -> Result<(), Failure> {
        let failed = |errno| Failure::errno(Stage::Report, "write", "the report", errno);
        let fd = match &self.to {
            To::Standard(number) => sys::borrowed(*number).expect("a standard stream has a number"),
            To::Descriptor(fd) => *fd,
            To::File(file) => file.as_fd(),
        };
        // Who has kept us waiting once does so no more.
        let patience = if self.said && !self.unread.get() { PATIENCE } else { Duration::ZERO };
        let answer = deliver(fd, record.as_bytes(), patience);
        self.unread.set(answer == Err(Errno::ETIMEDOUT));
        match answer {
            Err(errno) if self.said => Err(failed(errno)),
            _ => Ok(()),
        }
    }
}

/// Writes a failure to standard error. Where nobody reads, the status has to do.
pub fn cry(text: &str) {
    const PATIENCE: Duration = Duration::from_secs(1);
    if let Some(fd) = sys::borrowed(2) {
        let _ = deliver(fd, text.as_bytes(), PATIENCE);
    }
}

/// Writes it all, and waits no longer than `patience` for a reader: `ETIMEDOUT`.
///
/// One write(2), but for a pipe, a socket or a terminal that may have no room for more than a page: what poll(2) promises.
fn deliver(fd: BorrowedFd, bytes: &[u8], patience: Duration) -> Result<(), Errno> {
    const PAGE: usize = 4096;
    let deadline = Instant::now() + patience;
    let is_file = bytes.len() > PAGE
        && fstat(fd).is_ok_and(|found| found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits());
    let mut rest = bytes;
    while !rest.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now()).as_millis();
        let timeout = PollTimeout::try_from(left as i32).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(fd, PollFlags::POLLOUT)], timeout) {
            Ok(0) => return Err(Errno::ETIMEDOUT),
            Err(Errno::EINTR) => continue,
            answer => answer?,
        };
        let part = if is_file { rest } else { &rest[..rest.len().min(PAGE)] };
        match write(fd, part) {
            Ok(0) => return Err(Errno::ENOSPC),
            Ok(count) => rest = &rest[count..],
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(errno) => {
                if matches!(errno, Errno::EPIPE | Errno::EFBIG) {
                    sys::forget_own_write();
                }
                return Err(errno);
            }
        }
    }
    Ok(())
}
