//! Asks the user and group databases, and nobody else. A number that came with its group is never asked about.

use std::collections::BTreeMap;
use std::ffi::CString;

use nix::errno::Errno;
use nix::unistd::{Group, Uid, User};

use super::getent::{self, Entry};
use crate::account::{GroupsSpec, MAX_GROUPS, Principal};
use crate::failure::{Failure, Stage, shown};
use crate::request::Request;
use crate::sys;

/// The user that the command becomes, as the database has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    pub uid: u32,
    /// The entry, where one was asked for and found.
    pub entry: Option<Entry>,
    /// The user's groups by getgrouplist(3), the primary one included; only where the request calls for them.
    pub groups: Option<Vec<u32>>,
}

/// The groups that a request names, outside its maps.
pub fn group_names(request: &Request) -> Vec<&Principal> {
    let identity = &request.identity;
    let listed = identity.groups.iter().flat_map(|spec| match spec {
        GroupsSpec::List(list) => list.as_slice(),
        _ => &[],
    });
    let own = identity.user.as_ref().and_then(|user| user.group.as_ref());
    listed.chain(own).chain(&identity.group).collect()
}

/// What these users' names stand for.
pub fn users<'a>(principals: impl Iterator<Item = &'a Principal>) -> Result<BTreeMap<String, u32>, Failure> {
    by_name(principals, |name| Ok(user(name)?.0))
}

/// What these groups' names stand for.
pub fn groups<'a>(principals: impl Iterator<Item = &'a Principal>) -> Result<BTreeMap<String, u32>, Failure> {
    by_name(principals, |name| match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => getent::group(name).ok_or_else(|| unknown("group", name)),
        Err(errno) => Err(unreadable("group", name, errno)),
    })
}

fn by_name<'a>(
    principals: impl Iterator<Item = &'a Principal>,
    look: impl Fn(&str) -> Result<u32, Failure>,
) -> Result<BTreeMap<String, u32>, Failure> {
    let mut found = BTreeMap::new();
    for principal in principals {
        if let Principal::Name(name) = principal
            && !found.contains_key(name)
        {
            found.insert(name.clone(), look(name)?);
        }
    }
    Ok(found)
}

/// The account of `--user`, with as little asked as the request allows.
pub fn account(request: &Request, groups: &BTreeMap<String, u32>) -> Result<Option<Account>, Failure> {
    let identity = &request.identity;
    let Some(spec) = &identity.user else { return Ok(None) };
    let group = identity.group.as_ref().or(spec.group.as_ref());
    let wants_groups = match (identity.groups.first(), &spec.user) {
        (Some(spec), _) => *spec == GroupsSpec::Init,
        (None, user) => matches!(user, Principal::Name(_)),
    };
    let found = match &spec.user {
        Principal::Name(name) => Some(user(name)?),
        Principal::Id(_) if group.is_some() && !wants_groups => None,
        Principal::Id(uid) => user_of(*uid)?,
    };
    let uid = match (&spec.user, &found) {
        (Principal::Id(uid), _) => *uid,
        (Principal::Name(_), Some((uid, _))) => *uid,
        (Principal::Name(name), None) => return Err(unknown("user", name)),
    };
    let entry = found.map(|(_, entry)| entry);
    let gid = match group {
        Some(Principal::Id(gid)) => Some(*gid),
        Some(Principal::Name(name)) => groups.get(name).copied(),
        None => entry.as_ref().map(|entry| entry.gid),
    };
    let groups = match (&entry, gid) {
        (Some(entry), Some(gid)) if wants_groups => Some(group_list(entry, gid)?),
        _ => None,
    };
    Ok(Some(Account { uid, entry, groups }))
}

fn user(name: &str) -> Result<(u32, Entry), Failure> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(entry(user)),
        Ok(None) => getent::user(name).ok_or_else(|| unknown("user", name)),
        Err(errno) => Err(unreadable("user", name, errno)),
    }
}

fn user_of(uid: u32) -> Result<Option<(u32, Entry)>, Failure> {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => Ok(Some(entry(user))),
        Ok(None) => Ok(getent::user(&uid.to_string())),
        Err(errno) => Err(unreadable("user", &uid.to_string(), errno)),
    }
}

fn entry(user: User) -> (u32, Entry) {
    let (home, shell) = (user.dir.into_os_string(), user.shell.into_os_string());
    (user.uid.as_raw(), Entry { name: user.name, gid: user.gid.as_raw(), home, shell, local: true })
}

/// getgrouplist(3) in a buffer that grows, up to the 65536 groups that setgroups(2) takes.
fn group_list(entry: &Entry, gid: u32) -> Result<Vec<u32>, Failure> {
    let name = entry.name.as_str();
    let owner = CString::new(name).expect("a passwd entry holds no NUL");
    let list = sys::group_list(&owner, gid, MAX_GROUPS);
    let mut list = list.ok_or_else(|| {
        let rule =
            format!("the user is in more than {MAX_GROUPS} groups, which is all that the kernel takes");
        let object = format!("the groups of {}", shown(name));
        Failure::refused(Stage::Account, "list", object, rule).hint("choose some with --groups LIST")
    })?;
    if !entry.local {
        list.extend(getent::groups(name).unwrap_or_default());
    }
    list.sort_unstable();
    list.dedup();
    Ok(list)
}

fn unknown(what: &str, name: &str) -> Failure {
    let rule = format!("the {what} database has no {what} of that name");
    Failure::refused(Stage::Account, "look up", format!("{what} {}", shown(name)), rule)
}

fn unreadable(what: &str, name: &str, errno: Errno) -> Failure {
    let object = format!("{what} {}", shown(name));
    let failure = Failure::errno(Stage::Account, "look up", object, errno);
    failure
        .hint(format!("the {what} database can't be read; numbers with their group, as 1000:1000, need none"))
}
