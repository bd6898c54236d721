//! The child's side of the handshake: it waits for its launcher's word, sends its own, or ends.
#![allow(unsafe_code)]

use std::mem::size_of;
use std::ptr;

use libc::{c_char, c_int, c_long};
use nix::errno::Errno;

use super::super::handshake::{DETAIL, ERRNO, FAILED, GO_BYTES, KIND, STEP, WORDS};

/// Blocks until the parent says `word`. Its end, or anything else, means that the command never runs.
pub unsafe fn wait(go: c_int, word: u32) {
    let mut said = [0u32; GO_BYTES / 4];
    // SAFETY: the length is that of the buffer; a pipe gives the parent's one write whole.
    unsafe {
        loop {
            let got = libc::syscall(libc::SYS_read, go, said.as_mut_ptr(), GO_BYTES);
            if got == -1 && Errno::last_raw() == libc::EINTR {
                continue;
            }
            if got == GO_BYTES as c_long && said.first() == Some(&word) {
                return;
            }
            exit();
        }
    }
}

pub unsafe fn send(report: c_int, words: &[u32; WORDS]) {
    // SAFETY: the length is that of the words. A parent that is gone gets no message and is told so on go.
    unsafe {
        let none = ptr::null::<c_char>();
        let flags = libc::MSG_NOSIGNAL;
        libc::syscall(libc::SYS_sendto, report, words.as_ptr(), size_of::<[u32; WORDS]>(), flags, none, 0);
    }
}

pub unsafe fn fail(report: c_int, words: &mut [u32; WORDS], step: u32, errno: c_int, detail: u32) -> ! {
    words[KIND] = FAILED;
    words[STEP] = step;
    words[ERRNO] = errno as u32;
    words[DETAIL] = detail;
    // SAFETY: see run.
    unsafe {
        send(report, words);
        exit()
    }
}

pub unsafe fn exit() -> ! {
    loop {
        // SAFETY: ends the process at once, with nothing of the parent's run twice.
        unsafe { libc::syscall(libc::SYS_exit_group, 125) };
    }
}
