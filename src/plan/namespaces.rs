//! Decides which namespaces are made and entered, by which process and in which order, and what is set up in them.

use std::ffi::CString;
use std::path::{Component, Path};

use caps::Capability;

use super::environment::c_string;
use super::{Need, Step};
use crate::failure::{Failure, Stage, shown};
use crate::host::Host;
use crate::namespace::{Kind, Kinds};
use crate::request::Request;
use crate::request::namespaces::{JoinTarget, PersistSpec, Propagation};

/// The namespaces of a launch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// All that are made.
    pub made: Kinds,
    pub joined: Vec<(Kind, JoinTarget)>,
    /// Those that the first clone makes.
    pub cloned: Kinds,
    /// Those that a second clone makes, where the first child only enters and ends.
    pub carried: Option<Kinds>,
    /// Whether they are made in place, with no clone, for seclude to become the command.
    pub in_place: bool,
    pub persist: Vec<PersistSpec>,
}

fn refuse(object: String, rule: &str) -> Failure {
    Failure::refused(Stage::Plan, "take", object, rule)
}

impl Layout {
    pub fn decide(request: &Request) -> Result<Layout, Failure> {
        let asked = &request.namespaces;
        let maps = !(asked.map.is_empty() && asked.map_uid.is_empty() && asked.map_gid.is_empty());
        let union = |kinds: &[Kinds]| kinds.iter().copied().fold(Kinds::NONE, Kinds::and);
        let shared = union(&asked.share);
        let absent = shared.without(union(&asked.unshare));
        if !absent.is_empty() {
            return Err(refuse(
                format!("--share {absent}"),
                "it takes kinds out of --unshare, which does not have it",
            ));
        }
        let mut made = union(&asked.unshare).without(shared);
        if maps && shared.has(Kind::User) {
            return Err(refuse("--share user".to_string(), "id maps are of a new user namespace"));
        }
        if maps {
            made = made.with(Kind::User);
        }
        let mut joined: Vec<(Kind, JoinTarget)> = Vec::new();
        for spec in &asked.join {
            for kind in spec.kinds.iter() {
                if joined.iter().any(|(other, _)| *other == kind) {
                    return Err(refuse(format!("--join {kind}"), "a kind is joined once"));
                }
                if made.has(kind) {
                    let rule = match (kind, maps) {
                        (Kind::User, true) => "id maps are of a new user namespace, and this one exists",
                        _ => "a kind is either made or joined",
                    };
                    return Err(refuse(format!("--join {kind}"), rule));
                }
                joined.push((kind, spec.target.clone()));
            }
        }
        check(request, made, &joined)?;

        let joins = |kind| joined.iter().any(|(other, _)| *other == kind);
        // What is made after a join, what an entered pid namespace takes, and what has its clocks set before
        // anyone lives in it, all take a second clone.
        let around_user =
            !joined.is_empty() && !made.is_empty() && (joins(Kind::User) || made.has(Kind::User));
        let in_place = request.lifetime.exec;
        let carries = !in_place && (made.has(Kind::Time) || joins(Kind::Pid) || around_user);
        let cloned = match carries {
            _ if in_place => Kinds::NONE,
            false => made,
            true if made.has(Kind::User) && joined.is_empty() => Kinds::NONE.with(Kind::User),
            true => Kinds::NONE,
        };
        let carried = carries.then(|| made.without(cloned).without(Kinds::NONE.with(Kind::Time)));
        Ok(Layout { made, joined, cloned, carried, in_place, persist: asked.persist.clone() })
    }

    pub fn joins(&self, kind: Kind) -> bool {
        self.joined.iter().any(|(other, _)| *other == kind)
    }

    /// Whether the command lives in a user namespace that is not the caller's.
    pub fn enters_user(&self) -> bool {
        self.made.has(Kind::User) || self.joins(Kind::User)
    }

    /// The steps that bring the child to where it will live.
    pub(super) fn entering(&self, request: &Request, host: &Host) -> Vec<Step> {
        let mut steps = Vec::new();
        if !self.joined.is_empty() {
            steps.push(Step::Undumpable);
        }
        let (user, others): (Vec<_>, Vec<_>) = self.joined.iter().partition(|(kind, _)| *kind == Kind::User);
        // Entering a user namespace gives up what entering the others may take; who has nothing gains it there.
        let order = if host.can(Capability::CAP_SYS_ADMIN) { [others, user] } else { [user, others] };
        let join = |(kind, target): &(Kind, JoinTarget)| Step::Join { kind: *kind, target: target.clone() };
        steps.extend(order.into_iter().flatten().map(join));
        if self.in_place && self.made.has(Kind::User) {
            steps.push(Step::Unshare(Kinds::NONE.with(Kind::User)));
        }
        if self.made.has(Kind::Time) {
            steps.push(Step::NewTime);
            let offsets = request.namespaces.time_offset.iter();
            let lines: Vec<_> =
                offsets.map(|offset| format!("{} {} 0", offset.clock, offset.seconds)).collect();
            if !lines.is_empty() {
                let text = CString::new(lines.join("\n")).expect("numbers and words hold no NUL");
                steps.push(Step::TimeOffsets(text));
            }
            if self.in_place {
                steps.push(Step::EnterTime);
            }
        }
        steps.extend(self.carried.map(Step::Carry));
        let rest = self.made.without([Kind::User, Kind::Time].into_iter().collect());
        if self.in_place && !rest.is_empty() {
            steps.push(Step::Unshare(rest));
        }
        steps
    }

    /// The steps that set up what was made: interface, names, mounts, root.
    pub(super) fn furnishing(&self, request: &Request) -> Result<Vec<Step>, Failure> {
        let asked = &request.namespaces;
        let name = |name: &String| CString::new(name.as_str()).expect("a host name holds no NUL");
        let mut steps = Vec::new();
        if request.privilege.no_userns {
            steps.push(Step::NoUserns);
        }
        if self.made.has(Kind::Net) {
            steps.push(Step::Loopback);
        }
        steps.extend(asked.hostname.as_ref().map(|host| Step::Hostname(name(host))));
        steps.extend(asked.domainname.as_ref().map(|domain| Step::Domainname(name(domain))));
        let propagation = asked.propagation.unwrap_or_default();
        if self.made.has(Kind::Mount) && propagation != Propagation::Unchanged {
            steps.push(Step::Propagation(propagation));
        }
        let pivots = self.made.has(Kind::Mount) && asked.root.is_some();
        if let Some(root) = &asked.root {
            let dir = c_string(root.as_os_str(), "--root")?;
            steps.push(if pivots { Step::Pivot(dir) } else { Step::Chroot(dir) });
        }
        // While the old root is still there, so that the kernel finds a procfs that is as open as the new one.
        if let Some(dir) = &asked.mount_proc {
            steps.push(Step::MountProc(c_string(dir.as_os_str(), "--mount-proc")?));
        }
        if pivots {
            steps.push(Step::LeaveOldRoot);
        }
        Ok(steps)
    }

    pub(super) fn needs(&self, request: &Request, host: &Host) -> Vec<Need> {
        let mut needs = Vec::new();
        let mut need = |capability, purpose: String, remedy: &str| {
            needs.push(Need { capability, purpose, held: host.can(capability), remedy: remedy.to_string() });
        };
        let around =
            "add user to --unshare, which makes the command privileged in a user namespace of its own";
        if !self.made.is_empty() && !self.enters_user() {
            need(Capability::CAP_SYS_ADMIN, format!("make {}", self.made.as_new()), around);
        }
        if !self.joined.is_empty() && !self.joins(Kind::User) {
            let kinds: Kinds = self.joined.iter().map(|(kind, _)| *kind).collect();
            let remedy = "join the user namespace that owns them as well: --join user,…=PID";
            need(Capability::CAP_SYS_ADMIN, format!("join {kinds} namespaces"), remedy);
        }
        if self.made.has(Kind::Net) && !self.enters_user() {
            need(Capability::CAP_NET_ADMIN, "bring up the loopback interface".to_string(), around);
        }
        if !request.namespaces.time_offset.is_empty() && !self.enters_user() {
            need(Capability::CAP_SYS_TIME, "set the clocks of a new time namespace".to_string(), around);
        }
        if self.joins(Kind::Mount) && !self.joins(Kind::User) {
            need(Capability::CAP_SYS_CHROOT, "join a mount namespace".to_string(), "");
        }
        if !self.persist.is_empty() {
            need(Capability::CAP_SYS_ADMIN, "bind a namespace to a path".to_string(), "");
        }
        if request.namespaces.root.is_some() && !self.made.has(Kind::Mount) && !self.enters_user() {
            need(Capability::CAP_SYS_CHROOT, "change the root".to_string(), around);
        }
        needs
    }
}

/// What goes only with something else.
fn check(request: &Request, made: Kinds, joined: &[(Kind, JoinTarget)]) -> Result<(), Failure> {
    let asked = &request.namespaces;
    let refuse_unless = |holds: bool, object: String, rule: &str| {
        if holds { Ok(()) } else { Err(refuse(object, rule)) }
    };
    if request.lifetime.exec {
        let joins = |kind| joined.iter().any(|(other, _)| *other == kind);
        let rule = "no process enters a pid namespace but by being born there, and --exec makes no process";
        refuse_unless(!made.has(Kind::Pid), "--unshare pid".to_string(), rule)?;
        refuse_unless(!joins(Kind::Pid), "--join pid".to_string(), rule)?;
        let rule = "with --exec, namespaces are either joined or made below a new user namespace";
        refuse_unless(joined.is_empty() || !made.has(Kind::User), "--join".to_string(), rule)?;
        let rule = "it takes a parent that stays, and with --exec none does";
        refuse_unless(asked.persist.is_empty(), "--persist".to_string(), rule)?;
    }
    for (option, value) in [("--hostname", &asked.hostname), ("--domainname", &asked.domainname)] {
        if let Some(value) = value {
            let rule = "it names a new uts namespace: add --unshare uts";
            refuse_unless(made.has(Kind::Uts), format!("{option} {}", shown(value)), rule)?;
        }
    }
    for (index, offset) in asked.time_offset.iter().enumerate() {
        let object = format!("--time-offset {}={}", offset.clock, offset.seconds);
        let rule = "it sets a clock of a new time namespace: add --unshare time";
        refuse_unless(made.has(Kind::Time), object.clone(), rule)?;
        let again = asked.time_offset[..index].iter().any(|other| other.clock == offset.clock);
        refuse_unless(!again, object, "a clock is set once")?;
    }
    if let Some(how) = asked.propagation {
        let object = format!("--propagation {}", super::step::propagation_word(how));
        refuse_unless(made.has(Kind::Mount), object, "it is of a new mount namespace: add --unshare mount")?;
    }
    if let Some(dir) = &asked.mount_proc {
        let place = if dir == Path::new("/proc") { String::new() } else { format!("={}", shown(dir)) };
        let object = format!("--mount-proc{place}");
        let has_pid = made.has(Kind::Pid) || joined.iter().any(|(kind, _)| *kind == Kind::Pid);
        refuse_unless(dir.is_absolute(), object.clone(), "its place is an absolute path inside the root")?;
        let rule = "it shows a new pid namespace: add --unshare pid";
        refuse_unless(has_pid, object.clone(), rule)?;
        let rule = "it would cover the caller's /proc: add --unshare mount";
        refuse_unless(made.has(Kind::Mount), object, rule)?;
    }
    if asked.setgroups.is_some() {
        let rule = "it is of a new user namespace: add --unshare user";
        refuse_unless(made.has(Kind::User), "--setgroups deny".to_string(), rule)?;
    }
    let rule = "it is a limit of a new user namespace: add --unshare user";
    refuse_unless(!request.privilege.no_userns || made.has(Kind::User), "--no-userns".to_string(), rule)?;
    if let Some(root) = &asked.root {
        let object = format!("--root {}", shown(root));
        refuse_unless(!root.as_os_str().is_empty(), object.clone(), "it is empty: a directory is needed")?;
        refuse_unless(
            !is_slash(root),
            object.clone(),
            "that is the root already: another directory is needed",
        )?;
        let travels = matches!(asked.propagation, Some(Propagation::Shared | Propagation::Unchanged));
        let rule = "its mounts would travel to the caller's namespace: --propagation is private or slave";
        refuse_unless(!(made.has(Kind::Mount) && travels), object, rule)?;
    }
    for (index, spec) in asked.persist.iter().enumerate() {
        let object = format!("--persist {}={}", spec.kind, shown(&spec.path));
        refuse_unless(made.has(spec.kind), object.clone(), "only a namespace that is made can be kept")?;
        let before = &asked.persist[..index];
        let again = before.iter().any(|other| other.kind == spec.kind);
        refuse_unless(!again, object.clone(), "a namespace is kept at one path")?;
        let taken = before.iter().any(|other| other.path == spec.path);
        refuse_unless(!taken, object, "a path keeps one namespace")?;
    }
    Ok(())
}

/// Whether a path comes to `/` as it is written: `//`, `/.`, `/a/..`.
fn is_slash(path: &Path) -> bool {
    let mut depth = 0usize;
    for component in path.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    path.is_absolute() && depth == 0
}
