//! Reads what a user namespace holds, as one of its processes shows it, from a /proc that was shown to be procfs.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlink, readlinkat};
use nix::sys::stat::Mode;

use crate::failure::{Failure, Stage};
use crate::idmap::IdMap;
use crate::procfs::{self, read_whole};

/// What the initial user namespace is called, of which nothing has to be read: by its inode number, 0xeffffffd. A link is
/// read for a third of what its target's status costs. Source: linux/proc_ns.h, namespaces(7).
const INITIAL: &str = "user:[4026531837]";

/// Whether the caller is in the initial user namespace; `None` where no /proc says so.
pub fn is_initial() -> Option<bool> {
    readlink("/proc/self/ns/user").ok().map(|link| link == INITIAL)
}

/// A user namespace. Its maps are as this process sees them; `None` where they are not known, or hold nothing.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Space {
    pub uid: Option<IdMap>,
    pub gid: Option<IdMap>,
    pub denies_setgroups: bool,
}

impl Space {
    /// The one that seclude is in. Without a /proc nothing is known of it.
    ///
    /// What only looks like /proc and says that it is the initial one is believed: that refuses nothing, and the kernel does.
    pub fn own() -> Result<Space, Failure> {
        if is_initial() == Some(true) {
            return Ok(Space::initial());
        }
        match open_dir("/proc/self")? {
            None => Ok(Space::default()),
            Some(dir) => Space::shown_by(&dir),
        }
    }

    /// That of another process.
    pub fn of(pid: i32) -> Result<Space, Failure> {
        let own = readlink("/proc/self").ok();
        // Else the number is another's there.
        let ours = own.is_some_and(|name| name.to_str() == Some(std::process::id().to_string().as_str()));
        match open_dir(&format!("/proc/{pid}"))?.filter(|_| ours) {
            None => Ok(Space::default()),
            Some(dir) => Space::shown_by(&dir),
        }
    }

    fn initial() -> Space {
        let all = Some(IdMap::everything());
        Space { uid: all.clone(), gid: all, denies_setgroups: false }
    }

    fn shown_by(dir: &OwnedFd) -> Result<Space, Failure> {
        if readlinkat(dir, "ns/user").is_ok_and(|link| link == INITIAL) {
            return Ok(Space::initial());
        }
        let text = |name: &str| {
            let failed = |errno| Failure::errno(Stage::Probe, "read", format!("{name} of /proc"), errno);
            match openat(dir, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()) {
                Err(Errno::EACCES | Errno::EPERM | Errno::ENOENT) => Ok(String::new()),
                file => read_whole(&file.map_err(failed)?).map_err(failed),
            }
        };
        Ok(Space {
            uid: IdMap::from_kernel(&text("uid_map")?),
            gid: IdMap::from_kernel(&text("gid_map")?),
            denies_setgroups: text("setgroups")?.trim_end() == "deny",
        })
    }
}

/// A directory of /proc; `None` where there is no such thing.
fn open_dir(path: &str) -> Result<Option<OwnedFd>, Failure> {
    match procfs::open(path) {
        Err(Errno::ENOENT | Errno::EACCES) => Ok(None),
        Err(errno) => Err(Failure::errno(Stage::Proc, "open", path, errno)),
        Ok(dir) => procfs::verified(dir).map(Some),
    }
}
