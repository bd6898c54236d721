//! Reads what a user namespace holds, as one of its processes shows it, from a /proc that was shown to be procfs.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, readlink, readlinkat};
use nix::sys::stat::Mode;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::unistd::read;

use crate::failure::{Failure, Stage};
use crate::idmap::IdMap;

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
                file => whole(&file.map_err(failed)?).map_err(failed),
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
    let failed = |errno| Failure::errno(Stage::Proc, "open", path, errno);
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let dir = match openat(AT_FDCWD, path, flags, Mode::empty()) {
        Err(Errno::ENOENT | Errno::EACCES) => return Ok(None),
        dir => dir.map_err(failed)?,
    };
    if fstatfs(&dir).map_err(failed)?.filesystem_type() != PROC_SUPER_MAGIC {
        let rule = "it is not procfs, and nothing that matters is read from a place that only looks like it";
        return Err(
            Failure::refused(Stage::Proc, "use", "/proc", rule).hint("mount it: mount -t proc proc /proc")
        );
    }
    Ok(Some(dir))
}

fn whole(file: &OwnedFd) -> Result<String, Errno> {
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match read(file, &mut buffer)? {
            0 => return Ok(String::from_utf8_lossy(&text).into_owned()),
            count => text.extend_from_slice(&buffer[..count]),
        }
    }
}
