//! Decides what the command starts with: its words, environment, directory and descriptors, and where it is looked for.

use std::borrow::Cow;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::failure::{Failure, Stage, shown};
use crate::host::Host;
use crate::request::Request;
use crate::request::identity::EnvSpec;
use crate::request::lifetime::KeepFd;

/// Where a command is looked for whose environment has no PATH.
pub const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// The command's environment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Environment {
    /// The caller's, byte for byte.
    Inherited,
    /// `NAME=VALUE` strings.
    Exact(Vec<Cow<'static, CStr>>),
}

/// What execve(2) will be given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exec {
    /// The paths that are tried, in order.
    pub candidates: Vec<CString>,
    pub argv: Vec<CString>,
    pub environment: Environment,
    /// Whether COMMAND is a path, and not a name to be looked for.
    pub is_path: bool,
    /// Whether the caller's own view of absolute paths, and of relative ones, is the command's.
    pub same_root: bool,
    pub same_directory: bool,
    /// The signals that the command starts with blocked: the caller's.
    pub signal_mask: u64,
}

pub(super) fn decide(request: &Request, host: &Host) -> Result<Exec, Failure> {
    let Some(program) = request.command.first() else {
        let rule = "a COMMAND is needed";
        return Err(Failure::refused(Stage::Usage, "start", "", rule));
    };
    if program.is_empty() {
        return Err(Failure::refused(
            Stage::Usage,
            "take",
            "COMMAND",
            "it is empty: a name or a path is needed",
        ));
    }
    let variables = variables(request, host)?;
    let path = match &variables {
        Some(list) => list.iter().find_map(|variable| value_of(variable, OsStr::new("PATH"))),
        None => host.environment.iter().find_map(|variable| value_of(variable, OsStr::new("PATH"))),
    };
    let candidates = candidates(program, path.unwrap_or(OsStr::new(DEFAULT_PATH)));
    let mut argv: Vec<CString> =
        request.command.iter().map(|word| c_string(word, "COMMAND")).collect::<Result<_, _>>()?;
    if let Some(name) = &request.identity.argv0 {
        argv[0] = c_string(name, "--argv0")?;
    }
    let joined = request.namespaces.join.iter().any(|spec| spec.kinds.has(crate::namespace::Kind::Mount));
    let same_root = request.namespaces.root.is_none() && !joined;
    let same_directory = same_root && request.identity.chdir.is_none();
    Ok(Exec {
        candidates,
        argv,
        environment: variables.map_or(Environment::Inherited, Environment::Exact),
        same_root,
        same_directory,
        is_path: program.as_bytes().contains(&b'/'),
        signal_mask: host.signal_mask,
    })
}

/// A name with a slash is a path; any other is looked for in each directory of PATH, an empty one being the current.
fn candidates(program: &OsStr, path: &OsStr) -> Vec<CString> {
    let whole = |bytes: Vec<u8>| CString::new(bytes).expect("neither a word nor a variable holds a NUL");
    if program.as_bytes().contains(&b'/') {
        return vec![whole(program.as_bytes().to_vec())];
    }
    let mut candidates = Vec::new();
    for dir in path.as_bytes().split(|b| *b == b':') {
        let dir = if dir.is_empty() { b"." } else { dir };
        let candidate = whole([dir, b"/", program.as_bytes()].concat());
        if !candidates.contains(&candidate) {
            candidates.push(candidate);
        }
    }
    candidates
}

type Variables = Vec<Cow<'static, CStr>>;

/// The command's variables, or `None` where nothing was asked that would change the caller's.
fn variables(request: &Request, host: &Host) -> Result<Option<Variables>, Failure> {
    let asked = &request.identity;
    let becomes = asked.user.is_some() && !asked.keep_env;
    if !asked.clear_env && asked.env.is_empty() && asked.unset_env.is_empty() && !becomes {
        return Ok(None);
    }
    let callers = if asked.clear_env { &[][..] } else { &host.environment };
    let mut list: Variables = callers.iter().map(|variable| Cow::Borrowed(*variable)).collect();
    if becomes {
        for (name, value) in user_variables(host) {
            set(&mut list, OsStr::new(name), value.as_deref());
        }
    }
    for name in &asked.unset_env {
        set(&mut list, name, None);
    }
    for EnvSpec { name, value } in &asked.env {
        if name.is_empty() {
            return Err(Failure::refused(Stage::Plan, "take", "--env", "a variable has a name before its ="));
        }
        let caller = || host.environment.iter().find_map(|variable| value_of(variable, name));
        set(&mut list, name, value.as_deref().or_else(caller));
    }
    Ok(Some(list))
}

/// HOME and its like are the user's; where no entry was asked for, nothing of the caller's is left.
fn user_variables(host: &Host) -> [(&'static str, Option<OsString>); 4] {
    let entry = host.account.as_ref().and_then(|account| account.entry.as_ref());
    let name = entry.map(|entry| OsString::from(&entry.name));
    let home = entry.map(|entry| entry.home.clone()).filter(|home| !home.is_empty());
    [
        ("HOME", Some(home.unwrap_or_else(|| OsString::from("/")))),
        ("USER", name.clone()),
        ("LOGNAME", name),
        ("SHELL", entry.map(|entry| entry.shell.clone()).filter(|shell| !shell.is_empty())),
    ]
}

/// The value, if the variable has this name.
fn value_of<'a>(variable: &'a CStr, name: &OsStr) -> Option<&'a OsStr> {
    let (own, rest) = variable.to_bytes().split_at_checked(name.len())?;
    // Most differ here already.
    rest.strip_prefix(b"=").filter(|_| own == name.as_bytes()).map(OsStr::from_bytes)
}

fn set(list: &mut Variables, name: &OsStr, value: Option<&OsStr>) {
    // Where an environment has it twice, programs differ in which one they read.
    let at = list.iter().position(|variable| value_of(variable, name).is_some());
    if at.is_some() {
        list.retain(|variable| value_of(variable, name).is_none());
    }
    if let Some(value) = value {
        let bytes = [name.as_bytes(), b"=", value.as_bytes()].concat();
        let variable =
            CString::new(bytes).expect("neither a name nor a value that came as a word holds a NUL");
        list.insert(at.unwrap_or(list.len()), Cow::Owned(variable));
    }
}

/// Where the command starts: `--chdir`, or the new root.
pub(super) fn chdir(request: &Request) -> Result<Option<CString>, Failure> {
    match &request.identity.chdir {
        None => Ok(None),
        Some(dir) if dir.as_os_str().is_empty() => {
            Err(Failure::refused(Stage::Plan, "take", "--chdir", "it is empty: a directory is needed"))
        }
        Some(dir) => c_string(dir.as_os_str(), "--chdir").map(Some),
    }
}

/// The descriptors from 3 up that stay open, or `None` where all do.
pub(super) fn descriptors(request: &Request, host: &Host) -> Result<Option<Vec<i32>>, Failure> {
    let mut kept = Vec::new();
    for keep in &request.lifetime.keep_fd {
        let KeepFd::These(list) = keep else { return Ok(None) };
        for fd in list {
            let refuse = |rule: &str| Failure::refused(Stage::Plan, "take", format!("--keep-fd {fd}"), rule);
            if !host.open.contains(fd) {
                return Err(refuse("only a descriptor that the caller has open can stay open"));
            }
            kept.push(*fd);
        }
    }
    kept.retain(|fd| *fd > 2);
    kept.sort_unstable();
    kept.dedup();
    Ok(Some(kept))
}

pub(super) fn c_string(text: &OsStr, option: &str) -> Result<CString, Failure> {
    CString::new(text.to_os_string().into_vec()).map_err(|_| {
        let rule = "it holds a NUL byte";
        Failure::refused(Stage::Plan, "take", format!("{option} {}", shown(text)), rule)
    })
}
