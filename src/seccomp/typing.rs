//! The filter that keeps a command from typing into the terminal of its caller: two requests of ioctl(2), and nothing else.

use super::Instruction;

/// Puts a byte into the input of a terminal. Source: TIOCSTI(2const).
const TIOCSTI: u32 = 0x5412;
/// Among others, pastes into the input of a virtual console. Source: TIOCLINUX(2const).
const TIOCLINUX: u32 = 0x541c;

/// The architectures whose programs a kernel of this one runs, as the audit subsystem names them, each with its ioctl(2).
/// Source: linux/audit.h, syscall(2).
#[cfg(target_arch = "x86_64")]
const IOCTLS: &[(u32, u32)] = &[(0xc000_003e, 16), (0xc000_003e, 0x4000_0000 + 514), (0x4000_0003, 54)];
#[cfg(target_arch = "aarch64")]
const IOCTLS: &[(u32, u32)] = &[(0xc000_00b7, 29), (0x4000_0028, 54)];
#[cfg(target_arch = "riscv64")]
const IOCTLS: &[(u32, u32)] = &[(0xc000_00f3, 29)];

/// Loads a word of struct seccomp_data. Source: seccomp(2), bpf(4) of FreeBSD for the instructions.
const LOAD: u16 = 0x20;
const IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// The lower half of the second argument, which is all of it that the kernel looks at: what the upper half holds changes
/// nothing (CVE-2019-7303).
const REQUEST: u32 = 24;

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0000 + 1;

/// The program. Whatever else a process asks for is let through, of every architecture.
pub fn filter() -> Vec<Instruction> {
    let of = |code, jt, jf, k| Instruction { code, jt, jf, k };
    let mut program = Vec::new();
    for (index, (architecture, ioctl)) in IOCTLS.iter().enumerate() {
        // Past the other architectures, four instructions each, and the verdict that lets it through.
        let rest = (IOCTLS.len() - index - 1) as u8 * 4 + 1;
        program.extend([
            of(LOAD, 0, 0, ARCHITECTURE),
            of(IF_EQUAL, 0, 2, *architecture),
            of(LOAD, 0, 0, NUMBER),
            of(IF_EQUAL, rest, 0, *ioctl),
        ]);
    }
    program.extend([
        of(RETURN, 0, 0, ALLOW),
        of(LOAD, 0, 0, REQUEST),
        of(IF_EQUAL, 2, 0, TIOCSTI),
        of(IF_EQUAL, 1, 0, TIOCLINUX),
        of(RETURN, 0, 0, ALLOW),
        of(RETURN, 0, 0, EPERM),
    ]);
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would answer.
    fn verdict(architecture: u32, number: u32, request: u64) -> u32 {
        let program = filter();
        let (mut at, mut word) = (0, 0);
        loop {
            let Instruction { code, jt, jf, k } = program[at];
            at += 1;
            match code {
                LOAD => {
                    word = match k {
                        NUMBER => number,
                        ARCHITECTURE => architecture,
                        REQUEST => request as u32,
                        k => panic!("nothing is at {k}"),
                    }
                }
                IF_EQUAL => at += usize::from(if word == k { jt } else { jf }),
                _ => return k,
            }
        }
    }

    #[test]
    fn two_requests_are_denied_whatever_their_upper_half_holds() {
        for (architecture, ioctl) in IOCTLS {
            for request in [0x5412, 0x541c, 1 << 32 | 0x5412, u64::MAX << 32 | 0x541c] {
                assert_eq!(verdict(*architecture, *ioctl, request), EPERM, "{architecture:x} {request:x}");
            }
            for request in [0, 0x5413, 0x5411, 0x5401, 0x541b, 0x541d, 0x1_0000_5412_u64 << 16] {
                assert_eq!(verdict(*architecture, *ioctl, request), ALLOW, "{architecture:x} {request:x}");
            }
            assert_eq!(verdict(*architecture, ioctl + 1, 0x5412), ALLOW);
            assert_eq!(verdict(architecture + 1, *ioctl, 0x5412), ALLOW);
        }
    }
}
