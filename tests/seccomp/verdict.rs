//! What a filter answers: the classic BPF of seccomp(2), checked as the kernel checks it and run as the kernel runs it.

/// An instruction: code, jumps where a comparison holds and where not, operand.
pub type Line = (u16, u8, u8, u32);

/// A system call: number, architecture, arguments.
#[derive(Clone, Copy, Debug)]
pub struct Call(pub u32, pub u32, pub [u64; 6]);

impl Call {
    /// A word of `struct seccomp_data` where bytes are little-endian.
    fn word(&self, offset: u32) -> u32 {
        let Call(number, architecture, arguments) = self;
        let half = |at: u32| (arguments[at as usize / 8] >> (at % 8 * 8)) as u32;
        match offset {
            0 => *number,
            4 => *architecture,
            16..64 if offset.is_multiple_of(4) => half(offset - 16),
            _ => panic!("a filter reads words of number, architecture and arguments, not {offset}"),
        }
    }
}

/// What the kernel would not take of a filter. Source: `seccomp_check_filter` and `bpf_check_classic` of the kernel.
pub fn fault(program: &[Line]) -> Option<String> {
    let inside = |at: usize, over: u32| at + 1 + (over as usize) < program.len();
    let faulty = |at: usize, &(code, yes, no, operand): &Line| match code {
        0x20 => operand >= 64 || operand % 4 != 0,
        0x54 | 0x06 => false,
        0x05 => !inside(at, operand),
        0x15 | 0x25 | 0x35 => !inside(at, yes.into()) || !inside(at, no.into()),
        _ => true,
    };
    let found = program.iter().enumerate().find(|(at, line)| faulty(*at, line));
    let ends = program.len() <= 4096 && program.last().is_some_and(|(code, ..)| *code == 0x06);
    found.map(|(at, line)| format!("{at}: {line:?}")).or((!ends).then(|| "no end".to_string()))
}

/// What the filter returns for a system call.
pub fn verdict(program: &[Line], call: &Call) -> u32 {
    let (mut at, mut sum) = (0, 0);
    loop {
        let (code, yes, no, operand) = program[at];
        let over = match code {
            0x06 => return operand,
            0x05 => operand,
            0x15 => (if sum == operand { yes } else { no }).into(),
            0x25 => (if sum > operand { yes } else { no }).into(),
            0x35 => (if sum >= operand { yes } else { no }).into(),
            _ => 0,
        };
        match code {
            0x20 => sum = call.word(operand),
            0x54 => sum &= operand,
            _ => {}
        }
        at += 1 + over as usize;
    }
}
