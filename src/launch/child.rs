//! From the clone to the exec: system calls only, no allocation, no formatting, no panic; it walks a list and decides nothing.
#![allow(unsafe_code)]

pub mod answer;
pub mod credentials;
pub mod descriptors;
pub mod exec;
mod place;
pub mod voice;
mod walk;

use std::mem::zeroed;

use libc::{c_int, c_long};
use nix::errno::Errno;

use super::handshake::{EXEC, IDS, INODES, KIND, MICROS, PID, PROCEED, READY, RELEASE, WORDS};
use super::image::Image;
use crate::namespace::Kinds;
use crate::plan::Step;
use crate::sys::{self, Cloned};
use answer::check;
use credentials::three;
use voice::{await_word, fail, send, wait};
pub use walk::Walk;

/// Clones a child into new namespaces, where it runs the image and nothing else.
pub fn clone(kinds: Kinds, image: &mut Image) -> Result<Cloned, Errno> {
    // SAFETY: hold has seen that this process has one thread, and the child never leaves run.
    match unsafe { sys::clone(kinds.flags()) }? {
        Cloned::Child => unsafe { run(image) },
        parent => Ok(parent),
    }
}

/// Takes one step in this very process, which is to become the command.
pub fn take_in_place(
    walk: &mut Walk,
    step: &Step,
    image: &mut Image,
    words: &mut [u32; WORDS],
) -> Result<(), c_int> {
    // SAFETY: the image is of this process, whose only thread this is, and lives on as long as its steps are taken.
    unsafe { walk.take(step, image, words) }
}

/// Reads back who and where this process is.
pub fn look_in_place(image: &Image, words: &mut [u32; WORDS]) {
    // SAFETY: as above.
    unsafe { look(image, words) }
}

/// Becomes the command; returns only where that fails, with the errno and the detail of the exec.
pub fn execute_in_place(image: &Image) -> (c_int, u32) {
    // SAFETY: as above.
    unsafe {
        // Takes back what the end of a child of ours has left pending.
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        match restore(image) {
            Err(errno) => (errno, 0),
            Ok(()) => exec::execute(image),
        }
    }
}

/// Runs in the child. Never returns.
///
/// # Safety
///
/// This is the child of a fork-like clone from a process with one thread, and `image` was made before it.
unsafe fn run(image: &mut Image) -> ! {
    let mut words = [0u32; WORDS];
    // SAFETY: what holds for this function holds for all below: the image's pointers and numbers are of this process,
    // made before the clone and changed by nobody since.
    unsafe {
        // Our own copies; while they are open the parent's death would go unseen.
        for fd in image.parent_ends.into_iter().filter(|fd| *fd >= 0) {
            libc::syscall(libc::SYS_close, fd);
        }
        wait(image.channel, PROCEED);
        let mut walk = Walk::new();
        let mut index = 0u32;
        let mut before = clock(image.observe);
        while let Some(step) = image.steps.get(index as usize) {
            if let Err(errno) = walk.take(step, image, &mut words) {
                fail(image.channel, &mut words, index, errno, 0);
            }
            let now = clock(image.observe);
            if let Some(word) = words.get_mut(MICROS + index as usize) {
                *word = now.wrapping_sub(before);
            }
            before = now;
            index += 1;
        }
        if image.hold {
            look(image, &mut words);
            words[KIND] = READY;
            send(image.channel, &words);
            if let Err(errno) = await_word(image.channel, RELEASE) {
                fail(image.channel, &mut words, EXEC, errno, 0);
            }
        }
        if let Err(errno) = restore(image) {
            fail(image.channel, &mut words, EXEC, errno, 0);
        }
        let (errno, detail) = exec::execute(image);
        fail(image.channel, &mut words, EXEC, errno, detail)
    }
}

/// What the command starts with: the caller's mask and limit, and no signal ignored that seclude's own start ignores.
unsafe fn restore(image: &Image) -> Result<(), c_int> {
    // SAFETY: default dispositions run no code of ours, and the mask and the limit are of this process.
    unsafe {
        if let Some(limit) = &image.nofile {
            check(libc::setrlimit(libc::RLIMIT_NOFILE, limit) as c_long)?;
        }
        // SIGCHLD is at its default already: the launcher's, from before the clone.
        if libc::signal(libc::SIGPIPE, libc::SIG_DFL) == libc::SIG_ERR {
            return Err(Errno::last_raw());
        }
        sys::set_mask(image.signal_mask).map_err(|errno| errno as c_int)
    }
}

/// Reads back who and where the child is.
unsafe fn look(image: &Image, words: &mut [u32; WORDS]) {
    // SAFETY: plain system calls about this process; the files are named by NUL-terminated strings of the image.
    unsafe {
        words[PID] = libc::syscall(libc::SYS_getpid) as u32;
        if !image.observe {
            return;
        }
        let uids = three(libc::SYS_getresuid).unwrap_or([u32::MAX; 3]);
        let gids = three(libc::SYS_getresgid).unwrap_or([u32::MAX; 3]);
        for (word, id) in words.iter_mut().skip(IDS).zip(uids.into_iter().chain(gids)) {
            *word = id;
        }
        for (word, file) in words.iter_mut().skip(INODES).zip(&image.namespace_files) {
            let mut found: libc::stat = zeroed();
            if libc::fstatat(image.proc, file.as_ptr(), &mut found, 0) == 0 {
                *word = found.st_ino as u32;
            }
        }
    }
}

fn clock(wanted: bool) -> u32 {
    if !wanted {
        return 0;
    }
    // SAFETY: plain data that outlives the call.
    unsafe {
        let mut now: libc::timespec = zeroed();
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now);
        (now.tv_sec as u32).wrapping_mul(1_000_000).wrapping_add((now.tv_nsec / 1000) as u32)
    }
}
