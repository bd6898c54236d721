//! What grows with what: ranges, groups, mounts, descriptors and environment, each beside the floor in the same state.

use std::any::Any;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::dup;

use crate::lab::{self, Lab, Variant};
use crate::measure::{Random, interleave};
use crate::table;

/// A state of this process that a launch begins in, and that ends with this.
type State = Box<dyn Any>;
/// The state, and how much it came to.
type Prepared = Result<(State, usize), String>;

pub struct Growth {
    pub name: &'static str,
    title: &'static str,
    unit: &'static str,
    pub privileged: bool,
    values: &'static [usize],
    /// Brings the state about.
    prepare: fn(&Lab, usize) -> Prepared,
    /// The floor, seclude, and peers.
    variants: fn(&Lab, usize) -> Vec<Option<Variant>>,
}

pub const ALL: &[Growth] = &[
    Growth {
        name: "ranges",
        title: "user namespace with so many ranges in both maps, as root",
        unit: "ranges",
        privileged: true,
        values: &[1, 32, 128, 340],
        prepare: nothing,
        variants: ranges,
    },
    Growth {
        name: "groups",
        title: "so many supplementary groups from a file, in place, as root",
        unit: "groups",
        privileged: true,
        values: &[1, 1024, 65_536],
        prepare: nothing,
        variants: groups,
    },
    Growth {
        name: "mounts",
        title: "S3 among so many mounts, as root",
        unit: "mounts",
        privileged: true,
        values: &[10, 100, 1000],
        prepare: mounts,
        variants: |lab, _| {
            vec![
                lab.variant("floor all", "floor all TARGET"),
                lab.variant(
                    "seclude --as-pid1",
                    "seclude -q --unshare user,pid,mount,uts,ipc --user 0:0 --mount-proc --as-pid1 TARGET",
                ),
                lab.variant("unshare", "unshare -Urpfmiu --mount-proc TARGET"),
                lab.variant(
                    "bwrap",
                    "bwrap --unshare-user --unshare-pid --unshare-uts --unshare-ipc --uid 0 --gid 0 \
                     --bind / / --proc /proc TARGET",
                ),
            ]
        },
    },
    Growth {
        name: "descriptors",
        title: "S2 with so many open descriptors",
        unit: "descriptors",
        privileged: false,
        values: &[0, 1000, 19_000],
        prepare: descriptors,
        variants: |lab, _| user_namespace(lab),
    },
    Growth {
        name: "environment",
        title: "S2 with an environment of so many bytes, 128 to a variable",
        unit: "KiB",
        privileged: false,
        values: &[4, 64, 1024],
        prepare: nothing,
        variants: environment,
    },
];

impl Growth {
    pub fn run(&self, lab: &Lab, rounds: usize, random: &mut Random) {
        let mut labels = Vec::new();
        for &value in self.values {
            let (state, reached) = match (self.prepare)(lab, value) {
                Ok(prepared) => prepared,
                Err(why) => {
                    println!("left out of {}: {value}: {why}", self.name);
                    continue;
                }
            };
            let variants = std::iter::once(Some(lab.target())).chain((self.variants)(lab, value));
            let variants = lab::working(&format!("{} {reached}", self.name), variants);
            if labels.is_empty() {
                labels = variants.iter().skip(1).map(|variant| variant.label.clone()).collect();
                table::growth_head(self.title, self.unit, rounds, &labels);
            }
            let samples = interleave(&variants, rounds, random);
            drop(state);
            let base = samples.first().and_then(|target| target.median());
            let overhead = |start: &str| {
                let sample = samples.iter().skip(1).find(|sample| sample.label.starts_with(start))?;
                Some(sample.median()?.beyond(base?))
            };
            let ratio =
                overhead("seclude").zip(overhead("floor")).map(|(ours, floor)| ours.value / floor.value);
            let overheads: Vec<_> = labels.iter().map(|label| overhead(label)).collect();
            table::growth_row(&reached.to_string(), &overheads, ratio);
        }
    }
}

fn nothing(_: &Lab, value: usize) -> Prepared {
    Ok((Box::new(()), value))
}

fn user_namespace(lab: &Lab) -> Vec<Option<Variant>> {
    let lines = [
        ("floor user", "floor user TARGET"),
        ("seclude", "seclude -q --unshare user --user 0:0 TARGET"),
        ("unshare -Urf", "unshare -Urf TARGET"),
        ("bwrap", "bwrap --unshare-user --uid 0 --gid 0 --bind / / TARGET"),
    ];
    lines.iter().map(|(label, line)| lab.variant(label, line)).collect()
}

/// No two of them are adjacent: each stays a line of its own.
fn ranges(lab: &Lab, count: usize) -> Vec<Option<Variant>> {
    let each = |index: usize| (2 * index, 1000 + 3 * index);
    let floor = lab.variant("floor maps", "floor MAPS TARGET").map(|mut floor| {
        let text: String =
            (0..count).map(each).map(|(inside, outside)| format!("{inside} {outside} 1\n")).collect();
        floor.args[0] = format!("maps={text}").into();
        floor
    });
    let options: String = (0..count)
        .map(each)
        .map(|(inside, outside)| format!("--map-uid {inside}:{outside}:1 --map-gid {inside}:{outside}:1 "))
        .collect();
    vec![floor, lab.variant("seclude", &format!("seclude -q --unshare user --user 0:0 {options} TARGET"))]
}

/// So many groups are longer than an argument may be: seclude reads them from a file.
fn groups(lab: &Lab, count: usize) -> Vec<Option<Variant>> {
    let list: Vec<String> = (1..=count).map(|group| group.to_string()).collect();
    let path = lab.dir.join("groups.json");
    if fs::write(&path, format!("{{\"groups\": \"{}\"}}", list.join(","))).is_err() {
        return vec![];
    }
    let line = format!("seclude -q --exec --user 65534:65534 --config {} TARGET", path.display());
    vec![
        lab.variant("floor groups", &format!("floor groups={count} TARGET")),
        lab.variant("seclude --exec", &line),
    ]
}

fn environment(lab: &Lab, kibibytes: usize) -> Vec<Option<Variant>> {
    let variables: Vec<_> =
        (0..kibibytes * 8).map(|index| (format!("VARIABLE_{index:06}"), "x".repeat(111))).collect();
    let with = |variant: Variant| Variant { environment: variables.clone(), ..variant };
    user_namespace(lab).into_iter().map(|variant| variant.map(with)).collect()
}

/// Descriptors that every launch inherits.
struct Opened {
    _files: Vec<OwnedFd>,
    limits: (u64, u64),
}

impl Drop for Opened {
    fn drop(&mut self) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, self.limits.0, self.limits.1);
    }
}

fn descriptors(_: &Lab, count: usize) -> Prepared {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|errno| errno.to_string())?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(|errno| errno.to_string())?;
    // A launcher takes a few of its own.
    let count = count.min(hard.saturating_sub(100) as usize);
    let null = lab::open_null();
    // Without CLOEXEC, unlike std's.
    let files: nix::Result<Vec<_>> = (0..count).map(|_| dup(&null)).collect();
    let opened = Opened { _files: files.map_err(|errno| errno.to_string())?, limits: (soft, hard) };
    Ok((Box::new(opened), count))
}

/// Mounts in a mount namespace of this process's own.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
        let _ = fs::remove_dir(&self.0);
    }
}

fn mounts(lab: &Lab, count: usize) -> Prepared {
    let bind = |from: &PathBuf, to: &PathBuf| {
        mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(|errno| errno.to_string())
    };
    unshare(CloneFlags::CLONE_NEWNS).map_err(|errno| errno.to_string())?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_PRIVATE | MsFlags::MS_REC, None::<&str>)
        .map_err(|errno| errno.to_string())?;
    let there = || fs::read_to_string("/proc/self/mountinfo").map_or(0, |text| text.lines().count());
    let missing = count.saturating_sub(there());
    let dir = lab.dir.join("mounts");
    if missing == 0 {
        return Ok((Box::new(()), there()));
    }
    fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
    mount(Some("tmpfs"), &dir, Some("tmpfs"), MsFlags::empty(), None::<&str>)
        .map_err(|errno| errno.to_string())?;
    let mounted = Mounted(dir.clone());
    let source = dir.join("source");
    fs::create_dir(&source).map_err(|error| error.to_string())?;
    for index in 1..missing {
        let place = dir.join(index.to_string());
        fs::create_dir(&place).map_err(|error| error.to_string())?;
        bind(&source, &place)?;
    }
    Ok((Box::new(mounted), there()))
}
