//! Values that are kept on this node's disk: a shortcut, for they may be lost.

use super::{host, Error};

/// The value of a key.
pub fn get(key: &str) -> Option<Vec<u8>> {
    host::read(|buffer| host::kv_get(key, buffer))
}

/// Keeps a value for so many milliseconds; 0: for good.
pub fn set(key: &str, value: impl AsRef<[u8]>, ttl: u32) -> Result<(), Error> {
    host::done(host::kv_set(key, value.as_ref(), ttl), || format!("kv: {:?}", key))
}

/// Forgets a value.
pub fn del(key: &str) {
    host::kv_del(key);
}
