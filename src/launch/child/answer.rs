//! What the kernel answers, as a result: an errno, or 0 where it agreed and a second look does not. Nothing else.

use libc::{c_int, c_long};
use nix::errno::Errno;

/// What the kernel agreed to, and a second look does not show.
const NOT_SO: c_int = 0;

pub fn check(answer: c_long) -> Result<c_long, c_int> {
    match answer {
        -1 => Err(Errno::last_raw()),
        answer => Ok(answer),
    }
}

pub fn expect(holds: bool) -> Result<(), c_int> {
    if holds { Ok(()) } else { Err(NOT_SO) }
}
