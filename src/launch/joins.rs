//! Opens the namespaces that are entered, before the clone, and sees that each is what it is said to be.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::explain;
use super::proc::Proc;
use crate::failure::{Cause, Failure, Stage, shown};
use crate::namespace::Kind;
use crate::plan::{Plan, Step};
use crate::request::namespaces::JoinTarget;
use crate::sys;

/// Opens every namespace that is joined, in the order of the steps, and sees that each is of its kind.
pub fn open_all(plan: &Plan, proc: Option<&Proc>) -> Result<Vec<OwnedFd>, Failure> {
    let mut joins = Vec::new();
    for step in &plan.steps {
        let Step::Join { kind, target } = step else { continue };
        let path = match (target, proc) {
            (JoinTarget::Pid(pid), Some(proc)) => JoinTarget::Pid(proc.number(*pid)?).path(*kind),
            _ => target.path(*kind),
        };
        let failed = |errno| {
            let failure =
                Failure::errno(Stage::Join, "open", format!("the {kind} namespace {}", shown(&path)), errno);
            match errno {
                Errno::EMFILE => failure.hint(explain::FEW_DESCRIPTORS),
                Errno::EACCES => failure.hint("the process is of another user, or is not to be traced"),
                Errno::ENOENT if is_gone(target) => {
                    let cause = Cause::Because(errno, "there is no such process".to_string());
                    Failure { cause, ..failure }
                }
                Errno::ENOENT if is_word(target) => failure.hint(
                    "digits alone are a PID, all else is a path; another PID or PATH takes another --join",
                ),
                _ => failure,
            }
        };
        let fd = open(&path, OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK, Mode::empty())
            .map_err(failed)?;
        let found = sys::namespace_type(&fd).ok().and_then(Kind::of_flag);
        if found != Some(*kind) {
            let object = format!("{} as a {kind} namespace", shown(&path));
            let rule =
                found.map_or("it is no namespace".to_string(), |found| format!("it is of kind {found}"));
            return Err(Failure::refused(Stage::Join, "join", object, rule));
        }
        joins.push(fd);
    }
    Ok(joins)
}

/// Whether it is a process, and there is none of that number: its namespaces are known by it alone. Source: kill(2).
fn is_gone(target: &JoinTarget) -> bool {
    matches!(target, JoinTarget::Pid(pid) if sys::kill(*pid, 0) == Err(Errno::ESRCH))
}

/// Whether it is a path without a slash, which is more often a slip.
fn is_word(target: &JoinTarget) -> bool {
    matches!(target, JoinTarget::Path(path) if !path.as_os_str().as_bytes().contains(&b'/'))
}
