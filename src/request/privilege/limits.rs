//! What may be asked of the machine for the command: limits, niceness, CPUs, scheduling, I/O priority. Syntax only.

use std::fmt::{self, Display};
use std::str::FromStr;

/// The highest CPU that any kernel is built for.
const LAST_CPU: usize = 8191;

/// A resource that the kernel limits. Source: getrlimit(2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resource {
    pub name: &'static str,
    pub number: usize,
    /// Whether it is measured in bytes, and so takes a unit.
    bytes: bool,
}

const fn resource(name: &'static str, number: usize, bytes: bool) -> Resource {
    Resource { name, number, bytes }
}

impl Resource {
    pub const ALL: [Resource; 16] = [
        resource("as", libc::RLIMIT_AS as usize, true),
        resource("core", libc::RLIMIT_CORE as usize, true),
        resource("cpu", libc::RLIMIT_CPU as usize, false),
        resource("data", libc::RLIMIT_DATA as usize, true),
        resource("fsize", libc::RLIMIT_FSIZE as usize, true),
        resource("locks", libc::RLIMIT_LOCKS as usize, false),
        resource("memlock", libc::RLIMIT_MEMLOCK as usize, true),
        resource("msgqueue", libc::RLIMIT_MSGQUEUE as usize, true),
        resource("nice", libc::RLIMIT_NICE as usize, false),
        resource("nofile", libc::RLIMIT_NOFILE as usize, false),
        resource("nproc", libc::RLIMIT_NPROC as usize, false),
        resource("rss", libc::RLIMIT_RSS as usize, true),
        resource("rtprio", libc::RLIMIT_RTPRIO as usize, false),
        resource("rttime", libc::RLIMIT_RTTIME as usize, false),
        resource("sigpending", libc::RLIMIT_SIGPENDING as usize, false),
        resource("stack", libc::RLIMIT_STACK as usize, true),
    ];

    /// A limit of it as it is written, in the largest unit that holds it whole.
    pub fn written(self, value: u64) -> String {
        let units = UNITS.iter().rev().filter(|_| self.bytes && value != 0);
        match units.into_iter().find(|(_, size)| value.is_multiple_of(*size)) {
            _ if value == libc::RLIM_INFINITY => "unlimited".to_string(),
            Some((unit, size)) => format!("{}{unit}", value / size),
            None => value.to_string(),
        }
    }

    fn read(self, text: &str) -> Result<u64, String> {
        if text == "unlimited" {
            return Ok(libc::RLIM_INFINITY);
        }
        let unit = UNITS
            .iter()
            .filter(|_| self.bytes)
            .find_map(|(unit, size)| Some((text.strip_suffix(*unit)?, *size)));
        let (number, size) = unit.unwrap_or((text, 1));
        let value = plain(number).and_then(|number| number.checked_mul(size));
        value.filter(|value| *value != libc::RLIM_INFINITY).ok_or_else(|| {
            let units = if self.bytes { ", with K, M, G or T behind it or not" } else { "" };
            let name = self.name;
            format!("a limit of {name} is unlimited, or a plain decimal number below 2^64-1{units}")
        })
    }
}

const UNITS: [(char, u64); 4] = [('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30), ('T', 1 << 40)];

/// A soft and a hard limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    pub resource: Resource,
    pub soft: u64,
    pub hard: u64,
}

impl FromStr for Limit {
    type Err = String;

    /// Takes `NAME=SOFT:HARD`; one value is both.
    fn from_str(text: &str) -> Result<Limit, String> {
        let (name, values) = text.split_once('=').ok_or("it is NAME=SOFT[:HARD]")?;
        let known = bare(name, "rlimit_");
        let resource =
            Resource::ALL.into_iter().find(|resource| resource.name == known).ok_or_else(|| {
                format!("the resources are {}", Resource::ALL.map(|resource| resource.name).join(" "))
            })?;
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let (soft, hard) = (resource.read(soft)?, resource.read(hard)?);
        if soft > hard {
            return Err("the soft limit is at most the hard one".to_string());
        }
        if resource.name == "cpu" && soft == 0 {
            return Err("a limit of cpu is 1 second or more: the kernel takes 0 for 1".to_string());
        }
        Ok(Limit { resource, soft, hard })
    }
}

impl Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Limit { resource, soft, hard } = *self;
        write!(f, "{} to {}", resource.name, resource.written(soft))?;
        if soft == hard { Ok(()) } else { write!(f, ":{}", resource.written(hard)) }
    }
}

/// CPUs, a bit each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cpus(pub Vec<u64>);

impl FromStr for Cpus {
    type Err = String;

    /// Takes numbers and ranges: `0-3,7`.
    fn from_str(text: &str) -> Result<Cpus, String> {
        let rule = || format!("CPUs are numbers from 0 to {LAST_CPU} and ranges of them, such as 0-3,7");
        let number =
            |text| plain(text).map(|cpu| cpu as usize).filter(|cpu| *cpu <= LAST_CPU).ok_or_else(rule);
        let mut words = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(rule());
            }
            words.resize(words.len().max(last / 64 + 1), 0);
            (first..=last).for_each(|cpu| words[cpu / 64] |= 1 << (cpu % 64));
        }
        Ok(Cpus(words))
    }
}

impl Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let has = |cpu: usize| self.0.get(cpu / 64).is_some_and(|word| word >> (cpu % 64) & 1 == 1);
        let mut ranges = Vec::new();
        for first in (0..self.0.len() * 64).filter(|cpu| has(*cpu) && (*cpu == 0 || !has(cpu - 1))) {
            let last = (first..).find(|cpu| !has(cpu + 1)).unwrap_or(first);
            ranges.push(if first == last { first.to_string() } else { format!("{first}-{last}") });
        }
        f.write_str(&ranges.join(","))
    }
}

/// A scheduling policy, and its priority where it is a real-time one. Source: sched(7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scheduling {
    word: &'static str,
    pub policy: i32,
    pub priority: i32,
}

impl FromStr for Scheduling {
    type Err = String;

    fn from_str(text: &str) -> Result<Scheduling, String> {
        const POLICIES: [(&str, i32); 5] = [
            ("other", libc::SCHED_OTHER),
            ("batch", libc::SCHED_BATCH),
            ("idle", libc::SCHED_IDLE),
            ("fifo", libc::SCHED_FIFO),
            ("rr", libc::SCHED_RR),
        ];
        let rule = || "a policy is other, batch or idle, or fifo:N or rr:N with N from 1 to 99".to_string();
        let (name, priority) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let name = bare(name, "sched_");
        let (word, policy) = POLICIES.into_iter().find(|(word, _)| *word == name).ok_or_else(rule)?;
        let real_time = [libc::SCHED_FIFO, libc::SCHED_RR].contains(&policy);
        let priority = match (real_time, priority) {
            (false, None) => 0,
            (true, Some(text)) => {
                plain(text).filter(|priority| (1..=99).contains(priority)).ok_or_else(rule)?
            }
            _ => return Err(rule()),
        };
        Ok(Scheduling { word, policy, priority: priority as i32 })
    }
}

impl Display for Scheduling {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.word)?;
        if self.priority == 0 { Ok(()) } else { write!(f, ":{}", self.priority) }
    }
}

/// A class of I/O scheduling, and its level where it has some. Source: ioprio_set(2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IoPriority {
    class: u16,
    level: u16,
}

impl IoPriority {
    const CLASSES: [&str; 4] = ["none", "rt", "be", "idle"];

    /// As the kernel has it: the class above 13 bits.
    pub fn value(self) -> u16 {
        self.class << 13 | self.level
    }

    fn has_levels(class: &str) -> bool {
        ["rt", "be"].contains(&class)
    }
}

impl FromStr for IoPriority {
    type Err = String;

    fn from_str(text: &str) -> Result<IoPriority, String> {
        let rule = || "an I/O priority is none or idle, or rt:N or be:N with N from 0 to 7".to_string();
        let (name, level) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let name = bare(name, "ioprio_class_");
        let class = IoPriority::CLASSES.iter().position(|class| *class == name).ok_or_else(rule)?;
        let level = match (IoPriority::has_levels(&name), level) {
            (false, None) => 0,
            (true, Some(text)) => plain(text).filter(|level| *level <= 7).ok_or_else(rule)?,
            _ => return Err(rule()),
        };
        Ok(IoPriority { class: class as u16, level: level as u16 })
    }
}

impl Display for IoPriority {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let class = IoPriority::CLASSES[usize::from(self.class)];
        f.write_str(class)?;
        if IoPriority::has_levels(class) { write!(f, ":{}", self.level) } else { Ok(()) }
    }
}

/// A name in lower case, without its kernel prefix.
fn bare(name: &str, prefix: &str) -> String {
    let name = name.to_ascii_lowercase();
    name.strip_prefix(prefix).map(str::to_string).unwrap_or(name)
}

/// A number in plain decimal.
fn plain(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

/// A number in plain decimal that may be negative.
fn signed(text: &str, least: i32, most: i32) -> Option<i32> {
    let digits = text.strip_prefix('-').filter(|digits| *digits != "0").unwrap_or(text);
    plain(digits)?;
    text.parse().ok().filter(|number| (least..=most).contains(number))
}

pub fn niceness(text: &str) -> Result<i32, String> {
    signed(text, -20, 19).ok_or_else(|| "a niceness is a plain decimal number from -20 to 19".to_string())
}

pub fn oom_score_adj(text: &str) -> Result<i32, String> {
    signed(text, -1000, 1000).ok_or_else(|| "it is a plain decimal number from -1000 to 1000".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(text: &str) -> Result<(usize, u64, u64), String> {
        text.parse().map(|Limit { resource, soft, hard }| (resource.number, soft, hard))
    }

    #[test]
    fn a_limit_is_one_value_or_two_with_units_where_it_counts_bytes() {
        let (nofile, space) = (libc::RLIMIT_NOFILE as usize, libc::RLIMIT_AS as usize);
        assert_eq!(limits("nofile=1024:4096"), Ok((nofile, 1024, 4096)));
        assert_eq!(limits("RLIMIT_NOFILE=0:unlimited"), Ok((nofile, 0, u64::MAX)));
        assert_eq!(limits("as=2G"), Ok((space, 2 << 30, 2 << 30)));
        assert_eq!(limits("As=1K:3T"), Ok((space, 1 << 10, 3 << 40)));
        assert_eq!(limits("as=16777215T"), Ok((space, 16_777_215 << 40, 16_777_215 << 40)));
        for text in [
            "",
            "nofile",
            "nofile=",
            "nofile=1:",
            "nofile=:1",
            "nofile=1K",
            "nofile=-1",
            "nofile=+1",
            "nofile=01",
            "nofile=1:2:3",
            "nofile=2:1",
            "nofile=unlimited:1",
            "as=G",
            "as=1GB",
            "as=1g",
            "as=16777216T",
            "as=18446744073709551615",
            "as=18446744073709551616",
            "as=1.5G",
            "cpu=0",
            "x=1",
            "=1",
            "nofile= 1",
        ] {
            assert!(limits(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn every_resource_is_known_by_name_and_number() {
        let mut numbers = Resource::ALL.map(|resource| resource.number);
        numbers.sort_unstable();
        assert_eq!(numbers.to_vec(), (0..16).collect::<Vec<_>>());
        for Resource { name, number, .. } in Resource::ALL {
            assert_eq!(limits(&format!("{name}=7")), Ok((number, 7, 7)));
        }
    }

    #[test]
    fn a_limit_is_shown_in_the_largest_unit_that_holds_it() {
        let shown = |text: &str| text.parse::<Limit>().unwrap().to_string();
        assert_eq!(shown("as=2048M"), "as to 2G");
        assert_eq!(shown("as=1025:unlimited"), "as to 1025:unlimited");
        assert_eq!(shown("core=0"), "core to 0");
        assert_eq!(shown("nofile=1024:4096"), "nofile to 1024:4096");
    }

    #[test]
    fn cpus_are_numbers_and_ranges() {
        let shown = |text: &str| text.parse::<Cpus>().map(|cpus| cpus.to_string());
        assert_eq!("0-3,7".parse(), Ok(Cpus(vec![0b1000_1111])));
        for (text, expected) in
            [("0", "0"), ("7,0-3,1", "0-3,7"), ("63-64", "63-64"), ("8191", "8191"), ("0,1", "0-1")]
        {
            assert_eq!(shown(text), Ok(expected.to_string()));
        }
        for text in ["", "a", "0-", "-3", "3-1", "0,", "8192", "01", "0:2", "0 1", "18446744073709551616"] {
            assert!(text.parse::<Cpus>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn policies_and_classes_have_a_priority_where_they_have_any() {
        let policy = |text: &str| {
            text.parse::<Scheduling>().map(|found| (found.policy, found.priority, found.to_string()))
        };
        assert_eq!(policy("fifo:99"), Ok((libc::SCHED_FIFO, 99, "fifo:99".to_string())));
        assert_eq!(policy("SCHED_BATCH"), Ok((libc::SCHED_BATCH, 0, "batch".to_string())));
        for text in ["", "fifo", "fifo:0", "rr:100", "other:0", "idle:1", "deadline", "fifo:", "fifo:01"] {
            assert!(policy(text).is_err(), "{text:?} was taken");
        }
        let class = |text: &str| text.parse::<IoPriority>().map(|found| (found.value(), found.to_string()));
        assert_eq!(class("be:7"), Ok((2 << 13 | 7, "be:7".to_string())));
        assert_eq!(class("rt:0"), Ok((1 << 13, "rt:0".to_string())));
        assert_eq!(class("IOPRIO_CLASS_IDLE"), Ok((3 << 13, "idle".to_string())));
        assert_eq!(class("none"), Ok((0, "none".to_string())));
        for text in ["", "be", "be:8", "rt", "idle:0", "none:0", "be:-1", "best:1"] {
            assert!(class(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn numbers_that_may_be_negative_are_plain() {
        assert_eq!(["-20", "0", "19"].map(|text| niceness(text).unwrap()), [-20, 0, 19]);
        assert_eq!(["-1000", "1000"].map(|text| oom_score_adj(text).unwrap()), [-1000, 1000]);
        for text in ["", "-", "-0", "+1", "--1", "01", "-01", "20", "-21", "1.0", " 1", "4294967297"] {
            assert!(niceness(text).is_err(), "{text:?} was taken");
        }
        assert!(oom_score_adj("1001").is_err() && oom_score_adj("-1001").is_err());
    }
}
