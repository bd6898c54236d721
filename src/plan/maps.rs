//! Decides the id maps of a new user namespace: which ranges, who writes them, whether setgroups(2) is denied first.

use caps::Capability;
use std::path::PathBuf;

use super::Need;
use super::chosen::Chosen;
use super::namespaces::Layout;
use crate::account::Principal;
use crate::failure::{Failure, Stage};
use crate::host::{Host, Side, SubRange};
use crate::idmap::{IdMap, IdRange};
use crate::namespace::Kind;
use crate::request::Request;
use crate::request::namespaces::MapSpec;

/// Who writes a map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MapWriter {
    /// The launcher itself.
    Direct,
    /// newuidmap(1) or newgidmap(1), at this path.
    Helper(PathBuf),
}

/// One map, and who writes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MapPlan {
    pub map: IdMap,
    pub writer: MapWriter,
    need: Option<Need>,
}

/// Both maps of a new user namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Maps {
    pub uid: MapPlan,
    pub gid: MapPlan,
    pub deny_setgroups: bool,
    /// Whether these are the caller's own ids alone, which who enters the namespace may map from inside.
    pub own_ids: bool,
}

impl Maps {
    pub(super) fn needs(&self) -> impl Iterator<Item = &Need> {
        self.uid.need.iter().chain(&self.gid.need)
    }
}

/// What tells the sides apart.
struct Which<'a> {
    option: &'static str,
    what: &'static str,
    capability: Capability,
    file: &'static str,
    program: &'static str,
    host: &'a Side,
    /// The caller's own effective id.
    own: u32,
    /// Whether the caller may map ids that are not its own.
    able: bool,
}

pub(super) fn decide(
    request: &Request,
    host: &Host,
    layout: &Layout,
    chosen: &Chosen,
) -> Result<Option<Maps>, Failure> {
    if !layout.made.has(Kind::User) {
        return Ok(None);
    }
    let users = Which {
        option: "--map-uid",
        what: "uid",
        capability: Capability::CAP_SETUID,
        file: "/etc/subuid",
        program: "newuidmap",
        host: &host.user_side,
        own: host.uids[1],
        able: host.can(Capability::CAP_SETUID),
    };
    let groups = Which {
        option: "--map-gid",
        what: "gid",
        capability: Capability::CAP_SETGID,
        file: "/etc/subgid",
        program: "newgidmap",
        host: &host.group_side,
        own: host.gids[1],
        able: host.can(Capability::CAP_SETGID),
    };
    let uid_taken = [chosen.uid.unwrap_or(users.own)];
    let gid_taken: Vec<u32> = [chosen.gid.unwrap_or(groups.own)]
        .into_iter()
        .chain(chosen.groups.listed().iter().copied())
        .collect();
    let uid = users.map(&request.namespaces.uid_specs(), &uid_taken)?.written(&users, host)?;
    let gid = groups.map(&request.namespaces.gid_specs(), &gid_taken)?.written(&groups, host)?;
    let by_own_id = match gid.writer {
        // A map that the caller may not write at all is refused for that, and not for its groups.
        MapWriter::Direct => !groups.able && gid.need.is_none(),
        MapWriter::Helper(_) => gid.map.ranges().iter().any(|range| !granted(range, &groups.host.grants)),
    };
    let asked = request.namespaces.setgroups.is_some();
    let deny_setgroups = asked || by_own_id || host.denies_setgroups;
    let own = |map: &IdMap, own: u32| matches!(map.ranges(), [one] if one.count == 1 && one.outside == own);
    let own_ids = deny_setgroups && own(&uid.map, users.own) && own(&gid.map, groups.own);
    Ok(Some(Maps { uid, gid, deny_setgroups, own_ids }))
}

/// A map that nobody has been found for yet.
struct Unwritten(IdMap);

impl Which<'_> {
    /// The map that was asked for, or the default, which holds `taken`, the ids that the command takes.
    fn map(&self, specs: &[&MapSpec], taken: &[u32]) -> Result<Unwritten, Failure> {
        let ranges = if specs.is_empty() { self.default_ranges(taken)? } else { self.asked_ranges(specs)? };
        let object =
            if specs.is_empty() { format!("the {}s of the user", self.what) } else { self.option.into() };
        IdMap::new(ranges).map(Unwritten).map_err(|rule| {
            let verb = if specs.is_empty() { "map" } else { "take" };
            let failure = Failure::refused(Stage::Plan, verb, object, rule);
            if specs.is_empty() {
                failure.hint("--map all maps every id, --groups none or LIST takes fewer")
            } else {
                failure
            }
        })
    }

    fn default_ranges(&self, taken: &[u32]) -> Result<Vec<IdRange>, Failure> {
        let first = taken[0];
        if self.able {
            let mut taken = taken.to_vec();
            taken.sort_unstable();
            taken.dedup();
            return Ok(taken.into_iter().map(IdRange::same).collect());
        }
        if self.own == 0 && first != 0 {
            let rule =
                format!("{} 0 outside is never shown as {first} inside unless a map says so", self.what);
            let failure = Failure::refused(Stage::Plan, "choose", format!("a {} map", self.what), rule);
            return Err(failure.hint(format!("say it with {} {first}:0:1", self.option)));
        }
        Ok(vec![IdRange { inside: first, outside: self.own, count: 1 }])
    }

    fn asked_ranges(&self, specs: &[&MapSpec]) -> Result<Vec<IdRange>, Failure> {
        let mut ranges = Vec::new();
        for spec in specs {
            let refuse =
                |rule: String| Failure::refused(Stage::Plan, "take", format!("{} {spec}", self.option), rule);
            match spec {
                MapSpec::Own => ranges.push(IdRange::same(self.own)),
                MapSpec::Auto => {
                    ranges.extend(self.grants_in_a_row().map_err(refuse).map_err(|failure| {
                        let kind = if self.what == "uid" { "uids" } else { "gids" };
                        failure.hint(format!("usermod --add-sub{kind} 100000-165535 USER adds a line"))
                    })?)
                }
                MapSpec::All => {
                    let own = self.host.own_map.iter().flat_map(IdMap::ranges);
                    ranges.extend(own.map(|range| IdRange { outside: range.inside, ..*range }));
                }
                MapSpec::Range { inside, outside, count } => {
                    let (inside, outside) = (self.id(inside), self.id(outside));
                    ranges.push(IdRange::new(inside, outside, *count).map_err(refuse)?);
                }
            }
        }
        Ok(ranges)
    }

    fn id(&self, principal: &Principal) -> u32 {
        match principal {
            Principal::Id(id) => *id,
            Principal::Name(name) => self.host.names[name],
        }
    }

    fn grants_in_a_row(&self) -> Result<Vec<IdRange>, String> {
        let mut inside = 0u32;
        let mut ranges = Vec::new();
        for grant in &self.host.grants {
            ranges.push(IdRange::new(inside, grant.first, grant.count)?);
            inside = inside.checked_add(grant.count).ok_or("more ids are granted than there are")?;
        }
        match ranges.is_empty() {
            true => Err(format!("no line of {} grants the caller anything", self.file)),
            false => Ok(ranges),
        }
    }
}

impl Unwritten {
    fn written(self, side: &Which, host: &Host) -> Result<MapPlan, Failure> {
        let ranges = self.0.ranges();
        let zero = ranges.iter().any(|range| range.outside == 0) && side.what == "uid";
        let unmapped = |range: &&IdRange| {
            let known = side.host.own_map.as_ref();
            known.is_some_and(|own| {
                !own.ranges().iter().any(|has| covers(has.inside, has.last_inside(), range))
            })
        };
        let direct = |need| Ok(MapPlan { map: self.0.clone(), writer: MapWriter::Direct, need });
        let need = |capability, purpose: String, remedy: String| Need {
            capability,
            purpose,
            held: host.can(capability),
            remedy,
        };
        if side.able
            && let Some(range) = ranges.iter().find(unmapped)
        {
            let rule = "the caller's own user namespace does not hold all of that in its INSIDE column";
            return Err(Failure::refused(Stage::Plan, "map", format!("{} {range}", side.what), rule));
        }
        if side.able {
            let purpose = "map uid 0 of the caller's user namespace".to_string();
            let remedy = "map other ids, or grant CAP_SETFCAP (Linux 5.12 asks for it)".to_string();
            return direct(zero.then(|| need(Capability::CAP_SETFCAP, purpose, remedy)));
        }
        if let [IdRange { outside, count: 1, .. }] = ranges
            && *outside == side.own
        {
            return direct(None);
        }
        let lacking: Vec<String> = ranges
            .iter()
            .filter(|range| {
                !(granted(range, &side.host.grants) || range.count == 1 && range.outside == side.own)
            })
            .map(|range| format!("{}-{}", range.outside, range.last_outside()))
            .collect();
        match (&side.host.helper, lacking.is_empty()) {
            (Some(helper), true) => {
                Ok(MapPlan { map: self.0.clone(), writer: MapWriter::Helper(helper.clone()), need: None })
            }
            (helper, _) => {
                let purpose = format!("map {} {}", side.what, self.0);
                let mut ways = Vec::new();
                if helper.is_none() {
                    ways.push(format!("{}, of the package uidmap", side.program));
                }
                if !lacking.is_empty() {
                    ways.push(format!("a line of {} that holds {}", side.file, lacking.join(" and ")));
                }
                direct(Some(need(
                    side.capability,
                    purpose,
                    format!("without it, that takes {}", ways.join(" and ")),
                )))
            }
        }
    }
}

/// Whether the lines together hold all of the range, as newuidmap(1) reads them.
fn granted(range: &IdRange, grants: &[SubRange]) -> bool {
    let mut spans: Vec<(u32, u32)> =
        grants.iter().map(|grant| (grant.first, grant.first.saturating_add(grant.count - 1))).collect();
    spans.sort_unstable();
    let mut whole: Vec<(u32, u32)> = Vec::new();
    for (first, last) in spans {
        match whole.last_mut() {
            Some((_, before)) if first <= before.saturating_add(1) => *before = last.max(*before),
            _ => whole.push((first, last)),
        }
    }
    whole.into_iter().any(|(first, last)| covers(first, last, range))
}

fn covers(first: u32, last: u32, range: &IdRange) -> bool {
    first <= range.outside && range.last_outside() <= last
}
