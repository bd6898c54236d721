//! Whether a filter of ours answers as the one that libseccomp makes of the same profile, for every system call.

mod oracle;
mod verdict;

#[path = "../machine/mod.rs"]
mod machine;

use std::collections::BTreeSet;

use seclude::seccomp::{Machine, Profile};
use serde_json::{Value, json};

use machine::{can, skipped};
use oracle::{Compared, Library, OPS, Told};
use verdict::{Call, Line, fault, verdict};

/// The default profiles of Podman and its kin, where the Debian package golang-github-containers-common puts it, and of Docker,
/// of golang-github-docker-docker-dev.
const DEFAULTS: [&str; 2] = [
    "/usr/share/containers/seccomp.json",
    "/usr/share/gocode/src/github.com/docker/docker/profiles/seccomp/default.json",
];
/// The numbers of the machines in the audit system. Source: linux/audit.h.
const AUDIT: [u32; 3] = [0xc000_003e, 0xc000_00b7, 0xc000_00f3];
const WORDS: [&str; 3] = ["amd64", "arm64", "riscv64"];
const KERNEL: (u32, u32) = (6, 1);

fn library() -> Option<Library> {
    if !can(&["libseccomp"]) {
        return None;
    }
    let loaded = Library::load();
    if loaded.is_none() {
        skipped("this build can't load libseccomp");
    }
    loaded
}

fn ours(text: &str, machine: Machine, capabilities: u64) -> Vec<Line> {
    let program = Profile::read(text).and_then(|profile| profile.compile(machine, capabilities, KERNEL));
    let program = program.expect("a profile that can be honoured").instructions;
    let lines: Vec<Line> = program.iter().map(|line| (line.code, line.jt, line.jf, line.k)).collect();
    assert_eq!(fault(&lines), None, "the kernel takes it");
    lines
}

/// The values that the rules tell from their neighbours, and what 64 bits have at their edges.
fn edges(rules: &[Told]) -> Vec<u64> {
    let told =
        rules.iter().flat_map(|(.., conditions)| conditions.iter().flat_map(|one| [one.first, one.second]));
    let all = told.chain([0, u32::MAX.into(), u64::MAX, 1 << 32, 1 << 63]);
    let near = |value: u64| {
        [value, value.wrapping_add(1), value.wrapping_sub(1), value ^ (1 << 32), value ^ (1 << 31)]
    };
    all.flat_map(near).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The first call that the filters answer apart.
fn apart(ours: &[Line], theirs: &[Line], calls: Vec<Call>) -> Option<String> {
    let answers = |call: &Call| (verdict(ours, call), verdict(theirs, call));
    let mut told = calls.iter().map(|call| (call, answers(call)));
    let (call, answers) = told.find(|(_, (ours, theirs))| ours != theirs)?;
    Some(format!("{call:x?}: ours and theirs: {answers:#x?}"))
}

/// Every number up to 1023 and at the edges of x32, and for those that a rule compares arguments of, each pair of edges in
/// each pair of arguments.
fn calls(architecture: u32, rules: &[Told]) -> Vec<Call> {
    let edges = edges(rules);
    let compared: BTreeSet<u32> =
        rules.iter().filter(|rule| !rule.2.is_empty()).map(|rule| rule.0 as u32).collect();
    let mut all = Vec::new();
    let odd = [
        0x3fff_ffff,
        0x4000_0000,
        0x4000_0001,
        0x7fff_ffff,
        0x8000_0000,
        0xc000_0000,
        u32::MAX - 1,
        u32::MAX,
    ];
    for number in (0..1024).chain(odd) {
        all.extend([0, u64::MAX].map(|value| Call(number, architecture, [value; 6])));
    }
    for number in compared {
        for (a, b) in (0..6).flat_map(|b| (0..b).map(move |a| (a, b))) {
            for (first, second) in
                edges.iter().flat_map(|first| edges.iter().map(move |second| (*first, *second)))
            {
                let mut arguments = [0; 6];
                (arguments[a], arguments[b]) = (first, second);
                all.push(Call(number, architecture, arguments));
            }
        }
    }
    all.extend(AUDIT.into_iter().chain([0x4000_0003, 0]).map(|other| Call(0, other, [0; 6])));
    all
}

#[test]
fn a_default_profile_is_what_libseccomp_makes_of_it() {
    let Some(library) = library().filter(|_| can(&["seccomp.json"])) else { return };
    for path in DEFAULTS {
        held(&library, &std::fs::read_to_string(path).expect("the package's profile"));
    }
}

fn held(library: &Library, text: &str) {
    let profile: Value = serde_json::from_str(text).expect("JSON");
    let rules = profile["syscalls"].as_array().expect("rules");
    let caps = |rule: &Value| ["includes", "excludes"].map(|kind| rule[kind]["caps"].clone());
    let caps: Vec<Value> = rules.iter().flat_map(caps).collect();
    let named: BTreeSet<&str> = caps.iter().flat_map(oracle::texts).collect();
    assert!(named.len() > 5, "{named:?}");
    let mut sets: Vec<Vec<&str>> = named.iter().map(|name| vec![*name]).collect();
    sets.extend([Vec::new(), named.into_iter().collect()]);
    for (at, machine) in Machine::ALL.into_iter().enumerate() {
        let number = |name: &str| match (library.number(AUDIT[at], name), machine.number(name)) {
            // A name that is younger than the library.
            (-1, ours) => ours.map_or(-1, |number| number as i32),
            (theirs, ours) => {
                assert_eq!(u32::try_from(theirs).ok(), ours, "{machine} {name}");
                theirs
            }
        };
        for set in &sets {
            let bits =
                set.iter().map(|name| name.parse::<caps::Capability>().expect("known").bitmask()).sum();
            let (default, rules) = oracle::told(&profile, WORDS[at], set, number);
            let theirs = library.filter(AUDIT[at], default, &rules).expect("libseccomp takes it");
            let ours = ours(text, machine, bits);
            assert_eq!(apart(&ours, &theirs, calls(AUDIT[at], &rules)), None, "{machine} with {set:?}");
        }
    }
}

/// Numbers without end that are the same each time. Source: Marsaglia, Xorshift RNGs.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % count
    }

    fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
}

/// A profile of a rule and `most` more at most, for few system calls.
fn thrown(dice: &mut Dice, ops: &[&str], actions: &[(&str, u64)], most: usize) -> Value {
    let values = [0, 1, 5, 6, u32::MAX.into(), 1 << 32, (1 << 32) + 5, u64::MAX - 1, u64::MAX];
    let mut rules = Vec::new();
    for _ in 0..=dice.below(most + 1) {
        let mut args = Vec::new();
        for _ in 0..dice.below(4) {
            let op = dice.of(ops);
            let second = if op == "MASKED_EQ" { dice.of(&values) } else { 0 };
            let (index, value) = (dice.below(3), dice.of(&values));
            // Two conditions on one argument make two rules.
            if most == 0 && args.iter().any(|arg: &Value| arg["index"] == index) {
                continue;
            }
            args.push(
                json!({"index": index, "op": format!("SCMP_CMP_{op}"), "value": value, "valueTwo": second}),
            );
        }
        let (action, errno) = dice.of(actions);
        let mut rule = json!({"names": [dice.of(&["ioctl", "openat"])], "action": action, "args": args});
        if errno != 0 {
            rule["errnoRet"] = errno.into();
        }
        rules.push(rule);
    }
    json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": rules})
}

/// Calls of ioctl(2) and openat(2) on x86_64 with edges in three arguments.
fn some(dice: &mut Dice, rules: &[Told]) -> Vec<Call> {
    let edges = edges(rules);
    let mut call =
        |number| Call(number, AUDIT[0], [dice.of(&edges), dice.of(&edges), dice.of(&edges), 0, 0, 0]);
    (0..200).flat_map(|_| [16, 257]).map(&mut call).collect()
}

fn number(name: &str) -> i32 {
    Machine::x86_64.number(name).map_or(-1, |number| number as i32)
}

/// Several rules of other comparisons than equality are left out: libseccomp 2.5.4 makes filters of some that answer otherwise
/// than any of them says, and never ends on others.
#[test]
fn what_libseccomp_decides_between_rules_is_decided_alike() {
    let Some(library) = library() else { return };
    let all = [("SCMP_ACT_ALLOW", 0), ("SCMP_ACT_ERRNO", 1), ("SCMP_ACT_TRAP", 0), ("SCMP_ACT_ERRNO", 38)];
    // Rules of equality in each number, and one rule with each comparison.
    for (ops, most) in [(&["EQ"][..], 4), (&OPS[..], 0)] {
        let mut dice = Dice(0x5ec1_0de5_ec10_de01);
        let mut taken = 0;
        for _ in 0..500 {
            let profile = thrown(&mut dice, ops, &all, most);
            let (default, rules) = oracle::told(&profile, "amd64", &[], number);
            // It refuses some rules that contradict each other; the rule that came first is then as good as any.
            let Ok(theirs) = library.filter(AUDIT[0], default, &rules) else { continue };
            let ours = ours(&profile.to_string(), Machine::x86_64, 0);
            assert_eq!(apart(&ours, &theirs, some(&mut dice, &rules)), None, "{profile:#}");
            taken += 1;
        }
        assert!(taken > 400, "{taken} profiles of 500 were taken");
    }
}

/// Whether a condition holds, as seccomp_rule_add(3) has it.
fn holds(one: &Compared, call: &Call) -> bool {
    let value = call.2[one.argument as usize];
    match OPS[one.op as usize - 1] {
        "NE" => value != one.first,
        "LT" => value < one.first,
        "LE" => value <= one.first,
        "EQ" => value == one.first,
        "GE" => value >= one.first,
        "GT" => value > one.first,
        _ => value & one.first == one.second & one.first,
    }
}

#[test]
fn rules_of_one_action_are_a_union() {
    let mut dice = Dice(0x0ddb_a115_0ddb_a115);
    for _ in 0..1000 {
        let profile = thrown(&mut dice, &OPS, &[("SCMP_ACT_ALLOW", 0)], 4);
        let (default, rules) = oracle::told(&profile, "amd64", &[], number);
        let ours = ours(&profile.to_string(), Machine::x86_64, 0);
        for call in some(&mut dice, &rules) {
            let allowed = rules.iter().any(|(number, _, conditions)| {
                *number == call.0 as i32 && conditions.iter().all(|one| holds(one, &call))
            });
            let right = if allowed { 0x7fff_0000 } else { default };
            assert_eq!(verdict(&ours, &call), right, "{call:x?} {profile:#}");
        }
    }
}
