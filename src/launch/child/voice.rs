//! The child's side of the handshake: it waits for its launcher's word, sends its own, or ends.
#![allow(unsafe_code)]

use std::mem::size_of;
use std::ptr;

use libc::{c_char, c_int, c_long};

use super::super::handshake::{DETAIL, ERRNO, FAILED, GO_BYTES, KIND, STEP, WORDS};
use super::super::life;
use crate::sys::call;

/// Blocks until the parent says `word`; where it can't be heard, the command never runs.
pub unsafe fn wait(channel: c_int, word: u32) {
    // SAFETY: see run.
    unsafe {
        if await_word(channel, word).is_err() {
            exit();
        }
    }
}

/// Blocks until the parent says `word`. Its end, or anything else, means that the command never runs.
pub unsafe fn await_word(channel: c_int, word: u32) -> Result<(), c_int> {
    let mut said = [0u32; GO_BYTES / 4];
    // SAFETY: the length is that of the buffer; a packet comes whole.
    unsafe {
        loop {
            match call!(SYS_read, channel, said.as_mut_ptr(), GO_BYTES) {
                Err(libc::EINTR) => continue,
                Err(errno) => return Err(errno),
                Ok(got) if got == GO_BYTES as c_long && said.first() == Some(&word) => return Ok(()),
                Ok(_) => exit(),
            }
        }
    }
}

/// Goes on where the launcher is there; where its end of the channel is closed, it is gone, and the command never runs.
///
/// Its word may have come before its end, and in a new pid namespace getppid(2) is 0 either way. Source: poll(2).
pub unsafe fn launcher_lives(channel: c_int) -> Result<(), c_int> {
    let mut fds = [libc::pollfd { fd: channel, events: 0, revents: 0 }];
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let no_mask = ptr::null::<libc::sigset_t>();
    // SAFETY: plain data that outlives the call, and a length that is that of the array.
    unsafe {
        match call!(SYS_ppoll, fds.as_mut_ptr(), fds.len(), &raw const at_once, no_mask, 0)? {
            0 => Ok(()),
            _ => exit(),
        }
    }
}

pub unsafe fn send(channel: c_int, words: &[u32; WORDS]) {
    // SAFETY: the length is that of the words. A parent that is gone gets no message.
    unsafe {
        let none = ptr::null::<c_char>();
        let flags = libc::MSG_NOSIGNAL;
        let size = size_of::<[u32; WORDS]>();
        if call!(SYS_sendto, channel, words.as_ptr(), size, flags, none, 0) != Ok(size as c_long) {
            // Nobody answers what was not said.
            exit();
        }
    }
}

pub unsafe fn fail(channel: c_int, words: &mut [u32; WORDS], step: u32, errno: c_int, detail: u32) -> ! {
    words[KIND] = FAILED;
    words[STEP] = step;
    words[ERRNO] = errno as u32;
    words[DETAIL] = detail;
    // SAFETY: see run.
    unsafe {
        send(channel, words);
        exit()
    }
}

pub unsafe fn exit() -> ! {
    // SAFETY: as below.
    unsafe { exit_with(life::FAILED) }
}

pub unsafe fn exit_with(status: c_int) -> ! {
    loop {
        // SAFETY: ends the process at once, with nothing of the parent's run twice.
        let _ = unsafe { call!(SYS_exit_group, status) };
    }
}
