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
        let inherited = host.denies_setgroups && !layout.joins(Kind::User);
        let groups = match (groups, inherited || maps.is_some_and(|maps| maps.deny_setgroups)) {
            (Wish::Keep, _) => Groups::Keep,
            (Wish::Set { list, .. }, true) if !layout.enters_user() && list == host.groups => {
                Groups::Set(list)
            }
            (Wish::Set { said: false, .. }, true) => Groups::Denied,
            (Wish::Set { said: true, .. }, true) => {
                let (rule, hint) = match (host.denies_setgroups, forbidden) {
                    (true, _) => (
                        "setgroups(2) is denied in the caller's own user namespace, and so in every one below it",
                        "--groups keep leaves them",
                    ),
                    (_, true) => ("--setgroups deny forbids it", "--groups keep leaves them"),
                    _ => (
                        "setgroups(2) is denied in a user namespace whose gid map is the caller's own id",
                        "--groups keep leaves them, or map gids that /etc/subgid grants",
                    ),
                };
                let failure = Failure::refused(Stage::Plan, "set", "the supplementary groups", rule);
                return Err(failure.hint(hint));
            }
            (Wish::Set { list, .. }, false) => Groups::Set(list),
        };
        if let Groups::Set(list) = &groups
            && list.len() > MAX_GROUPS
        {
            let rule = format!("{} groups: the kernel takes {MAX_GROUPS}", list.len());
            return Err(Failure::refused(Stage::Plan, "set", "the supplementary groups", rule));
        }
        let identity = Identity { uid, gid, groups, user_name };
        if let Some(maps) = maps.filter(|_| layout.enters_user()) {
            identity.held_by(maps, host)?;
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

    pub(super) fn steps(&self, host: &Host, layout: &Layout) -> Vec<Step> {
        let entered = layout.enters_user();
        let mut steps = Vec::new();
        let unprivileged = self.uid.is_some_and(|uid| uid != 0);
        if unprivileged && (entered || host.can(Capability::CAP_SETPCAP)) {
            steps.push(Step::Bounding);
        }
        if let Groups::Set(list) = &self.groups
            && (entered || *list != host.groups)
        {
            steps.push(Step::Groups(list.clone()));
        }
        steps.extend(self.gid.filter(|gid| entered || host.gids != [*gid; 3]).map(Step::Gid));
        steps.extend(self.uid.filter(|uid| entered || host.uids != [*uid; 3]).map(Step::Uid));
        if unprivileged {
            steps.extend([Step::Capabilities, Step::Irrevocable]);
        }
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
    failure.hint(format!("choose one with --user, or add --map-{what} self"))
}
