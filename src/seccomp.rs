//! Filters of system calls as programs of the kernel's own small machine. It decides what a program says, and loads none.

pub mod typing;

/// One instruction, as the kernel takes it. Source: linux/filter.h, struct sock_filter.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instruction {
    pub code: u16,
    /// How many instructions are skipped where the comparison holds.
    pub jt: u8,
    /// And where it does not.
    pub jf: u8,
    pub k: u32,
}
