//! The steps of the plan, each as the system calls that do it and the one that shows it done.
#![allow(unsafe_code)]

use std::ptr;

use libc::{c_char, c_int, c_long};

use super::super::handshake::{CARRIED, KIND, PROCEED, WORDS};
use super::super::image::Image;
use super::answer::expect;
use super::credentials::{bound, filter, no_typing, prctl, set_capabilities, set_groups, three};
use super::descriptors::close_all_but;
use super::landlock::restrict;
use super::limits::{self, Whose};
use super::place::{
    chdir, enter, identity, identity_at, identity_of, inside_root, loopback, mount, no_user_namespaces,
    shows_us, uname,
};
use super::voice::{exit, launcher_lives, send, wait};
use crate::namespace::{Kind, Kinds};
use crate::plan::Step;
use crate::request::namespaces::Propagation;
use crate::sys::call;

/// What one step leaves for a later one.
pub struct Walk {
    join: usize,
    /// The file that sets the clocks, where it had to be opened early.
    clocks: c_long,
    /// A chdir that was refused, to be tried again.
    chdir: *const c_char,
    /// Device and inode of the new root.
    root: (u64, u64),
}

impl Walk {
    pub fn new() -> Walk {
        Walk { join: 0, clocks: -1, chdir: ptr::null(), root: (0, 0) }
    }

    /// # Safety
    ///
    /// As for [`super::run`].
    pub unsafe fn take(
        &mut self,
        step: &Step,
        image: &mut Image,
        words: &mut [u32; WORDS],
    ) -> Result<(), c_int> {
        // SAFETY: see run; every pointer is to a NUL-terminated string of the plan or to a local of this call.
        unsafe {
            match step {
                Step::Undumpable => {
                    // Afterwards the file is root's.
                    if image.sets_clocks {
                        let path = c"self/timens_offsets".as_ptr();
                        let flags = libc::O_WRONLY | libc::O_CLOEXEC;
                        self.clocks = call!(SYS_openat, image.proc, path, flags, 0)?;
                    }
                    prctl(libc::PR_SET_DUMPABLE, 0, 0)?;
                    expect(prctl(libc::PR_GET_DUMPABLE, 0, 0)? == 0)
                }
                Step::Join { kind, .. } => {
                    let fd = image.joins.get(self.join).copied().unwrap_or(-1);
                    self.join += 1;
                    call!(SYS_setns, fd, kind.flag())?;
                    expect(identity_of(fd)? == identity_at(image.proc, kind.joined_file())?)
                }
                Step::NewTime => {
                    call!(SYS_unshare, libc::CLONE_NEWTIME)?;
                    let own = identity_at(image.proc, c"self/ns/time")?;
                    expect(own != identity_at(image.proc, Kind::Time.joined_file())?)
                }
                Step::EnterTime => {
                    let (at, path) = (image.proc, Kind::Time.joined_file());
                    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
                    let fd = call!(SYS_openat, at, path.as_ptr(), flags, 0)?;
                    let entered = call!(SYS_setns, fd, libc::CLONE_NEWTIME);
                    let _ = call!(SYS_close, fd);
                    entered?;
                    expect(identity_at(at, c"self/ns/time")? == identity_at(at, path)?)
                }
                Step::TimeOffsets(text) => {
                    let path = c"self/timens_offsets".as_ptr();
                    let flags = libc::O_WRONLY | libc::O_CLOEXEC;
                    let fd = match self.clocks {
                        -1 => call!(SYS_openat, image.proc, path, flags, 0)?,
                        open => open,
                    };
                    let bytes = text.to_bytes();
                    let written = call!(SYS_write, fd, bytes.as_ptr(), bytes.len());
                    let _ = call!(SYS_close, fd);
                    expect(written? == bytes.len() as c_long)
                }
                Step::Carry(kinds) => carry(*kinds, image, words),
                Step::Unshare(kinds) => {
                    let mut before = [(0, 0); Kind::ALL.len()];
                    for (kind, before) in
                        Kind::ALL.into_iter().zip(&mut before).filter(|(kind, _)| kinds.has(*kind))
                    {
                        *before = identity_at(image.proc, kind.joined_file())?;
                    }
                    call!(SYS_unshare, kinds.flags())?;
                    for (kind, before) in
                        Kind::ALL.into_iter().zip(before).filter(|(kind, _)| kinds.has(*kind))
                    {
                        expect(identity_at(image.proc, kind.joined_file())? != before)?;
                    }
                    Ok(())
                }
                // What comes after it is another process's: the course takes it.
                Step::Init => Err(libc::ENOSYS),
                Step::NoUserns => no_user_namespaces(image.proc),
                Step::Loopback => loopback(),
                Step::Hostname(name) => {
                    let length = name.to_bytes().len();
                    call!(SYS_sethostname, name.as_ptr(), length)?;
                    let names = uname()?;
                    expect(libc::strcmp(names.nodename.as_ptr(), name.as_ptr()) == 0)
                }
                Step::Domainname(name) => {
                    let length = name.to_bytes().len();
                    call!(SYS_setdomainname, name.as_ptr(), length)?;
                    let names = uname()?;
                    expect(libc::strcmp(names.domainname.as_ptr(), name.as_ptr()) == 0)
                }
                Step::Propagation(how) => {
                    let flag = match how {
                        Propagation::Private => libc::MS_PRIVATE,
                        Propagation::Slave => libc::MS_SLAVE,
                        Propagation::Shared => libc::MS_SHARED,
                        Propagation::Unchanged => return Ok(()),
                    };
                    mount(ptr::null(), c"/".as_ptr(), ptr::null(), libc::MS_REC | flag)
                }
                Step::Pivot(dir) => {
                    mount(dir.as_ptr(), dir.as_ptr(), ptr::null(), libc::MS_BIND | libc::MS_REC)?;
                    chdir(dir.as_ptr())?;
                    self.root = identity(c".".as_ptr())?;
                    let here = c".".as_ptr();
                    call!(SYS_pivot_root, here, here).map(drop)
                }
                Step::LeaveOldRoot => {
                    call!(SYS_umount2, c".".as_ptr(), libc::MNT_DETACH)?;
                    chdir(c"/".as_ptr())?;
                    // From the root upwards is what is stacked on it: the old root, as long as it is there.
                    expect(identity(c"/".as_ptr())? == self.root && identity(c"/..".as_ptr())? == self.root)
                }
                Step::Chroot(dir) => {
                    chdir(dir.as_ptr())?;
                    self.root = identity(c".".as_ptr())?;
                    call!(SYS_chroot, c".".as_ptr())?;
                    chdir(c"/".as_ptr())?;
                    expect(identity(c"/".as_ptr())? == self.root)
                }
                Step::MountProc(dir) => {
                    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
                    mount(c"proc".as_ptr(), dir.as_ptr(), c"proc".as_ptr(), flags)?;
                    expect(shows_us(dir.as_ptr())?)
                }
                Step::NewSession => {
                    let session = call!(SYS_setsid)?;
                    expect(session == call!(SYS_getpid)?)
                }
                Step::OwnGroup => {
                    call!(SYS_setpgid, 0, 0)?;
                    expect(call!(SYS_getpgid, 0) == call!(SYS_getpid))
                }
                Step::Streams(list) => {
                    for fd in list {
                        call!(SYS_dup3, image.null, *fd, 0)?;
                        expect(identity_of(*fd)? == identity_of(image.null)?)?;
                    }
                    Ok(())
                }
                Step::Ration(ration) => limits::take(ration, &Whose::own(image.proc)),
                Step::Umask(mask) => {
                    call!(SYS_umask, *mask)?;
                    expect(call!(SYS_umask, *mask)? == c_long::from(*mask))
                }
                Step::Chdir { dir, retried } => match enter(dir.as_ptr()) {
                    Err(libc::EACCES | libc::EPERM) if *retried => {
                        self.chdir = dir.as_ptr();
                        Ok(())
                    }
                    answer => answer,
                },
                Step::ChdirAgain if self.chdir.is_null() => Ok(()),
                Step::ChdirAgain => enter(self.chdir),
                Step::InsideRoot => inside_root(),
                Step::NoTyping(program) => no_typing(program),
                Step::Bounding(kept) => bound(kept.0),
                Step::Securebits(bits) => {
                    prctl(libc::PR_SET_SECUREBITS, bits.0 as usize, 0)?;
                    expect(prctl(libc::PR_GET_SECUREBITS, 0, 0)? == c_long::from(bits.0))
                }
                Step::KeepCapabilities => {
                    prctl(libc::PR_SET_KEEPCAPS, 1, 0)?;
                    expect(prctl(libc::PR_GET_KEEPCAPS, 0, 0)? == 1)
                }
                Step::Groups(list) => set_groups(list, &mut image.groups),
                Step::Gid(gid) => {
                    call!(SYS_setresgid, *gid, *gid, *gid)?;
                    expect(three(libc::SYS_getresgid)? == [*gid; 3])
                }
                Step::Uid(uid) => {
                    call!(SYS_setresuid, *uid, *uid, *uid)?;
                    expect(three(libc::SYS_getresuid)? == [*uid; 3])
                }
                Step::Capabilities(sets) => set_capabilities(sets),
                Step::Irrevocable => {
                    let unchanged = u32::MAX;
                    expect(call!(SYS_setresuid, unchanged, 0, unchanged).is_err())
                }
                Step::NoNewPrivs => {
                    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)?;
                    expect(prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0)? == 1)
                }
                Step::Landlock(ruleset) => restrict(ruleset),
                Step::Filter { program, readable } => filter(program, *readable),
                Step::DeathSignal => {
                    let mut found: c_int = 0;
                    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as usize, 0)?;
                    prctl(libc::PR_GET_PDEATHSIG, &raw mut found as usize, 0)?;
                    expect(found == libc::SIGKILL)?;
                    // The end of a launcher that ended before that is no parent's death any more.
                    launcher_lives(image.channel)
                }
                Step::Descriptors(_) => close_all_but(&image.reserved, 3, image.proc),
            }
        }
    }
}

/// A second clone, whose child is the launcher's as this one is, and goes on in its place.
unsafe fn carry(kinds: Kinds, image: &Image, words: &mut [u32; WORDS]) -> Result<(), c_int> {
    let flags = kinds.flags() | libc::CLONE_PARENT | libc::SIGCHLD;
    // SAFETY: numbers alone; no stack means a copy of this one, and one thread runs.
    let pid = unsafe { call!(SYS_clone, flags, 0, 0, 0, 0) }?;
    // SAFETY: see run.
    unsafe {
        if pid != 0 {
            exit();
        }
        words[KIND] = CARRIED;
        send(image.channel, words);
        wait(image.channel, PROCEED);
    }
    Ok(())
}
