//! Looks for the command before anything is cloned, where the caller sees what the command will see.

use std::ffi::{CStr, CString, OsString};

use nix::errno::Errno;
use nix::sys::stat::{SFlag, stat};

use crate::failure::{Cause, Failure, Stage, shown};
use crate::plan::Exec;

/// Refuses a command that nobody could execute; whatever may depend on the command's user is left to the kernel.
pub fn find(exec: &Exec, command: &[OsString]) -> Result<(), Failure> {
    if !exec.same_root {
        return Ok(());
    }
    let name = shown(&command[0]);
    let failure = |errno, text: &str| {
        let cause = Cause::Because(errno, text.to_string());
        Failure { stage: Stage::Exec, verb: "execute", object: name.clone(), cause, hint: None }
    };
    let look = |path: &CString| match exec.same_directory || path.to_bytes().starts_with(b"/") {
        true => look(path),
        false => Look::Possible,
    };
    if let ([path], true) = (exec.candidates.as_slice(), exec.is_path) {
        return match look(path) {
            Look::Absent => Err(failure(Errno::ENOENT, "there is no such file")),
            Look::Directory => Err(failure(Errno::EACCES, "it is a directory")),
            Look::NoMode => Err(failure(Errno::EACCES, "no one may execute it: its mode has no x")),
            Look::Possible => Ok(()),
        };
    }
    match exec.candidates.iter().any(|path| !matches!(look(path), Look::Absent)) {
        true => Ok(()),
        false => Err(failure(Errno::ENOENT, "no directory of PATH has it")),
    }
}

enum Look {
    Absent,
    Directory,
    NoMode,
    Possible,
}

fn look(path: &CStr) -> Look {
    match stat(path) {
        Err(Errno::ENOENT) => Look::Absent,
        Err(_) => Look::Possible,
        Ok(found) if found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits() => Look::Directory,
        Ok(found) if found.st_mode & 0o111 == 0 => Look::NoMode,
        Ok(_) => Look::Possible,
    }
}
