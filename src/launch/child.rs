//! From the clone to the exec: system calls only, no allocation, no formatting, no panic; it walks a list and decides nothing.
#![allow(unsafe_code)]

pub mod answer;
pub mod credentials;
pub mod descriptors;
pub mod exec;
pub mod landlock;
pub mod limits;
mod place;
pub mod voice;
mod walk;

use std::mem::zeroed;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};

use libc::{c_int, c_void};
use nix::errno::Errno;

use super::handshake::{EXEC, IDS, INODES, KIND, MICROS, PID, PROCEED, READY, RELEASE, SECUREBITS, WORDS};
use super::image::Image;
use super::init;
use crate::namespace::Kinds;
use crate::plan::Step;
use crate::sys::{self, call};
use credentials::{prctl, three};
use voice::{await_word, fail, send, wait};
pub use walk::Walk;

/// A child's way from its clone to the exec: what it works on, and how far it has come.
struct Course<'a> {
    image: Image<'a>,
    walk: Walk,
    words: [u32; WORDS],
    index: u32,
    before: u32,
}

/// What a child works on, in memory that it may share: to be freed once it has executed a program, or is dead.
pub struct Lent<'a>(NonNull<Course<'a>>);

/// A child that has just been cloned, and that somebody has to answer for.
#[must_use]
pub struct Born<'a> {
    pub pidfd: OwnedFd,
    pub pid: i32,
    /// Freed after it is reaped, or has executed the command.
    pub lent: Lent<'a>,
}

/// Clones a child into new namespaces, where it takes its course and does nothing else. With `shares`, whoever becomes the
/// command shares its parent's memory until the exec.
pub fn clone(kinds: Kinds, image: Image, shares: bool) -> Result<Born, Errno> {
    let shares = shares && sys::has_room_below();
    // Init lives on beside the command, in a memory of its own, and lends that to the command in its turn.
    let lends = shares && image.life < 0;
    let image = Image { shares, ..image };
    let index = image.from_outside;
    let course = Course { image, walk: Walk::new(), words: [0; WORDS], index, before: 0 };
    let course = NonNull::from(Box::leak(Box::new(course)));
    let lent = Lent(course);
    let (flags, mut pidfd) = (kinds.flags() | libc::CLONE_PIDFD, -1);
    let mut child = |shares| {
        // SAFETY: hold has seen that this process has one thread, and blocked all signals; start keeps to what a child may
        // do, the course is nobody else's, and Guarded frees what is lent when the child is done with it.
        unsafe { sys::clone(flags, &raw mut pidfd, shares, start, course.as_ptr().cast()) }
    };
    let pid = match child(lends) {
        // The caller's children are to have another time namespace: before Linux 6.3 none of them shares its memory.
        Err(libc::EINVAL) if lends => child(false),
        answer => answer,
    };
    let pid = pid.map_err(Errno::from_raw)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(Born { pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) }, pid, lent })
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        // SAFETY: it came from a box, and the child is gone: see Guarded.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
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

/// Gives back what seclude has changed for itself: nothing of that is the command's.
pub fn restore_in_place(image: &Image) -> Result<(), c_int> {
    // SAFETY: as above. The first takes back what the end of a child of ours has left pending.
    unsafe { default(libc::SIGCHLD).and_then(|()| restore(image)) }
}

/// Becomes the command; returns only where that fails, with the errno and the detail of the exec.
pub fn execute_in_place(image: &Image) -> (c_int, u32) {
    // SAFETY: as above.
    unsafe { exec::execute(image) }
}

/// The child: it runs here, and never returns.
extern "C" fn start(course: *mut c_void) -> c_int {
    // SAFETY: what holds here holds for all below. This is the child of sys::clone, and the course is lent to it: made
    // before the clone, and touched by nobody else since. Its pointers and numbers are of this process.
    unsafe {
        let course = &mut *course.cast::<Course>();
        // Our own copies; while they are open the parent's death would go unseen.
        for fd in course.image.parent_ends.into_iter().filter(|fd| *fd >= 0) {
            let _ = call!(SYS_close, fd);
        }
        wait(course.image.channel, PROCEED);
        course.before = clock(course.image.observe);
        course.go_on()
    }
}

/// The child of init: the command's process, which goes on where that stays behind.
extern "C" fn go_on_from_init(course: *mut c_void) -> c_int {
    // SAFETY: as above; init touches nothing of the course any more.
    unsafe {
        let course = &mut *course.cast::<Course>();
        if let Err(errno) = init::part(&course.image, &mut course.words) {
            course.fail(errno);
        }
        course.taken();
        course.go_on()
    }
}

impl Course<'_> {
    /// Takes the steps that are left, and executes the command.
    unsafe fn go_on(&mut self) -> ! {
        // SAFETY: see start.
        unsafe {
            let (steps, own) = (self.image.steps, ptr::from_mut(self));
            while let Some(step) =
                steps.get(..self.image.late).and_then(|steps| steps.get(self.index as usize))
            {
                let answer = match step {
                    Step::Init => init::start(&mut (*own).image, go_on_from_init, own.cast()),
                    step => self.walk.take(step, &mut self.image, &mut self.words),
                };
                if let Err(errno) = answer {
                    self.fail(errno);
                }
                self.taken();
            }
            let Course { image, walk, words, .. } = self;
            if image.says_who {
                look(image, words);
                words[KIND] = READY;
                send(image.channel, words);
            }
            if image.hold
                && let Err(errno) = await_word(image.channel, RELEASE)
            {
                fail(image.channel, words, EXEC, errno, 0);
            }
            if let Err(errno) = restore(image) {
                fail(image.channel, words, EXEC, errno, 0);
            }
            for index in image.late..steps.len() {
                if let Some(step) = steps.get(index)
                    && let Err(errno) = walk.take(step, image, words)
                {
                    fail(image.channel, words, index as u32, errno, 0);
                }
            }
            let (errno, detail) = exec::execute(image);
            fail(image.channel, words, EXEC, errno, detail)
        }
    }

    /// A step is done.
    fn taken(&mut self) {
        let now = clock(self.image.observe);
        if let Some(word) = self.words.get_mut(MICROS + self.index as usize) {
            *word = now.wrapping_sub(self.before);
        }
        self.before = now;
        self.index += 1;
    }

    unsafe fn fail(&mut self, errno: c_int) -> ! {
        // SAFETY: see start.
        unsafe { fail(self.image.channel, &mut self.words, self.index, errno, 0) }
    }
}

/// What the command starts with: the caller's mask and limit, and no signal ignored that seclude's own start ignores.
unsafe fn restore(image: &Image) -> Result<(), c_int> {
    // SAFETY: default dispositions run no code of ours, and the mask and the limit are of this process.
    unsafe {
        if let Some(limit) = &image.nofile {
            let (own, none) = (0, ptr::null_mut::<libc::rlimit>());
            call!(SYS_prlimit64, own, libc::RLIMIT_NOFILE, ptr::from_ref(limit), none)?;
        }
        // SIGCHLD is at its default already: the launcher's, from before the clone.
        default(libc::SIGPIPE)?;
        sys::set_mask(image.signal_mask).map_err(|errno| errno as c_int)
    }
}

/// The default disposition, which runs no code of ours. Source: sigaction(2).
unsafe fn default(signal: c_int) -> Result<(), c_int> {
    // The kernel's structure, of four words at most: SIG_DFL, no flags, and an empty mask are all 0.
    let (action, none) = ([0usize; 4], ptr::null_mut::<usize>());
    // SAFETY: plain data that outlives the call.
    unsafe { call!(SYS_rt_sigaction, signal, action.as_ptr(), none, sys::SET_BYTES) }.map(drop)
}

/// Reads back who and where the child is.
unsafe fn look(image: &Image, words: &mut [u32; WORDS]) {
    // SAFETY: plain system calls about this process; the files are named by NUL-terminated strings of the image.
    unsafe {
        words[PID] = call!(SYS_getpid).unwrap_or(0) as u32;
        if !image.observe {
            return;
        }
        let uids = three(libc::SYS_getresuid).unwrap_or([u32::MAX; 3]);
        let gids = three(libc::SYS_getresgid).unwrap_or([u32::MAX; 3]);
        for (word, id) in words.iter_mut().skip(IDS).zip(uids.into_iter().chain(gids)) {
            *word = id;
        }
        words[SECUREBITS] = prctl(libc::PR_GET_SECUREBITS, 0, 0).unwrap_or(0) as u32;
        for (word, file) in words.iter_mut().skip(INODES).zip(&image.namespace_files) {
            let mut found: libc::stat = zeroed();
            if call!(SYS_newfstatat, image.proc, file.as_ptr(), &raw mut found, 0).is_ok() {
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
        let _ = call!(SYS_clock_gettime, libc::CLOCK_MONOTONIC, &raw mut now);
        (now.tv_sec as u32).wrapping_mul(1_000_000).wrapping_add((now.tv_nsec / 1000) as u32)
    }
}
