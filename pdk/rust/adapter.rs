//! The plugin kit for adapters in Rust, of ABI 1.0 (docs/plugin-abi.md): without
//! dependencies, and with std, for an adapter needs String and Vec, which no_std does not
//! have before Rust 1.68.
//!
//! An adapter includes it, names its functions, and is built as a filter is (see
//! edgecache.rs).
//!
//! ```text
//! #[path = "…/pdk/rust/adapter.rs"]
//! mod edgecache;
//! edgecache::adapter!(start, lookup, list, poll);
//!
//! fn start() -> Started<Registry>
//! fn lookup(r: &mut Registry, name: &str, held: Option<&str>) -> Answer
//! fn list(r: &mut Registry, cursor: Option<&str>) -> Result<Names, Error>
//! fn poll(r: &mut Registry, poll: &mut Poll) -> Result<u32, Error>
//! ```
//!
//! What start returns is handed to the others. `_` stands for a function that there is
//! not; poll, or list and poll, may be left out.
//!
//! Elsewhere it compiles as it is, for `rustc --test`: see `testing`.
#![allow(dead_code, unused_imports, unused_macros)]

#[path = "adapter/error.rs"]
mod error;
#[path = "adapter/host.rs"]
pub mod host;
#[path = "adapter/http.rs"]
pub mod http;
#[path = "adapter/json.rs"]
pub mod json;
#[path = "adapter/kv.rs"]
pub mod kv;
#[cfg(target_arch = "wasm32")]
#[path = "adapter/memory.rs"]
mod memory;
#[path = "adapter/put.rs"]
mod put;
#[path = "adapter/record.rs"]
mod record;
#[path = "adapter/serve.rs"]
pub mod serve;
#[cfg(not(target_arch = "wasm32"))]
#[path = "adapter/testing.rs"]
pub mod testing;

pub use error::{failed, Code, Error};
pub use record::{record, rfc3339, Endpoint, Instance, Record, Version};

/// What start returns: the error says why the configuration does not do.
pub type Started<T> = Result<T, String>;

/// What lookup returns: found(…), not_modified(), not_found() or failed(…).
pub type Answer = Result<Outcome, Error>;

/// What a registry answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Found { record: String, version: Option<String> },
    NotModified,
    NotFound,
}

/// The name has this record, of this version: an ETag for example. Without one, the
/// record's content is its version.
pub fn found(record: impl Into<String>, version: Option<String>) -> Answer {
    Ok(Outcome::Found { record: record.into(), version })
}

/// The version that the host holds is still right.
pub fn not_modified() -> Answer {
    Ok(Outcome::NotModified)
}

/// The registry said that there is no such name. Whoever only could not find out has
/// failed.
pub fn not_found() -> Answer {
    Ok(Outcome::NotFound)
}

/// Names, and the cursor that list is called with for more of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names {
    pub names: Vec<String>,
    pub next: Option<String>,
}

/// A poll: it tells what changed since the cursor, and returns in how many
/// milliseconds it wants to be called again.
pub struct Poll {
    cursor: Option<String>,
    next: Option<String>,
}

impl Poll {
    /// Where the last poll ended; None in the first one, which tells all that there is.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// The name's record is now this.
    pub fn upsert(&mut self, name: &str, record: impl AsRef<str>) -> Result<(), Error> {
        host::emit(host::UPSERT, name, record.as_ref())
    }

    /// The name is gone.
    pub fn delete(&mut self, name: &str) -> Result<(), Error> {
        host::emit(host::DELETE, name, "")
    }

    /// The name changed: the host looks it up.
    pub fn invalidate(&mut self, name: &str) -> Result<(), Error> {
        host::emit(host::INVALIDATE, name, "")
    }

    /// Begins anew: what this poll tells from here on is all that there is.
    pub fn again(&mut self) -> Result<(), Error> {
        host::emit(host::AGAIN, "", "")
    }

    /// The cursor that the next poll gets.
    pub fn next(&mut self, cursor: impl Into<String>) {
        self.next = Some(cursor.into());
    }
}

/// Of a line in the host's log, least first.
#[derive(Clone, Copy, Debug, PartialEq)]
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

/// The configuration at a JSON pointer (RFC 6901), "" being all of it: a string's text,
/// of anything else its JSON.
pub fn config(pointer: &str) -> Option<String> {
    host::read(|buffer| host::config_get(pointer, buffer)).map(host::text)
}

/// The time, in milliseconds since 1970 UTC.
pub fn now() -> u64 {
    host::now_ms() as u64
}

/// How many milliseconds the call has left.
pub fn deadline() -> u32 {
    host::deadline_ms().max(0) as u32
}

/// Exports an adapter: start, lookup, and list and poll where they are given.
macro_rules! adapter {
    (@list $start:expr, _) => {};
    (@list $start:expr, $list:expr) => {
        #[no_mangle]
        pub extern "C" fn ec_list() -> i32 {
            $crate::edgecache::serve::list($start, $list)
        }
    };
    (@poll $start:expr, _) => {};
    (@poll $start:expr, $poll:expr) => {
        #[no_mangle]
        pub extern "C" fn ec_poll() -> i32 {
            $crate::edgecache::serve::poll($start, $poll)
        }
    };
    ($start:expr, $lookup:expr) => { $crate::edgecache::adapter!($start, $lookup, _, _); };
    ($start:expr, $lookup:expr, $list:tt) => { $crate::edgecache::adapter!($start, $lookup, $list, _); };
    ($start:expr, $lookup:expr, $list:tt, $poll:tt) => {
        #[no_mangle]
        pub extern "C" fn edgecache_abi_v1() {}

        #[no_mangle]
        pub extern "C" fn ec_abi() -> i32 {
            1 << 16
        }

        #[no_mangle]
        pub extern "C" fn ec_init() -> i32 {
            $crate::edgecache::serve::init($start)
        }

        #[no_mangle]
        pub extern "C" fn ec_lookup() -> i32 {
            $crate::edgecache::serve::lookup($start, $lookup)
        }

        $crate::edgecache::adapter!(@list $start, $list);
        $crate::edgecache::adapter!(@poll $start, $poll);
    };
}
pub(crate) use adapter;
