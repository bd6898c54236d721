//! The hard limits of the caller, of the resources that are to be limited, and whether it may count on raising them.

use super::space;
use crate::request::Request;
use crate::sys;

/// What limits the command's limits.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Limits {
    /// Each by the number of its resource.
    pub hard: Vec<(usize, u64)>,
    /// Whether the caller is known to be in another user namespace than the initial one, where its capabilities raise nothing.
    pub elsewhere: bool,
}

impl Limits {
    pub fn of(request: &Request) -> Limits {
        let asked = &request.privilege.rlimit;
        let own = |number| sys::hard_limit(number).map(|hard| (number, hard));
        Limits {
            hard: asked.iter().filter_map(|limit| own(limit.resource.number)).collect(),
            elsewhere: !asked.is_empty() && space::is_initial() == Some(false),
        }
    }
}
