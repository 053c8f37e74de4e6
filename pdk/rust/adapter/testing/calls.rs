//! The host's functions.

use super::super::host::{DELETE, INVALIDATE, NAMES, UPSERT};
use super::{copy, joined, json, state, Code, Told};

pub fn log(level: i32, text: &str) {
    let name = ["Trace", "Debug", "Info", "Warn", "Error"][level as usize];
    state(|s| s.logged.push(format!("{} {}", name, text)))
}

pub fn error_set(text: &str) {
    state(|s| s.error = text.into())
}

pub fn config_get(key: &str, buffer: &mut [u8]) -> i32 {
    if !json::is_pointer(key) {
        return Code::Invalid as i32;
    }
    state(|s| {
        let value = json::parse(&s.config).ok().and_then(|c| c.at(key));
        let text = value.map(|v| v.text().unwrap_or_else(|| v.raw().into()));
        copy(text.as_ref().map(|t| t.as_bytes()), buffer)
    })
}

pub fn fuel_left() -> i32 {
    200_000
}

pub fn input_get(slot: i32, buffer: &mut [u8]) -> i32 {
    state(|s| copy(s.inputs.get(&slot).map(|t| t.as_bytes()), buffer))
}

pub fn output_set(kind: i32, text: &str) -> i32 {
    state(|s| match kind {
        NAMES => s.outputs.entry(kind).or_default().push_str(text),
        _ => drop(s.outputs.insert(kind, text.into())),
    });
    0
}

pub fn emit_change(op: i32, name: &str, text: &str) -> i32 {
    let name = name.to_string();
    let told = match op {
        UPSERT => Told::Upsert(name, text.into()),
        DELETE => Told::Delete(name),
        INVALIDATE => Told::Invalidate(name),
        _ => Told::Again,
    };
    state(|s| s.told.push(told));
    0
}

pub fn http_send(head: &str, body: &[u8], _: u32) -> i64 {
    state(|s| s.send(head, body))
}

pub fn http_status(handle: i64) -> i32 {
    state(|s| s.open.get(&handle).map_or(Code::Closed as i32, |o| o.answer.status as i32))
}

pub fn http_header(handle: i64, name: &str, buffer: &mut [u8]) -> i32 {
    state(|s| match s.open.get(&handle) {
        None => Code::Closed as i32,
        Some(o) => copy(joined(&o.answer.headers, name).as_ref().map(|v| v.as_bytes()), buffer),
    })
}

/// Gives a few bytes at a time, as a network may.
pub fn http_read(handle: i64, buffer: &mut [u8]) -> i32 {
    state(|s| match s.open.get_mut(&handle) {
        None => Code::Closed as i32,
        Some(o) => {
            let left = &o.answer.body[o.read..];
            if left.is_empty() && o.answer.breaks {
                return Code::Unavailable as i32;
            }
            let n = left.len().min(buffer.len()).min(1000);
            buffer[..n].copy_from_slice(&left[..n]);
            o.read += n;
            n as i32
        }
    })
}

pub fn http_close(handle: i64) -> i32 {
    state(|s| s.open.remove(&handle).map_or(Code::Closed as i32, |_| 0))
}

pub fn kv_get(key: &str, buffer: &mut [u8]) -> i32 {
    state(|s| copy(s.kv.get(key).map(|v| v.as_slice()), buffer))
}

pub fn kv_set(key: &str, value: &[u8], _: u32) -> i32 {
    if key.len() > 256 || value.len() > 64 << 10 {
        return Code::TooLarge as i32;
    }
    state(|s| drop(s.kv.insert(key.into(), value.into())));
    0
}

pub fn kv_del(key: &str) -> i32 {
    state(|s| drop(s.kv.remove(key)));
    0
}

pub fn now_ms() -> i64 {
    state(|s| s.now)
}

pub fn deadline_ms() -> i32 {
    state(|s| s.left)
}
