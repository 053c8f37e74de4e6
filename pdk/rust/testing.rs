//! What stands for the host in tests, and makes up calls, of ABI 1.0.

use super::{arena, Call, Frame, Row, Slot, Verdict, ABSENT, IN, NUMERIC, OUT};
use std::sync::{Mutex, MutexGuard};

static ONE: Mutex<()> = Mutex::new(()); // there is one arena
static CONFIG: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());
static SAID: Mutex<String> = Mutex::new(String::new());

/// An attribute, or a value of metadata.
#[derive(Clone)]
pub enum Value {
    Text(&'static str),
    Number(u32),
    Absent,
}

/// An instance in a test.
#[derive(Clone, Default)]
pub struct Sample {
    pub id: &'static str,
    pub address: &'static str,
    pub zone: &'static str,
    pub version: &'static str,
    pub port: u16,
    pub weight: u32,
    pub health: u8,
    pub meta: Vec<Value>, // in the order of needs.meta
}

/// A call in a test, with attributes in the order of the manifest's needs.
#[derive(Clone, Default)]
pub struct Request {
    pub name: &'static str,
    pub attributes: Vec<Value>,
    pub instances: Vec<Sample>,
    pub now: u64,
}

/// What a filter decided in a test.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    Kept(Vec<usize>),
    Denied(u16, String),
    Failed(u16, String),
}

/// The host, for as long as a test has it.
pub struct Host(MutexGuard<'static, ()>);

impl Host {
    /// Runs a filter's start with what config finds at each JSON pointer.
    pub fn start(config: &[(&str, &str)], start: fn() -> super::Started) -> Result<Host, &'static str> {
        let one = ONE.lock().unwrap_or_else(|e| e.into_inner());
        *CONFIG.lock().unwrap() = config.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        start().map(|()| Host(one))
    }

    /// Asks a filter about a request.
    pub fn decide(&self, r: &Request, decide: fn(&Call) -> Verdict) -> Decision {
        unsafe { write(r) }
        let v = decide(&unsafe { Call::new() }).0;
        let out = unsafe { std::slice::from_raw_parts(arena().add(IN), OUT) };
        let (arg, code) = ((v >> 32) as usize, (v >> 16) as u16);
        let all = 0..r.instances.len();
        match v & 0xff {
            super::verdict::MASK32 => Decision::Kept(chosen(v, all, |i| arg >> i & 1 != 0)),
            super::verdict::MASK => Decision::Kept(chosen(v, all, |i| out[i / 8] >> (i % 8) & 1 != 0)),
            super::verdict::ORDER => {
                Decision::Kept((0..arg).map(|i| u16::from_le_bytes([out[2 * i], out[2 * i + 1]]) as usize).collect())
            }
            super::verdict::DENY => Decision::Denied(code, String::from_utf8_lossy(&out[..arg]).into()),
            super::verdict::FAIL => Decision::Failed(code, SAID.lock().unwrap().clone()),
            _ => Decision::Kept(all.collect()),
        }
    }
}

/// What a mask leaves, in order.
fn chosen(verdict: u64, all: std::ops::Range<usize>, has: impl Fn(usize) -> bool) -> Vec<usize> {
    let (mut kept, others): (Vec<_>, Vec<_>) = all.partition(|i| has(*i));
    if verdict & super::verdict::FIRST != 0 {
        kept.extend(others);
    }
    kept
}

/// FNV-1a, as in client.zone#hash.
pub fn zone_hash(zone: &str) -> u32 {
    zone.bytes().fold(2166136261, |h, b| (h ^ b as u32).wrapping_mul(16777619))
}

/// Writes a frame as the host does.
unsafe fn write(r: &Request) {
    const HEADER: usize = 64;
    const ROWS: usize = HEADER + 32 * 8;
    let at = arena();
    let mut end = ROWS + r.instances.len() * std::mem::size_of::<Row>();
    let strings = end;
    // Equal texts lie at one place.
    let add = |end: &mut usize, s: &str| {
        let there = std::slice::from_raw_parts(at.add(strings), *end - strings);
        if let Some(i) = there.windows(s.len().max(1)).position(|w| w == s.as_bytes()) {
            return (strings + i) as u32;
        }
        let off = *end;
        *end += s.len();
        assert!(*end <= IN, "the request does not fit into a frame");
        std::ptr::copy_nonoverlapping(s.as_ptr(), at.add(off), s.len());
        off as u32
    };
    let fill = |end: &mut usize, table: usize, values: &[Value]| {
        for (i, v) in values.iter().enumerate() {
            *(at.add(table) as *mut Slot).add(i) = match v {
                Value::Text(s) => Slot { off: add(end, s), length: s.len() as u32 },
                Value::Number(n) => Slot { off: *n, length: NUMERIC },
                Value::Absent => Slot { off: ABSENT, length: 0 },
            }
        }
    };
    fill(&mut end, HEADER, &r.attributes);
    for (i, s) in r.instances.iter().enumerate() {
        let row = Row {
            id_hash: s.id.bytes().fold(0xcbf29ce484222325, |h, b| (h ^ b as u64).wrapping_mul(0x100000001b3)),
            zone_hash: zone_hash(s.zone),
            weight: s.weight,
            address: add(&mut end, s.address),
            address_length: s.address.len() as u16,
            port: s.port,
            health: s.health,
            flags: 0,
            version_length: s.version.len() as u16,
            zone: add(&mut end, s.zone),
            zone_length: s.zone.len() as u16,
            id_length: s.id.len() as u16,
            id: add(&mut end, s.id),
            version: add(&mut end, s.version),
            meta: if s.meta.is_empty() {
                0
            } else {
                let table = (end + 3) & !3;
                end = table + s.meta.len() * 8;
                fill(&mut end, table, &s.meta);
                table as u32
            },
        };
        *(at.add(ROWS) as *mut Row).add(i) = row;
    }
    *(at as *mut Frame) = Frame {
        magic: 0x31464345,
        header: HEADER as u16,
        flags: 0,
        version: 1,
        now: r.now,
        count: r.instances.len() as u32,
        instances: ROWS as u32,
        stride: std::mem::size_of::<Row>() as u16,
        attributes: r.attributes.len() as u16,
        slots: HEADER as u32,
        out: IN as u32,
        out_capacity: OUT as u32,
        name: add(&mut end, r.name),
        name_length: r.name.len() as u32,
        body: [0, 0],
    };
}

pub(super) fn config(key: &str, buffer: &mut [u8]) -> i32 {
    match CONFIG.lock().unwrap().iter().find(|(k, _)| k == key) {
        None => -1,
        Some((_, value)) => {
            if let Some(b) = buffer.get_mut(..value.len()) {
                b.copy_from_slice(value.as_bytes());
            }
            value.len() as i32
        }
    }
}

pub(super) fn error(text: &str) {
    *SAID.lock().unwrap() = text.into();
}
