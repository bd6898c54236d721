//! A ruleset of Landlock as system calls. It decides nothing; the kernel has no call that would show it done.
#![allow(unsafe_code)]

use std::mem::zeroed;
use std::ptr;

use libc::{c_int, c_long};

use crate::plan::landlock::{PathRule, Ruleset};
use crate::sys::call;

/// The bits that an errno takes; above them stands the number of the path, from 1, that could not be opened or allowed.
pub const ERRNO_BITS: u32 = 12;

const RULE_PATH_BENEATH: c_int = 1;
const RULE_NET_PORT: c_int = 2;

/// Source: landlock_create_ruleset(2). An older kernel takes the longer structure where what it does not know is 0.
#[repr(C)]
struct RulesetAttr {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

/// Source: landlock_add_rule(2).
#[repr(C, packed)]
struct PathBeneathAttr {
    allowed_access: u64,
    parent_fd: i32,
}

#[repr(C)]
struct NetPortAttr {
    allowed_access: u64,
    port: u64,
}

/// # Safety
///
/// As for [`super::run`].
pub unsafe fn restrict(ruleset: &Ruleset) -> Result<(), c_int> {
    if ruleset.is_empty() {
        return Ok(());
    }
    let attr = RulesetAttr {
        handled_access_fs: ruleset.handled_fs,
        handled_access_net: ruleset.handled_net,
        scoped: ruleset.scoped,
    };
    // SAFETY: plain data of the length that is named, and numbers.
    unsafe {
        let fd = call!(SYS_landlock_create_ruleset, &raw const attr, size_of::<RulesetAttr>(), 0)?;
        let answer = add_all(fd, ruleset).and_then(|()| call!(SYS_landlock_restrict_self, fd, 0));
        let _ = call!(SYS_close, fd);
        answer.map(drop)
    }
}

unsafe fn add_all(fd: c_long, ruleset: &Ruleset) -> Result<(), c_int> {
    for (index, rule) in ruleset.paths.iter().enumerate() {
        // SAFETY: see restrict.
        unsafe { add(fd, rule) }.map_err(|errno| errno | (index as c_int + 1) << ERRNO_BITS)?;
    }
    for rule in &ruleset.ports {
        let attr = NetPortAttr { allowed_access: rule.access, port: u64::from(rule.port) };
        // SAFETY: plain data that outlives the call.
        unsafe { call!(SYS_landlock_add_rule, fd, RULE_NET_PORT, &raw const attr, 0) }?;
    }
    Ok(())
}

unsafe fn add(fd: c_long, rule: &PathRule) -> Result<(), c_int> {
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    // SAFETY: a NUL-terminated string of the plan, and plain data that outlives the calls.
    unsafe {
        let path = call!(SYS_openat, libc::AT_FDCWD, rule.path.as_ptr(), flags, 0)?;
        let mut found: libc::stat = zeroed();
        let answer = call!(SYS_fstat, path, ptr::from_mut(&mut found)).and_then(|_| {
            let is_directory = found.st_mode & libc::S_IFMT == libc::S_IFDIR;
            let allowed_access = if is_directory { rule.on_directory } else { rule.on_file };
            let attr = PathBeneathAttr { allowed_access, parent_fd: path as i32 };
            match allowed_access {
                0 => Ok(0),
                _ => call!(SYS_landlock_add_rule, fd, RULE_PATH_BENEATH, &raw const attr, 0),
            }
        });
        let _ = call!(SYS_close, path);
        answer.map(drop)
    }
}
