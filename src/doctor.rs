//! Probes what this machine allows, by doing it: each row is a launch that is held before its exec and let go unrun.

use std::ffi::OsString;

use crate::failure::Failure;
use crate::host::{self, Host};
use crate::launch;
use crate::namespace::Kind;
use crate::plan::{Layout, Plan};
use crate::report::Finding;
use crate::request::{Asked, Request, read};

/// A row: what is tried, and the options that try it.
struct Check {
    name: String,
    options: Vec<String>,
    /// Whether the row is about this kind of namespace.
    kind: Option<Kind>,
}

fn checks() -> Vec<Check> {
    let check = |name: &str, options: &str, kind| Check {
        name: name.to_string(),
        options: options.split(' ').map(str::to_string).collect(),
        kind,
    };
    let mut rows = Vec::new();
    for kind in Kind::ALL {
        let name = format!("{kind} namespace");
        let options = match kind {
            Kind::User => "--unshare user --user 0:0".to_string(),
            kind => format!("--unshare user,{kind} --user 0:0"),
        };
        rows.push(check(&name, &options, Some(kind)));
    }
    rows.push(check(
        "fresh /proc (--mount-proc)",
        "--unshare user,pid,mount --user 0:0 --mount-proc",
        Some(Kind::Mount),
    ));
    rows.push(check(
        "ranges of subuid and subgid (--map auto)",
        "--map auto --user 0:0 --groups none",
        Some(Kind::User),
    ));
    rows.push(check("another user, no namespace (--user)", "--user 65534:65534", None));
    rows.push(check("namespaces without a user namespace", "--unshare mount,uts,ipc,net", None));
    rows.push(check("Landlock (--landlock-read)", "--no-new-privs --landlock-read /", None));
    rows
}

/// Tries everything; or, where the request asks for something itself, what that needs, and then the request.
pub fn examine(request: &Request) -> Vec<Finding> {
    let asked = Request { report: Default::default(), command: Vec::new(), ..request.clone() };
    let specific = asked != Request::default();
    // Nothing lives long enough here to be held to how it was to live; whether that can be had is the plan's to say.
    let bare = Request { lifetime: Default::default(), ..asked.clone() };
    let made = Layout::decide(&bare).map(|layout| layout.made).unwrap_or_default();
    let wanted = |check: &Check| {
        !specific || check.kind.is_some_and(|kind| made.has(kind) && check.options.len() <= 4)
    };
    let mut findings: Vec<Finding> = checks()
        .into_iter()
        .filter(wanted)
        .map(|check| Finding {
            answer: parsed(&check.options).and_then(|probe| attempt(&probe)),
            check: check.name,
        })
        .collect();
    if specific {
        let answer = planned(&asked).and_then(|_| attempt(&bare));
        findings.push(Finding { check: "all of these options together".to_string(), answer });
    }
    findings
}

fn parsed(options: &[String]) -> Result<Request, Failure> {
    let words =
        ["seclude"].into_iter().chain(options.iter().map(String::as_str)).chain(["--", "/proc/self/exe"]);
    match read(&words.map(OsString::from).collect::<Vec<_>>())? {
        Asked::Request(request) => Ok(*request),
        Asked::Text(_) => unreachable!("no row asks for help"),
    }
}

/// What would be done, unless that is refused.
fn planned(request: &Request) -> Result<Plan, Failure> {
    let mut request = request.clone();
    request.command = vec![OsString::from("/proc/self/exe")];
    let host = Host::probe(&request)?;
    Plan::new(&request, &host).map_err(host::named)
}

/// Does all but the exec.
fn attempt(request: &Request) -> Result<(), Failure> {
    launch::hold(&planned(request)?).map(drop)
}
