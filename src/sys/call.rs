//! One system call, by the instruction alone: it writes to nothing but what its arguments point to, not even errno. No policy.
#![allow(unsafe_code)]

use std::arch::asm;

use libc::{c_int, c_long};

/// The highest errno that an answer can stand for. Source: intro(2).
const MAX_ERRNO: isize = 4095;

/// Asks the kernel: `call!(SYS_chdir, dir)`. Numbers and thin pointers, up to six of them; the answer, or its errno.
#[macro_export]
macro_rules! call {
    ($name:ident $(, $argument:expr)* $(,)?) => {
        $crate::sys::ask(libc::$name, [$($argument as usize),*])
    };
}
pub use call;

/// What [`call!`] does. The C library's syscall(3) tells an error in errno, which a child with its launcher's memory shares.
///
/// # Safety
///
/// As the system call of that number asks of its arguments.
#[inline]
pub unsafe fn ask<const N: usize>(number: c_long, given: [usize; N]) -> Result<c_long, c_int> {
    const { assert!(N <= 6, "a system call has six arguments at most") }
    let mut words = [0; 6];
    words[..N].copy_from_slice(&given);
    // SAFETY: the caller vouches for what the call does with its arguments.
    let answer = unsafe { enter(number as usize, words) };
    match answer {
        error if (-MAX_ERRNO..0).contains(&error) => Err(-error as c_int),
        answer => Ok(answer as c_long),
    }
}

/// Source: syscall(2), Architecture calling conventions.
#[cfg(target_arch = "x86_64")]
#[inline]
unsafe fn enter(number: usize, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let answer;
    // SAFETY: the registers are those of the convention; the kernel keeps all others, and the stack.
    unsafe {
        asm!("syscall", inlateout("rax") number => answer, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
            in("r8") e, in("r9") f, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    answer
}

#[cfg(target_arch = "aarch64")]
#[inline]
unsafe fn enter(number: usize, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let answer;
    // SAFETY: as above.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a => answer, in("x1") b, in("x2") c, in("x3") d, in("x4") e,
            in("x5") f, options(nostack));
    }
    answer
}

#[cfg(target_arch = "riscv64")]
#[inline]
unsafe fn enter(number: usize, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let answer;
    // SAFETY: as above.
    unsafe {
        asm!("ecall", in("a7") number, inlateout("a0") a => answer, in("a1") b, in("a2") c, in("a3") d, in("a4") e,
            in("a5") f, options(nostack));
    }
    answer
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
compile_error!("seclude makes its system calls itself, and knows how on x86_64, aarch64 and riscv64");

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;

    #[test]
    fn an_answer_and_an_errno_are_told_apart() {
        let mut ends = [0u8; 5];
        // SAFETY: numbers, and a buffer of the length that is named.
        unsafe {
            assert_eq!(call!(SYS_getpid), Ok(c_long::from(std::process::id())));
            assert_eq!(call!(SYS_close, -1i32), Err(libc::EBADF));
            assert_eq!(call!(SYS_getrandom, ends.as_mut_ptr(), ends.len(), 0), Ok(5));
            assert_eq!(call!(SYS_lseek, 0, 0, libc::c_int::MAX), Err(libc::EINVAL));
        }
    }

    #[test]
    fn errno_stays_as_it_was() {
        Errno::set_raw(libc::EDOM);
        // SAFETY: numbers.
        assert_eq!(unsafe { call!(SYS_close, -1i32) }, Err(libc::EBADF));
        assert_eq!(Errno::last_raw(), libc::EDOM);
    }

    #[test]
    fn all_six_arguments_arrive() {
        // SAFETY: a new mapping, of nobody's, and its end.
        unsafe {
            let (access, kind) = (libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let start = call!(SYS_mmap, 0, 4096, access, kind, -1i32, 0).unwrap();
            assert_eq!(call!(SYS_munmap, start, 4096), Ok(0));
            // The sixth, an offset, is to be of whole pages.
            assert_eq!(call!(SYS_mmap, 0, 4096, access, kind, -1i32, 1), Err(libc::EINVAL));
        }
    }
}
