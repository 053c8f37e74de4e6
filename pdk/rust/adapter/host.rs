//! What the host does for an adapter, as the ABI has it.

use super::{Code, Error};

// Slots of input_get.
pub const NAME: i32 = 0;
pub const HELD: i32 = 2;
pub const CURSOR: i32 = 3;

// Kinds of output_set.
pub const RECORD: i32 = 0;
pub const NAMES: i32 = 1;
pub const NEXT: i32 = 2;
pub const VERSION: i32 = 3;

// Operations of emit.
pub const UPSERT: i32 = 0;
pub const DELETE: i32 = 1;
pub const INVALIDATE: i32 = 2;
pub const AGAIN: i32 = 3;

/// What get writes into a buffer, whatever its length; None: there is none.
pub(super) fn read(get: impl Fn(&mut [u8]) -> i32) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 256];
    loop {
        let length = get(&mut buffer);
        if length < 0 {
            return None;
        }
        let fits = length as usize <= buffer.len();
        buffer.resize(length as usize, 0);
        if fits {
            return Some(buffer);
        }
    }
}

/// The host's text, which is UTF-8.
pub(super) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into())
}

/// The error that a code stands for, if it is one.
pub(super) fn done(code: i32, what: impl Fn() -> String) -> Result<(), Error> {
    if code >= 0 {
        return Ok(());
    }
    let code = Code::of(code as i64);
    Err(Error::new(code, format!("{}: {:?}", what(), code)))
}

pub(super) fn input(slot: i32) -> Option<String> {
    read(|buffer| input_get(slot, buffer)).map(text)
}

pub(super) fn output(kind: i32, value: &str) -> Result<(), Error> {
    let what = ["record", "names", "cursor", "version"][kind as usize];
    done(output_set(kind, value), || format!("a {} of {} bytes", what, value.len()))
}

pub(super) fn emit(op: i32, name: &str, record: &str) -> Result<(), Error> {
    done(emit_change(op, name, record), || format!("poll: {:?}", name))
}

#[cfg(target_arch = "wasm32")]
mod import {
    #[link(wasm_import_module = "edgecache_v1")]
    extern "C" {
        pub fn log(level: i32, text: *const u8, length: usize);
        pub fn error_set(text: *const u8, length: usize);
        pub fn config_get(key: *const u8, key_length: usize, buffer: *mut u8, capacity: usize) -> i32;
        pub fn fuel_left() -> i32;
        pub fn input_get(slot: i32, buffer: *mut u8, capacity: usize) -> i32;
        pub fn output_set(kind: i32, text: *const u8, length: usize) -> i32;
        pub fn emit(op: i32, name: *const u8, name_length: usize, text: *const u8, length: usize) -> i32;
        pub fn http_send(head: *const u8, head_length: usize, body: *const u8, body_length: usize, timeout: u32) -> i64;
        pub fn http_status(handle: i64) -> i32;
        pub fn http_header(handle: i64, name: *const u8, name_length: usize, buffer: *mut u8, capacity: usize) -> i32;
        pub fn http_read(handle: i64, buffer: *mut u8, capacity: usize) -> i32;
        pub fn http_close(handle: i64) -> i32;
        pub fn kv_get(key: *const u8, key_length: usize, buffer: *mut u8, capacity: usize) -> i32;
        pub fn kv_set(key: *const u8, key_length: usize, value: *const u8, length: usize, ttl: u32) -> i32;
        pub fn kv_del(key: *const u8, key_length: usize) -> i32;
        pub fn now_ms() -> i64;
        pub fn deadline_ms() -> i32;
    }
}

#[cfg(target_arch = "wasm32")]
mod calls {
    use super::import;

    pub fn log(level: i32, text: &str) {
        unsafe { import::log(level, text.as_ptr(), text.len()) }
    }

    pub fn error_set(text: &str) {
        unsafe { import::error_set(text.as_ptr(), text.len()) }
    }

    pub fn config_get(key: &str, buffer: &mut [u8]) -> i32 {
        unsafe { import::config_get(key.as_ptr(), key.len(), buffer.as_mut_ptr(), buffer.len()) }
    }

    pub fn fuel_left() -> i32 {
        unsafe { import::fuel_left() }
    }

    pub fn input_get(slot: i32, buffer: &mut [u8]) -> i32 {
        unsafe { import::input_get(slot, buffer.as_mut_ptr(), buffer.len()) }
    }

    pub fn output_set(kind: i32, text: &str) -> i32 {
        unsafe { import::output_set(kind, text.as_ptr(), text.len()) }
    }

    pub fn emit_change(op: i32, name: &str, text: &str) -> i32 {
        unsafe { import::emit(op, name.as_ptr(), name.len(), text.as_ptr(), text.len()) }
    }

    pub fn http_send(head: &str, body: &[u8], timeout: u32) -> i64 {
        unsafe { import::http_send(head.as_ptr(), head.len(), body.as_ptr(), body.len(), timeout) }
    }

    pub fn http_status(handle: i64) -> i32 {
        unsafe { import::http_status(handle) }
    }

    pub fn http_header(handle: i64, name: &str, buffer: &mut [u8]) -> i32 {
        unsafe { import::http_header(handle, name.as_ptr(), name.len(), buffer.as_mut_ptr(), buffer.len()) }
    }

    pub fn http_read(handle: i64, buffer: &mut [u8]) -> i32 {
        unsafe { import::http_read(handle, buffer.as_mut_ptr(), buffer.len()) }
    }

    pub fn http_close(handle: i64) -> i32 {
        unsafe { import::http_close(handle) }
    }

    pub fn kv_get(key: &str, buffer: &mut [u8]) -> i32 {
        unsafe { import::kv_get(key.as_ptr(), key.len(), buffer.as_mut_ptr(), buffer.len()) }
    }

    pub fn kv_set(key: &str, value: &[u8], ttl: u32) -> i32 {
        unsafe { import::kv_set(key.as_ptr(), key.len(), value.as_ptr(), value.len(), ttl) }
    }

    pub fn kv_del(key: &str) -> i32 {
        unsafe { import::kv_del(key.as_ptr(), key.len()) }
    }

    pub fn now_ms() -> i64 {
        unsafe { import::now_ms() }
    }

    pub fn deadline_ms() -> i32 {
        unsafe { import::deadline_ms() }
    }
}

#[cfg(target_arch = "wasm32")]
pub use calls::*;

#[cfg(not(target_arch = "wasm32"))]
pub use super::testing::calls::*;
