//! The pid file: made beside its place before the launch, moved there once the exec is sure, and gone with the command.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open, renameat};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::write;

use crate::failure::{Failure, Stage, shown};

/// A file that is taken away when this is dropped, if it is still the one that was made.
pub struct PidFile {
    path: PathBuf,
    /// Where it is until it is filled.
    draft: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl PidFile {
    /// Makes the file beside its place, so that a place that can't be written to is known before the command runs.
    ///
    /// The rename would make away with whatever is at its place, a device too: only a file may be there.
    pub fn reserve(path: PathBuf) -> Result<PidFile, Failure> {
        if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
            let rule = "it takes the place of a file, or of nothing";
            return Err(Failure::refused(Stage::PidFile, "make", shown(&path), rule));
        }
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}", std::process::id()));
        let draft = path.with_file_name(name);
        let failed = |errno| {
            let failure = Failure::errno(Stage::PidFile, "make", shown(&path), errno);
            match errno {
                Errno::EEXIST => {
                    failure.hint(format!("remove {}, left of a launch that was killed", shown(&draft)))
                }
                _ => failure,
            }
        };
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let file = open(&draft, flags, Mode::from_bits_truncate(0o644)).map_err(failed)?;
        let made = fstat(&file).map_err(failed)?;
        Ok(PidFile { path, identity: (made.st_dev, made.st_ino), draft })
    }

    /// Writes the pid, and moves the file to its place.
    pub fn fill(&self, pid: i32) -> Result<(), Failure> {
        let failed = |errno| Failure::errno(Stage::PidFile, "write", shown(&self.path), errno);
        let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = open(&self.draft, flags, Mode::empty()).map_err(failed)?;
        let text = format!("{pid}\n");
        if write(&file, text.as_bytes()).map_err(failed)? != text.len() {
            return Err(failed(Errno::ENOSPC));
        }
        renameat(AT_FDCWD, &self.draft, AT_FDCWD, &self.path).map_err(failed)
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        for path in [&self.draft, &self.path] {
            let found = fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino()));
            if found.is_ok_and(|found| found == self.identity) {
                let _ = fs::remove_file(path);
            }
        }
    }
}
