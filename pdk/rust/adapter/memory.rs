//! The memory of an adapter: blocks of powers of two, each size with a list of those
//! that are free. It is small because fuel is charged for all of a function, whatever of
//! it runs.

use super::host;
use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::memory_grow;
use core::cell::UnsafeCell;
use core::ptr;

const LEAST: u32 = 4; // a block has 1 << 4 bytes, or more, and is aligned to that
const PAGE: usize = 64 << 10;

struct Memory(UnsafeCell<State>);

struct State {
    free: [*mut u8; 32], // by size; the first word of each leads to the next
    at: usize,           // where nothing was given out yet
    end: usize,
}

unsafe impl Sync for Memory {} // a module has one thread

#[global_allocator]
static MEMORY: Memory = Memory(UnsafeCell::new(State { free: [ptr::null_mut(); 32], at: 0, end: 0 }));

/// The power of two that the size of a block is.
fn power(size: usize) -> u32 {
    (usize::BITS - (size.max(2) - 1).leading_zeros()).max(LEAST)
}

unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let power = power(layout.size());
        if power > 30 || layout.align() > 1 << LEAST {
            return ptr::null_mut();
        }
        let s = &mut *self.0.get();
        let block = s.free[power as usize];
        if !block.is_null() {
            s.free[power as usize] = *(block as *mut *mut u8);
            return block;
        }
        s.take(1 << power)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let power = power(layout.size());
        let s = &mut *self.0.get();
        *(block as *mut *mut u8) = s.free[power as usize];
        s.free[power as usize] = block;
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if power(layout.size()) == power(size) {
            return block;
        }
        let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
        if !new.is_null() {
            ptr::copy_nonoverlapping(block, new, layout.size().min(size));
            self.dealloc(block, layout);
        }
        new
    }
}

impl State {
    /// A block that was never given out.
    unsafe fn take(&mut self, size: usize) -> *mut u8 {
        if self.at + size > self.end && !self.grow(size) {
            host::error_set("out of memory: limits.memory_pages of the manifest is what it may have");
            return ptr::null_mut();
        }
        let block = self.at;
        self.at += size;
        block as *mut u8
    }

    /// Has room for so much. Growing costs as much fuel as what there is then, so it
    /// takes some more.
    fn grow(&mut self, size: usize) -> bool {
        let least = (size + PAGE - 1) / PAGE;
        for pages in [least.max(self.end / PAGE / 4).max(4), least] {
            let from = memory_grow(0, pages);
            if from == usize::MAX {
                continue;
            }
            if from * PAGE != self.end {
                self.at = from * PAGE;
            }
            self.end = (from + pages) * PAGE;
            return true;
        }
        false
    }
}
