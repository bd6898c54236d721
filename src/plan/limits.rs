//! Decides what the command gets of the machine: what can take privilege before that is left behind, its limits after all else.

use std::ffi::CString;

use caps::Capability;

use super::{Layout, Need, Step};
use crate::failure::{Failure, Stage};
use crate::host::Host;
use crate::namespace::Kind;
use crate::request::Request;
use crate::request::privilege::limits::{Cpus, IoPriority, Limit, Resource, Scheduling};

/// A part of the command's share of the machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ration {
    /// The hard limit alone, which lets nobody down, and is what a later step takes no privilege to come below.
    Raise(Resource, u64),
    Limit(Limit),
    Nice(i32),
    OomScoreAdj(CString),
    Affinity(Cpus),
    IoPriority(IoPriority),
    Scheduling(Scheduling),
}

impl Ration {
    pub fn stage(&self) -> Stage {
        match self {
            Ration::Raise(..) | Ration::Limit(_) => Stage::Limits,
            Ration::Nice(_) => Stage::Nice,
            Ration::OomScoreAdj(_) => Stage::OomScoreAdj,
            Ration::Affinity(_) => Stage::CpuAffinity,
            Ration::IoPriority(_) => Stage::IoPriority,
            Ration::Scheduling(_) => Stage::Scheduling,
        }
    }

    pub fn words(&self) -> (&'static str, String) {
        match self {
            Ration::Raise(resource, hard) => {
                ("raise", format!("the hard limit of {} to {}", resource.name, resource.written(*hard)))
            }
            Ration::Limit(limit) => ("limit", limit.to_string()),
            Ration::Nice(niceness) => ("set", format!("the niceness to {niceness}")),
            Ration::OomScoreAdj(score) => ("set", format!("oom_score_adj to {}", score.to_string_lossy())),
            Ration::Affinity(cpus) => ("keep to", format!("the CPUs {cpus}")),
            Ration::IoPriority(priority) => ("set", format!("the I/O priority to {priority}")),
            Ration::Scheduling(policy) => ("set", format!("the scheduling policy to {policy}")),
        }
    }
}

/// Refuses a resource that is limited twice.
pub(super) fn check(request: &Request) -> Result<(), Failure> {
    let limits = &request.privilege.rlimit;
    let again = |index: usize| limits[..index].iter().any(|other| other.resource == limits[index].resource);
    match (0..limits.len()).find(|index| again(*index)) {
        None => Ok(()),
        Some(index) => {
            let object = format!("--rlimit {}", limits[index].resource.name);
            Err(Failure::refused(Stage::Plan, "take", object, "a resource is limited once"))
        }
    }
}

/// Whether privilege over the machine is lost, or /proc closed, on the way into the command's namespaces.
pub(super) fn are_first(layout: &Layout) -> bool {
    layout.enters_user() || !layout.joined.is_empty()
}

/// How many steps, the first ones, the launcher takes on its child: that is born where it couldn't take them itself.
pub(super) fn from_outside(layout: &Layout, steps: &[Step]) -> usize {
    let born_there = layout.cloned.has(Kind::User);
    steps.iter().take_while(|step| born_there && matches!(step, Step::Ration(_))).count()
}

/// What can take privilege: what no one but a child of the caller's user namespace may do.
pub(super) fn privileged(request: &Request, host: &Host) -> Vec<Step> {
    let asked = &request.privilege;
    let text = |score: i32| CString::new(score.to_string()).expect("a number holds no NUL");
    let raised = raised(request, host).map(|(limit, _)| Ration::Raise(limit.resource, limit.hard));
    raised
        .chain(asked.nice.map(Ration::Nice))
        .chain(asked.oom_score_adj.map(text).map(Ration::OomScoreAdj))
        .chain(asked.cpu_affinity.clone().map(Ration::Affinity))
        // Before the policy, from which the kernel makes up the priority of who has none.
        .chain(asked.ioprio.map(Ration::IoPriority))
        .chain(asked.sched.map(Ration::Scheduling))
        .map(Step::Ration)
        .collect()
}

/// The limits themselves, which take no privilege where the hard ones are high enough.
pub(super) fn limits(request: &Request) -> impl Iterator<Item = Step> {
    request.privilege.rlimit.iter().map(|limit| Step::Ration(Ration::Limit(*limit)))
}

/// The limits whose hard one is above the caller's, and that.
fn raised<'a>(request: &'a Request, host: &'a Host) -> impl Iterator<Item = (&'a Limit, u64)> {
    let own = |limit: &Limit| host.limits.hard.iter().find(|(number, _)| *number == limit.resource.number);
    request.privilege.rlimit.iter().filter_map(move |limit| {
        own(limit).map(|(_, hard)| (limit, *hard)).filter(|(limit, hard)| limit.hard > *hard)
    })
}

pub(super) fn needs(request: &Request, host: &Host) -> Vec<Need> {
    let need = |(limit, own): (&Limit, u64)| {
        let Limit { resource, hard, .. } = *limit;
        let (name, own) = (resource.name, resource.written(own));
        let most = format!("ask for {own} at most");
        let elsewhere = "it counts in the initial user namespace alone, and the caller is in another";
        Need {
            capability: Capability::CAP_SYS_RESOURCE,
            purpose: format!("raise the hard limit of {name} from {own} to {}", resource.written(hard)),
            held: host.can(Capability::CAP_SYS_RESOURCE) && !host.limits.elsewhere,
            remedy: match host.limits.elsewhere {
                true => format!("{elsewhere}: {most}"),
                false => most,
            },
        }
    };
    raised(request, host).map(need).collect()
}
