//! Decides what the command's system calls are filtered by, and where that has to be loaded.

use caps::Capability;

use super::{Layout, Lifetime, Need, Step};
use crate::capability::Capabilities;
use crate::failure::{Failure, Stage, shown};
use crate::host::Host;
use crate::request::Request;
use crate::seccomp::{self, Machine, Profile, Program};

/// What is denied is answered as if it took a privilege. Source: errno(3).
const EPERM: u16 = 1;

/// The filters, in the order in which they are loaded: the file's, then those of `--deny-syscall`.
///
/// `bounding` is the bounding set that the command is left with, by which a profile chooses its rules.
pub(super) fn decide(request: &Request, host: &Host, bounding: Capabilities) -> Result<Vec<Step>, Failure> {
    let asked = &request.privilege;
    let machine = Machine::HERE.expect("seclude is built for the machines that have filters");
    let mut programs = Vec::new();
    if let Some(path) = &asked.seccomp {
        let is_json = host.seccomp.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        let program = if is_json {
            let text = str::from_utf8(&host.seccomp).map_err(|_| "a profile is UTF-8".to_string());
            let profile = text.and_then(Profile::read);
            profile.and_then(|profile| profile.compile(machine, bounding.0, host.kernel))
        } else {
            Program::compiled(&host.seccomp)
                .map_err(|rule| format!("a file that does not begin with {{ is compiled BPF, and {rule}"))
        };
        programs.push(program.map_err(|rule| Failure::refused(Stage::Seccomp, "take", shown(path), rule))?);
    }
    let denied: Vec<String> = asked.deny_syscall.iter().flat_map(|list| list.0.clone()).collect();
    if !denied.is_empty() {
        let profile = Profile::deny(&denied, EPERM, machine);
        let program = profile.and_then(|profile| profile.compile(machine, bounding.0, host.kernel));
        programs.push(program.map_err(|rule| Failure::refused(Stage::Plan, "take", "--deny-syscall", rule))?);
    }
    let step = |program: Program| {
        let readable = program.is_readable(machine);
        Step::Filter { program, readable }
    };
    Ok(programs.into_iter().map(step).collect())
}

/// A command with other privileges than its caller has is not to act as the caller by typing into its terminal. Only a
/// filter keeps it from that and leaves it the terminal; it takes a privilege, or no_new_privs.
pub(super) fn typing(
    request: &Request,
    host: &Host,
    layout: &Layout,
    lifetime: &Lifetime,
) -> Result<Option<Step>, Failure> {
    if host.has_terminal != Some(true) || lifetime.new_session || lifetime.daemon {
        return Ok(None);
    }
    let able = layout.enters_user() || host.can(Capability::CAP_SYS_ADMIN) || request.privilege.no_new_privs;
    match (able, host.lets_type) {
        (true, _) => Ok(Some(Step::NoTyping(seccomp::typing::filter()))),
        (false, false) => Ok(None),
        (false, true) => {
            let rule =
                "a filter takes CAP_SYS_ADMIN, and this kernel lets every process type into its terminal";
            let object = "the command from typing into the caller's terminal";
            Err(Failure::refused(Stage::Plan, "keep", object, rule)
                .hint("add --no-new-privs, or --new-session"))
        }
    }
}

pub(super) fn need(request: &Request, host: &Host, layout: &Layout) -> Option<Need> {
    let asked = &request.privilege;
    (asked.filters() && !asked.no_new_privs && !layout.enters_user()).then(|| Need {
        capability: Capability::CAP_SYS_ADMIN,
        purpose: "filter system calls".to_string(),
        held: host.can(Capability::CAP_SYS_ADMIN),
        remedy: "add --no-new-privs, with which it takes no privilege".to_string(),
    })
}
