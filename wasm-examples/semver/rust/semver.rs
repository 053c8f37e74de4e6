//! semver: the instances whose version is in the range that the query parameter v
//! names, by SemVer 2.0.0.
//!
//! A range is 1.2.3, ^1.2, ~1.2.3, >1, >=1.0.0, <2, <=1.9.9, or some of these with
//! commas between them, all of which a version has to be. Numbers left out are 0.
//! Without the parameter all instances stay.
//!
//! Configuration: {"newest_first": true} has the newest version first; instances
//! whose version is none come last, and those of one version stay as they were. More
//! than 256 stay as they were.
#![cfg_attr(target_arch = "wasm32", no_std)]

#[path = "../../../pdk/rust/edgecache.rs"]
mod edgecache;
#[path = "semver/version.rs"]
mod version;

use core::cmp::Ordering;
use core::mem::MaybeUninit;
use core::slice;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use edgecache::{config, Call, Started, Verdict};
use version::{Range, Version};

// The manifest's needs.
const V: usize = 0;

const MOST: usize = 1024; // instances in a call
const MOST_SORTED: usize = 256; // of them: the fuel of a call does for no more

static NEWEST_FIRST: AtomicBool = AtomicBool::new(false);

edgecache::filter!(start, decide);

fn start() -> Started {
    let newest = match config("/newest_first", &mut [0; 64]) {
        Some(b"true") => true,
        Some(b"false") | None => false,
        Some(_) => return Err("newest_first: true or false expected"),
    };
    NEWEST_FIRST.store(newest, Relaxed);
    Ok(())
}

fn decide(call: &Call) -> Verdict {
    if call.too_long() {
        return call.deny(400, "v: at most 256 bytes expected").cacheable();
    }
    let range = match call.attribute(V).map(Range::parse) {
        None => None,
        Some(Ok(range)) => Some(range),
        Some(Err(text)) => return call.deny(400, text).cacheable(),
    };
    let newest = NEWEST_FIRST.load(Relaxed);
    if range.is_none() && !newest || call.count() == 0 {
        return Verdict::PASS.cacheable();
    }
    let mut room = [MaybeUninit::<Found>::uninit(); MOST];
    let found = find(call, range.as_ref(), &mut room);
    if found.is_empty() {
        return call.deny(404, "v: no instance of this service has a version in that range").cacheable();
    }
    let mut places = [0; MOST];
    for (i, place) in places.iter_mut().enumerate().take(found.len()) {
        *place = i as u16;
    }
    if newest && found.len() <= MOST_SORTED {
        sort(&mut places[..found.len()], |a, b| newer(&found[a as usize], &found[b as usize]));
    }
    let mut order = call.order();
    for place in &places[..found.len()] {
        order.add(found[*place as usize].at as usize);
    }
    order.verdict().cacheable()
}

/// An instance that is in the range.
#[derive(Clone, Copy)]
struct Found<'a> {
    version: Option<Version<'a>>,
    at: u16,
}

fn find<'r, 'a>(call: &'a Call, range: Option<&Range>, room: &'r mut [MaybeUninit<Found<'a>>; MOST]) -> &'r [Found<'a>] {
    let mut n = 0;
    for (at, instance) in call.instances().take(MOST).enumerate() {
        let version = Version::parse(instance.version());
        let wanted = match (range, &version) {
            (None, _) => true,
            (_, None) => false,
            (Some(range), Some(v)) => range.has(v),
        };
        if wanted {
            room[n].write(Found { version, at: at as u16 });
            n += 1;
        }
    }
    unsafe { slice::from_raw_parts(room.as_ptr() as *const Found, n) } // the first n were written
}

/// Whether a is to come before b, which comes before it now.
fn newer(a: &Found, b: &Found) -> bool {
    match (&a.version, &b.version) {
        (Some(a), Some(b)) => a.cmp(b) == Ordering::Greater,
        (a, b) => a.is_some() && b.is_none(),
    }
}

/// Sorts by merging runs, each twice as long as before: it moves places only, and
/// leaves what is alike in its order.
fn sort(places: &mut [u16], before: impl Fn(u16, u16) -> bool) {
    let n = places.len();
    let mut merged = [0; MOST_SORTED];
    let mut run = 1;
    while run < n {
        for from in (0..n).step_by(2 * run) {
            let (middle, end) = ((from + run).min(n), (from + 2 * run).min(n));
            let (mut a, mut b) = (from, middle);
            for place in &mut merged[from..end] {
                let second = a == middle || (b < end && before(places[b], places[a]));
                let next = if second { &mut b } else { &mut a };
                *place = places[*next];
                *next += 1;
            }
        }
        places.copy_from_slice(&merged[..n]);
        run *= 2;
    }
}

#[cfg(test)]
#[path = "semver/tests.rs"]
mod tests;
