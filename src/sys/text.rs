//! The program's own code and constants in memory: given back while it sleeps. The kernel maps again what is touched.
#![allow(unsafe_code)]

use std::ptr;
use std::slice;

use libc::{Elf64_Ehdr, Elf64_Phdr, PF_W, PF_X, PT_LOAD, getauxval};

use super::call;

/// The bytes of code that stay, from the first: with what waits, if the linker has laid it there, and is touched again at
/// once. See .cargo/launch.ld.
const KEPT: usize = 64 << 10;
/// Segments of a program that are given back, at most: linkers make one to three that nobody writes to.
const MOST: usize = 4;

/// Unmaps the pages of the program that nothing has written to: they stay where files are cached, and come back from there.
///
/// What they hold is as it is in the file, so whoever reads on finds the same; a debugger's breakpoints go. Source: madvise(2), MADV_DONTNEED;
/// getauxval(3).
pub fn give_back() {
    // SAFETY: the kernel vouches for the program headers; only what is mapped without write permission is given back.
    unsafe {
        let [start, count, page] =
            [libc::AT_PHDR, libc::AT_PHNUM, libc::AT_PAGESZ].map(|word| getauxval(word) as usize);
        if start == 0 || page == 0 {
            return;
        }
        let headers = slice::from_raw_parts(ptr::with_exposed_provenance::<Elf64_Phdr>(start), count);
        let mut loaded = headers.iter().filter(|header| header.p_type == PT_LOAD).peekable();
        // The first is mapped from the file's beginning, where the headers are right behind the ELF header.
        let Some(first) = loaded.peek() else { return };
        let bias = (start - size_of::<Elf64_Ehdr>()).wrapping_sub(first.p_vaddr as usize);
        // The headers themselves are in one of them.
        let mut spans = [(0, 0); MOST];
        for (span, header) in spans.iter_mut().zip(loaded.filter(|header| header.p_flags & PF_W == 0)) {
            let begin = bias.wrapping_add(header.p_vaddr as usize);
            let kept = if header.p_flags & PF_X != 0 { KEPT } else { 0 };
            *span = ((begin & !(page - 1)) + kept, begin + header.p_filesz as usize);
        }
        for (begin, end) in spans.into_iter().filter(|(begin, end)| begin < end) {
            let _ = call!(SYS_madvise, begin, end - begin, libc::MADV_DONTNEED);
        }
    }
}
