//! What a filter of system calls is made from: the file that was named, and the kernel that runs.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use nix::errno::Errno;

use crate::failure::{Failure, Stage, shown};

/// Bytes of a profile or a program, at most.
const MAX_FILTER: u64 = 1 << 20;

/// A profile or a program.
pub fn whole(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: io::Error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
        Failure::errno(Stage::Seccomp, "read", shown(path), errno)
    };
    let mut bytes = Vec::new();
    let mut file = fs::File::open(path).map_err(failed)?.take(MAX_FILTER + 1);
    file.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILTER {
        return Err(Failure::refused(Stage::Seccomp, "read", shown(path), "a filter is 1 MiB at most"));
    }
    Ok(bytes)
}

/// Version and patch level of the kernel that runs.
pub fn kernel() -> (u32, u32) {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|word| word.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
