//! The scenarios: the same launch by seclude, by the floor and by each peer that can do it, one line each.

use crate::lab::{self, Lab};
use crate::measure::{Random, interleave};
use crate::table::{self, Difference};

pub struct Scenario {
    pub name: &'static str,
    pub title: &'static str,
    /// Whether it takes root.
    pub privileged: bool,
    /// The floors, then seclude, then the peers: a label and a line.
    pub lines: &'static [(&'static str, &'static str)],
    pub differences: &'static [Difference],
}

/// In order of the privilege that they take.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "s1",
        title: "credentials only, in place, as root",
        privileged: true,
        lines: &[
            ("floor credentials", "floor credentials TARGET"),
            ("floor bounding", "floor bounding TARGET"),
            ("seclude --exec", "seclude -q --exec --user 65534:65534 TARGET"),
            ("setpriv", "setpriv --reuid 65534 --regid 65534 --clear-groups TARGET"),
            ("gosu", "gosu 65534:65534 TARGET"),
            ("minijail0", "minijail0 -u 65534 -g 65534 TARGET"),
        ],
        differences: &[],
    },
    Scenario {
        name: "s0",
        title: "no isolation: to stay, pass signals on, and reap",
        privileged: false,
        lines: &[
            ("floor stay", "floor stay TARGET"),
            ("seclude", "seclude -q TARGET"),
            ("tini -s", "tini -s -- TARGET"),
        ],
        differences: &[],
    },
    Scenario {
        name: "s2",
        title: "user namespace with one map, fork and wait",
        privileged: false,
        lines: S2,
        differences: &[],
    },
    Scenario {
        name: "s3",
        title: "user pid mount uts ipc, fresh /proc",
        privileged: false,
        lines: &[
            ("floor all", "floor all TARGET"),
            ("floor init", "floor init TARGET"),
            (
                "seclude --as-pid1",
                "seclude -q --unshare user,pid,mount,uts,ipc --user 0:0 --mount-proc --as-pid1 TARGET",
            ),
            (
                "seclude with init",
                "seclude -q --unshare user,pid,mount,uts,ipc --user 0:0 --mount-proc TARGET",
            ),
            ("unshare -Urpfmiu --mount-proc", "unshare -Urpfmiu --mount-proc TARGET"),
            ("minijail0 -Umpl --uts with init", "minijail0 -U -m -M -p -l --uts -- TARGET"),
            (
                "bwrap with init",
                "bwrap --unshare-user --unshare-pid --unshare-uts --unshare-ipc --uid 0 --gid 0 --bind / / \
                 --proc /proc TARGET",
            ),
            (
                "nsjail -Mo",
                "nsjail -Q -Mo -u 0:UID:1 -g 0:GID:1 -c / --rw --disable_clone_newnet \
                 --disable_clone_newcgroup --disable_rlimits -- TARGET",
            ),
        ],
        differences: &[
            ("what init costs seclude", "seclude with init", "seclude --as-pid1"),
            ("… and the floor", "floor init", "floor all"),
        ],
    },
    Scenario {
        name: "s4",
        title: "the same and net",
        privileged: false,
        lines: &[
            ("floor net", "floor net TARGET"),
            ("floor loopback", "floor loopback TARGET"),
            (
                "seclude --as-pid1",
                "seclude -q --unshare user,pid,mount,uts,ipc,net --user 0:0 --mount-proc --as-pid1 TARGET",
            ),
            (
                "seclude with init",
                "seclude -q --unshare user,pid,mount,uts,ipc,net --user 0:0 --mount-proc TARGET",
            ),
            ("unshare -Urpfmiun --mount-proc", "unshare -Urpfmiun --mount-proc TARGET"),
            ("minijail0 -Umple --uts with init", "minijail0 -U -m -M -p -l -e --uts -- TARGET"),
            (
                "bwrap with init",
                "bwrap --unshare-user --unshare-pid --unshare-uts --unshare-ipc --unshare-net --uid 0 --gid 0 \
                 --bind / / --proc /proc TARGET",
            ),
            (
                "nsjail -Mo",
                "nsjail -Q -Mo -u 0:UID:1 -g 0:GID:1 -c / --rw --disable_clone_newcgroup --disable_rlimits \
                 -- TARGET",
            ),
        ],
        differences: &[],
    },
    Scenario {
        name: "s5",
        title: "user namespace with one map, in place",
        privileged: false,
        lines: &[
            ("floor inplace", "floor inplace TARGET"),
            ("seclude --exec", "seclude -q --exec --unshare user --user 0:0 TARGET"),
            ("unshare -Ur", "unshare -Ur TARGET"),
        ],
        differences: &[],
    },
];

/// What throughput is measured on, too.
pub const S2: &[(&str, &str)] = &[
    ("floor user", "floor user TARGET"),
    ("seclude", "seclude -q --unshare user --user 0:0 TARGET"),
    ("unshare -Urf", "unshare -Urf TARGET"),
    ("minijail0 -U", "minijail0 -U -m -M -- TARGET"),
    ("bwrap --unshare-user", "bwrap --unshare-user --uid 0 --gid 0 --bind / / TARGET"),
    (
        "nsjail -Mo",
        "nsjail -Q -Mo -u 0:UID:1 -g 0:GID:1 --disable_clone_newnet --disable_clone_newns \
         --disable_clone_newpid --disable_clone_newipc --disable_clone_newuts --disable_clone_newcgroup \
         --disable_rlimits -- TARGET",
    ),
];

impl Scenario {
    pub fn run(&self, lab: &Lab, rounds: usize, random: &mut Random) {
        let lines = self.lines.iter().map(|(label, line)| lab.variant(label, line));
        let variants = lab::working(self.name, std::iter::once(Some(lab.target())).chain(lines));
        let samples = interleave(&variants, rounds, random);
        table::scenario(self.name, self.title, rounds, &samples, self.differences);
    }
}
