//! Who was asked for, in ids, before it is known whether the maps hold them.

use crate::account::{GroupsSpec, Principal};
use crate::failure::{Failure, Stage};
use crate::host::Host;
use crate::request::Request;

/// Who was asked for, before the maps are known.
pub(super) struct Chosen {
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub groups: Wish,
    /// Whether setgroups(2) is to be denied by word.
    pub forbidden: bool,
    pub user_name: Option<String>,
}

pub(super) enum Wish {
    Keep,
    Set { list: Vec<u32>, said: bool },
}

impl Wish {
    pub fn listed(&self) -> &[u32] {
        match self {
            Wish::Keep => &[],
            Wish::Set { list, .. } => list,
        }
    }
}

impl Chosen {
    pub fn decide(request: &Request, host: &Host) -> Result<Chosen, Failure> {
        let asked = &request.identity;
        let id = |principal: &Principal| match principal {
            Principal::Id(id) => *id,
            Principal::Name(name) => host.group_side.names[name],
        };
        let entry = host.account.as_ref().and_then(|account| account.entry.as_ref());
        let user = asked.user.as_ref();
        let group = asked.group.as_ref().or(user.and_then(|user| user.group.as_ref()));
        let gid = match (group, user, entry) {
            (Some(group), ..) => Some(id(group)),
            (None, Some(_), Some(entry)) => Some(entry.gid),
            (None, Some(user), None) => {
                let rule = "the user database has no entry with a group for it, and the caller's is not kept";
                let failure = Failure::refused(Stage::Account, "take", format!("--user {user}"), rule);
                return Err(failure.hint(format!("say the group as well: --user {user}:{user}")));
            }
            (None, None, _) => None,
        };
        let spec = GroupsSpec::joined(&asked.groups);
        let spec = spec.map_err(|rule| Failure::refused(Stage::Plan, "take", "--groups", rule))?;
        let said = spec.is_some();
        let spec = spec.unwrap_or(match user.map(|user| &user.user) {
            Some(Principal::Name(_)) => GroupsSpec::Init,
            Some(Principal::Id(_)) => GroupsSpec::None,
            None => GroupsSpec::Keep,
        });
        let list = match spec {
            GroupsSpec::Keep => None,
            GroupsSpec::None => Some(Vec::new()),
            GroupsSpec::List(list) => Some(list.iter().map(id).collect()),
            GroupsSpec::Init => {
                Some(host.account.as_ref().and_then(|account| account.groups.clone()).ok_or_else(|| {
                    let rule = "init takes the groups of a user that the database has: add --user NAME";
                    Failure::refused(Stage::Plan, "take", "--groups init", rule)
                })?)
            }
        };
        let groups = match list {
            None => Wish::Keep,
            Some(mut list) => {
                list.sort_unstable();
                list.dedup();
                Wish::Set { list, said }
            }
        };
        let user_name = entry.map(|entry| entry.name.clone());
        let forbidden = request.namespaces.setgroups.is_some();
        Ok(Chosen {
            uid: host.account.as_ref().map(|account| account.uid),
            gid,
            groups,
            forbidden,
            user_name,
        })
    }
}
