//! From the clone to the exec: system calls only, no allocation, no formatting, no panic; it walks a list and decides nothing.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::mem::{size_of, zeroed};
use std::ptr;

use libc::{c_char, c_int, c_long};
use nix::errno::Errno;

use super::handshake::{
    CARRIED, DETAIL, ERRNO, EXEC, FAILED, GO_BYTES, IDS, INODES, KIND, MICROS, PID, PROCEED, READY, RELEASE,
    STEP, WORDS,
};
use super::image::Image;
use crate::namespace::Kinds;
use crate::plan::Step;
use crate::request::namespaces::Propagation;
use crate::sys::{self, Cloned};

/// The detail of a failed exec: the file is there, so what is missing is the interpreter that it names.
pub const NO_INTERPRETER: u32 = 1;
/// The detail of a failed exec: a directory of PATH could not be searched.
pub const UNSEARCHABLE: u32 = 2;

/// What the kernel agreed to, and a second look does not show.
const NOT_SO: c_int = 0;

const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: c_int,
}

#[repr(C)]
#[derive(Clone, Copy, PartialEq)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Clones a child into new namespaces, where it runs the image and nothing else.
pub fn clone(kinds: Kinds, image: &mut Image) -> Result<Cloned, Errno> {
    // SAFETY: hold has seen that this process has one thread, and the child never leaves run.
    match unsafe { sys::clone(kinds.flags()) }? {
        Cloned::Child => unsafe { run(image) },
        parent => Ok(parent),
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
        for fd in image.parent_ends {
            libc::syscall(libc::SYS_close, fd);
        }
        wait(image.go, PROCEED);
        let mut walk = Walk { join: 0, chdir: ptr::null(), root: (0, 0) };
        let mut index = 0u32;
        let mut before = clock(image.observe);
        while let Some(step) = image.steps.get(index as usize) {
            if let Err(errno) = walk.take(step, image, &mut words) {
                fail(image.report, &mut words, index, errno, 0);
            }
            let now = clock(image.observe);
            if let Some(word) = words.get_mut(MICROS + index as usize) {
                *word = now.wrapping_sub(before);
            }
            before = now;
            index += 1;
        }
        look(image, &mut words);
        words[KIND] = READY;
        send(image.report, &words);
        wait(image.go, RELEASE);
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        libc::sigprocmask(libc::SIG_SETMASK, image.signal_mask.as_ref(), ptr::null_mut());
        execute(image, &mut words)
    }
}

/// What one step leaves for a later one.
struct Walk {
    join: usize,
    /// A chdir that was refused, to be tried again.
    chdir: *const c_char,
    /// Device and inode of the new root.
    root: (u64, u64),
}

impl Walk {
    unsafe fn take(&mut self, step: &Step, image: &mut Image, words: &mut [u32; WORDS]) -> Result<(), c_int> {
        // SAFETY: see run; every pointer is to a NUL-terminated string of the plan or to a local of this call.
        unsafe {
            match step {
                Step::Undumpable => prctl(libc::PR_SET_DUMPABLE, 0, 0).map(drop),
                Step::Join { kind, .. } => {
                    let fd = image.joins.get(self.join).copied().unwrap_or(-1);
                    self.join += 1;
                    check(libc::syscall(libc::SYS_setns, fd, kind.flag())).map(drop)
                }
                Step::NewTime => check(libc::syscall(libc::SYS_unshare, libc::CLONE_NEWTIME)).map(drop),
                Step::TimeOffsets(text) => {
                    let path = c"self/timens_offsets".as_ptr();
                    let flags = libc::O_WRONLY | libc::O_CLOEXEC;
                    let fd = check(libc::syscall(libc::SYS_openat, image.proc, path, flags, 0))?;
                    let bytes = text.to_bytes();
                    let written = check(libc::syscall(libc::SYS_write, fd, bytes.as_ptr(), bytes.len()));
                    libc::syscall(libc::SYS_close, fd);
                    expect(written? == bytes.len() as c_long)
                }
                Step::Carry(kinds) => carry(*kinds, image, words),
                Step::Loopback => loopback(),
                Step::Hostname(name) => {
                    let length = name.to_bytes().len();
                    check(libc::syscall(libc::SYS_sethostname, name.as_ptr(), length))?;
                    let names = uname()?;
                    expect(libc::strcmp(names.nodename.as_ptr(), name.as_ptr()) == 0)
                }
                Step::Domainname(name) => {
                    let length = name.to_bytes().len();
                    check(libc::syscall(libc::SYS_setdomainname, name.as_ptr(), length))?;
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
                    check(libc::syscall(libc::SYS_pivot_root, here, here)).map(drop)
                }
                Step::LeaveOldRoot => {
                    check(libc::syscall(libc::SYS_umount2, c".".as_ptr(), libc::MNT_DETACH))?;
                    chdir(c"/".as_ptr())?;
                    expect(identity(c"/".as_ptr())? == self.root)
                }
                Step::Chroot(dir) => {
                    chdir(dir.as_ptr())?;
                    self.root = identity(c".".as_ptr())?;
                    check(libc::syscall(libc::SYS_chroot, c".".as_ptr()))?;
                    chdir(c"/".as_ptr())?;
                    expect(identity(c"/".as_ptr())? == self.root)
                }
                Step::MountProc(dir) => {
                    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
                    mount(c"proc".as_ptr(), dir.as_ptr(), c"proc".as_ptr(), flags)?;
                    let mut found: libc::statfs = zeroed();
                    check(libc::statfs(dir.as_ptr(), &mut found) as c_long)?;
                    expect(found.f_type == libc::PROC_SUPER_MAGIC)
                }
                Step::Umask(mask) => {
                    libc::syscall(libc::SYS_umask, *mask);
                    expect(libc::syscall(libc::SYS_umask, *mask) == c_long::from(*mask))
                }
                Step::Chdir { dir, retried } => match chdir(dir.as_ptr()) {
                    Err(libc::EACCES | libc::EPERM) if *retried => {
                        self.chdir = dir.as_ptr();
                        Ok(())
                    }
                    answer => answer,
                },
                Step::ChdirAgain if self.chdir.is_null() => Ok(()),
                Step::ChdirAgain => chdir(self.chdir),
                Step::InsideRoot => {
                    let mut path: [u8; 4096] = [0; 4096];
                    check(libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), path.len()))?;
                    expect(path.first() == Some(&b'/'))
                }
                Step::Bounding => empty_bounding_set(),
                Step::Groups(list) => set_groups(list, &mut image.groups),
                Step::Gid(gid) => {
                    check(libc::syscall(libc::SYS_setresgid, *gid, *gid, *gid))?;
                    expect(three(libc::SYS_getresgid)? == [*gid; 3])
                }
                Step::Uid(uid) => {
                    check(libc::syscall(libc::SYS_setresuid, *uid, *uid, *uid))?;
                    expect(three(libc::SYS_getresuid)? == [*uid; 3])
                }
                Step::Capabilities => empty_capability_sets(),
                Step::Irrevocable => {
                    let unchanged = u32::MAX;
                    expect(libc::syscall(libc::SYS_setresuid, unchanged, 0, unchanged) == -1)
                }
                Step::NoNewPrivs => {
                    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)?;
                    expect(prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0)? == 1)
                }
                Step::Descriptors(_) => close_gaps(image),
            }
        }
    }
}

fn check(answer: c_long) -> Result<c_long, c_int> {
    match answer {
        -1 => Err(Errno::last_raw()),
        answer => Ok(answer),
    }
}

fn expect(holds: bool) -> Result<(), c_int> {
    if holds { Ok(()) } else { Err(NOT_SO) }
}

unsafe fn prctl(option: c_int, value: usize, more: usize) -> Result<c_long, c_int> {
    // SAFETY: the options used here take numbers only; the last two arguments have to be 0.
    check(unsafe { libc::syscall(libc::SYS_prctl, option, value, more, 0usize, 0usize) })
}

unsafe fn mount(
    source: *const c_char,
    target: *const c_char,
    kind: *const c_char,
    flags: libc::c_ulong,
) -> Result<(), c_int> {
    let none = ptr::null::<c_char>();
    // SAFETY: each pointer is null or a NUL-terminated string of the caller's.
    check(unsafe { libc::syscall(libc::SYS_mount, source, target, kind, flags, none) }).map(drop)
}

unsafe fn chdir(dir: *const c_char) -> Result<(), c_int> {
    // SAFETY: a NUL-terminated string of the caller's.
    check(unsafe { libc::syscall(libc::SYS_chdir, dir) }).map(drop)
}

/// Device and inode of a path.
unsafe fn identity(path: *const c_char) -> Result<(u64, u64), c_int> {
    // SAFETY: plain data, filled in by the kernel; the path is a NUL-terminated string of the caller's.
    unsafe {
        let mut found: libc::stat = zeroed();
        check(libc::stat(path, &mut found) as c_long)?;
        Ok((found.st_dev, found.st_ino))
    }
}

unsafe fn uname() -> Result<libc::utsname, c_int> {
    // SAFETY: plain data, filled in by the kernel with NUL-terminated names.
    unsafe {
        let mut names: libc::utsname = zeroed();
        check(libc::uname(&mut names) as c_long).map(|_| names)
    }
}

/// Real, effective and saved id, of getresuid(2) or getresgid(2).
unsafe fn three(number: c_long) -> Result<[u32; 3], c_int> {
    let [mut real, mut effective, mut saved] = [0u32; 3];
    // SAFETY: three pointers to ids, which outlive the call.
    check(unsafe { libc::syscall(number, &raw mut real, &raw mut effective, &raw mut saved) })?;
    Ok([real, effective, saved])
}

/// A second clone, whose child is the launcher's as this one is, and goes on in its place.
unsafe fn carry(kinds: Kinds, image: &Image, words: &mut [u32; WORDS]) -> Result<(), c_int> {
    let flags = kinds.flags() | libc::CLONE_PARENT;
    // SAFETY: the structure is of the size that is named; a null stack means a copy of this one, and one thread runs.
    let pid = unsafe {
        let mut args: libc::clone_args = zeroed();
        args.flags = flags as u64;
        match check(libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>())) {
            Err(libc::ENOSYS | libc::EPERM) => {
                let none = ptr::null_mut::<libc::c_void>();
                let flags = (flags | libc::SIGCHLD) as libc::c_ulong;
                check(libc::syscall(libc::SYS_clone, flags, none, none, none, none))?
            }
            answer => answer?,
        }
    };
    // SAFETY: see run.
    unsafe {
        if pid != 0 {
            exit();
        }
        words[KIND] = CARRIED;
        send(image.report, words);
        wait(image.go, PROCEED);
    }
    Ok(())
}

/// Brings up `lo` of the net namespace that the child is in. Source: netdevice(7).
unsafe fn loopback() -> Result<(), c_int> {
    // SAFETY: the request is plain data with a NUL-terminated name, and outlives the calls.
    unsafe {
        let socket = check(libc::syscall(libc::SYS_socket, libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0))?;
        let mut request: libc::ifreq = zeroed();
        request.ifr_name[0] = b'l' as c_char;
        request.ifr_name[1] = b'o' as c_char;
        check(libc::syscall(libc::SYS_ioctl, socket, libc::SIOCGIFFLAGS, &raw mut request))?;
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as i16;
        check(libc::syscall(libc::SYS_ioctl, socket, libc::SIOCSIFFLAGS, &raw mut request))?;
        check(libc::syscall(libc::SYS_ioctl, socket, libc::SIOCGIFFLAGS, &raw mut request))?;
        libc::syscall(libc::SYS_close, socket);
        expect(request.ifr_ifru.ifru_flags & libc::IFF_UP as i16 != 0)
    }
}

/// Drops every capability that the kernel knows: `EINVAL` is the first that it doesn't. Source: capabilities(7).
unsafe fn empty_bounding_set() -> Result<(), c_int> {
    for capability in 0..64 {
        // SAFETY: prctl with numbers.
        unsafe {
            match prctl(libc::PR_CAPBSET_DROP, capability, 0) {
                Err(libc::EINVAL) if capability > 0 => return Ok(()),
                answer => answer?,
            };
            expect(prctl(libc::PR_CAPBSET_READ, capability, 0)? == 0)?;
        }
    }
    Ok(())
}

unsafe fn empty_capability_sets() -> Result<(), c_int> {
    const NONE: [CapabilityData; 2] = [CapabilityData { effective: 0, permitted: 0, inheritable: 0 }; 2];
    let mut header = CapabilityHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let mut found = [CapabilityData { effective: 1, permitted: 1, inheritable: 1 }; 2];
    // SAFETY: version 3 takes a header and two structures, which outlive the calls.
    unsafe {
        prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as usize, 0)?;
        check(libc::syscall(libc::SYS_capset, &raw mut header, NONE.as_ptr()))?;
        check(libc::syscall(libc::SYS_capget, &raw mut header, found.as_mut_ptr()))?;
    }
    expect(found == NONE)
}

unsafe fn set_groups(list: &[u32], room: &mut [u32]) -> Result<(), c_int> {
    // SAFETY: the lengths are those of the slices; the room is one longer than the list, so that more would be seen.
    unsafe {
        check(libc::syscall(libc::SYS_setgroups, list.len(), list.as_ptr()))?;
        let count = check(libc::syscall(libc::SYS_getgroups, room.len(), room.as_mut_ptr()))?;
        expect(room.get(..count as usize) == Some(list))
    }
}

/// Closes what is not reserved. Where close_range(2) is filtered, every descriptor that /proc lists.
unsafe fn close_gaps(image: &Image) -> Result<(), c_int> {
    for (first, last) in &image.gaps {
        // SAFETY: no descriptor in a gap is used again by this process.
        match check(unsafe { libc::syscall(libc::SYS_close_range, *first, *last, 0) }) {
            // SAFETY: as above.
            Err(libc::ENOSYS | libc::EPERM) => return unsafe { close_listed(image) },
            answer => drop(answer?),
        }
    }
    Ok(())
}

unsafe fn close_listed(image: &Image) -> Result<(), c_int> {
    // SAFETY: getdents64 fills the buffer with records whose length and NUL-terminated name the kernel vouches for.
    unsafe {
        let (at, path) = match image.proc {
            -1 => (libc::AT_FDCWD, c"/proc/self/fd".as_ptr()),
            proc => (proc, c"self/fd".as_ptr()),
        };
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let dir = check(libc::syscall(libc::SYS_openat, at, path, flags, 0))?;
        let mut buffer = [0u64; 256];
        loop {
            let size = size_of::<[u64; 256]>();
            let filled = check(libc::syscall(libc::SYS_getdents64, dir, buffer.as_mut_ptr(), size))?;
            let mut offset = 0;
            while offset < filled {
                let record = buffer.as_ptr().byte_offset(offset as isize).cast::<libc::dirent64>();
                offset += c_long::from((*record).d_reclen);
                let name = CStr::from_ptr((&raw const (*record).d_name).cast());
                let number = decimal(name);
                if number > 2 && c_long::from(number) != dir && !image.reserved.contains(&number) {
                    libc::syscall(libc::SYS_close, number);
                }
            }
            if filled == 0 {
                libc::syscall(libc::SYS_close, dir);
                return Ok(());
            }
        }
    }
}

/// A number in decimal; -1 for what is none.
fn decimal(text: &CStr) -> c_int {
    let mut number: c_int = 0;
    for byte in text.to_bytes() {
        if !byte.is_ascii_digit() {
            return -1;
        }
        number = number.wrapping_mul(10).wrapping_add(c_int::from(byte - b'0'));
    }
    number
}

/// Reads back who and where the child is.
unsafe fn look(image: &Image, words: &mut [u32; WORDS]) {
    // SAFETY: plain system calls about this process; the files are named by NUL-terminated strings of the image.
    unsafe {
        words[PID] = libc::syscall(libc::SYS_getpid) as u32;
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

/// Tries the candidates in their order, as execvp(3) does, but tells an unsearchable directory from a forbidden file.
unsafe fn execute(image: &Image, words: &mut [u32; WORDS]) -> ! {
    let envp = if image.inherited.is_null() { image.envp.as_ptr() } else { image.inherited };
    let (mut errno, mut detail, mut tried) = (libc::ENOENT, 0, 0u32);
    // SAFETY: the lists end with null pointers; see run.
    unsafe {
        for (index, path) in image.candidates.iter().enumerate().filter(|(_, path)| !path.is_null()) {
            libc::syscall(libc::SYS_execve, *path, image.argv.as_ptr(), envp);
            let now = Errno::last_raw();
            let exists = identity(*path);
            match (now, exists) {
                (libc::EACCES, Err(libc::EACCES)) => detail |= UNSEARCHABLE,
                (libc::EACCES, _) => (errno, tried) = (now, index as u32),
                (libc::ENOENT, Ok(_)) => fail_exec(image, words, libc::ENOENT, index as u32, NO_INTERPRETER),
                (libc::ENOENT, _) => {}
                (libc::ENOTDIR, _) if image.candidates.len() > 2 => {}
                _ => fail_exec(image, words, now, index as u32, 0),
            }
        }
        fail_exec(image, words, errno, tried, detail)
    }
}

unsafe fn fail_exec(image: &Image, words: &mut [u32; WORDS], errno: c_int, tried: u32, detail: u32) -> ! {
    // SAFETY: see run.
    unsafe { fail(image.report, words, EXEC, errno, tried << 8 | detail) }
}

unsafe fn fail(report: c_int, words: &mut [u32; WORDS], step: u32, errno: c_int, detail: u32) -> ! {
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

unsafe fn send(report: c_int, words: &[u32; WORDS]) {
    // SAFETY: the length is that of the words. A parent that is gone gets no message and is told so on go.
    unsafe {
        let none = ptr::null::<c_char>();
        let flags = libc::MSG_NOSIGNAL;
        libc::syscall(libc::SYS_sendto, report, words.as_ptr(), size_of::<[u32; WORDS]>(), flags, none, 0);
    }
}

/// Blocks until the parent says `word`. Its end, or anything else, means that the command never runs.
unsafe fn wait(go: c_int, word: u32) {
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

unsafe fn exit() -> ! {
    loop {
        // SAFETY: ends the process at once, with nothing of the parent's run twice.
        unsafe { libc::syscall(libc::SYS_exit_group, 125) };
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
