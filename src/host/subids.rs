//! Reads /etc/subuid and /etc/subgid: what they grant the caller, by name or by number. Source: subuid(5).

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use nix::errno::Errno;

use crate::failure::{Failure, Stage, shown};

/// `count` ids from `first` up that the caller may map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubRange {
    pub first: u32,
    pub count: u32,
}

/// Who asks: a number, and a name that is looked up when a line turns out to need it.
pub struct Login {
    uid: u32,
    name: Option<Option<String>>,
}

impl Login {
    pub fn new(uid: u32) -> Login {
        Login { uid, name: None }
    }

    fn is(&mut self, owner: &str) -> bool {
        if owner.bytes().all(|b| b.is_ascii_digit()) {
            return owner.parse() == Ok(self.uid);
        }
        let look = || Some(users::get_user_by_uid(self.uid)?.name().to_str()?.to_string());
        let name = self.name.get_or_insert_with(look);
        name.as_deref() == Some(owner)
    }
}

/// Every grant of `path` to `login`, in the order of the file, each id once; none where there is no such file.
pub fn grants(path: &Path, login: &mut Login) -> Result<Vec<SubRange>, Failure> {
    match fs::read(path) {
        Ok(text) => Ok(each_once(matching(&String::from_utf8_lossy(&text), |owner| login.is(owner)))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => {
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
            Err(Failure::errno(Stage::Account, "read", shown(path), errno))
        }
    }
}

/// Leaves out what an earlier line has granted already.
fn each_once(grants: Vec<SubRange>) -> Vec<SubRange> {
    let mut fresh: Vec<SubRange> = Vec::new();
    for grant in grants {
        let end = |range: &SubRange| u64::from(range.first) + u64::from(range.count);
        let mut earlier: Vec<(u64, u64)> =
            fresh.iter().map(|range| (range.first.into(), end(range))).collect();
        earlier.sort_unstable();
        let mut next = u64::from(grant.first);
        for (first, last) in earlier.into_iter().chain([(end(&grant), u64::MAX)]) {
            let stop = first.min(end(&grant));
            if stop > next {
                fresh.push(SubRange { first: next as u32, count: (stop - next) as u32 });
            }
            next = next.max(last);
        }
    }
    fresh
}

/// A line that is no grant grants nothing, as with newuidmap(1).
fn matching(text: &str, mut is_owner: impl FnMut(&str) -> bool) -> Vec<SubRange> {
    let lines = text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next().filter(|owner| !owner.is_empty() && !owner.starts_with('#'))?;
        let (first, count) = (fields.next()?.parse().ok()?, fields.next()?.trim_end().parse().ok()?);
        (fields.next().is_none() && count > 0 && is_owner(owner)).then_some(SubRange { first, count })
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_owner_counts_by_name_or_by_number() {
        let text = "# bob\nbob:100000:65536\nbobby:1:1\n1001:300000:10\nbob:500000:0\nbob:x:1\nbob:9\n\n";
        let mut asked = Login { uid: 1001, name: Some(Some("bob".to_string())) };
        let found = matching(text, |owner| asked.is(owner));
        let expected = [SubRange { first: 100_000, count: 65_536 }, SubRange { first: 300_000, count: 10 }];
        assert_eq!(found, expected);
    }

    #[test]
    fn an_id_that_is_granted_twice_counts_once() {
        let range = |first, count| SubRange { first, count };
        assert_eq!(each_once(vec![range(10, 5), range(10, 5)]), [range(10, 5)]);
        assert_eq!(each_once(vec![range(10, 5), range(8, 10)]), [range(10, 5), range(8, 2), range(15, 3)]);
        assert_eq!(each_once(vec![range(0, 5), range(5, 5)]), [range(0, 5), range(5, 5)]);
        assert_eq!(
            each_once(vec![range(u32::MAX - 1, 1), range(0, 1)]),
            [range(u32::MAX - 1, 1), range(0, 1)]
        );
    }

    #[test]
    fn a_file_that_is_not_there_grants_nothing() {
        assert_eq!(grants(Path::new("/nonexistent/subuid"), &mut Login::new(0)), Ok(Vec::new()));
    }
}
