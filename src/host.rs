//! What this machine says: every fact that the plan needs, asked once, and only those that the request mentions.

mod accounts;
mod filter;
mod getent;
mod limits;
mod space;
mod streams;
mod subids;

use std::collections::BTreeMap;
use std::env;
use std::ffi::{CStr, OsString};
use std::path::{Path, PathBuf};

use caps::Capability;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::unistd;

pub use accounts::Account;
pub use limits::Limits;
pub use space::Space;
pub use subids::SubRange;

use crate::account::Principal;
use crate::capability::Capabilities;
use crate::failure::{Cause, Failure, Stage, Unheld, shown};
use crate::idmap::IdMap;
use crate::namespace::Kind;
use crate::request::Request;
use crate::request::lifetime::KeepFd;
use crate::request::namespaces::{JoinTarget, MapSpec};
use crate::sys;

/// One side of the id maps, users or groups, as this machine has it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Side {
    /// What the names that were mentioned stand for.
    pub names: BTreeMap<String, u32>,
    /// What /etc/subuid or /etc/subgid grants the caller, every matching line.
    pub grants: Vec<SubRange>,
    /// newuidmap or newgidmap.
    pub helper: Option<PathBuf>,
    /// The map of the caller's own user namespace.
    pub own_map: Option<IdMap>,
}

/// What a process has beside the sets of capget(2), and what there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CapabilitySets {
    pub bounding: Capabilities,
    /// All that the kernel has.
    pub known: Capabilities,
    pub ambient: Capabilities,
}

/// The facts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Host {
    /// Real, effective and saved.
    pub uids: [u32; 3],
    pub gids: [u32; 3],
    /// The caller's supplementary groups, in order, each once.
    pub groups: Vec<u32>,
    /// The caller's effective capabilities in its own user namespace.
    pub capabilities: u64,
    /// Those that it could make effective: what somebody who writes to its memory would have.
    pub permitted: u64,
    /// Those that the files of its programs may add to.
    pub inheritable: u64,
    /// The other sets; only where capabilities are asked for.
    pub sets: Option<CapabilitySets>,
    pub user_side: Side,
    pub group_side: Side,
    /// Whether setgroups(2) is denied in the caller's own user namespace, and so in every new one below it.
    pub denies_setgroups: bool,
    /// The user namespace that is joined.
    pub joined: Option<Space>,
    /// The user that `--user` names.
    pub account: Option<Account>,
    /// The variables, each `NAME=VALUE`.
    pub environment: Vec<&'static CStr>,
    /// Those of the descriptors of `--keep-fd` that are open.
    pub open: Vec<i32>,
    /// The signals that were blocked when seclude was started.
    pub signal_mask: u64,
    /// The caller's pid, where its end is to be watched; 0 where it is outside the pid namespace.
    pub parent: i32,
    /// What the file of `--seccomp` holds.
    pub seccomp: Vec<u8>,
    /// The kernel's version and patch level; only where a filter is asked for.
    pub kernel: (u32, u32),
    /// The ABI of the kernel's Landlock, 0 where it has none; only where its rules are asked for.
    pub landlock_abi: i32,
    /// Whether there is a terminal that the command could type into; `None` where its privileges stay, and nobody asked.
    pub has_terminal: Option<bool>,
    /// Whether the kernel lets every process type into its own terminal (dev.tty.legacy_tiocsti).
    pub lets_type: bool,
    /// Whether seclude leads the foreground group of its terminal, and both reads it and writes to it: the job of an
    /// interactive shell. Only where the command gets a group of its own.
    pub leads_terminal: bool,
    /// The standard streams that a daemon can't keep: those that are neither a file nor a device without a reader.
    pub passing_streams: Vec<i32>,
    pub limits: Limits,
}

impl Host {
    pub fn probe(request: &Request) -> Result<Host, Failure> {
        let ids = |what: &'static str, answer: Result<[u32; 3], Errno>| {
            answer.map_err(|errno| Failure::errno(Stage::Probe, "read", what, errno))
        };
        let uids = ids(
            "the user ids",
            unistd::getresuid().map(|ids| [ids.real, ids.effective, ids.saved].map(|id| id.as_raw())),
        )?;
        let gids = ids(
            "the group ids",
            unistd::getresgid().map(|ids| [ids.real, ids.effective, ids.saved].map(|id| id.as_raw())),
        )?;
        let [capabilities, permitted, inheritable] = sys::capabilities()
            .map_err(|errno| Failure::errno(Stage::Probe, "read", "the capabilities", errno))?;
        let mut groups = sys::groups()
            .map_err(|errno| Failure::errno(Stage::Probe, "read", "the supplementary groups", errno))?;
        groups.sort_unstable();
        groups.dedup();

        let (uid_specs, gid_specs) = (request.namespaces.uid_specs(), request.namespaces.gid_specs());
        let user_names = uid_specs.iter().flat_map(|spec| mentioned(spec));
        let names = gid_specs.iter().flat_map(|spec| mentioned(spec)).chain(accounts::group_names(request));
        let mut user_side = Side { names: accounts::users(user_names)?, ..Side::default() };
        let mut group_side = Side { names: accounts::groups(names)?, ..Side::default() };
        let privileged = uids[1] == 0;
        let mut login = subids::Login::new(uids[1]);
        let can = |capability: Capability| capabilities & capability.bitmask() != 0;
        let [able_users, able_groups] = [Capability::CAP_SETUID, Capability::CAP_SETGID].map(can);
        if asks_for_grants(&uid_specs, able_users) {
            user_side.look(["/etc/subuid", "newuidmap"], &mut login, privileged)?;
        }
        if asks_for_grants(&gid_specs, able_groups) {
            group_side.look(["/etc/subgid", "newgidmap"], &mut login, privileged)?;
        }

        let wants_sets = request.privilege.asks_for_capabilities() || request.privilege.seccomp.is_some();
        let sets = wants_sets.then(|| {
            let [bounding, known, ambient] = sys::capability_sets().map(Capabilities);
            CapabilitySets { bounding, known, ambient }
        });
        let identity = &request.identity;
        let becomes = identity.user.is_some() || identity.group.is_some() || !identity.groups.is_empty();
        let asks = |kind| request.namespaces.unshare.iter().any(|kinds| kinds.has(kind));
        let maps = asks(Kind::User) || !(uid_specs.is_empty() && gid_specs.is_empty());
        // Who has no privilege and names no range has one id to map, its own, which its namespace holds.
        let able = able_users || able_groups;
        let alone = maps && !able && uid_specs.is_empty() && gid_specs.is_empty();
        // Where groups may be set, whoever becomes somebody is told by the kernel which ids there are; a plan that is only told
        // has to know.
        let finds_out = !maps && !request.report.dry_run && able && sys::may_set_groups();
        let own = if (becomes || maps) && !alone && !finds_out { Space::own()? } else { Space::default() };
        (user_side.own_map, group_side.own_map) = (own.uid, own.gid);
        let target = request.namespaces.join.iter().find(|spec| spec.kinds.has(Kind::User));
        let joined = match target.map(|spec| &spec.target) {
            Some(JoinTarget::Pid(pid)) => Some(Space::of(*pid)?),
            Some(JoinTarget::Path(_)) => Some(Space::default()),
            None => None,
        };
        let account = accounts::account(request, &group_side.names)?;
        let environment = sys::variables();
        let open = request.lifetime.keep_fd.iter().flat_map(|keep| match keep {
            KeepFd::These(list) => list.clone(),
            KeepFd::All => Vec::new(),
        });
        let open = open.filter(|fd| is_open(*fd)).collect();
        let signal_mask =
            sys::mask().map_err(|errno| Failure::errno(Stage::Probe, "read", "the signal mask", errno))?;
        let lifetime = &request.lifetime;
        let seccomp = request.privilege.seccomp.as_deref().map(filter::whole);
        let seccomp = seccomp.transpose()?.unwrap_or_default();
        let has_terminal = request.changes_privilege().then(streams::has_terminal);
        Ok(Host {
            uids,
            gids,
            groups,
            capabilities,
            permitted,
            inheritable,
            sets,
            user_side,
            group_side,
            denies_setgroups: own.denies_setgroups,
            joined,
            account,
            environment,
            open,
            signal_mask,
            parent: if lifetime.die_with_parent { unistd::getppid().as_raw() } else { 0 },
            seccomp,
            kernel: if request.privilege.filters() { filter::kernel() } else { (0, 0) },
            landlock_abi: if request.privilege.landlocks() { sys::landlock_abi() } else { 0 },
            has_terminal,
            lets_type: has_terminal == Some(true) && streams::lets_type(),
            leads_terminal: asks(Kind::Pid) && streams::leads_terminal(),
            passing_streams: if lifetime.daemon { streams::passing_streams() } else { Vec::new() },
            limits: Limits::of(request),
        })
    }

    pub fn can(&self, capability: Capability) -> bool {
        self.capabilities & capability.bitmask() != 0
    }
}

/// Adds its name to an id that was refused.
pub fn named(failure: Failure) -> Failure {
    let name = match failure.cause {
        Cause::Unheld(Unheld::Uid(uid)) => users::get_user_by_uid(uid).map(|user| shown(user.name())),
        Cause::Unheld(Unheld::Gid(gid)) => users::get_group_by_gid(gid).map(|group| shown(group.name())),
        _ => None,
    };
    match name {
        Some(name) => Failure { object: format!("{} ({name})", failure.object), ..failure },
        None => failure,
    }
}

impl Side {
    fn look(
        &mut self,
        [grants, helper]: [&str; 2],
        login: &mut subids::Login,
        privileged: bool,
    ) -> Result<(), Failure> {
        self.helper = find_helper(helper, privileged);
        self.grants = subids::grants(Path::new(grants), login)?;
        Ok(())
    }
}

/// Whether a map is made of what is granted, or written by leave of it: who is able to map any id writes it without.
fn asks_for_grants(specs: &[&MapSpec], able: bool) -> bool {
    specs.iter().any(|spec| **spec == MapSpec::Auto || !able && **spec != MapSpec::Own)
}

fn mentioned<'a>(spec: &&'a MapSpec) -> Vec<&'a Principal> {
    match spec {
        MapSpec::Range { inside, outside, .. } => vec![inside, outside],
        _ => Vec::new(),
    }
}

/// Looks where a package puts it; only who has nothing to lose by it has PATH searched first.
fn find_helper(name: &str, privileged: bool) -> Option<PathBuf> {
    let path = if privileged { OsString::new() } else { env::var_os("PATH").unwrap_or_default() };
    let own = env::split_paths(&path).filter(|dir| dir.is_absolute());
    let fixed = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].map(PathBuf::from);
    own.chain(fixed)
        .map(|dir| dir.join(name))
        .find(|file| unistd::access(file, unistd::AccessFlags::X_OK).is_ok() && file.is_file())
}

/// Whether the caller has handed it over: what is closed by an exec, it can't have.
fn is_open(fd: i32) -> bool {
    let flags = sys::borrowed(fd).map(|fd| fcntl(fd, FcntlArg::F_GETFD));
    flags.is_some_and(|flags| flags.is_ok_and(|flags| flags & libc::FD_CLOEXEC == 0))
}
