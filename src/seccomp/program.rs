//! A filter in classic BPF: which machine, which number, then which arguments. It knows no names and no files.
//!
//! What it reads is `struct seccomp_data`: the number at 0, the architecture at 4, six arguments of 64 bits from 16 on.
//! Source: seccomp(2), bpf(4) of the BSDs, linux/filter.h.

use std::collections::BTreeMap;

use super::{Action, Case, Comparison, Condition, Machine};

/// Instructions that the kernel takes in one filter: BPF_MAXINSNS. Source: seccomp(2), `EINVAL`.
const MAX_INSTRUCTIONS: usize = libc::BPF_MAXINSNS as usize;
/// The bit of x32 numbers. Source: asm/unistd.h of x86.
const X32: u32 = 0x4000_0000;
/// What a tracer makes of the number of a system call that is to be left out. Source: seccomp(2), ptrace(2).
const NO_CALL: u32 = u32::MAX;

const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const IF_GREATER: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
const IF_GREATER_OR_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// `struct sock_filter`, as the kernel has it.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instruction {
    pub code: u16,
    /// Instructions that are jumped over where the comparison holds.
    pub jt: u8,
    /// Those where it does not.
    pub jf: u8,
    pub k: u32,
}

/// A filter that seccomp(2) takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    /// 4096 at most.
    pub instructions: Vec<Instruction>,
    /// The flags of SECCOMP_SET_MODE_FILTER; where there are none, prctl(2) does as well.
    pub flags: u32,
    /// Names of the profile that the machine doesn't have, each once.
    pub skipped: usize,
}

const fn line(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

fn answer(action: Action) -> Instruction {
    line(RETURN, action.0)
}

/// The whole filter: `cases` are those of each number, in the order in which they are tried.
pub(super) fn instructions(
    machine: Machine,
    default: Action,
    cases: BTreeMap<u32, Vec<Case>>,
) -> Result<Vec<Instruction>, String> {
    let otherwise = vec![Case { conditions: Vec::new(), action: default }];
    // The first number of each range, and what holds from it up to the next.
    let mut ranges = vec![(0, otherwise.clone())];
    for (number, cases) in cases {
        let mut from = |first, cases: Vec<Case>| {
            ranges.pop_if(|(last, _)| *last == first);
            if ranges.last().is_none_or(|(_, before)| *before != cases) {
                ranges.push((first, cases));
            }
        };
        from(number, cases);
        from(number + 1, otherwise.clone());
    }
    let mut program = entry(machine);
    program.extend(search(&ranges, default));
    match program.len() {
        0..=MAX_INSTRUCTIONS => Ok(program),
        count => Err(format!("the profile makes {count} instructions: the kernel takes {MAX_INSTRUCTIONS}")),
    }
}

/// Ends a process that calls by another machine's numbers, which mean other calls here; leaves the number to be looked at.
fn entry(machine: Machine) -> Vec<Instruction> {
    let kill = answer(Action::KILL_PROCESS);
    let mut entry =
        vec![line(LOAD, ARCHITECTURE), jump(IF_EQUAL, machine.audit(), 1, 0), kill, line(LOAD, NUMBER)];
    if machine == Machine::x86_64 {
        // x32 is another machine in all but its audit number, and its calls would get past every rule against one of ours. It
        // is killed like the others, as libseccomp does it: who calls so and is no x32 program is looking for a way around, and an
        // x32 program would be helped by ENOSYS no more. Larger numbers that are none are no system call of either.
        entry.extend([jump(IF_GREATER_OR_EQUAL, X32, 0, 2), jump(IF_EQUAL, NO_CALL, 1, 0), kill]);
    }
    entry
}

/// Halves the ranges until one is left.
fn search(ranges: &[(u32, Vec<Case>)], default: Action) -> Vec<Instruction> {
    if let [(_, cases)] = ranges {
        return tried(cases, default);
    }
    let (lower, upper) = ranges.split_at(ranges.len() / 2);
    let (first, lower, upper) = (upper[0].0, search(lower, default), search(upper, default));
    let fork = match u8::try_from(lower.len()) {
        Ok(over) => vec![jump(IF_GREATER_OR_EQUAL, first, over, 0)],
        // A comparison jumps over 255 instructions at most.
        Err(_) => vec![jump(IF_GREATER_OR_EQUAL, first, 0, 1), line(JUMP, lower.len() as u32)],
    };
    [fork, lower, upper].concat()
}

/// Tries one case after the other; the default is what is left.
fn tried(cases: &[Case], default: Action) -> Vec<Instruction> {
    let mut out = Vec::new();
    for Case { conditions, action } in cases {
        let mut case = vec![answer(*action)];
        for condition in conditions.iter().rev() {
            let rest = u8::try_from(case.len()).expect("six conditions of six instructions each at most");
            case.splice(0..0, compared(condition, rest));
        }
        let decided = case.len() == 1;
        out.extend(case);
        if decided {
            return out;
        }
    }
    out.push(answer(default));
    out
}

/// Goes on behind itself where the condition holds, and `rest` instructions further where it doesn't.
fn compared(condition: &Condition, rest: u8) -> Vec<Instruction> {
    let low = ARGUMENTS + 8 * u32::from(condition.argument);
    let (value, top) = (condition.value as u32, (condition.value >> 32) as u32);
    // The upper half decides unless it is equal. How far it is to where the condition holds and where it doesn't is counted from
    // behind the last instruction, which is two lines on from that of the upper half.
    let ordered = |code, holds: [u8; 2]| {
        let [yes, no] = holds;
        vec![
            line(LOAD, low + 4),
            jump(IF_GREATER, top, yes + 3, 0),
            jump(IF_EQUAL, top, 0, no + 2),
            line(LOAD, low),
            jump(code, value, yes, no),
        ]
    };
    match condition.comparison {
        Comparison::Greater => ordered(IF_GREATER, [0, rest]),
        Comparison::GreaterOrEqual => ordered(IF_GREATER_OR_EQUAL, [0, rest]),
        Comparison::LessOrEqual => ordered(IF_GREATER, [rest, 0]),
        Comparison::Less => ordered(IF_GREATER_OR_EQUAL, [rest, 0]),
        Comparison::NotEqual => vec![
            line(LOAD, low + 4),
            jump(IF_EQUAL, top, 0, 2),
            line(LOAD, low),
            jump(IF_EQUAL, value, rest, 0),
        ],
        Comparison::Equal { mask } => {
            let lower = half(low, mask as u32, value, rest);
            let mut out = half(low + 4, (mask >> 32) as u32, top, rest + lower.len() as u8);
            out.extend(lower);
            out
        }
    }
}

/// Compares the bits of one half that are in the mask; nothing where none is.
fn half(offset: u32, mask: u32, value: u32, rest: u8) -> Vec<Instruction> {
    match mask {
        0 => Vec::new(),
        u32::MAX => vec![line(LOAD, offset), jump(IF_EQUAL, value, 0, rest)],
        mask => vec![line(LOAD, offset), line(AND, mask), jump(IF_EQUAL, value & mask, 0, rest)],
    }
}
