//! The report as JSON: one versioned object per line. Ids, groups and maps are as enforced, not as requested.

mod enforced;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use enforced::enforced;

use super::Finding;
use super::text::{how, leftovers_word};
use crate::failure::{Cause, Failure, name, shown};
use crate::idmap::IdMap;
use crate::launch::{Launched, Standing};
use crate::namespace::Kind;
use crate::plan::lifetime::Model;
use crate::plan::{Groups, Lifetime, MapPlan, MapWriter, Plan};
use crate::seccomp::Machine;
use crate::signal::Signal;
use crate::supervise::{End, Way};
use crate::sys::Usage;

/// Grows when a member changes its meaning or goes; members may be added without.
const VERSION: u32 = 1;

/// What every record begins with.
#[derive(Serialize)]
struct Record<'a> {
    seclude: u32,
    event: &'a str,
    #[serde(flatten)]
    body: Value,
}

fn line(event: &str, body: Value) -> String {
    let record = Record { seclude: VERSION, event, body };
    serde_json::to_string(&record).expect("strings and numbers can be written") + "\n"
}

fn command(plan: &Plan) -> Vec<String> {
    plan.command.iter().map(|word| word.to_str().map_or_else(|| shown(word), str::to_string)).collect()
}

#[derive(Serialize)]
struct Range {
    inside: u32,
    outside: u32,
    count: u32,
}

fn ranges(map: &IdMap) -> Vec<Range> {
    let ranges = map.ranges().iter();
    ranges.map(|range| Range { inside: range.inside, outside: range.outside, count: range.count }).collect()
}

fn writer(plan: &MapPlan) -> Value {
    match &plan.writer {
        MapWriter::Direct => json!("direct"),
        MapWriter::Helper(program) => json!(shown(program)),
    }
}

fn maps(plan: &Plan) -> Value {
    match &plan.maps {
        None => Value::Null,
        Some(maps) => json!({
            "uid": ranges(&maps.uid.map),
            "uid_writer": writer(&maps.uid),
            "gid": ranges(&maps.gid.map),
            "gid_writer": writer(&maps.gid),
            "setgroups": if maps.deny_setgroups { "deny" } else { "allow" },
        }),
    }
}

pub fn plan(plan: &Plan) -> String {
    let layout = &plan.layout;
    let joined: Vec<_> = layout
        .joined
        .iter()
        .map(|(kind, target)| json!({ "kind": kind.word(), "path": shown(target.path(*kind)) }))
        .collect();
    let kept: Vec<_> = layout
        .persist
        .iter()
        .map(|spec| json!({ "kind": spec.kind.word(), "path": shown(&spec.path) }))
        .collect();
    let groups = match &plan.identity.groups {
        Groups::Keep => json!("keep"),
        Groups::Denied => json!("denied"),
        Groups::Set(list) => json!(list),
    };
    let steps: Vec<_> = plan
        .steps
        .iter()
        .map(|step| json!({ "stage": step.stage().word(), "step": step.to_string() }))
        .collect();
    let needs: Vec<_> = plan
        .needs
        .iter()
        .map(|need| {
            json!({ "capability": need.capability.to_string(), "purpose": need.purpose, "held": need.held,
                    "remedy": need.remedy })
        })
        .collect();
    let candidates: Vec<_> =
        plan.exec.candidates.iter().map(|path| shown(OsStr::from_bytes(path.to_bytes()))).collect();
    let body = json!({
        "command": command(plan),
        "candidates": candidates,
        "namespaces": { "made": layout.made.iter().map(Kind::word).collect::<Vec<_>>(), "joined": joined,
                        "persisted": kept },
        "maps": maps(plan),
        "uid": plan.identity.uid,
        "gid": plan.identity.gid,
        "groups": groups,
        "containment": plan.lifetime.containment.word(),
        "lifetime": lifetime(&plan.lifetime),
        "steps": steps,
        "needs": needs,
    });
    line("plan", body)
}

fn lifetime(lifetime: &Lifetime) -> Value {
    let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    json!({
        "model": match lifetime.model { Model::Fork => "fork", Model::Init => "init", Model::Exec => "exec" },
        "timeout_us": lifetime.timeout.map(micros),
        "kill_after_us": micros(lifetime.grace),
        "stop_signal": lifetime.stop_signal.to_string(),
        "leftovers": leftovers_word(lifetime.leftovers),
        "die_with_parent": lifetime.parent.is_some(),
        "daemon": lifetime.daemon,
        "pid_file": lifetime.pid_file.as_ref().map(shown),
    })
}

pub fn started(plan: &Plan, standing: &Standing) -> String {
    let mut body = json!({
        "command": command(plan),
        "seclude_pid": std::process::id(),
        "real_pid": standing.real_pid,
        "isolated_pid": standing.isolated_pid,
        "containment": plan.lifetime.containment.word(),
        "maps": maps(plan),
    });
    if let (Some(body), Some(seen)) = (body.as_object_mut(), &standing.observed) {
        let namespaces: serde_json::Map<_, _> = seen
            .namespaces
            .iter()
            .map(|(kind, inode)| {
                (kind.word().to_string(), json!({ "inode": inode, "how": how(plan, *kind) }))
            })
            .collect();
        body.insert("namespaces".to_string(), Value::Object(namespaces));
        body.insert("enforced".to_string(), enforced(plan, standing, seen));
        let steps = plan.steps.iter().zip(&seen.micros);
        let steps: Vec<_> = steps
            .map(|(step, micros)| json!({ "stage": step.stage().word(), "step": step.to_string(), "us": micros }))
            .collect();
        body.insert("steps".to_string(), json!(steps));
    }
    line("started", body)
}

pub fn ended(plan: &Plan, launched: &Launched, end: &End) -> String {
    let (code, signal, core) = match end.way {
        Way::Exited(code) => (json!(code), Value::Null, false),
        Way::Signaled { signal, core } => (Value::Null, signal_named(signal, end.way.signal()), core),
    };
    let mut body = json!({
        "real_pid": launched.real_pid,
        "isolated_pid": launched.isolated_pid,
        "exit_code": code,
        "signal": signal,
        "core": core,
        "system_call": end.denied.map(|denied| {
            json!({ "number": denied.number, "name": Machine::name(denied.audit, denied.number) })
        }),
        "ended_by": end.by.word(),
        "exit_status": end.exit_status(&plan.lifetime),
        "wall_us": end.wall.map(|wall| u64::try_from(wall.as_micros()).unwrap_or(u64::MAX)),
    });
    if let (Some(body), Value::Object(used)) = (body.as_object_mut(), used(&end.usage)) {
        body.extend(used);
        body.insert("tree".to_string(), json!(end.tree.as_ref().map(self::used)));
    }
    line("ended", body)
}

fn used(usage: &Usage) -> Value {
    json!({
        "user_us": usage.user(),
        "system_us": usage.system(),
        "max_rss_kib": usage.max_rss(),
        "minor_faults": usage.minor_faults(),
        "major_faults": usage.major_faults(),
        "blocks_in": usage.blocks_in(),
        "blocks_out": usage.blocks_out(),
        "voluntary_switches": usage.voluntary_switches(),
        "involuntary_switches": usage.involuntary_switches(),
    })
}

fn signal_named(number: i32, signal: Option<Signal>) -> Value {
    json!({ "number": number, "name": signal.map(|signal| signal.to_string()) })
}

pub fn failed(failure: &Failure) -> String {
    line("failed", failure_body(failure))
}

fn failure_body(failure: &Failure) -> Value {
    let errno = failure.kernel_errno().map(|errno| json!({ "number": errno as i32, "name": name(errno) }));
    let helper = match &failure.cause {
        Cause::Helper { program, status, stderr } => json!({
            "program": shown(program),
            "status": status.map(|status| status.to_string()),
            "stderr": stderr,
        }),
        _ => Value::Null,
    };
    json!({
        "stage": failure.stage.word(),
        "action": failure.verb,
        "object": failure.object,
        "reason": failure.reason(),
        "errno": errno,
        "helper": helper,
        "hint": failure.hint,
        "message": failure.to_string(),
        "exit_status": failure.exit_status(),
    })
}

pub fn finding(finding: &Finding) -> String {
    let body = match &finding.answer {
        Ok(()) => json!({ "check": finding.check, "ok": true }),
        Err(failure) => json!({ "check": finding.check, "ok": false, "failure": failure_body(failure) }),
    };
    line("finding", body)
}
