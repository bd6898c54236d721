//! What will be done, decided whole before anything is done. Pure: no syscall is made here, no file is read, no clock.

mod chosen;
mod environment;
mod filters;
mod identity;
pub mod landlock;
pub mod lifetime;
mod limits;
mod maps;
mod namespaces;
mod privilege;
pub mod step;

use std::ffi::OsString;

use caps::Capability;

pub use environment::{Environment, Exec};
pub use identity::{Groups, Identity};
pub use lifetime::Lifetime;
pub use limits::Ration;
pub use maps::{MapPlan, MapWriter, Maps};
pub use namespaces::Layout;
pub use step::{Sets, Step};

use chosen::Chosen;
use landlock::Ruleset;
use lifetime::Model;
use privilege::Privilege;

use crate::failure::{Failure, Stage};
use crate::host::Host;
use crate::namespace::Kind;
use crate::request::Request;
use crate::request::report::Form;

/// A privilege that the launch takes, whether the caller holds it, and what would do instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Need {
    pub capability: Capability,
    pub purpose: String,
    pub held: bool,
    pub remedy: String,
}

/// The launch, whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    pub command: Vec<OsString>,
    pub layout: Layout,
    pub maps: Option<Maps>,
    pub identity: Identity,
    pub lifetime: Lifetime,
    /// What the child does between its release and the exec, in order.
    pub steps: Vec<Step>,
    /// How many of them, the first ones, the launcher takes on the child before it lets it go.
    pub from_outside: usize,
    pub exec: Exec,
    pub needs: Vec<Need>,
    /// Whether the state before the exec is read back for a report, beyond what each step verifies.
    pub observe: bool,
    /// Whether the command is held before its exec for something that the launcher does then: a report, a file, a bind,
    /// lending the terminal to its group.
    pub hold: bool,
    /// Whether the command's process shares its parent's memory until its exec, which spares copying it.
    pub shares_memory: bool,
}

impl Plan {
    /// Equal requests on equal hosts are equal plans. A privilege that is missing does not stop it: see
    /// [`Plan::permitted`].
    pub fn new(request: &Request, host: &Host) -> Result<Plan, Failure> {
        let layout = Layout::decide(request)?;
        let chosen = Chosen::decide(request, host)?;
        let maps = maps::decide(request, host, &layout, &chosen)?;
        let identity = Identity::settle(chosen, host, &layout, maps.as_ref())?;
        let lifetime = Lifetime::decide(request, host, &layout)?;
        let exec = environment::decide(request, host)?;
        let privilege = privilege::decide(request, host, &layout, &identity, maps.as_ref())?;
        let steps = steps(request, host, &layout, &identity, &lifetime, &privilege)?;
        let from_outside = limits::from_outside(&layout, &steps);
        let mut needs = layout.needs(request, host);
        needs.extend(maps.iter().flat_map(Maps::needs).cloned());
        needs.extend(identity.needs(host, &layout));
        needs.extend(privilege.needs);
        needs.extend(limits::needs(request, host));
        needs.extend(filters::need(request, host, &layout));
        let observe = request.report.verbose || request.report.report == Some(Form::Json);
        let told = !request.report.quiet || lifetime.daemon || lifetime.pid_file.is_some();
        let met = lifetime.foreground || layout.carried.is_some() || !layout.persist.is_empty();
        let hold = told || observe || met;
        let command = request.command.clone();
        let mut plan = Plan {
            command,
            layout,
            maps,
            identity,
            lifetime,
            steps,
            from_outside,
            exec,
            needs,
            observe,
            hold,
            shares_memory: false,
        };
        plan.shares_memory = plan.may_share_memory(host);
        Ok(plan)
    }

    /// Whether who becomes the command says so before its exec: to whoever asks, or to have the terminal when it stops.
    pub fn says_who(&self) -> bool {
        self.hold || self.lifetime.model == Model::Init && self.lifetime.seeks_terminal
    }

    /// Whether nobody can come to the memory of the command's process before its exec who couldn't come to its parent's.
    ///
    /// Who may trace a process is decided by its ids, its capabilities, and whether its memory is dumpable, which a
    /// change of ids takes back from both who share it. Source: ptrace(2), PR_SET_DUMPABLE(2const).
    fn may_share_memory(&self, host: &Host) -> bool {
        let layout = &self.layout;
        // It is of all processes that share a memory. Source: proc_pid_oom_score_adj(5).
        if self.steps.iter().any(|step| step.stage() == Stage::OomScoreAdj) {
            return false;
        }
        if layout.in_place || !layout.joined.is_empty() || layout.carried.is_some() || !self.identity.same_ids
        {
            return false;
        }
        match self.lifetime.model {
            // Init's is not dumpable, and the launcher may have to look at the command's process.
            Model::Init => !self.observe && layout.persist.is_empty(),
            // Who may trace the command's may trace the launcher: it has no capabilities, or those of the command.
            _ => host.permitted == 0 || !layout.made.has(Kind::User) && !self.changes_credentials(),
        }
    }

    fn changes_credentials(&self) -> bool {
        let changes = |step: &Step| {
            matches!(
                step.stage(),
                Stage::Bounding
                    | Stage::Securebits
                    | Stage::Groups
                    | Stage::Gid
                    | Stage::Uid
                    | Stage::Capabilities
            )
        };
        self.steps.iter().any(changes)
    }

    /// What the command is restricted to by Landlock.
    pub fn ruleset(&self) -> Option<&Ruleset> {
        self.steps.iter().find_map(|step| match step {
            Step::Landlock(ruleset) => Some(ruleset),
            _ => None,
        })
    }

    /// Whether somebody asks how long anything takes.
    pub fn is_timed(&self) -> bool {
        self.observe || self.lifetime.timeout.is_some()
    }

    /// Whether the command gets this descriptor of the caller's.
    pub fn keeps(&self, fd: i32) -> bool {
        let closing = self.steps.iter().find_map(|step| match step {
            Step::Descriptors(kept) => Some(kept),
            _ => None,
        });
        closing.is_none_or(|kept| kept.contains(&fd))
    }

    /// Refuses a launch that is known to fail for a privilege that the caller lacks.
    pub fn permitted(&self) -> Result<(), Failure> {
        match self.needs.iter().find(|need| !need.held) {
            None => Ok(()),
            Some(need) => {
                let rule = format!("that takes {}, which the caller does not have", need.capability);
                let failure = Failure::refused(Stage::Plan, "", need.purpose.as_str(), rule);
                Err(if need.remedy.is_empty() { failure } else { failure.hint(need.remedy.as_str()) })
            }
        }
    }
}

/// The child's steps, in the order of the launch.
fn steps(
    request: &Request,
    host: &Host,
    layout: &Layout,
    identity: &Identity,
    lifetime: &Lifetime,
    privilege: &Privilege,
) -> Result<Vec<Step>, Failure> {
    limits::check(request)?;
    let (first, later) = match limits::are_first(layout) {
        true => (limits::privileged(request, host), Vec::new()),
        false => (Vec::new(), limits::privileged(request, host)),
    };
    let mut steps = first;
    steps.extend(layout.entering(request, host));
    if lifetime.model == Model::Init {
        steps.push(Step::Init);
    }
    steps.extend(layout.furnishing(request)?);
    steps.extend(lifetime.parting(host));
    steps.extend(later);
    steps.extend(request.identity.umask.map(Step::Umask));
    let typing = filters::typing(request, host, layout, lifetime)?;
    let filters = filters::decide(request, host, privilege.bounding)?;
    // A filter takes a privilege, which is gone by then, or no_new_privs.
    let last = request.privilege.no_new_privs;
    let mut credentials: Vec<_> = typing.clone().filter(|_| !last).into_iter().collect();
    credentials.extend(filters.iter().filter(|_| !last).cloned());
    credentials.extend_from_slice(&privilege.before);
    credentials.extend(identity.steps(host, layout));
    credentials.extend_from_slice(&privilege.after);
    let chdir = environment::chdir(request)?;
    let twice = chdir.is_some() && !credentials.is_empty();
    steps.extend(chdir.clone().map(|dir| Step::Chdir { dir, retried: twice }));
    steps.extend(credentials);
    if twice {
        steps.push(Step::ChdirAgain);
    }
    if chdir.is_some() && request.namespaces.root.is_some() {
        steps.push(Step::InsideRoot);
    }
    if last {
        steps.push(Step::NoNewPrivs);
        steps.extend(typing);
    }
    steps.extend(landlock::decide(request, host)?);
    if lifetime.dies_by_signal(layout) {
        steps.push(Step::DeathSignal);
    }
    steps.extend(environment::descriptors(request, host)?.map(Step::Descriptors));
    // What no step is to be hindered by.
    steps.extend(limits::limits(request));
    // With nothing after them but the exec, they need to allow nothing else of seclude's.
    steps.extend(filters.into_iter().filter(|_| last));
    Ok(steps)
}
