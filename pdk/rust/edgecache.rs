//! The plugin kit for Rust, of ABI 1.0 (docs/plugin-abi.md): no_std, and without
//! dependencies.
//!
//! A filter includes it, names its two functions, and is built with
//!
//! ```text
//! rustc --edition 2021 --crate-type cdylib --target wasm32-unknown-unknown -C opt-level=3 \
//!   -C target-feature=+bulk-memory -C panic=abort -C lto -C strip=symbols -C link-arg=-zstack-size=65536 -o x.wasm x.rs
//! ```
//!
//! ```text
//! #![cfg_attr(target_arch = "wasm32", no_std)]
//! #[path = "…/pdk/rust/edgecache.rs"]
//! mod edgecache;
//! edgecache::filter!(start, decide);
//! ```
//!
//! Elsewhere it compiles as it is, for `rustc --test`: see `testing`.
#![allow(dead_code, unused_imports, unused_macros)]

mod instance;
mod verdict;

use core::{cell::UnsafeCell, slice};
pub use instance::{Health, Instance, Place};
use instance::Row;
use verdict::{DENY, FAIL};
pub use verdict::{Keep, Order, Verdict};

const IN: usize = 64 << 10; // what the host writes
const OUT: usize = 16 << 10; // what a verdict may take
const ABSENT: u32 = 0xffff_ffff; // as an offset
const NUMERIC: u32 = 0xffff_fffe; // as a length: the offset is the value

#[repr(C, align(16))]
struct Arena(UnsafeCell<[u8; IN + OUT]>);

/// Whether two texts are the same. The host has equal strings of a record once, so
/// that most are compared by their addresses.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && (a.as_ptr() == b.as_ptr() || a == b)
}

/// Only the host, before a call, and `Keep`, `Order` and `deny`, within one, write to it.
static ARENA: Arena = Arena(UnsafeCell::new([0; IN + OUT]));

unsafe impl Sync for Arena {} // a module has one thread

fn arena() -> *mut u8 {
    ARENA.0.get() as *mut u8
}

/// Where the arena is, if it has room for so much; else 0.
pub fn arena_of(least: u32) -> u32 {
    if least as usize > IN + OUT {
        return 0;
    }
    arena() as usize as u32
}

#[repr(C)]
struct Frame {
    magic: u32,
    header: u16,
    flags: u16,
    version: u64,
    now: u64,
    count: u32,
    instances: u32,
    stride: u16,
    attributes: u16,
    slots: u32,
    out: u32,
    out_capacity: u32,
    name: u32,
    name_length: u32,
    body: [u32; 2],
}

#[repr(C)]
struct Slot {
    off: u32,
    length: u32,
}

/// A request that a filter is asked about. What it returns cannot outlive it.
pub struct Call(());

impl Call {
    /// The call that the arena holds: once at a time, or an order would change
    /// under its reader.
    pub(crate) unsafe fn new() -> Call {
        Call(())
    }

    fn frame(&self) -> &Frame {
        unsafe { &*(arena() as *const Frame) }
    }

    fn text(&self, off: u32, length: u32) -> &[u8] {
        if off == ABSENT {
            return &[];
        }
        unsafe { slice::from_raw_parts(arena().add(off as usize), length as usize) }
    }

    fn slot(&self, table: u32, i: usize) -> &Slot {
        unsafe { &*(arena().add(table as usize) as *const Slot).add(i) }
    }

    /// The time of the call, in milliseconds since 1970 UTC. A verdict that depends
    /// on it is not cacheable.
    pub fn now(&self) -> u64 {
        self.frame().now
    }

    /// The service's name.
    pub fn name(&self) -> &[u8] {
        self.text(self.frame().name, self.frame().name_length)
    }

    /// Whether an attribute is absent because it was longer than 4 KiB.
    pub fn too_long(&self) -> bool {
        self.frame().flags & 1 << 4 != 0
    }

    /// An attribute of the request; the number is its place in the manifest's
    /// needs: headers, then query, then attrs. None: the request does not have it.
    pub fn attribute(&self, i: usize) -> Option<&[u8]> {
        if i >= self.frame().attributes as usize {
            return None;
        }
        let s = self.slot(self.frame().slots, i);
        match (s.off, s.length) {
            (ABSENT, _) | (_, NUMERIC) => None,
            (off, length) => Some(self.text(off, length)),
        }
    }

    /// Where an attribute's text lies. None: the request does not have it.
    pub fn place(&self, i: usize) -> Option<Place> {
        let text = self.attribute(i)?;
        Some(Place::new((text.as_ptr() as usize - arena() as usize) as u32, text.len() as u64))
    }

    /// An attribute that is a number, one of attrs with #hash.
    pub fn number(&self, i: usize) -> Option<u32> {
        if i >= self.frame().attributes as usize {
            return None;
        }
        let s = self.slot(self.frame().slots, i);
        if s.length == NUMERIC {
            Some(s.off)
        } else {
            None
        }
    }

    /// The number of instances, 1024 at most.
    pub fn count(&self) -> usize {
        self.frame().count as usize
    }

    /// An instance, 0 to count()-1.
    pub fn at(&self, i: usize) -> Instance<'_> {
        assert!(i < self.count(), "no such instance");
        let off = self.frame().instances as usize + i * self.frame().stride as usize;
        Instance { call: self, row: unsafe { &*(arena().add(off) as *const Row) } }
    }

    /// All instances, in the order that the answer would have.
    pub fn instances(&self) -> impl Iterator<Item = Instance<'_>> {
        (0..self.count()).map(move |i| self.at(i))
    }

    /// An empty set of instances.
    pub fn keep(&self) -> Keep {
        let mut k = Keep { instances: self.count() };
        k.clear();
        k
    }

    /// The set of the instances of which a condition is true. A filter's loop costs
    /// more than what is in it: here some are looked at in each round.
    pub fn keep_where(&self, mut is: impl FnMut(&Instance) -> bool) -> Keep {
        let n = self.count();
        let mut keep = Keep { instances: n };
        for at in 0..=n / 32 {
            let (mut word, mut i, end) = (0, 32 * at, n.min(32 * at + 32));
            while i + 8 <= end {
                word |= self.bits::<8>(i, &mut is) << (i % 32);
                i += 8;
            }
            while i < end {
                word |= self.bits::<1>(i, &mut is) << (i % 32);
                i += 1;
            }
            *keep.word(at) = word;
        }
        keep
    }

    /// A bit for each of N instances from one on, which must be there.
    #[inline(always)]
    fn bits<const N: usize>(&self, from: usize, is: &mut impl FnMut(&Instance) -> bool) -> u32 {
        let stride = self.frame().stride as usize;
        let first = self.frame().instances as usize + from * stride;
        let mut bits = 0;
        for k in 0..N {
            let row = unsafe { &*(arena().add(first + k * stride) as *const Row) };
            bits |= (is(&Instance { call: self, row }) as u32) << k;
        }
        bits
    }

    /// An empty list of instances in a new order.
    pub fn order(&self) -> Order {
        Order { instances: self.count(), n: 0 }
    }

    /// Refuses the request, with an HTTP status from 400 to 599 and a reason of 1
    /// KiB at most.
    pub fn deny(&self, status: u16, reason: &str) -> Verdict {
        for (i, b) in reason.bytes().take(1024).enumerate() {
            unsafe { *arena().add(IN + i) = b }
        }
        Verdict(DENY | (status as u64) << 16 | (reason.len().min(1024) as u64) << 32)
    }

    /// Says that the filter could not decide; text says why, and code is its own.
    /// The host then does what the filter's on_failure says.
    pub fn fail(&self, code: u16, text: &str) -> Verdict {
        host::error(text);
        Verdict(FAIL | (code as u64) << 16)
    }
}

/// Of a line in the host's log, least first.
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// Writes a line to the host's log, which takes some 100 a second of a plugin.
pub fn log(level: Level, text: &str) {
    host::log(level as i32, text)
}

/// The configuration at a JSON pointer (RFC 6901), "" being all of it: a string's
/// text, of anything else its JSON. None: there is none, or it is longer than the
/// buffer.
pub fn config<'a>(pointer: &str, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let n = host::config(pointer, buffer);
    if n < 0 {
        return None;
    }
    buffer.get(..n as usize)
}

/// What start returns: the error says why the configuration does not do.
pub type Started = Result<(), &'static str>;

/// Exports a filter: start runs once for each instance of the module, decide for
/// each request.
macro_rules! filter {
    ($start:expr, $decide:expr) => {
        #[no_mangle]
        pub extern "C" fn edgecache_abi_v1() {}

        #[no_mangle]
        pub extern "C" fn ec_abi() -> i32 {
            1 << 16
        }

        #[no_mangle]
        pub extern "C" fn ec_init() -> i32 {
            let start: fn() -> $crate::edgecache::Started = $start;
            match start() {
                Ok(()) => 0,
                Err(text) => {
                    $crate::edgecache::host::error(text);
                    1
                }
            }
        }

        #[no_mangle]
        pub extern "C" fn ec_arena(least: u32) -> u32 {
            $crate::edgecache::arena_of(least)
        }

        #[no_mangle]
        pub extern "C" fn ec_filter(_: u32) -> u64 {
            let decide: fn(&$crate::edgecache::Call) -> $crate::edgecache::Verdict = $decide;
            decide(&unsafe { $crate::edgecache::Call::new() }).0
        }
    };
}
pub(crate) use filter;

#[cfg(target_arch = "wasm32")]
pub mod host {
    mod import {
        #[link(wasm_import_module = "edgecache_v1")]
        extern "C" {
            pub fn log(level: i32, text: *const u8, length: usize);
            pub fn error_set(text: *const u8, length: usize);
            pub fn config_get(key: *const u8, key_length: usize, buffer: *mut u8, capacity: usize) -> i32;
        }
    }

    pub fn log(level: i32, text: &str) {
        unsafe { import::log(level, text.as_ptr(), text.len()) }
    }

    pub fn error(text: &str) {
        unsafe { import::error_set(text.as_ptr(), text.len()) }
    }

    pub fn config(key: &str, buffer: &mut [u8]) -> i32 {
        unsafe { import::config_get(key.as_ptr(), key.len(), buffer.as_mut_ptr(), buffer.len()) }
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo) -> ! {
        error("the filter panicked");
        core::arch::wasm32::unreachable()
    }
}

#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

#[cfg(not(target_arch = "wasm32"))]
pub mod host {
    pub fn log(_: i32, text: &str) {
        println!("{}", text)
    }

    pub fn error(text: &str) {
        super::testing::error(text)
    }

    pub fn config(key: &str, buffer: &mut [u8]) -> i32 {
        super::testing::config(key, buffer)
    }
}
