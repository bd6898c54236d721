//! How the process begins: by the C library's hand, with no runtime between that could refuse to. It leaves the rest to main.
#![allow(unsafe_code)]

use std::ffi::{CStr, OsStr, OsString, c_char};
use std::os::unix::ffi::OsStrExt;

/// Defines the C `main`, which hands the words of the command line to a function and ends with its status.
#[macro_export]
macro_rules! entry {
    ($run:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn main(count: i32, words: *const *const std::ffi::c_char) -> i32 {
            // SAFETY: the C library calls it, once, with the words that the kernel gave.
            let words = unsafe { $crate::sys::begin(count, words) };
            $crate::sys::end($run(&words))
        }
    };
}

/// Ends the process at once: what was to be written is written, and the C library has nothing to take down.
pub fn end(status: u8) -> ! {
    // SAFETY: a number.
    unsafe { libc::_exit(i32::from(status)) }
}

/// Opens what came closed of the standard streams, so that nothing of ours lands there, and has a reader that is gone be an
/// error and not an end. Gives the words of the command line.
///
/// # Safety
///
/// `words` is an array of `count` strings that live as long as the process.
pub unsafe fn begin(count: i32, words: *const *const c_char) -> Vec<OsString> {
    let mut streams = [0, 1, 2].map(|fd| libc::pollfd { fd, events: 0, revents: 0 });
    // SAFETY: the array outlives the call; the path is a constant, and the disposition runs no code.
    unsafe {
        libc::poll(streams.as_mut_ptr(), 3, 0);
        for _ in streams.iter().filter(|stream| stream.revents & libc::POLLNVAL != 0) {
            // The lowest that is free: it is one of those.
            if !(0..3).contains(&libc::open(c"/dev/null".as_ptr(), libc::O_RDWR)) {
                libc::_exit(125);
            }
        }
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
    }
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: as the caller vouches.
    let word = |index| unsafe { CStr::from_ptr(*words.add(index)) };
    (0..count).map(|index| OsStr::from_bytes(word(index).to_bytes()).to_os_string()).collect()
}
