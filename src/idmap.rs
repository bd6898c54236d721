//! One id range, and what makes ranges a map: order, overlap, limits, the kernel's text. It knows no files and no accounts.

use std::fmt::{self, Display, Write};

/// Extents that the kernel takes in one map. Source: user_namespaces(7), Linux 4.15.
pub const MAX_RANGES: usize = 340;
/// Bytes that the kernel takes in one write: less than a page.
pub const MAX_TEXT: usize = 4095;
/// 4294967295 stands for "no id" in the kernel's interfaces, so the last id is one less.
pub const MAX_ID: u32 = u32::MAX - 1;

/// `count` ids that are `inside`… within the user namespace and `outside`… in its parent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct IdRange {
    pub inside: u32,
    pub outside: u32,
    pub count: u32,
}

impl IdRange {
    /// Ends at 4294967294 at the latest, on both sides, and holds one id at least.
    pub fn new(inside: u32, outside: u32, count: u32) -> Result<IdRange, String> {
        if count == 0 {
            return Err(format!("{inside}:{outside}:0 holds no id: a count is at least 1"));
        }
        for (side, first) in [("inside", inside), ("outside", outside)] {
            let last = u64::from(first) + u64::from(count) - 1;
            if last > u64::from(MAX_ID) {
                return Err(format!(
                    "{inside}:{outside}:{count} would end at {last} {side}: the last id is {MAX_ID}"
                ));
            }
        }
        Ok(IdRange { inside, outside, count })
    }

    /// One id as itself.
    pub fn same(id: u32) -> IdRange {
        IdRange { inside: id, outside: id, count: 1 }
    }

    pub fn last_inside(&self) -> u32 {
        self.inside + (self.count - 1)
    }

    pub fn last_outside(&self) -> u32 {
        self.outside + (self.count - 1)
    }

    pub fn holds_outside(&self, id: u32) -> bool {
        (self.outside..=self.last_outside()).contains(&id)
    }

    fn follows(&self, before: &IdRange) -> bool {
        let count = u64::from(before.count);
        u64::from(before.inside) + count == u64::from(self.inside)
            && u64::from(before.outside) + count == u64::from(self.outside)
    }
}

impl Display for IdRange {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:{}:{}", self.inside, self.outside, self.count)
    }
}

/// The ranges of one map; can't be built invalid. Ordered by inside id, adjacent ranges merged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdMap(Vec<IdRange>);

impl IdMap {
    /// Refuses what the kernel would: no range, an overlap on either side, more than 340 ranges or 4095 bytes of text.
    pub fn new(mut ranges: Vec<IdRange>) -> Result<IdMap, String> {
        if ranges.is_empty() {
            return Err("a map holds at least one range".to_string());
        }
        refuse_overlap(&mut ranges, "outside", |range| (range.outside, range.last_outside()))?;
        refuse_overlap(&mut ranges, "inside", |range| (range.inside, range.last_inside()))?;
        let mut merged: Vec<IdRange> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(before) if range.follows(before) => before.count += range.count,
                _ => merged.push(range),
            }
        }
        if merged.len() > MAX_RANGES {
            return Err(format!("{} ranges: the kernel takes {MAX_RANGES} in one map", merged.len()));
        }
        let map = IdMap(merged);
        match map.text_size() {
            0..=MAX_TEXT => Ok(map),
            size => Err(format!("the map is {size} bytes of text: the kernel takes {MAX_TEXT} in one write")),
        }
    }

    /// Every id as itself, as in the initial user namespace.
    pub fn everything() -> IdMap {
        IdMap(vec![IdRange { inside: 0, outside: 0, count: u32::MAX }])
    }

    pub fn ranges(&self) -> &[IdRange] {
        &self.0
    }

    /// What is written to /proc/PID/uid_map: a line per range.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(self.text_size());
        for IdRange { inside, outside, count } in &self.0 {
            let _ = writeln!(text, "{inside} {outside} {count}");
        }
        text
    }

    fn text_size(&self) -> usize {
        let digits = |number: u32| number.checked_ilog10().map_or(1, |log| log as usize + 1);
        let line = |range: &IdRange| digits(range.inside) + digits(range.outside) + digits(range.count) + 3;
        self.0.iter().map(line).sum()
    }

    /// Reads what the kernel shows of a map; `None` where it shows none, or something else.
    pub fn from_kernel(text: &str) -> Option<IdMap> {
        let ranges: Option<Vec<IdRange>> = text
            .lines()
            .map(|line| {
                let mut fields = line.split_ascii_whitespace().map(|field| field.parse().ok());
                let range =
                    IdRange { inside: fields.next()??, outside: fields.next()??, count: fields.next()?? };
                fields.next().is_none().then_some(range)
            })
            .collect();
        // The initial namespace shows one range of 4294967295 ids, which IdRange::new would take as well.
        IdMap::new(ranges?.into_iter().filter(|range| range.count > 0).collect()).ok()
    }

    /// What an id inside is outside.
    pub fn outside(&self, inside: u32) -> Option<u32> {
        let range = self.0.iter().find(|range| (range.inside..=range.last_inside()).contains(&inside))?;
        Some(range.outside + (inside - range.inside))
    }

    /// What an id outside is inside.
    pub fn inside(&self, outside: u32) -> Option<u32> {
        let range = self.0.iter().find(|range| range.holds_outside(outside))?;
        Some(range.inside + (outside - range.outside))
    }
}

impl Display for IdMap {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0.iter().map(IdRange::to_string).collect::<Vec<_>>().join(" "))
    }
}

fn refuse_overlap(
    ranges: &mut [IdRange],
    side: &str,
    span: impl Fn(&IdRange) -> (u32, u32),
) -> Result<(), String> {
    ranges.sort_by_key(&span);
    for pair in ranges.windows(2) {
        let (first, last) = (span(&pair[1]).0, span(&pair[0]).1);
        if first <= last {
            let last = last.min(span(&pair[1]).1);
            let shared = if first == last { format!("id {first}") } else { format!("ids {first} to {last}") };
            return Err(format!("{} and {} overlap {side} ({shared})", pair[0], pair[1]));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(ranges: &[(u32, u32, u32)]) -> Result<IdMap, String> {
        let ranges: Result<_, _> = ranges.iter().map(|&(i, o, c)| IdRange::new(i, o, c)).collect();
        IdMap::new(ranges?)
    }

    #[test]
    fn a_range_ends_at_the_last_id() {
        assert!(IdRange::new(0, 0, u32::MAX).is_ok());
        assert!(IdRange::new(MAX_ID, 0, 1).is_ok());
        let told = IdRange::new(1, 0, u32::MAX).unwrap_err();
        assert_eq!(told, "1:0:4294967295 would end at 4294967295 inside: the last id is 4294967294");
        let told = IdRange::new(0, u32::MAX, 1).unwrap_err();
        assert_eq!(told, "0:4294967295:1 would end at 4294967295 outside: the last id is 4294967294");
        assert_eq!(IdRange::new(5, 6, 0).unwrap_err(), "5:6:0 holds no id: a count is at least 1");
    }

    #[test]
    fn an_overlap_names_both_ranges_and_the_ids() {
        let told = map(&[(0, 100000, 10), (5, 200000, 10)]).unwrap_err();
        assert_eq!(told, "0:100000:10 and 5:200000:10 overlap inside (ids 5 to 9)");
        let told = map(&[(0, 1000, 1), (7, 1000, 1)]).unwrap_err();
        assert_eq!(told, "0:1000:1 and 7:1000:1 overlap outside (id 1000)");
    }

    #[test]
    fn adjacent_ranges_are_one() {
        let merged = map(&[(10, 1010, 5), (0, 1000, 10)]).unwrap();
        assert_eq!((merged.text().as_str(), merged.text_size()), ("0 1000 15\n", 10));
        let apart = map(&[(0, 1000, 10), (10, 2000, 5)]).unwrap();
        assert_eq!(apart.text(), "0 1000 10\n10 2000 5\n");
    }

    #[test]
    fn no_more_than_the_kernel_takes() {
        let many = |count: u32| map(&(0..count).map(|n| (2 * n, 2 * n, 1)).collect::<Vec<_>>());
        assert!(many(340).is_ok());
        assert_eq!(many(341).unwrap_err(), "341 ranges: the kernel takes 340 in one map");
        let long: Vec<_> = (0..340).map(|n| (100_000 + 2 * n, 100_000 + 2 * n, 1)).collect();
        assert!(map(&long).unwrap_err().contains("the kernel takes 4095 in one write"));
        assert!(map(&[]).is_err());
    }

    #[test]
    fn ids_go_through_both_ways() {
        let map = map(&[(0, 1000, 1), (1, 100_000, 65_536)]).unwrap();
        assert_eq!(
            (map.outside(0), map.outside(65_536), map.outside(65_537)),
            (Some(1000), Some(165_535), None)
        );
        assert_eq!((map.inside(1000), map.inside(100_001), map.inside(0)), (Some(0), Some(2), None));
    }

    #[test]
    fn what_the_kernel_shows_is_what_was_written() {
        let shown = "         0       1000          1\n         1     100000      65536\n";
        assert_eq!(IdMap::from_kernel(shown), map(&[(0, 1000, 1), (1, 100_000, 65_536)]).ok());
        assert_eq!(IdMap::from_kernel(""), None);
        assert_eq!(IdMap::from_kernel("0 0\n"), None);
        assert_eq!(IdMap::from_kernel("0 0 4294967295\n"), map(&[(0, 0, u32::MAX)]).ok());
    }
}
