//! Asks getent(1) for what /etc/passwd and /etc/group don't hold, where the C library has no other database to ask: musl's.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::sys;

/// Where a system has it; PATH is the caller's, and not asked.
const PLACES: [&str; 2] = ["/usr/bin/getent", "/bin/getent"];

/// A line of the user database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub name: String,
    pub gid: u32,
    pub home: OsString,
    pub shell: OsString,
    /// Whether the C library has it; another database's has its groups there, too.
    pub local: bool,
}

/// A user by name or by number: the entry, and the uid.
pub fn user(key: &str) -> Option<(u32, Entry)> {
    let line = ask("passwd", key)?;
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
    let [name, _, uid, gid, _, home, shell] = fields[..] else { return None };
    let path = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let name = String::from_utf8(name.to_vec()).ok()?;
    Some((
        number(uid)?,
        Entry { name, gid: number(gid)?, home: path(home), shell: path(shell), local: false },
    ))
}

/// A group's id, by its name.
pub fn group(name: &str) -> Option<u32> {
    let line = ask("group", name)?;
    number(line.split(|byte| *byte == b':').nth(2)?)
}

/// The groups that a user is in, beside its primary one.
pub fn groups(name: &str) -> Option<Vec<u32>> {
    let line = ask("initgroups", name)?;
    let fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    fields.skip(1).map(number).collect()
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The first line of its answer, where it has one.
fn ask(database: &str, key: &str) -> Option<Vec<u8>> {
    if !cfg!(target_env = "musl") {
        return None;
    }
    let program = PLACES.into_iter().find(|place| Path::new(place).exists())?;
    // A caller's "ignore" would have it reaped before its end is seen.
    sys::default_sigchld().ok()?;
    let mut command = Command::new(program);
    command.args([database, "--", key]).stdin(Stdio::null()).stderr(Stdio::null());
    let answer = command.output().ok().filter(|answer| answer.status.success())?;
    answer.stdout.split(|byte| *byte == b'\n').next().map(<[u8]>::to_vec)
}
