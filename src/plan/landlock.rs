//! Decides what the command may still reach by Landlock: masks of rights, by what the kernel has. The home of the landlock crate.
//!
//! Each kind of rule restricts what is its own; a kind without a rule stays free. Source: landlock(7).

use std::ffi::CString;
use std::path::PathBuf;

use landlock::{ABI, Access, AccessFs, AccessNet, BitFlags, Scope};

use super::{Step, environment};
use crate::failure::{Failure, Stage};
use crate::host::Host;
use crate::request::Request;
use crate::request::privilege::PrivilegeArgs;
use crate::request::privilege::landlock::{Lacking, Scoped};

/// What is asked for, whatever the kernel: a later one's further rights are not taken in silence.
const WHOLE: ABI = ABI::V6;

/// A ruleset, as landlock_create_ruleset(2) and landlock_add_rule(2) take it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Ruleset {
    /// The kernel's; 0 where it has no Landlock.
    pub abi: i32,
    pub handled_fs: u64,
    pub handled_net: u64,
    pub scoped: u64,
    pub paths: Vec<PathRule>,
    pub ports: Vec<PortRule>,
    /// What was asked for and the kernel has, in its rights' names.
    pub enforced: Vec<&'static str>,
    /// What was asked for and the kernel lacks.
    pub unenforced: Vec<&'static str>,
}

/// What is allowed on a path and beneath it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathRule {
    pub path: CString,
    pub on_directory: u64,
    pub on_file: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortRule {
    pub port: u16,
    pub access: u64,
}

impl Ruleset {
    /// Whether nothing of it can be enforced.
    pub fn is_empty(&self) -> bool {
        self.handled_fs | self.handled_net | self.scoped == 0
    }

    pub fn restricts_exec(&self) -> bool {
        self.handled_fs & AccessFs::Execute as u64 != 0
    }
}

/// A right by name, and the first ABI that has it.
struct Right {
    name: &'static str,
    since: i32,
}

/// The first ABI whose table has all of these.
fn since<A: Access>(name: &'static str, rights: BitFlags<A>) -> Right {
    let whole = (1..=WHOLE as i32).find(|abi| A::from_all(ABI::from(*abi)).contains(rights));
    Right { name, since: whole.expect("the last ABI has every right that may be asked for") }
}

fn read() -> BitFlags<AccessFs> {
    AccessFs::from_read(WHOLE) & !BitFlags::from(AccessFs::Execute)
}

pub(super) fn decide(request: &Request, host: &Host) -> Result<Option<Step>, Failure> {
    let asked = &request.privilege;
    let refuse = |object: String, rule: &str| Failure::refused(Stage::Plan, "restrict", object, rule);
    if !asked.landlocks() {
        return match asked.landlock {
            Some(_) => {
                let rule = "there is no rule that it could apply to";
                Err(Failure::refused(Stage::Plan, "take", "--landlock best-effort", rule))
            }
            None => Ok(None),
        };
    }
    let command = "the command by Landlock".to_string();
    if !asked.no_new_privs {
        return Err(refuse(command, "that takes no_new_privs").hint("add --no-new-privs"));
    }
    let (had, lacking): (Vec<Right>, Vec<Right>) =
        rights(asked).into_iter().partition(|right| right.since <= host.landlock_abi);
    if !lacking.is_empty() && asked.landlock != Some(Lacking::BestEffort) {
        let hint = "--landlock best-effort goes without what the kernel lacks, and reports it";
        return Err(match host.landlock_abi {
            0 => refuse(
                command,
                "the kernel has no Landlock, it was not enabled at boot, or a filter hides it",
            ),
            abi => {
                let names: Vec<_> = lacking.iter().map(|right| right.name).collect();
                let since = lacking.iter().map(|right| right.since).max().unwrap_or(0);
                let rule = format!("that takes Landlock's ABI {since}, and the kernel has {abi}");
                refuse(names.join(", "), &rule)
            }
        }
        .hint(hint));
    }
    let mut ruleset = ruleset(asked, ABI::from(host.landlock_abi.min(WHOLE as i32)))?;
    ruleset.abi = host.landlock_abi;
    ruleset.enforced = had.iter().map(|right| right.name).collect();
    ruleset.unenforced = lacking.iter().map(|right| right.name).collect();
    Ok(Some(Step::Landlock(ruleset)))
}

/// Every right that the options ask for.
fn rights(asked: &PrivilegeArgs) -> Vec<Right> {
    let mut rights = Vec::new();
    let mut add = |is_asked: bool, right: Right| {
        if is_asked {
            rights.push(right);
        }
    };
    let writes = !asked.landlock_write.is_empty();
    add(!asked.landlock_read.is_empty(), since("read", read()));
    add(writes, since("write", AccessFs::from_write(ABI::V1)));
    add(!asked.landlock_exec.is_empty(), since("exec", AccessFs::Execute.into()));
    add(asked.landlocks_paths(), since("refer", AccessFs::Refer.into()));
    add(writes, since("truncate", AccessFs::Truncate.into()));
    add(writes, since("ioctl-dev", AccessFs::IoctlDev.into()));
    add(!asked.landlock_connect.is_empty(), since("connect", AccessNet::ConnectTcp.into()));
    add(!asked.landlock_bind.is_empty(), since("bind", AccessNet::BindTcp.into()));
    for scope in Scoped::ALL.into_iter().filter(|scope| asked.landlock_scopes(*scope)) {
        add(true, since(scope.word(), flag(scope)));
    }
    rights
}

fn flag(scope: Scoped) -> BitFlags<Scope> {
    match scope {
        Scoped::AbstractSocket => Scope::AbstractUnixSocket.into(),
        Scoped::Signal => Scope::Signal.into(),
    }
}

/// As much of it as this ABI has.
fn ruleset(asked: &PrivilegeArgs, abi: ABI) -> Result<Ruleset, Failure> {
    let mut ruleset = Ruleset::default();
    let kinds = [
        ("--landlock-read", &asked.landlock_read, read()),
        ("--landlock-write", &asked.landlock_write, AccessFs::from_write(WHOLE)),
        ("--landlock-exec", &asked.landlock_exec, AccessFs::Execute.into()),
    ];
    for (option, paths, rights) in kinds {
        let rights = rights & AccessFs::from_all(abi);
        if !paths.is_empty() {
            ruleset.handled_fs |= rights.bits();
        }
        if !rights.is_empty() {
            let rule = |path: &PathBuf| {
                let path = environment::c_string(path.as_os_str(), option)?;
                let on_file = (rights & AccessFs::from_file(abi)).bits();
                Ok(PathRule { path, on_directory: rights.bits(), on_file })
            };
            ruleset.paths.extend(paths.iter().map(rule).collect::<Result<Vec<_>, Failure>>()?);
        }
    }
    // Every ruleset of paths keeps files in their directories unless a rule says otherwise; only that of --landlock-write is to.
    let refer = AccessFs::from_all(abi) & AccessFs::Refer;
    if asked.landlocks_paths() && asked.landlock_write.is_empty() && !refer.is_empty() {
        ruleset.handled_fs |= refer.bits();
        ruleset.paths.push(PathRule { path: c"/".into(), on_directory: refer.bits(), on_file: 0 });
    }
    for (ports, right) in
        [(&asked.landlock_connect, AccessNet::ConnectTcp), (&asked.landlock_bind, AccessNet::BindTcp)]
    {
        let access = (AccessNet::from_all(abi) & right).bits();
        if !ports.is_empty() && access != 0 {
            ruleset.handled_net |= access;
            ruleset.ports.extend(ports.iter().map(|port| PortRule { port: *port, access }));
        }
    }
    let scopes = Scoped::ALL.into_iter().filter(|scope| asked.landlock_scopes(*scope)).map(flag);
    let scoped = scopes.fold(BitFlags::<Scope>::empty(), |all, scope| all | scope);
    ruleset.scoped = (scoped & Scope::from_all(abi)).bits();
    Ok(ruleset)
}
