//! Decides which capabilities the command is left with, and by which steps: what it would have is worked out as execve(2) does.

use caps::Capability;

use super::namespaces::Layout;
use super::{Identity, Maps, Need, Sets, Step};
use crate::capability::{CapList, CapSet, Capabilities};
use crate::failure::{Failure, Stage};
use crate::host::Host;
use crate::namespace::Kind;
use crate::request::Request;
use crate::request::privilege::{PrivilegeArgs, Securebits};

/// The steps around the change of ids, and what they take.
#[derive(Default)]
pub(super) struct Privilege {
    pub before: Vec<Step>,
    pub after: Vec<Step>,
    pub needs: Vec<Need>,
    /// The bounding set that the command is left with, as far as it is known.
    pub bounding: Capabilities,
}

/// Who the command is, as far as its capabilities go.
struct Subject<'a> {
    asked: &'a PrivilegeArgs,
    host: &'a Host,
    /// Whether it lives in a user namespace that is not the caller's, and has every capability there at first.
    entered: bool,
    /// Whether it becomes a user who is not root.
    unprivileged: bool,
    /// Whether an exec gives it what the bounding set holds.
    root: bool,
    known: Capabilities,
    available: Capabilities,
    bounding: Capabilities,
    ambient: Capabilities,
}

/// What the command is left with.
struct Left {
    /// `None` leaves it as it is.
    bounding: Option<Capabilities>,
    sets: Sets,
}

pub(super) fn decide(
    request: &Request,
    host: &Host,
    layout: &Layout,
    identity: &Identity,
    maps: Option<&Maps>,
) -> Result<Privilege, Failure> {
    let (asked, entered) = (&request.privilege, layout.enters_user());
    let unprivileged = identity.uid.is_some_and(|uid| uid != 0);
    let left = match &host.sets {
        Some(sets) if asked.asks_for_capabilities() => {
            let own = host.uids[1];
            let kept = match maps {
                Some(maps) => maps.uid.map.inside(own),
                None if layout.joins(Kind::User) => {
                    host.joined.as_ref().and_then(|space| space.uid.as_ref()?.inside(own))
                }
                None => Some(own),
            };
            let noroot = asked.securebits.is_some_and(|bits| bits.0 & Securebits::NOROOT != 0);
            let now = |own: Capabilities| if entered { sets.known } else { own };
            let subject = Subject {
                asked,
                host,
                entered,
                unprivileged,
                root: identity.uid.or(kept) == Some(0) && !noroot,
                known: sets.known,
                available: now(Capabilities(host.permitted)),
                bounding: now(sets.bounding),
                ambient: if entered { Capabilities::NONE } else { sets.ambient },
            };
            Some(subject.left()?)
        }
        _ if unprivileged => Some(Left {
            bounding: (entered || host.can(Capability::CAP_SETPCAP)).then_some(Capabilities::NONE),
            sets: Sets::default(),
        }),
        // What the caller's files may add to is not handed to somebody else, root or not.
        _ if identity.uid.is_some() && !entered && host.inheritable != 0 => Some(Left {
            bounding: None,
            sets: Sets { permitted: Capabilities(host.permitted), ..Sets::default() },
        }),
        _ => None,
    };
    let now = host.sets.map_or(Capabilities::ALL, |sets| if entered { sets.known } else { sets.bounding });
    let bounding = left.as_ref().and_then(|left| left.bounding).unwrap_or(now);
    let mut privilege = Privilege { bounding, ..Privilege::default() };
    let setpcap = |purpose: String| Need {
        capability: Capability::CAP_SETPCAP,
        purpose,
        held: host.can(Capability::CAP_SETPCAP),
        remedy: "run as root, or add --unshare user".to_string(),
    };
    if let Some(set) = left.as_ref().and_then(|left| left.bounding) {
        privilege.before.push(Step::Bounding(set));
        privilege.needs.extend((!entered).then(|| {
            let remedy = "--no-new-privs closes the way that it closes, and takes no privilege".to_string();
            Need { remedy, ..setpcap("take capabilities from the bounding set".to_string()) }
        }));
    }
    let keeps = left.as_ref().is_some_and(|left| !left.sets.permitted.is_empty() && identity.uid.is_some());
    if let Some(Securebits(bits)) = asked.securebits {
        // Set one by one they would take each other back.
        let keep = if keeps { Securebits::KEEP_CAPS } else { 0 };
        privilege.before.push(Step::Securebits(Securebits(bits | keep)));
        privilege.needs.extend((!entered).then(|| setpcap("set secure bits".to_string())));
    }
    if let Some(Left { sets, .. }) = left {
        if keeps && asked.securebits.is_none() {
            privilege.before.push(Step::KeepCapabilities);
        }
        privilege.after.push(Step::Capabilities(sets));
        let takes_back = sets.permitted.within(Capabilities::of(Capability::CAP_SETUID));
        if unprivileged && takes_back.is_empty() {
            privilege.after.push(Step::Irrevocable);
        }
    }
    Ok(privilege)
}

fn refuse(object: String, rule: impl Into<String>) -> Failure {
    Failure::refused(Stage::Plan, "take", object, rule)
}

impl Subject<'_> {
    fn left(&self) -> Result<Left, Failure> {
        let asked = self.asked;
        let union =
            |lists: &[CapList]| lists.iter().fold(Capabilities::NONE, |all, CapList(set)| all.with(*set));
        let (add, drop) = (union(&asked.cap_add), union(&asked.cap_drop));
        // With it the command could take the limit back.
        let limiter = Capabilities::of(Capability::CAP_SYS_RESOURCE);
        let unsaid = if asked.no_userns { limiter } else { Capabilities::NONE };
        let listed = asked.no_userns || !(asked.cap_add.is_empty() && asked.cap_drop.is_empty());
        self.named(&[("--cap-add", add), ("--cap-drop", drop)])?;
        let both = add.within(drop);
        if !both.is_empty() && add != Capabilities::ALL && drop != Capabilities::ALL {
            return Err(refuse(format!("--cap-drop {both}"), "--cap-add adds it"));
        }

        let add = if add == Capabilities::ALL { self.available.without(unsaid) } else { add };
        let would = match (self.unprivileged, self.root) {
            (true, _) => Capabilities::NONE,
            (false, true) => self.available.within(self.bounding),
            (false, false) => self.ambient,
        };
        let would = would.without(unsaid);
        let mut left = if drop == Capabilities::ALL { add } else { would.with(add).without(drop) };
        let ambient =
            self.exact("--cap-ambient", asked.cap_ambient, if self.root { self.ambient } else { left })?;
        if let Some(ambient) = ambient.filter(|_| !self.root) {
            if let lost @ Capabilities(1..) = add.without(ambient) {
                let rule =
                    "--cap-ambient leaves it out, and across an exec a user who is not root keeps no other";
                return Err(refuse(format!("--cap-add {lost}"), rule));
            }
            left = ambient;
        }
        if let missing @ Capabilities(1..) = left.without(self.available) {
            let failure = Failure::refused(
                Stage::Plan,
                "leave",
                format!("the command with {missing}"),
                "the caller does not have it",
            );
            return Err(match self.entered {
                true => failure,
                false => {
                    failure.hint("run as root, or add --unshare user, over which the command has them all")
                }
            });
        }
        let bounding = self.bounding(listed, left)?;
        if let Some(bounding) = bounding.filter(|_| self.root) {
            if let gained @ Capabilities(1..) = bounding.without(left)
                && listed
            {
                let rule = "an exec gives root what the bounding set holds";
                return Err(refuse(format!("--cap-bounding with {gained}"), rule));
            }
            left = left.within(bounding);
        }
        let sets = self.sets(left, ambient, bounding.unwrap_or(self.bounding))?;
        let gained = left.with(bounding.unwrap_or(self.bounding)).with(sets.inheritable);
        if asked.no_userns && !gained.within(limiter).is_empty() {
            let rule = "the command could come to sys_resource, and take back with it what this sets";
            return Err(refuse("--no-userns".to_string(), rule));
        }
        Ok(Left { bounding: bounding.filter(|bounding| *bounding != self.bounding), sets })
    }

    /// Capabilities by name that this kernel has.
    fn named(&self, lists: &[(&str, Capabilities)]) -> Result<(), Failure> {
        for (option, set) in lists.iter().filter(|(_, set)| *set != Capabilities::ALL) {
            if let unknown @ Capabilities(1..) = set.without(self.known) {
                let last = self.known.numbers().last().unwrap_or(0);
                let rule = format!("the last capability of this kernel is {last}");
                return Err(refuse(format!("{option} {unknown}"), rule));
            }
        }
        Ok(())
    }

    fn exact(
        &self,
        option: &str,
        asked: Option<CapSet>,
        base: Capabilities,
    ) -> Result<Option<Capabilities>, Failure> {
        let set = asked.map(|set| set.of(base, self.known));
        self.named(&[(option, set.unwrap_or_default())])?;
        Ok(set)
    }

    /// The bounding set; `None` where it stays as it is.
    fn bounding(&self, listed: bool, left: Capabilities) -> Result<Option<Capabilities>, Failure> {
        let worked_out = (listed || self.unprivileged).then_some(left);
        let asked =
            self.exact("--cap-bounding", self.asked.cap_bounding, worked_out.unwrap_or(self.bounding))?;
        if let Some(set) = asked {
            return match set.without(self.bounding) {
                Capabilities::NONE => Ok(Some(set)),
                lost => {
                    let rule = "it is not in the bounding set, and nothing gives that back what it has lost";
                    Err(refuse(format!("--cap-bounding {lost}"), rule))
                }
            };
        }
        // Who can't take anything from it, and executes nothing that would gain from it, leaves it.
        let closed = self.asked.no_new_privs && !self.entered && !self.host.can(Capability::CAP_SETPCAP);
        Ok(worked_out.map(|set| set.within(self.bounding)).filter(|_| !closed))
    }

    fn sets(
        &self,
        left: Capabilities,
        ambient: Option<Capabilities>,
        bounding: Capabilities,
    ) -> Result<Sets, Failure> {
        let kept = if self.root { Capabilities::NONE } else { left };
        let ambient = ambient.unwrap_or(kept);
        let default = kept.with(ambient);
        let inheritable = self.exact("--cap-inheritable", self.asked.cap_inheritable, default)?;
        let inheritable = inheritable.unwrap_or(default);
        if let lacking @ Capabilities(1..) = ambient.without(inheritable) {
            let rule = "an ambient capability is an inheritable one, and --cap-inheritable leaves it out";
            return Err(Failure::refused(Stage::Plan, "make", format!("{lacking} ambient"), rule));
        }
        if let lacking @ Capabilities(1..) = ambient.without(left) {
            let rule = "an ambient capability is one that the command has";
            return Err(refuse(format!("--cap-ambient {lacking}"), rule));
        }
        if let beyond @ Capabilities(1..) = inheritable.without(bounding) {
            let rule = "what is inherited is in the bounding set, and this is not";
            return Err(refuse(format!("--cap-inheritable {beyond}"), rule));
        }
        let forbids = self.asked.securebits.is_some_and(|bits| bits.0 & Securebits::NO_AMBIENT_RAISE != 0);
        if forbids && !ambient.is_empty() {
            let rule = format!("the command is to have ambient capabilities: {ambient}");
            return Err(refuse("--securebits no-cap-ambient-raise".to_string(), rule));
        }
        Ok(Sets { permitted: left, inheritable, ambient })
    }
}
