//! Why the command did not get its share of the machine: which capability or limit it would have taken, and what there is.

use std::fs;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::NOT_SO;
use crate::failure::{Cause, Failure};
use crate::plan::Ration;
use crate::request::privilege::limits::{Cpus, Resource};
use crate::sys;

/// What was tried, and the errno; 0 where a second look did not agree.
pub fn ration(ration: &Ration, errno: i32) -> Failure {
    let (stage, (verb, object)) = (ration.stage(), ration.words());
    let refused = |rule: &str| Failure::refused(stage, verb, object.clone(), rule);
    if let (Ration::Affinity(_), 0 | libc::EINVAL) = (ration, errno) {
        let rule = match errno {
            0 => "the kernel allows not all of them",
            _ => "the kernel allows none of them",
        };
        return match allowed() {
            Ok(cpus) => refused(rule).hint(format!("it allows {cpus}")),
            Err(_) => refused(rule),
        };
    }
    if errno == 0 {
        return refused(NOT_SO);
    }
    let errno = Errno::from_raw(errno);
    let failure = Failure::errno(stage, verb, object.clone(), errno);
    let takes = |what: String| Failure {
        cause: Cause::Because(errno, format!("that takes {what}")),
        ..failure.clone()
    };
    match (ration, errno) {
        (Ration::Raise(resource, hard), Errno::EPERM) => raise(*resource, *hard, takes),
        (Ration::Limit(limit), Errno::EPERM) => raise(limit.resource, limit.hard, takes),
        (Ration::Nice(niceness), Errno::EACCES | Errno::EPERM) => {
            takes(format!("{NICE}, or an RLIMIT_NICE of {}", 20 - niceness)).hint(HIGHER)
        }
        (Ration::OomScoreAdj(_), Errno::EACCES) => {
            let own = fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
            takes(RESOURCE.to_string()).hint(format!("the caller's is {}, and may be raised", own.trim_end()))
        }
        (Ration::IoPriority(_), Errno::EPERM) => {
            takes(NICE.to_string()).hint("be:0 is the highest that takes none")
        }
        (Ration::Scheduling(policy), Errno::EPERM) if policy.priority > 0 => {
            takes(format!("{NICE}, or an RLIMIT_RTPRIO of {}", policy.priority))
                .hint("with either, it is the cgroup that has no real-time budget: cpu.rt_runtime_us")
        }
        (Ration::Scheduling(_), Errno::EPERM) => takes(NICE.to_string()),
        _ => failure,
    }
}

const NICE: &str = "CAP_SYS_NICE in the initial user namespace";
const RESOURCE: &str = "CAP_SYS_RESOURCE in the initial user namespace";
const HIGHER: &str = "a niceness at or above the caller's takes nothing";

fn raise(resource: Resource, hard: u64, takes: impl Fn(String) -> Failure) -> Failure {
    let read = |path| fs::read_to_string(path).ok().and_then(|text| text.trim_end().parse::<u64>().ok());
    match read("/proc/sys/fs/nr_open").filter(|most| resource.name == "nofile" && *most < hard) {
        Some(most) => {
            takes(format!("a higher fs.nr_open, which is {most}")).hint(format!("ask for {most} at most"))
        }
        None => {
            let own = sys::hard_limit(resource.number).map(|own| resource.written(own)).unwrap_or_default();
            takes(RESOURCE.to_string()).hint(format!("ask for {own} at most"))
        }
    }
}

/// The CPUs that the kernel leaves of all there can be, which only trying tells.
fn allowed() -> Result<Cpus, Errno> {
    let own = Pid::from_raw(0);
    let (before, mut all) = (sched_getaffinity(own)?, CpuSet::new());
    (0..CpuSet::count()).try_for_each(|cpu| all.set(cpu))?;
    sched_setaffinity(own, &all)?;
    let found = sched_getaffinity(own);
    sched_setaffinity(own, &before)?;
    let (found, mut words) = (found?, vec![0u64; CpuSet::count() / 64]);
    for cpu in (0..CpuSet::count()).filter(|cpu| found.is_set(*cpu) == Ok(true)) {
        words[cpu / 64] |= 1 << (cpu % 64);
    }
    Ok(Cpus(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(name: &str) -> Resource {
        Resource::ALL.into_iter().find(|resource| resource.name == name).unwrap()
    }

    #[test]
    fn a_hard_limit_that_is_not_raised_is_told_with_what_holds_it() {
        let most = fs::read_to_string("/proc/sys/fs/nr_open").unwrap();
        let most: u64 = most.trim_end().parse().unwrap();
        let told = ration(&Ration::Raise(resource("nofile"), most + 1), libc::EPERM);
        assert_eq!(told.reason(), format!("that takes a higher fs.nr_open, which is {most} (EPERM)"));
        assert_eq!(told.hint.as_deref(), Some(format!("ask for {most} at most").as_str()));
        let core = resource("core");
        let own = core.written(sys::hard_limit(core.number).unwrap());
        let told = ration(&Ration::Raise(core, 1 << 30), libc::EPERM);
        assert_eq!(
            told.to_string(),
            "limits: cannot raise the hard limit of core to 1G: that takes CAP_SYS_RESOURCE in the initial user namespace (EPERM)"
        );
        assert_eq!(told.hint.as_deref(), Some(format!("ask for {own} at most").as_str()));
    }
}
