//! Memory for a process that soon becomes another, or sleeps until it ends: handed out once, and not taken back.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr::{null_mut, slice_from_raw_parts_mut};
use std::sync::atomic::{AtomicBool, Ordering};

/// The bytes that most launches get along with, and that later ones are asked of the kernel for at a time.
const FIRST: usize = 96 << 10;
const MORE: usize = 1 << 20;

#[repr(align(16))]
struct Arena(UnsafeCell<[u8; FIRST]>);

/// An allocator that only moves on: all that a launch allocates is a few hundred small things, which live as long as it.
#[repr(C)]
pub struct Heap {
    busy: AtomicBool,
    /// Where the next thing goes, and where the room ends: beside what is handed out first, in a page that is used anyway.
    room: UnsafeCell<(usize, usize)>,
    first: Arena,
}

// SAFETY: whoever touches the cells holds `busy`.
unsafe impl Sync for Heap {}

impl Default for Heap {
    fn default() -> Heap {
        Heap::new()
    }
}

impl Heap {
    pub const fn new() -> Heap {
        Heap {
            busy: AtomicBool::new(false),
            room: UnsafeCell::new((0, 0)),
            first: Arena(UnsafeCell::new([0; FIRST])),
        }
    }

    /// Runs `with` on the room, alone.
    fn alone<T>(&self, with: impl FnOnce(&mut (usize, usize)) -> T) -> T {
        while self.busy.swap(true, Ordering::Acquire) {
            std::hint::spin_loop();
        }
        // SAFETY: `busy` is ours, and the reference ends before it is given back.
        let answer = with(unsafe { &mut *self.room.get() });
        self.busy.store(false, Ordering::Release);
        answer
    }

    fn take(&self, room: &mut (usize, usize), layout: Layout) -> *mut u8 {
        if room.1 == 0 {
            let first = self.first.0.get() as usize;
            *room = (first, first + FIRST);
        }
        let fits = |room: &(usize, usize)| {
            // An alignment is a power of two.
            let start = room.0.checked_add(layout.align() - 1)? & !(layout.align() - 1);
            let end = start.checked_add(layout.size())?;
            (end <= room.1).then_some((start, end))
        };
        if fits(room).is_none() {
            let size = (layout.size() + layout.align()).max(MORE).next_multiple_of(4096);
            let (access, kind) =
                (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            // SAFETY: a new mapping, which nobody else knows of.
            let start = unsafe { libc::mmap(null_mut(), size, access, kind, -1, 0) };
            if start == libc::MAP_FAILED {
                return null_mut();
            }
            *room = (start as usize, start as usize + size);
        }
        match fits(room) {
            Some((start, end)) => {
                room.0 = end;
                start as *mut u8
            }
            None => null_mut(),
        }
    }
}

// SAFETY: each piece of room is handed out once, aligned as asked; only the last is ever taken back, or made longer.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.alone(|room| self.take(room, layout))
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.alone(|room| {
            if pointer as usize + layout.size() == room.0 {
                room.0 = pointer as usize;
            }
        });
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.alone(|room| {
            let (start, is_last) = (pointer as usize, pointer as usize + layout.size() == room.0);
            if size <= layout.size() || is_last && start.checked_add(size).is_some_and(|end| end <= room.1) {
                if is_last {
                    room.0 = start + size;
                }
                return pointer;
            }
            // SAFETY: the caller vouches for the old piece, and the new one is at least as long as that.
            unsafe {
                let moved = self.take(room, Layout::from_size_align_unchecked(size, layout.align()));
                if !moved.is_null() {
                    let old = slice_from_raw_parts_mut(pointer, layout.size());
                    moved.copy_from_nonoverlapping(old.cast(), layout.size());
                }
                moved
            }
        })
    }
}
