//! What a filter decides.

use super::{arena, IN, OUT};
use core::slice;

pub(super) const MASK32: u64 = 1;
pub(super) const MASK: u64 = 2;
pub(super) const ORDER: u64 = 3;
pub(super) const DENY: u64 = 5;
pub(super) const FAIL: u64 = 255;
pub(super) const FIRST: u64 = 4 << 8;

/// What decide returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict(pub u64);

impl Verdict {
    /// Leaves the instances as they are.
    pub const PASS: Verdict = Verdict(0);

    /// Says that the verdict is the same whenever the record and the attributes
    /// are: the host remembers it.
    pub fn cacheable(self) -> Verdict {
        Verdict(self.0 | 1 << 8)
    }

    /// Ends the chain of filters.
    pub fn final_(self) -> Verdict {
        Verdict(self.0 | 2 << 8)
    }
}

/// A set of instances.
pub struct Keep {
    pub(super) instances: usize,
}

impl Keep {
    pub(super) fn word(&mut self, at: usize) -> &mut u32 {
        unsafe { &mut *(arena().add(IN) as *mut u32).add(at) }
    }

    pub(super) fn clear(&mut self) {
        for at in 0..=self.instances / 32 {
            // Volatile, or it would be a memory.fill, which costs more than all the rest.
            unsafe { core::ptr::write_volatile(self.word(at), 0) }
        }
    }

    /// Adds an instance.
    pub fn add(&mut self, i: usize) {
        assert!(i < self.instances, "no such instance");
        *self.word(i / 32) |= 1 << (i % 32);
    }

    /// How many were added.
    pub fn len(&mut self) -> usize {
        (0..=self.instances / 32).map(|at| self.word(at).count_ones() as usize).sum()
    }

    /// Has those that were added first and the others behind them, both in their
    /// order. None is dropped.
    pub fn first(self) -> Verdict {
        Verdict(self.verdict().0 | FIRST)
    }

    /// Drops all that were not added. The others stay in their order.
    pub fn verdict(mut self) -> Verdict {
        if self.instances <= 32 {
            return Verdict(MASK32 | (*self.word(0) as u64) << 32);
        }
        Verdict(MASK | (((self.instances + 7) / 8) as u64) << 32)
    }
}

/// A list of instances in a new order.
pub struct Order {
    pub(super) instances: usize,
    pub(super) n: usize,
}

impl Order {
    /// Appends an instance, which must not be in the list.
    pub fn add(&mut self, i: usize) {
        assert!(self.n < self.instances.min(OUT / 2), "more in an order than there are instances");
        unsafe { *(arena().add(IN) as *mut u16).add(self.n) = i as u16 }
        self.n += 1;
    }

    /// How many were added.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Drops all that were not added, and has the others in the order in which they
    /// were.
    pub fn verdict(self) -> Verdict {
        Verdict(ORDER | (self.n as u64) << 32)
    }
}
