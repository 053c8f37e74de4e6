//! What a filter decides.

use super::{arena, IN, OUT};
use core::slice;

pub(super) const MASK32: u64 = 1;
pub(super) const MASK: u64 = 2;
pub(super) const ORDER: u64 = 3;
pub(super) const DENY: u64 = 5;
pub(super) const FAIL: u64 = 255;

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

/// A set of instances that are kept; their order stays.
pub struct Keep {
    pub(super) instances: usize,
    pub(super) kept: usize,
}

impl Keep {
    pub(super) fn bits(&mut self) -> &mut [u8] {
        unsafe { slice::from_raw_parts_mut(arena().add(IN), (self.instances.max(32) + 7) / 8) }
    }

    /// Keeps an instance.
    pub fn add(&mut self, i: usize) {
        let byte = &mut self.bits()[i / 8];
        let new = *byte & 1 << (i % 8) == 0;
        *byte |= 1 << (i % 8);
        self.kept += new as usize;
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.kept
    }

    /// Drops all that were not added.
    pub fn verdict(mut self) -> Verdict {
        if self.instances <= 32 {
            let b = self.bits();
            return Verdict(MASK32 | (u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as u64) << 32);
        }
        Verdict(MASK | (((self.instances + 7) / 8) as u64) << 32)
    }
}

const LATER: usize = IN + OUT / 2; // where Order keeps what comes later

/// A list of instances in a new order.
pub struct Order {
    pub(super) instances: usize,
    pub(super) n: usize,
    pub(super) later: usize,
}

impl Order {
    /// Appends an instance, which must not be in the list.
    pub fn add(&mut self, i: usize) {
        self.room();
        unsafe { *(arena().add(IN) as *mut u16).add(self.n) = i as u16 }
        self.n += 1;
    }

    /// Appends an instance behind all that are added, now or after it.
    pub fn later(&mut self, i: usize) {
        self.room();
        unsafe { *(arena().add(LATER) as *mut u16).add(self.later) = i as u16 }
        self.later += 1;
    }

    fn room(&self) {
        assert!(self.n + self.later < self.instances.min(OUT / 4), "more in an order than there are instances");
    }

    /// How many were added, without those that come later.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Drops all that are in neither list, and has the others in their order.
    pub fn verdict(self) -> Verdict {
        unsafe { core::ptr::copy_nonoverlapping(arena().add(LATER), arena().add(IN + 2 * self.n), 2 * self.later) }
        Verdict(ORDER | ((self.n + self.later) as u64) << 32)
    }
}
