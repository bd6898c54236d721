//! Keeps new namespaces at paths, before the command starts; takes them away again where the launch fails after all.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, fstat, stat};
use nix::unistd::unlink;

use crate::failure::{Failure, Stage, shown};
use crate::request::namespaces::PersistSpec;

/// What has been bound so far; undone when dropped, unless it is to stay.
#[derive(Default)]
pub struct Kept {
    bound: Vec<PathBuf>,
    made: Vec<PathBuf>,
}

impl Kept {
    /// Binds the namespaces of the process whose /proc directory is `dir`; a path that is not there becomes an empty file.
    pub fn bind(specs: &[PersistSpec], dir: Option<&OwnedFd>) -> Result<Kept, Failure> {
        let mut kept = Kept::default();
        let Some(dir) = dir else { return Ok(kept) };
        let mut meant = Vec::new();
        for spec in specs {
            let failed = |errno| {
                let object = format!("the {} namespace to {}", spec.kind, shown(&spec.path));
                let failure = Failure::errno(Stage::Persist, "bind", object, errno);
                match errno {
                    Errno::EINVAL => {
                        failure.hint("a mount namespace is bound only below a private mount, and only in a namespace that is older than it")
                    }
                    _ => failure,
                }
            };
            let flags = OFlag::O_RDONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
            match open(&spec.path, flags, Mode::empty()) {
                Ok::<OwnedFd, _>(_) => kept.made.push(spec.path.clone()),
                Err(Errno::EEXIST) => {}
                Err(errno) => return Err(failed(errno)),
            }
            let name = format!("ns/{}", spec.kind.file());
            let file = openat(dir, name.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
                .map_err(failed)?;
            let source = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
            let none = None::<&Path>;
            mount(Some(&source), &spec.path, none, MsFlags::MS_BIND, none).map_err(failed)?;
            kept.bound.push(spec.path.clone());
            meant.push(fstat(&file).map_err(failed)?);
        }
        // All of them once more, since one path can be written in many ways, and the last would cover the first.
        for (spec, meant) in specs.iter().zip(meant) {
            let found = stat(&spec.path);
            if !found.is_ok_and(|found| (found.st_dev, found.st_ino) == (meant.st_dev, meant.st_ino)) {
                let rule = "it shows something else than the namespace that was bound to it";
                return Err(Failure::refused(Stage::Persist, "verify", shown(&spec.path), rule));
            }
        }
        Ok(kept)
    }

    /// Lets them stay: the command has been executed.
    pub fn stay(mut self) {
        self.bound.clear();
        self.made.clear();
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        for path in self.bound.iter().rev() {
            let _ = umount2(path, MntFlags::MNT_DETACH);
        }
        for path in &self.made {
            let _ = unlink(path);
        }
    }
}
