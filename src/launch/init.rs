//! The small PID 1: reaps, relays, dies with its launcher. System calls only, no allocation, no panic; it decides nothing.
#![allow(unsafe_code)]

use std::mem::{size_of, zeroed};
use std::ptr;

use libc::{c_int, c_long, c_void};

use super::child::credentials::prctl;
use super::child::descriptors::close_all_but;
use super::child::voice::{await_word, exit, exit_with, send};
use super::handshake::{CARRIED, KIND, PROCEED, WORDS};
use super::image::Image;
use super::life::{ENDED, FAILED, ORDER, STOPPED, Scope, TOLD};
use crate::sys::{ALL, Run, SET_BYTES, Usage, call, clone};

/// Makes the command's process, which runs `run(with)`; this one stays behind as init, and returns only where that fails.
///
/// # Safety
///
/// This process is PID 1 of its pid namespace and a child of [`clone`], with a memory of its own, whose `image` and `with`
/// nobody touches but the command's process.
pub unsafe fn start(image: &mut Image, run: Run, with: *mut c_void) -> Result<(), c_int> {
    // SAFETY: system calls with numbers and with locals that outlive them; init never frees what it lends.
    unsafe {
        // Before there is anybody who could look: our memory and our program are closed to a command that is not root
        // outside. To one that is, nothing is closed.
        prctl(libc::PR_SET_DUMPABLE, 0, 0)?;
        let (new, all) = (-1i32, ALL);
        let signals = call!(SYS_signalfd4, new, &raw const all, SET_BYTES, libc::SFD_CLOEXEC)? as c_int;
        image.signals = signals;
        // The terminal's signals are for the command.
        call!(SYS_setpgid, 0, 0)?;
        let Image { life, init_waits: waits, observe: observes, proc, .. } = *image;
        let command = clone(0, ptr::null_mut(), image.shares, run, with)?;
        Init { command, signals, life, waits, observes, ended: false }.live(proc)
    }
}

/// Leaves init: the command's process goes on without what is init's own.
///
/// # Safety
///
/// This is the process that [`start`] has made.
pub unsafe fn part(image: &Image, words: &mut [u32; WORDS]) -> Result<(), c_int> {
    // SAFETY: numbers, and words that outlive the calls.
    unsafe {
        let _ = call!(SYS_close, image.signals);
        let _ = call!(SYS_close, image.life);
        // In init's memory nobody looks at us.
        if !image.undumpable && !image.shares {
            prctl(libc::PR_SET_DUMPABLE, 1, 0)?;
        }
        if image.observe {
            words[KIND] = CARRIED;
            send(image.channel, words);
            await_word(image.channel, PROCEED)?;
        }
        Ok(())
    }
}

struct Init {
    command: c_int,
    signals: c_int,
    life: c_int,
    waits: bool,
    observes: bool,
    ended: bool,
}

impl Init {
    unsafe fn live(&mut self, proc: c_int) -> ! {
        // SAFETY: what is closed is used by nobody here; paths are constants, and structures plain data of this frame.
        unsafe {
            let mut kept = [self.signals, self.life];
            if let [first, second] = &mut kept
                && *first > *second
            {
                std::mem::swap(first, second);
            }
            // Nothing of the caller's is held open, nor a directory that the command may leave.
            if close_all_but(&kept, 0, proc).is_err() {
                exit();
            }
            let _ = call!(SYS_chdir, c"/".as_ptr());
            loop {
                let mut fds = [
                    libc::pollfd { fd: self.signals, events: libc::POLLIN, revents: 0 },
                    libc::pollfd { fd: self.life, events: libc::POLLIN, revents: 0 },
                ];
                let none = ptr::null::<libc::timespec>();
                let waited = call!(SYS_ppoll, fds.as_mut_ptr(), fds.len(), none, none, 0);
                match waited {
                    Err(libc::EINTR) => continue,
                    Err(_) => exit(),
                    Ok(_) => {}
                }
                let [signals, life] = fds.map(|fd| fd.revents != 0);
                if life {
                    self.obey();
                }
                if signals {
                    self.relay();
                }
            }
        }
    }

    /// Takes an order of the launcher's. Its end is the launcher's, and that of everybody here.
    unsafe fn obey(&self) {
        let mut order = [0i32; ORDER];
        let size = size_of::<[i32; ORDER]>();
        // SAFETY: the length is that of the buffer.
        unsafe {
            let none = ptr::null_mut::<libc::c_void>();
            match call!(SYS_recvfrom, self.life, order.as_mut_ptr(), size, 0, none, none) {
                Err(libc::EINTR) => {}
                Ok(got) if got == size as c_long => {
                    let [signal, scope] = order;
                    self.send(
                        signal,
                        if scope == Scope::Group as i32 { -self.command } else { self.command },
                    );
                }
                _ => exit(),
            }
        }
    }

    unsafe fn send(&self, signal: c_int, target: c_int) {
        if !self.ended {
            // SAFETY: numbers alone; until it is reaped, and only we reap it, the number is the command's.
            let _ = unsafe { call!(SYS_kill, target, signal) };
        }
    }

    /// Reaps, and hands on what somebody has sent to PID 1.
    unsafe fn relay(&mut self) {
        // SAFETY: the length is that of the structure, which is plain data.
        unsafe {
            let mut found: libc::signalfd_siginfo = zeroed();
            let size = size_of::<libc::signalfd_siginfo>();
            let got = call!(SYS_read, self.signals, &raw mut found, size);
            match (got, found.ssi_signo as c_int) {
                (Ok(_), libc::SIGCHLD) => self.reap(),
                // One of the terminal's is from before the setpgid: the launcher has it too, and passes it on.
                (Ok(_), signal) if found.ssi_code != libc::SI_KERNEL => self.send(signal, self.command),
                _ => {}
            }
        }
    }

    unsafe fn reap(&mut self) {
        const CHANGES: c_int = libc::WEXITED | libc::WSTOPPED | libc::WNOHANG;
        // SAFETY: both structures are plain data of the kernel's sizes, and outlive the call.
        unsafe {
            loop {
                let (mut info, mut usage): (libc::siginfo_t, Usage) = (zeroed(), zeroed());
                let waited = call!(SYS_waitid, libc::P_ALL, 0, &raw mut info, CHANGES, &raw mut usage,);
                match waited {
                    Err(libc::EINTR) => continue,
                    // Nobody is left.
                    Err(_) => exit(),
                    Ok(_) if info.si_pid() == 0 => return,
                    Ok(_) if info.si_pid() != self.command => continue,
                    Ok(_) if info.si_code == libc::CLD_STOPPED => self.tell(STOPPED, &info, &usage),
                    Ok(_) => {
                        self.ended = true;
                        let exited = info.si_code == libc::CLD_EXITED && info.si_status() != FAILED;
                        if exited && !self.observes && !self.waits {
                            exit_with(info.si_status());
                        }
                        self.tell(ENDED, &info, &usage);
                        if !self.waits {
                            exit();
                        }
                    }
                }
            }
        }
    }

    unsafe fn tell(&self, kind: i64, info: &libc::siginfo_t, usage: &Usage) {
        let mut words = [0i64; TOLD];
        let [first, code, status, rest @ ..] = &mut words;
        *first = kind;
        *code = i64::from(info.si_code);
        *rest = usage.0;
        // SAFETY: the length is that of the words; the change is a child's, so that it has a status.
        unsafe {
            *status = i64::from(info.si_status());
            let none = ptr::null::<libc::c_void>();
            let size = size_of::<[i64; TOLD]>();
            let _ = call!(SYS_sendto, self.life, words.as_ptr(), size, libc::MSG_NOSIGNAL, none, 0);
        }
    }
}
