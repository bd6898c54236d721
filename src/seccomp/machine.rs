//! The machines that filters are made for: their names, their numbers in the audit system, their system calls. No policy.

use std::fmt::{self, Display};

/// What a filter's system calls are those of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(non_camel_case_types, reason = "these are the names that the kernel gives them")]
pub enum Machine {
    x86_64,
    aarch64,
    riscv64,
}

/// Applies what follows to the machine's table of system calls.
macro_rules! table {
    ($machine:expr, $table:ident => $what:expr) => {
        match $machine {
            Machine::x86_64 => {
                use syscalls::x86_64::Sysno as $table;
                $what
            }
            Machine::aarch64 => {
                use syscalls::aarch64::Sysno as $table;
                $what
            }
            Machine::riscv64 => {
                use syscalls::riscv64::Sysno as $table;
                $what
            }
        }
    };
}

impl Machine {
    pub const ALL: [Machine; 3] = [Machine::x86_64, Machine::aarch64, Machine::riscv64];

    /// The machine that this is built for; `None` where filters are not made for it.
    pub const HERE: Option<Machine> = if cfg!(target_arch = "x86_64") {
        Some(Machine::x86_64)
    } else if cfg!(target_arch = "aarch64") {
        Some(Machine::aarch64)
    } else if cfg!(target_arch = "riscv64") {
        Some(Machine::riscv64)
    } else {
        None
    };

    /// The word of a profile's `arches`, which is Go's for the machine.
    pub const fn architecture(self) -> &'static str {
        match self {
            Machine::x86_64 => "amd64",
            Machine::aarch64 => "arm64",
            Machine::riscv64 => "riscv64",
        }
    }

    /// `AUDIT_ARCH_…`: 64 bits, little-endian, and the machine's number in ELF. Source: linux/audit.h.
    pub(super) const fn audit(self) -> u32 {
        const LITTLE_64: u32 = 0xc000_0000;
        LITTLE_64
            | match self {
                Machine::x86_64 => libc::EM_X86_64 as u32,
                Machine::aarch64 => libc::EM_AARCH64 as u32,
                Machine::riscv64 => libc::EM_RISCV as u32,
            }
    }

    /// The name of a system call, by its number and by whose it is in the audit system.
    pub fn name(audit: u32, number: u32) -> Option<&'static str> {
        let machine = Machine::ALL.into_iter().find(|machine| machine.audit() == audit)?;
        table!(machine, Table => Table::new(number as usize).map(|call| call.name()))
    }

    /// The number of a system call.
    pub fn number(self, name: &str) -> Option<u32> {
        // The table of aarch64 has another name for it than the kernel. Source: asm-generic/unistd.h.
        let name = if (self, name) == (Machine::aarch64, "newfstatat") { "fstatat" } else { name };
        let number = table!(self, Table => name.parse::<Table>().ok().map(|call| call.id() as u32));
        // The tables give these to all machines; the kernel has them where a word is 32 bits. Source: asm-generic/unistd.h.
        number.filter(|number| !(403..=423).contains(number))
    }

    /// The name that is closest to one that is not known, where one is close: at most a third of its letters apart.
    pub(super) fn near(self, name: &str) -> Option<&'static str> {
        let names: Vec<&'static str> = table!(self, Table => Table::iter().map(|call| call.name()).collect());
        let near = names.into_iter().map(|known| (apart(name, known), known)).min()?;
        (near.0 * 3 <= name.len()).then_some(near.1)
    }
}

impl Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// The bytes that have to be put in, left out or changed to make one text the other. Source: Levenshtein 1966.
fn apart(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (done, left) in a.bytes().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], done + 1);
        for (at, right) in b.bytes().enumerate() {
            let change = corner + usize::from(left != right);
            corner = row[at + 1];
            row[at + 1] = change.min(corner + 1).min(row[at] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_number_on_each_machine() {
        let numbers = |name: &str| Machine::ALL.map(|machine| machine.number(name));
        assert_eq!(numbers("openat"), [Some(257), Some(56), Some(56)]);
        assert_eq!(numbers("open"), [Some(2), None, None]);
        assert_eq!(numbers("newfstatat"), [Some(262), Some(79), Some(79)]);
        assert_eq!(numbers("futex_time64"), [None; 3]);
        assert_eq!(numbers("Openat"), [None; 3]);
    }

    #[test]
    fn this_machine_s_numbers_are_those_of_the_c_library() {
        let Some(here) = Machine::HERE else { return };
        for (name, number) in
            [("ioctl", libc::SYS_ioctl), ("clone3", libc::SYS_clone3), ("seccomp", libc::SYS_seccomp)]
        {
            assert_eq!(here.number(name).map(i64::from), Some(number), "{name}");
        }
    }

    #[test]
    fn machines_have_the_numbers_of_the_audit_system() {
        assert_eq!(Machine::ALL.map(Machine::audit), [0xc000_003e, 0xc000_00b7, 0xc000_00f3]);
    }

    #[test]
    fn only_a_close_name_is_near() {
        let near = |name: &str| Machine::x86_64.near(name);
        assert_eq!(
            (near("opneat"), near("clone33"), near("ptrac")),
            (Some("openat"), Some("clone3"), Some("ptrace"))
        );
        assert_eq!((near("frobnicate"), near(""), near("x")), (None, None, None));
    }

    #[test]
    fn texts_are_as_far_apart_as_they_have_to_be_changed() {
        for (a, b, far) in
            [("", "", 0), ("", "ab", 2), ("ab", "", 2), ("kitten", "sitting", 3), ("same", "same", 0)]
        {
            assert_eq!(apart(a, b), far, "{a} {b}");
        }
    }
}
