//! What a second look says: 0 in place of an errno where the kernel agreed and it is not so. Nothing else.

use libc::c_int;

/// What the kernel agreed to, and a second look does not show.
const NOT_SO: c_int = 0;

pub fn expect(holds: bool) -> Result<(), c_int> {
    if holds { Ok(()) } else { Err(NOT_SO) }
}
