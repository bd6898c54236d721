//! What a program answers for one system call, worked out as the kernel would. It runs nothing.

use super::{Instruction, Machine};

/// `struct seccomp_data` as the words that programs load. Source: seccomp(2).
pub struct Call {
    words: [u32; 16],
}

impl Call {
    pub fn new(machine: Machine, number: u32, arguments: &[u64]) -> Call {
        let mut words = [0; 16];
        (words[0], words[1]) = (number, machine.audit());
        for (index, argument) in arguments.iter().enumerate() {
            (words[4 + 2 * index], words[5 + 2 * index]) = (*argument as u32, (*argument >> 32) as u32);
        }
        Call { words }
    }
}

/// The return value; `None` for a program that does what seclude's own never do.
pub fn of(program: &[Instruction], call: &Call) -> Option<u32> {
    let (mut at, mut word) = (0usize, 0u32);
    loop {
        let Instruction { code, jt, jf, k } = *program.get(at)?;
        at += 1;
        let holds = match u32::from(code) {
            0x20 => {
                word = *call.words.get(k as usize / 4).filter(|_| k % 4 == 0)?;
                continue;
            }
            0x54 => {
                word &= k;
                continue;
            }
            0x05 => {
                at += k as usize;
                continue;
            }
            0x06 => return Some(k),
            0x15 => word == k,
            0x25 => word > k,
            0x35 => word >= k,
            0x45 => word & k != 0,
            _ => return None,
        };
        at += usize::from(if holds { jt } else { jf });
    }
}
