//! Decides who the command becomes, and that nothing of who called is left to it.

use caps::Capability;

use super::chosen::{Chosen, Wish};
use super::maps::Maps;
use super::namespaces::Layout;
use super::{Need, Step};
use crate::account::MAX_GROUPS;
use crate::failure::{Cause, Failure, Stage, Unheld, shown};
use crate::host::Host;
use crate::idmap::IdMap;
use crate::namespace::Kind;

/// What becomes of the supplementary groups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Groups {
    /// The caller's stay.
    Keep,
    /// These are set, in ascending order, each once.
    Set(Vec<u32>),
    /// The user's were meant by default, and setgroups(2) is denied in the new user namespace: the caller's stay.
    Denied,
}

/// Who the command becomes, in ids as seen inside; `None` keeps the caller's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub groups: Groups,
    pub user_name: Option<String>,
    /// Whether its ids outside are the caller's, who has the same real, effective and saved one.
    pub same_ids: bool,
}

impl Identity {
    /// Holds the choice against the maps: an id that the command takes and no range holds is refused here.
    pub(super) fn settle(
        chosen: Chosen,
        host: &Host,
        layout: &Layout,
        maps: Option<&Maps>,
    ) -> Result<Identity, Failure> {
        let Chosen { uid, gid, groups, forbidden, user_name } = chosen;
        let space = host.joined.as_ref().filter(|_| layout.joins(Kind::User));
        let inherited = space.map_or(host.denies_setgroups, |space| space.denies_setgroups);
        let denied = inherited || maps.is_some_and(|maps| maps.deny_setgroups);
        // Whose groups stay: the same user's still, or somebody else's who would have the caller's.
        let outside = uid.and_then(|uid| match (maps, space) {
            (Some(maps), _) => maps.uid.map.outside(uid),
            (None, Some(space)) => space.uid.as_ref().and_then(|map| map.outside(uid)),
            (None, None) => Some(uid),
        });
        let same_user = uid.is_none() || outside == Some(host.uids[1]);
        // Who could not drop them anyway has only ids of its own to go to.
        let delegated = layout.made.has(Kind::User) && !host.can(Capability::CAP_SETGID);
        let groups = match groups {
            Wish::Keep => Groups::Keep,
            Wish::Set { list, .. } if !denied => Groups::Set(list),
            Wish::Set { list, .. } if !layout.enters_user() && list == host.groups => Groups::Set(list),
            Wish::Set { said: false, .. } if same_user || delegated || host.groups.is_empty() => {
                Groups::Denied
            }
            Wish::Set { said, .. } => {
                let rule = match (inherited, forbidden) {
                    (true, _) if space.is_some() => {
                        "setgroups(2) is denied in the user namespace that is joined"
                    }
                    (true, _) => {
                        "setgroups(2) is denied in the caller's own user namespace, and so in every one below it"
                    }
                    (_, true) => "--setgroups deny forbids it",
                    _ => "setgroups(2) is denied in a user namespace whose gid map is the caller's own id",
                };
                let hint = match (said, inherited || forbidden) {
                    (true, false) => "--groups keep leaves them, or map gids that /etc/subgid grants",
                    (true, true) => "--groups keep leaves them",
                    (false, _) => "--groups keep lets another user have the caller's groups",
                };
                let failure = Failure::refused(Stage::Plan, "set", "the supplementary groups", rule);
                return Err(failure.hint(hint));
            }
        };
        if let Groups::Set(list) = &groups
            && list.len() > MAX_GROUPS
        {
            let rule = format!("{} groups: the kernel takes {MAX_GROUPS}", list.len());
            return Err(Failure::refused(Stage::Plan, "set", "the supplementary groups", rule));
        }
        let outside_gid = gid.and_then(|gid| maps.map_or(Some(gid), |maps| maps.gid.map.outside(gid)));
        let stays = |id: Option<u32>, outside: Option<u32>, own: [u32; 3]| {
            id.is_none() || outside.is_some_and(|outside| own == [outside; 3])
        };
        let same_ids = stays(uid, outside, host.uids) && stays(gid, outside_gid, host.gids);
        let identity = Identity { uid, gid, groups, user_name, same_ids };
        match (maps, space) {
            (Some(maps), _) => identity.held_by(maps, host)?,
            (None, Some(space)) => {
                identity.held_by_space("joined", space.uid.as_ref(), space.gid.as_ref())?
            }
            (None, None) => {
                let (users, groups) = (&host.user_side.own_map, &host.group_side.own_map);
                identity.held_by_space("caller's own", users.as_ref(), groups.as_ref())?;
            }
        }
        Ok(identity)
    }

    fn held_by(&self, maps: &Maps, host: &Host) -> Result<(), Failure> {
        let (uids, gids) = (&maps.uid.map, &maps.gid.map);
        let (own_uid, own_gid) = (host.uids[1], host.gids[1]);
        let uid_missing =
            |uid| missing("uid", Unheld::Uid(uid), uids, own_uid, host.can(Capability::CAP_SETUID));
        let gid_missing =
            |what, gid| missing(what, Unheld::Gid(gid), gids, own_gid, host.can(Capability::CAP_SETGID));
        match self.uid {
            Some(uid) if uids.outside(uid).is_none() => return Err(uid_missing(uid)),
            None if uids.inside(own_uid).is_none() => return Err(not_kept("uid", own_uid, uids)),
            _ => {}
        }
        match self.gid {
            Some(gid) if gids.outside(gid).is_none() => return Err(gid_missing("gid", gid)),
            None if gids.inside(own_gid).is_none() => return Err(not_kept("gid", own_gid, gids)),
            _ => {}
        }
        let Groups::Set(list) = &self.groups else { return Ok(()) };
        match list.iter().find(|gid| gids.outside(**gid).is_none()) {
            Some(gid) => Err(gid_missing("supplementary gid", *gid)),
            None => Ok(()),
        }
    }

    /// A user namespace that is there already holds what it holds; of one that can't be looked at, nothing is said.
    fn held_by_space(&self, whose: &str, uids: Option<&IdMap>, gids: Option<&IdMap>) -> Result<(), Failure> {
        let refuse = |what: &str, unheld, inside: u32, map: &IdMap| {
            let object = format!("{what} {inside}");
            let failure = Failure {
                stage: Stage::Plan,
                verb: "become",
                object,
                cause: Cause::Unheld(unheld),
                hint: None,
            };
            Err(failure.hint(format!("the {whose} user namespace holds {map}")))
        };
        let lacks = |map: Option<&IdMap>, id: u32| map.is_some_and(|map| map.outside(id).is_none());
        let groups = match &self.groups {
            Groups::Set(list) => list.as_slice(),
            _ => &[],
        };
        let missing = groups.iter().find(|gid| lacks(gids, **gid));
        match (uids, gids, self.uid, self.gid, missing) {
            (Some(map), _, Some(uid), ..) if lacks(uids, uid) => refuse("uid", Unheld::Uid(uid), uid, map),
            (_, Some(map), _, Some(gid), _) if lacks(gids, gid) => refuse("gid", Unheld::Gid(gid), gid, map),
            (_, Some(map), _, _, Some(gid)) => refuse("supplementary gid", Unheld::Gid(*gid), *gid, map),
            _ => Ok(()),
        }
    }

    pub(super) fn steps(&self, host: &Host, layout: &Layout) -> Vec<Step> {
        let entered = layout.enters_user();
        let mut steps = Vec::new();
        if let Groups::Set(list) = &self.groups
            && (entered || *list != host.groups)
        {
            steps.push(Step::Groups(list.clone()));
        }
        steps.extend(self.gid.filter(|gid| entered || host.gids != [*gid; 3]).map(Step::Gid));
        steps.extend(self.uid.filter(|uid| entered || host.uids != [*uid; 3]).map(Step::Uid));
        steps
    }

    pub(super) fn needs(&self, host: &Host, layout: &Layout) -> Vec<Need> {
        if layout.enters_user() {
            return Vec::new();
        }
        let mut needs = Vec::new();
        let mut need = |capability, purpose: String| {
            let remedy = "run as root, or add --unshare user".to_string();
            needs.push(Need { capability, purpose, held: host.can(capability), remedy });
        };
        if let Some(uid) = self.uid.filter(|uid| !host.uids.contains(uid)) {
            let name = self.user_name.as_ref().map(|name| format!(" ({})", shown(name))).unwrap_or_default();
            need(Capability::CAP_SETUID, format!("become uid {uid}{name}"));
        }
        if let Some(gid) = self.gid.filter(|gid| !host.gids.contains(gid)) {
            need(Capability::CAP_SETGID, format!("become gid {gid}"));
        }
        if let Groups::Set(list) = &self.groups
            && *list != host.groups
        {
            need(Capability::CAP_SETGID, "set the supplementary groups".to_string());
        }
        needs
    }
}

/// Says the range to add: the id as itself for who may map it, never a privileged one as it; else the caller's own.
fn missing(what: &str, unheld: Unheld, map: &IdMap, own: u32, able: bool) -> Failure {
    let (option, inside) = match unheld {
        Unheld::Uid(uid) => ("--map-uid", uid),
        Unheld::Gid(gid) => ("--map-gid", gid),
    };
    let object = format!("{what} {inside}");
    let failure =
        Failure { stage: Stage::Plan, verb: "become", object, cause: Cause::Unheld(unheld), hint: None };
    let outside = Some(if able { inside } else { own }).filter(|outside| map.inside(*outside).is_none());
    let outside = outside.map_or("OUTSIDE".to_string(), |outside| outside.to_string());
    failure.hint(format!("add {option} {inside}:{outside}:1"))
}

fn not_kept(what: &str, own: u32, map: &IdMap) -> Failure {
    let rule =
        format!("the command keeps the caller's {what}, which no range holds in the OUTSIDE column: {map}");
    let failure = Failure::refused(Stage::Plan, "keep", format!("{what} {own}"), rule);
    match map.outside(own) {
        None => failure.hint(format!("choose one with --user, or add --map-{what} self")),
        // The id is another's inside.
        Some(_) => failure.hint("choose one with --user and its group"),
    }
}
