//! The report as text, for people: one line for a start, a table for a plan. Everything from outside is escaped.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use super::Finding;
use crate::failure::{Failure, shown};
use crate::idmap::IdMap;
use crate::launch::Standing;
use crate::namespace::Kind;
use crate::plan::lifetime::{Containment, Model};
use crate::plan::{Groups, Lifetime, MapPlan, MapWriter, Plan};
use crate::request::lifetime::Leftovers;
use crate::seccomp::Machine;
use crate::signal::Signal;
use crate::supervise::{End, EndedBy, Way};

/// The width of a table's first column.
const COLUMN: usize = 12;

pub fn started(plan: &Plan, standing: &Standing) -> String {
    let name = shown(&plan.command[0]);
    let lacking = plan.ruleset().map(|rules| rules.unenforced.join(", ")).filter(|names| !names.is_empty());
    let lacking = lacking
        .map(|names| format!(", without {names}, which the kernel's Landlock lacks"))
        .unwrap_or_default();
    format!(
        "seclude: {name}: real pid {}, isolated pid {}{lacking}\n",
        standing.real_pid, standing.isolated_pid
    )
}

pub fn ended(plan: &Plan, end: &End) -> String {
    let name = shown(&plan.command[0]);
    let signal =
        |number| Signal::of_number(number).map_or(format!("signal {number}"), |known| known.to_string());
    let way = match end.way {
        Way::Exited(status) => format!("exited with {status}"),
        Way::Signaled { signal: number, core: true } => format!("ended by {}, core dumped", signal(number)),
        Way::Signaled { signal: number, core: false } => format!("ended by {}", signal(number)),
    };
    let call = match end.denied {
        Some(denied) => match Machine::name(denied.audit, denied.number) {
            Some(name) => format!(" for its call of {name}"),
            None => format!(" for its system call {}", denied.number),
        },
        None => String::new(),
    };
    let why = match end.by {
        EndedBy::Itself => "",
        EndedBy::Signal => ", which was passed on to it",
        EndedBy::SecondSignal => ", for a second signal to seclude",
        EndedBy::Timeout => ", for its time was up",
        EndedBy::Parent => ", for seclude's caller had ended",
    };
    let after = end.wall.map(|wall| format!(" after {}", time(wall))).unwrap_or_default();
    format!("seclude: {name}: {way}{call}{after}{why}\n")
}

pub fn leftovers_word(how: Leftovers) -> &'static str {
    match how {
        Leftovers::Kill => "kill",
        Leftovers::Wait => "wait",
        Leftovers::Leave => "leave",
    }
}

/// What a plan says of the command's life, beyond what is always so.
fn life(lifetime: &Lifetime) -> Vec<String> {
    let held = match (lifetime.model, lifetime.containment) {
        (Model::Exec, _) => "seclude becomes the command, and no parent stays",
        (Model::Init, _) => "an init is PID 1; all end with it, and it with seclude",
        (_, Containment::PidNamespace) => "the command is PID 1; all end with it, and it with seclude",
        (_, Containment::Subreaper) => "what outlives the command becomes seclude's",
        (_, Containment::None) => "what outlives the command is out of seclude's hands",
    };
    let mut rows = vec![held.to_string()];
    if lifetime.model != Model::Exec {
        rows.push(format!("leftovers: {}", leftovers_word(lifetime.leftovers)));
    }
    let ends = lifetime.timeout.map(|span| {
        let (signal, grace) = (lifetime.stop_signal, time(lifetime.grace));
        format!("ended after {} by {signal}, and killed {grace} later", time(span))
    });
    rows.extend(ends);
    rows.extend(lifetime.parent.map(|pid| format!("ended with the caller, process {pid}")));
    rows.extend(lifetime.daemon.then(|| "in the background".to_string()));
    rows.extend(lifetime.pid_file.as_ref().map(|path| format!("pid file {}", shown(path))));
    rows
}

pub fn failed(failure: &Failure) -> String {
    let hint = failure.hint.as_ref().map(|hint| format!("seclude: hint: {hint}\n")).unwrap_or_default();
    format!("seclude: {failure}\n{hint}")
}

/// A failure for a terminal: the stage in red, what to do in the plain colour of the text.
pub fn coloured(failure: &Failure) -> String {
    let plain = failed(failure);
    let stage = failure.stage.word();
    let mark = |text: &str, code: &str| format!("\x1b[{code}m{text}\x1b[0m");
    plain
        .replacen(
            &format!("seclude: {stage}:"),
            &format!("{} {}", mark("seclude:", "1"), mark(&format!("{stage}:"), "1;31")),
            1,
        )
        .replacen("\nseclude: hint:", &format!("\n{} {}", mark("seclude:", "1"), mark("hint:", "1;36")), 1)
}

pub fn plan(plan: &Plan) -> String {
    let mut out = String::new();
    let mut row = |title: &str, lines: &[String]| {
        for (index, line) in lines.iter().enumerate() {
            let title = if index == 0 { title } else { "" };
            let _ = writeln!(out, "{title:COLUMN$}{line}");
        }
    };
    row("command", &[words(&plan.command)]);
    let layout = &plan.layout;
    let mut namespaces = Vec::new();
    if !layout.made.is_empty() {
        namespaces.push(format!("new {}", layout.made));
    }
    let joined = layout.joined.iter();
    namespaces.extend(joined.map(|(kind, target)| format!("join {kind} of {}", shown(target.path(*kind)))));
    let kept = layout.persist.iter();
    namespaces.extend(kept.map(|spec| format!("keep {} at {}", spec.kind, shown(&spec.path))));
    if namespaces.is_empty() {
        namespaces.push("the caller's".to_string());
    }
    row("namespaces", &namespaces);
    if let Some(maps) = &plan.maps {
        row("uid map", &map(&maps.uid));
        row("gid map", &map(&maps.gid));
        row("setgroups", &[if maps.deny_setgroups { "denied" } else { "allowed" }.to_string()]);
    }
    let identity = &plan.identity;
    let id = |id: Option<u32>| id.map_or("the caller's".to_string(), |id| id.to_string());
    let name = identity.user_name.as_ref().map(|name| format!(" ({})", shown(name))).unwrap_or_default();
    let groups = match &identity.groups {
        Groups::Keep => "the caller's".to_string(),
        Groups::Denied => "the caller's, since setgroups is denied".to_string(),
        Groups::Set(list) if list.is_empty() => "none".to_string(),
        Groups::Set(list) => list.iter().map(u32::to_string).collect::<Vec<_>>().join(" "),
    };
    row("user", &[format!("uid {}{name}, gid {}", id(identity.uid), id(identity.gid))]);
    row("groups", &[groups]);
    row("life", &life(&plan.lifetime));
    row("steps", &plan.steps.iter().map(|step| step.to_string()).collect::<Vec<_>>());
    let candidates = plan.exec.candidates.iter().map(|path| shown(OsStr::from_bytes(path.to_bytes())));
    row("execute", &candidates.collect::<Vec<_>>());
    let needs = plan.needs.iter().map(|need| {
        let held = if need.held { "held" } else { "missing" };
        format!("{} to {}: {held}", need.capability, need.purpose)
    });
    let mut needs: Vec<String> = needs.collect();
    if needs.is_empty() {
        needs.push("no privilege".to_string());
    }
    row("needs", &needs);
    out
}

fn map(plan: &MapPlan) -> Vec<String> {
    let writer = match &plan.writer {
        MapWriter::Direct => "written directly".to_string(),
        MapWriter::Helper(program) => format!("written by {}", shown(program)),
    };
    let ranges = IdMap::ranges(&plan.map).iter();
    ranges.map(|range| range.to_string()).chain([writer]).collect()
}

/// The steps with their times, and what the kernel shows after them.
pub fn steps(plan: &Plan, standing: &Standing) -> String {
    let mut out = String::new();
    let Some(seen) = &standing.observed else { return out };
    for (step, micros) in plan.steps.iter().zip(&seen.micros) {
        let _ = writeln!(out, "{:>8} µs  {step}", micros);
    }
    if let Some(since) = standing.since {
        let _ = writeln!(out, "{:>8} µs  from the clone until ready", since.elapsed().as_micros());
    }
    for (kind, inode) in &seen.namespaces {
        let how = how(plan, *kind);
        let _ = writeln!(out, "{:COLUMN$}{kind}:[{inode}] {how}", "");
    }
    out
}

/// Whose a namespace is.
pub fn how(plan: &Plan, kind: Kind) -> &'static str {
    match (plan.layout.made.has(kind), plan.layout.joins(kind)) {
        (true, _) => "new",
        (_, true) => "joined",
        _ => "inherited",
    }
}

pub fn findings(findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        match &finding.answer {
            Ok(()) => drop(writeln!(out, "ok  {}", finding.check)),
            Err(failure) => {
                let _ = writeln!(out, "no  {}\n      {failure}", finding.check);
                if let Some(hint) = &failure.hint {
                    let _ = writeln!(out, "      hint: {hint}");
                }
            }
        }
    }
    out
}

/// A command line that a shell would read as these words.
fn words(words: &[OsString]) -> String {
    let quote = |word: &OsString| {
        let text = shown(word);
        let plain = |c: char| c.is_alphanumeric() || "%+,-./:=@_".contains(c);
        match !text.is_empty() && text.chars().all(plain) {
            true => text,
            false => format!("'{}'", text.replace('\'', "'\\''")),
        }
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

fn time(span: Duration) -> String {
    match span.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        seconds => format!("{seconds:.2} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_a_shell_would_read_it() {
        let list = ["sh", "-c", "id -u; echo 'x'", ""].map(OsString::from);
        assert_eq!(words(&list), r"sh -c 'id -u; echo '\''x'\''' ''");
    }
}
