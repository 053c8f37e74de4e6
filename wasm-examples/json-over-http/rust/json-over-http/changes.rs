//! Polls: the list is read again and again, and compared with what it was.

use crate::edgecache::json::Value;
use crate::edgecache::{failed, Code, Error, Poll};
use crate::fetch::{self, Fetched};
use crate::options::{Options, Version};
use crate::services::{self, Service};
use crate::word;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What the last poll saw.
pub struct Seen {
    cursor: String,
    etag: Option<String>,
    names: BTreeMap<String, u64>, // with the hash of what the list has of each
}

pub fn poll(o: &Options, seen: &mut Option<Seen>, poll: &mut Poll) -> Result<u32, Error> {
    let (list, wait) = match (&o.list, o.poll_ms) {
        (Some(list), Some(wait)) => (list.fill(&o.url, ""), wait),
        _ => return failed(Code::Unsupported, "poll_ms: missing; how many milliseconds are between two looks at list expected"),
    };
    let before = seen.take().filter(|s| Some(s.cursor.as_str()) == poll.cursor());
    let etag = before.as_ref().and_then(|s| s.etag.clone()).filter(|_| o.next.is_none() && o.version != Version::Content);
    let (text, etag) = match fetch::get(o, &list, etag.as_deref(), &[])? {
        Fetched::Body { text, etag } => (text, etag),
        _ => {
            poll.next(before.as_ref().map_or("", |s| &s.cursor));
            *seen = before;
            return Ok(wait);
        }
    };
    let pages = services::pages(o, &list, text)?;
    let documents = services::parse(&pages, &list)?;
    let all = services::all(o, &documents).map_err(|e| e.of(&list))?;
    if before.is_none() && poll.cursor().is_some() {
        poll.again()?; // the cursor is another's
    }
    let old = before.map_or_else(BTreeMap::new, |s| s.names);
    let names = changed(o, all, &old, poll)?;
    for name in old.keys().filter(|name| !names.contains_key(*name)) {
        poll.delete(name)?;
    }
    let cursor = cursor_of(&names);
    poll.next(&*cursor);
    *seen = Some(Seen { cursor, etag, names });
    Ok(wait)
}

/// Tells what is new or other than it was, and returns what there is.
fn changed(
    o: &Options,
    all: BTreeMap<Cow<str>, Vec<Value>>,
    old: &BTreeMap<String, u64>,
    poll: &mut Poll,
) -> Result<BTreeMap<String, u64>, Error> {
    let mut names = BTreeMap::new();
    for (name, parts) in all {
        let raw: Vec<&str> = parts.iter().map(|p| p.raw()).collect();
        let hash = word::hash(&raw);
        if old.get(&*name) != Some(&hash) {
            // One that cannot be read ends the watch: it must not pass for gone.
            match (Service { name: &name, parts }).record(o).map_err(|e| e.of(word::short(&name)))? {
                Some(record) => poll.upsert(&name, record)?,
                None => continue,
            }
        }
        names.insert(name.into_owned(), hash);
    }
    Ok(names)
}

/// A cursor that names what was seen.
fn cursor_of(names: &BTreeMap<String, u64>) -> String {
    let hash = names.iter().fold(0, |h: u64, (name, content)| word::hash(&[&format!("{:x} {:x}", h, content), name]));
    format!("{:016x}", hash)
}
