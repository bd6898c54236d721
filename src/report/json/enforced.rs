//! What is in force of the command's privilege and share, as JSON: read back, but for Landlock's rules, which no call shows.

use serde_json::{Map, Value, json};

use crate::launch::{Observed, Standing};
use crate::namespace::Kind;
use crate::plan::{Plan, Ration, Step};
use crate::request::privilege::Securebits;
use crate::request::privilege::limits::Limit;

/// Who the command is, read back: inside by itself, outside by its launcher.
pub(super) fn enforced(plan: &Plan, standing: &Standing, seen: &Observed) -> Value {
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
    let over = match (plan.layout.made.has(Kind::User), plan.layout.joins(Kind::User)) {
        (true, _) => "new",
        (_, true) => "joined",
        _ => "caller",
    };
    let [inheritable, permitted, effective, bounding, ambient] =
        seen.capabilities.map(|set| format!("{set:016x}"));
    let landlock = plan.ruleset().map(|rules| json!({ "abi": rules.abi, "unenforced": rules.unenforced }));
    json!({
        "uid": ids(standing.uids, seen.uids),
        "gid": ids(standing.gids, seen.gids),
        "groups": groups,
        "capabilities": { "inheritable": inheritable, "permitted": permitted, "effective": effective,
                          "bounding": bounding, "ambient": ambient, "over": over },
        "no_new_privs": seen.no_new_privs,
        "securebits": Securebits(seen.securebits).names(),
        "seccomp": match (seen.is_filtered, plan.steps.iter().any(|step| matches!(step, Step::Filter { .. }))) {
            (true, _) => "filtered",
            (_, true) => "at-exec",
            _ => "none",
        },
        "share": share(plan),
        "landlock": landlock,
    })
}

/// The command's share of the machine, as far as it was asked for: each step has read back what it had set.
fn share(plan: &Plan) -> Value {
    let mut share = Map::new();
    let mut limits = Map::new();
    for step in &plan.steps {
        let Step::Ration(ration) = step else { continue };
        let (name, value) = match ration {
            Ration::Raise(..) => continue,
            Ration::Limit(Limit { resource, soft, hard }) => {
                let value =
                    |limit: u64| if limit == libc::RLIM_INFINITY { json!("unlimited") } else { json!(limit) };
                let both = json!({ "soft": value(*soft), "hard": value(*hard) });
                limits.insert(resource.name.to_string(), both);
                continue;
            }
            Ration::Nice(niceness) => ("nice", json!(niceness)),
            Ration::OomScoreAdj(score) => {
                ("oom_score_adj", json!(score.to_str().ok().and_then(|score| score.parse::<i32>().ok())))
            }
            Ration::Affinity(cpus) => ("cpu_affinity", json!(cpus.to_string())),
            Ration::IoPriority(priority) => ("ioprio", json!(priority.to_string())),
            Ration::Scheduling(policy) => ("sched", json!(policy.to_string())),
        };
        share.insert(name.to_string(), value);
    }
    share.insert("limits".to_string(), Value::Object(limits));
    Value::Object(share)
}
