//! The report as JSON: one versioned object per line. Ids, groups and maps are as enforced, not as requested.

use serde::Serialize;
use serde_json::{Value, json};

use super::Finding;
use super::text::how;
use crate::failure::{Cause, Failure, name, shown};
use crate::idmap::IdMap;
use crate::launch::{Held, Launched, Observed};
use crate::namespace::Kind;
use crate::plan::{Groups, MapPlan, MapWriter, Plan};
use crate::supervise::{End, Way};

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
        plan.exec.candidates.iter().map(|path| shown(path.to_string_lossy().as_ref())).collect();
    let body = json!({
        "command": command(plan),
        "candidates": candidates,
        "namespaces": { "made": layout.made.iter().map(Kind::word).collect::<Vec<_>>(), "joined": joined,
                        "persisted": kept },
        "maps": maps(plan),
        "uid": plan.identity.uid,
        "gid": plan.identity.gid,
        "groups": groups,
        "steps": steps,
        "needs": needs,
    });
    line("plan", body)
}

pub fn started(plan: &Plan, held: &Held) -> String {
    let mut body = json!({
        "command": command(plan),
        "seclude_pid": std::process::id(),
        "real_pid": held.real_pid,
        "isolated_pid": held.isolated_pid,
        "maps": maps(plan),
    });
    if let (Some(body), Some(seen)) = (body.as_object_mut(), &held.observed) {
        let namespaces: serde_json::Map<_, _> = seen
            .namespaces
            .iter()
            .map(|(kind, inode)| {
                (kind.word().to_string(), json!({ "inode": inode, "how": how(plan, *kind) }))
            })
            .collect();
        body.insert("namespaces".to_string(), Value::Object(namespaces));
        body.insert("enforced".to_string(), enforced(plan, held, seen));
        let steps = plan.steps.iter().zip(&seen.micros);
        let steps: Vec<_> = steps
            .map(|(step, micros)| json!({ "stage": step.stage().word(), "step": step.to_string(), "us": micros }))
            .collect();
        body.insert("steps".to_string(), json!(steps));
    }
    line("started", body)
}

/// Who the command is, read back: inside by itself, outside by its launcher.
fn enforced(plan: &Plan, held: &Held, seen: &Observed) -> Value {
    let ids = |inside: [u32; 3], outside: [u32; 4]| {
        json!({ "inside": inside[1], "outside": outside[1], "real_inside": inside[0], "real_outside": outside[0],
                "saved_inside": inside[2], "saved_outside": outside[2] })
    };
    let inside = |gid: u32| match (&plan.maps, plan.layout.joins(Kind::User)) {
        (Some(maps), _) => json!(maps.gid.map.inside(gid)),
        (None, true) => Value::Null,
        (None, false) => json!(gid),
    };
    let groups: Vec<_> =
        seen.groups.iter().map(|gid| json!({ "inside": inside(*gid), "outside": gid })).collect();
    let [inheritable, permitted, effective, bounding, ambient] =
        seen.capabilities.map(|set| format!("{set:016x}"));
    json!({
        "uid": ids(held.uids, seen.uids),
        "gid": ids(held.gids, seen.gids),
        "groups": groups,
        "capabilities": { "inheritable": inheritable, "permitted": permitted, "effective": effective,
                          "bounding": bounding, "ambient": ambient },
        "no_new_privs": seen.no_new_privs,
    })
}

pub fn ended(launched: &Launched, end: &End) -> String {
    let (code, signal, core) = match end.way {
        Way::Exited(code) => (json!(code), Value::Null, false),
        Way::Signaled { signal, core } => (Value::Null, json!(signal_named(signal)), core),
    };
    let micros = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
    let usage = &end.usage;
    let body = json!({
        "real_pid": launched.real_pid,
        "isolated_pid": launched.isolated_pid,
        "exit_code": code,
        "signal": signal,
        "core": core,
        "exit_status": end.way.exit_status(),
        "wall_us": u64::try_from(end.wall.as_micros()).unwrap_or(u64::MAX),
        "user_us": micros(usage.ru_utime),
        "system_us": micros(usage.ru_stime),
        "max_rss_kib": usage.ru_maxrss,
        "minor_faults": usage.ru_minflt,
        "major_faults": usage.ru_majflt,
        "voluntary_switches": usage.ru_nvcsw,
        "involuntary_switches": usage.ru_nivcsw,
    });
    line("ended", body)
}

fn signal_named(number: i32) -> Value {
    let name = nix::sys::signal::Signal::try_from(number)
        .map_or_else(|_| format!("SIGRTMIN+{}", number - 34), |signal| signal.as_str().to_string());
    json!({ "number": number, "name": name })
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
