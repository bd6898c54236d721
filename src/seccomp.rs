//! Seccomp filters: a profile, or a list of system calls, becomes a program that the kernel runs. Pure: nothing is installed here.
//!
//! A profile is what the OCI runtime specification has as `linux.seccomp`, or the format of the default profiles of Docker and
//! Podman. What it means is what the OCI runtimes make of it with libseccomp. Source: config-linux.md of the OCI runtime
//! specification, seccomp(2), seccomp_rule_add(3).

mod format;
mod machine;
mod outcome;
mod program;
pub mod typing;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

pub use machine::Machine;
pub use program::{Instruction, Program};

impl Program {
    /// Compiled elsewhere: instructions of eight bytes, as the kernel has them.
    pub fn compiled(bytes: &[u8]) -> Result<Program, String> {
        let (whole, rest) = bytes.as_chunks::<8>();
        if whole.is_empty() || !rest.is_empty() || whole.len() > libc::BPF_MAXINSNS as usize {
            return Err("a program is 1 to 4096 instructions of eight bytes".to_string());
        }
        let instruction = |[c, d, jt, jf, k @ ..]: &[u8; 8]| Instruction {
            code: u16::from_ne_bytes([*c, *d]),
            jt: *jt,
            jf: *jf,
            k: u32::from_ne_bytes(*k),
        };
        Ok(Program { instructions: whole.iter().map(instruction).collect(), flags: 0, skipped: 0 })
    }

    /// Whether a process below it lives on where it asks for its seccomp mode, which is how a filter is read back.
    pub fn is_readable(&self, machine: Machine) -> bool {
        let question = [libc::PR_GET_SECCOMP as u64];
        let call = machine.number("prctl").map(|number| outcome::Call::new(machine, number, &question));
        let action = call.and_then(|call| outcome::of(&self.instructions, &call));
        let calm = [libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_ERRNO, libc::SECCOMP_RET_LOG];
        action.is_some_and(|action| calm.contains(&(action & libc::SECCOMP_RET_ACTION_FULL)))
    }
}

/// What a filter has the kernel do about a system call: its return value. Source: seccomp(2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Action(u32);

impl Action {
    const KILL_PROCESS: Action = Action(libc::SECCOMP_RET_KILL_PROCESS);
    const ALLOW: Action = Action(libc::SECCOMP_RET_ALLOW);

    const fn errno(errno: u16) -> Action {
        Action(libc::SECCOMP_RET_ERRNO | errno as u32)
    }
}

/// How an argument is compared, without a sign, over 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Comparison {
    NotEqual,
    Less,
    LessOrEqual,
    /// Of the bits in the mask alone.
    Equal {
        mask: u64,
    },
    GreaterOrEqual,
    Greater,
}

/// What has to hold of one argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Condition {
    /// 0 to 5.
    argument: u8,
    comparison: Comparison,
    value: u64,
}

/// What is asked of the process and of the machine before a rule counts.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Circumstances {
    capabilities: u64,
    architectures: Vec<String>,
    /// The oldest kernel: version and patch level.
    kernel: Option<(u32, u32)>,
}

/// An action for some system calls, where all conditions hold.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Rule {
    names: Vec<String>,
    action: Action,
    conditions: Vec<Condition>,
    includes: Circumstances,
    excludes: Circumstances,
}

/// Rules for system calls by name, and what is done about all others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Profile {
    default: Action,
    /// Of seccomp(2): SECCOMP_FILTER_FLAG_LOG and SECCOMP_FILTER_FLAG_SPEC_ALLOW at most.
    flags: u32,
    rules: Vec<Rule>,
}

/// One way to an action; where there are no conditions, the only one of its system call.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Case {
    conditions: Vec<Condition>,
    action: Action,
}

impl Profile {
    /// Reads a profile in JSON: the OCI runtime specification's `linux.seccomp`, or Docker's and Podman's own format.
    ///
    /// Refuses members and words that neither format has, and what only a listener could answer: SCMP_ACT_NOTIFY,
    /// `listenerPath` and SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV. SECCOMP_FILTER_FLAG_TSYNC is taken and asks for nothing, since a
    /// process before its exec has one thread.
    pub fn read(text: &str) -> Result<Profile, String> {
        format::read(text)
    }

    /// Answers the system calls of `names` with `errno`, 0 to 4095, and allows all others.
    ///
    /// A name that the machine doesn't have is refused: a list that was typed holds no names of other machines.
    pub fn deny(names: &[String], errno: u16, machine: Machine) -> Result<Profile, String> {
        for name in names {
            if machine.number(name).is_none() {
                let hint = machine.near(name).map(|near| format!(", did you mean {near}?"));
                let name = crate::failure::shown(name);
                return Err(format!("{machine} has no system call {name}{}", hint.unwrap_or_default()));
            }
        }
        Ok(Profile::of(vec![Rule::new(names.to_vec(), Vec::new(), Action::errno(errno))]))
    }

    fn of(rules: Vec<Rule>) -> Profile {
        Profile { default: Action::ALLOW, flags: 0, rules }
    }

    /// The program for a machine, for a command that is left with `capabilities` (a bit for each, as in
    /// `/proc/PID/status`; where an OCI runtime asks the bounding set), on a kernel of that version and patch level.
    ///
    /// At most 4096 instructions. Names that the machine doesn't have are left out and counted: profiles name the system calls
    /// of all machines. The architectures of a profile ask for nothing: a system call of any but `machine` ends the process.
    pub fn compile(
        &self,
        machine: Machine,
        capabilities: u64,
        kernel: (u32, u32),
    ) -> Result<Program, String> {
        let mut cases: BTreeMap<u32, Vec<Case>> = BTreeMap::new();
        let mut skipped = BTreeSet::new();
        for rule in self.rules.iter().filter(|rule| rule.counts(machine, capabilities, kernel)) {
            for name in &rule.names {
                match machine.number(name) {
                    // The runtimes leave out a rule that says what the default says; libseccomp refuses it.
                    Some(number) if rule.action != self.default => {
                        cases.entry(number).or_default().extend(rule.cases());
                    }
                    Some(_) => {}
                    None => _ = skipped.insert(name),
                }
            }
        }
        let cases = cases.into_iter().map(|(number, cases)| (number, in_order(cases))).collect();
        let instructions = program::instructions(machine, self.default, cases)?;
        Ok(Program { instructions, flags: self.flags, skipped: skipped.len() })
    }
}

impl Rule {
    fn new(names: Vec<String>, conditions: Vec<Condition>, action: Action) -> Rule {
        let (includes, excludes) = Default::default();
        Rule { names, action, conditions, includes, excludes }
    }

    /// Whether the circumstances are those of the rule: all of `includes`, none of `excludes`.
    fn counts(&self, machine: Machine, capabilities: u64, kernel: (u32, u32)) -> bool {
        let of_machine = |names: &[String]| names.iter().any(|name| name == machine.architecture());
        let (includes, excludes) = (&self.includes, &self.excludes);
        includes.capabilities & !capabilities == 0
            && (includes.architectures.is_empty() || of_machine(&includes.architectures))
            && includes.kernel.is_none_or(|oldest| kernel >= oldest)
            && excludes.capabilities & capabilities == 0
            && !of_machine(&excludes.architectures)
            && excludes.kernel.is_none_or(|oldest| kernel < oldest)
    }

    /// One case in which all conditions hold; where two are on the same argument, which libseccomp can't have in one rule, a
    /// case for each condition, as the runtimes do it.
    fn cases(&self) -> Vec<Case> {
        let mut conditions = self.conditions.clone();
        conditions.sort_by_key(|condition| condition.argument);
        let twice = conditions.windows(2).any(|pair| pair[0].argument == pair[1].argument);
        let case = |conditions: &[Condition]| Case { conditions: conditions.to_vec(), action: self.action };
        if twice { self.conditions.chunks(1).map(case).collect() } else { vec![case(&conditions)] }
    }
}

/// The cases of one system call in the order in which they are tried, the first that holds being taken.
///
/// The first without conditions is the only one, wherever it stands. Else the order is the one in which libseccomp tries rules
/// of equality, not that of the profile. It tells only where cases overlap that have different actions, of which no manual
/// says which wins.
fn in_order(mut cases: Vec<Case>) -> Vec<Case> {
    if let Some(only) = cases.iter().position(|case| case.conditions.is_empty()) {
        return vec![cases.swap_remove(only)];
    }
    cases.sort_by(|a, b| {
        let apart = a.conditions.iter().zip(&b.conditions).map(|(a, b)| before(a, b)).find(|o| o.is_ne());
        apart.unwrap_or(a.conditions.len().cmp(&b.conditions.len()))
    });
    cases.dedup();
    cases
}

/// Later arguments are tried first, then the narrower comparisons, then the narrower values.
fn before(a: &Condition, b: &Condition) -> Ordering {
    let rank = |condition: &Condition| match condition.comparison {
        Comparison::Equal { .. } | Comparison::NotEqual => (0, !condition.value),
        Comparison::LessOrEqual | Comparison::Less => (1, condition.value),
        Comparison::GreaterOrEqual | Comparison::Greater => (2, !condition.value),
    };
    b.argument.cmp(&a.argument).then(rank(a).cmp(&rank(b)))
}

#[cfg(test)]
#[path = "../tests/seccomp/verdict.rs"]
mod verdict;

#[cfg(test)]
mod tests {
    use super::verdict::{Call, Line, fault, verdict};
    use super::*;

    const ALLOW: u32 = 0x7fff_0000;
    const KILL_PROCESS: u32 = 0x8000_0000;
    const EPERM: u32 = 0x5_0001;
    const NONE: [u64; 6] = [0; 6];

    fn compiled(profile: &Profile, capabilities: u64) -> (Vec<Line>, usize) {
        let program = profile.compile(Machine::x86_64, capabilities, (6, 1)).unwrap();
        let lines: Vec<Line> =
            program.instructions.iter().map(|one| (one.code, one.jt, one.jf, one.k)).collect();
        assert_eq!(fault(&lines), None);
        (lines, program.skipped)
    }

    /// What a profile of the default EPERM with these rules answers to system calls of x86_64.
    fn answers<const N: usize>(rules: &str, calls: [(u32, [u64; 6]); N]) -> [u32; N] {
        let text = format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{rules}]}}"#);
        let (lines, _) = compiled(&Profile::read(&text).unwrap(), 0);
        calls.map(|(number, arguments)| verdict(&lines, &Call(number, 0xc000_003e, arguments)))
    }

    #[test]
    fn a_list_is_refused_call_by_call_and_all_else_is_allowed() {
        let names = ["ptrace", "keyctl", "add_key"].map(String::from);
        let (lines, skipped) = compiled(&Profile::deny(&names, 1, Machine::x86_64).unwrap(), 0);
        for number in 0..1024 {
            let right = if [101, 248, 250].contains(&number) { EPERM } else { ALLOW };
            assert_eq!(verdict(&lines, &Call(number, 0xc000_003e, NONE)), right, "{number}");
        }
        assert_eq!(skipped, 0);
    }

    #[test]
    fn a_name_that_is_mistyped_is_refused_with_the_one_that_was_meant() {
        let refusal = |name: &str| Profile::deny(&[name.to_string()], 1, Machine::x86_64).unwrap_err();
        assert_eq!(refusal("ptrase"), "x86_64 has no system call ptrase, did you mean ptrace?");
        assert_eq!(refusal("frobnicate"), "x86_64 has no system call frobnicate");
    }

    #[test]
    fn the_calls_of_another_machine_end_the_process() {
        let profile = Profile::deny(&["mkdir".to_string()], 1, Machine::x86_64).unwrap();
        let (lines, _) = compiled(&profile, 0);
        let answer = |number, architecture| verdict(&lines, &Call(number, architecture, NONE));
        assert_eq!([answer(1, 0x4000_0003), answer(1, 0xc000_00b7)], [KILL_PROCESS; 2]);
        assert_eq!([answer(0x4000_0000, 0xc000_003e), answer(0x4000_0010, 0xc000_003e)], [KILL_PROCESS; 2]);
        // A tracer that leaves a call out makes this of its number.
        assert_eq!(answer(u32::MAX, 0xc000_003e), ALLOW);
    }

    #[test]
    fn arguments_are_compared_over_64_bits_without_a_sign() {
        let five = (1 << 32) + 5;
        let values = [0, 5, five - 1, five, five + 1, 1 << 33, u64::MAX];
        for (op, hold) in [
            ("NE", [true, true, true, false, true, true, true]),
            ("LT", [true, true, true, false, false, false, false]),
            ("LE", [true, true, true, true, false, false, false]),
            ("EQ", [false, false, false, true, false, false, false]),
            ("GE", [false, false, false, true, true, true, true]),
            ("GT", [false, false, false, false, true, true, true]),
        ] {
            let rule = format!(
                r#"{{"names": ["read"], "action": "SCMP_ACT_ALLOW",
                    "args": [{{"index": 5, "value": {five}, "op": "SCMP_CMP_{op}"}}]}}"#
            );
            let seen = answers(&rule, values.map(|value| (0, [9, 9, 9, 9, 9, value])));
            assert_eq!(seen.map(|answer| answer == ALLOW), hold, "{op}");
        }
    }

    #[test]
    fn a_mask_leaves_bits_out() {
        let rule = r#"{"names": ["clone"], "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]}"#;
        let seen = answers(
            rule,
            [0, 17, 0x1000_0000, 0xffff_ffff_0000_0011].map(|flags| (56, [flags, 0, 0, 0, 0, 0])),
        );
        assert_eq!(seen, [ALLOW, ALLOW, EPERM, ALLOW]);
    }

    #[test]
    fn conditions_of_a_rule_hold_together_and_those_on_one_argument_each_alone() {
        let two = |second| {
            format!(
                r#"{{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}},
                    {{"index": {second}, "value": 2, "op": "SCMP_CMP_EQ"}}]}}"#
            )
        };
        let calls = [[1, 2], [1, 0], [2, 2], [0, 0]].map(|[a, b]| (0, [a, b, 0, 0, 0, 0]));
        assert_eq!(answers(&two(1), calls), [ALLOW, EPERM, EPERM, EPERM]);
        assert_eq!(answers(&two(0), calls), [ALLOW, ALLOW, ALLOW, EPERM]);
    }

    #[test]
    fn a_rule_without_conditions_wins_wherever_it_stands() {
        let part = r#"{"name": "read", "action": "SCMP_ACT_TRAP", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}"#;
        let [first, second] =
            ["ALLOW", "LOG"].map(|word| format!(r#"{{"name": "read", "action": "SCMP_ACT_{word}"}}"#));
        let call = [(0, [1, 0, 0, 0, 0, 0])];
        assert_eq!(answers(&format!("{part}, {first}, {second}"), call), [ALLOW]);
        assert_eq!(answers(&format!("{first}, {part}, {second}"), call), [ALLOW]);
        assert_eq!(answers(&format!("{second}, {first}, {part}"), call), [0x7ffc_0000]);
    }

    #[test]
    fn of_rules_that_overlap_the_one_on_the_later_argument_wins() {
        let rule = |index: u32, word: &str| {
            format!(
                r#"{{"name": "read", "action": "SCMP_ACT_{word}", "args": [{{"index": {index}, "value": 1, "op": "SCMP_CMP_EQ"}}]}}"#
            )
        };
        let [first, second] = [rule(0, "ALLOW"), rule(1, "LOG")];
        let calls = [[1, 1], [1, 0], [0, 1]].map(|[a, b]| (0, [a, b, 0, 0, 0, 0]));
        for rules in [format!("{first}, {second}"), format!("{second}, {first}")] {
            assert_eq!(answers(&rules, calls), [0x7ffc_0000, ALLOW, 0x7ffc_0000]);
        }
    }

    #[test]
    fn a_rule_that_says_what_the_default_says_is_none() {
        let rules = r#"{"name": "read", "action": "SCMP_ACT_ERRNO"},
            {"name": "read", "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}"#;
        assert_eq!(answers(rules, [1, 2].map(|first| (0, [first, 0, 0, 0, 0, 0]))), [ALLOW, EPERM]);
    }

    #[test]
    fn a_rule_counts_where_its_circumstances_hold() {
        let chown = |more: &str| {
            let text = format!(
                r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{{"names": ["chown"], "action": "SCMP_ACT_ALLOW", {more}}}]}}"#
            );
            Profile::read(&text).unwrap()
        };
        let allowed = |more: &str, capabilities| {
            verdict(&compiled(&chown(more), capabilities).0, &Call(92, 0xc000_003e, NONE)) == ALLOW
        };
        for (more, none, first, both) in [
            (r#""includes": {"caps": ["CAP_CHOWN", "CAP_KILL"]}"#, false, false, true),
            (r#""excludes": {"caps": ["CAP_CHOWN", "CAP_KILL"]}"#, true, false, false),
            (r#""includes": {"arches": ["arm64", "amd64"]}"#, true, true, true),
            (r#""includes": {"arches": ["arm64"]}"#, false, false, false),
            (r#""excludes": {"arches": ["amd64"]}"#, false, false, false),
            (r#""includes": {"minKernel": "6.1"}"#, true, true, true),
            (r#""includes": {"minKernel": "6.10"}"#, false, false, false),
            (r#""excludes": {"minKernel": "5.20"}"#, false, false, false),
            (r#""excludes": {"minKernel": "6.1"}"#, false, false, false),
            (r#""excludes": {"minKernel": "6.2"}"#, true, true, true),
        ] {
            // CAP_CHOWN is 0, CAP_KILL is 5.
            assert_eq!(
                [allowed(more, 0), allowed(more, 1), allowed(more, 0x21)],
                [none, first, both],
                "{more}"
            );
        }
    }

    #[test]
    fn names_of_other_machines_are_counted_once() {
        let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["breakpoint", "read"], "action": "SCMP_ACT_LOG"}, {"names": ["breakpoint"], "action": "SCMP_ACT_TRAP"}]}"#;
        assert_eq!(compiled(&Profile::read(text).unwrap(), 0).1, 1);
    }

    #[test]
    fn a_program_is_ranges_that_are_halved() {
        let profile =
            Profile::deny(&["read", "write", "open"].map(String::from), 1, Machine::x86_64).unwrap();
        let (lines, _) = compiled(&profile, 0);
        let right = [
            (0x20, 0, 0, 4),
            (0x15, 1, 0, 0xc000_003e),
            (0x06, 0, 0, KILL_PROCESS),
            (0x20, 0, 0, 0),
            (0x35, 0, 2, 0x4000_0000),
            (0x15, 1, 0, u32::MAX),
            (0x06, 0, 0, KILL_PROCESS),
            (0x35, 1, 0, 3),
            (0x06, 0, 0, EPERM),
            (0x06, 0, 0, ALLOW),
        ];
        assert_eq!(lines, right);
    }

    #[test]
    fn no_more_instructions_than_the_kernel_takes() {
        let rule = |value: u32| {
            format!(
                r#"{{"name": "read", "action": "SCMP_ACT_ALLOW", "args": [{{"index": 0, "value": {value}, "op": "SCMP_CMP_EQ"}}]}}"#
            )
        };
        let many = |count| {
            let rules: Vec<String> = (0..count).map(rule).collect();
            let text = format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{}]}}"#, rules.join(","));
            Profile::read(&text).unwrap().compile(Machine::x86_64, 0, (6, 1))
        };
        // Seven at the entry, a fork with a jump, five for each rule, and the default twice.
        assert_eq!(many(817).unwrap().instructions.len(), 7 + 2 + 817 * 5 + 2);
        assert_eq!(many(818).unwrap_err(), "the profile makes 4101 instructions: the kernel takes 4096");
    }

    #[test]
    fn a_long_way_over_is_jumped_without_a_comparison() {
        let names: Vec<String> = (0..450)
            .filter(|number| number % 2 == 0)
            .filter_map(|number| syscalls::x86_64::Sysno::new(number).map(|call| call.name().to_string()))
            .collect();
        let (lines, _) = compiled(&Profile::deny(&names, 1, Machine::x86_64).unwrap(), 0);
        assert!(lines.iter().any(|line| line.0 == 0x05 && line.3 > 255), "{}", lines.len());
        for number in 0..1024 {
            let denied = number < 450 && number % 2 == 0 && syscalls::x86_64::Sysno::new(number).is_some();
            let right = if denied { EPERM } else { ALLOW };
            assert_eq!(verdict(&lines, &Call(number as u32, 0xc000_003e, NONE)), right, "{number}");
        }
    }
}
