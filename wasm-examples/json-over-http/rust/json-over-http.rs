//! json-over-http: any registry that answers JSON over HTTP. Its configuration says what
//! is asked and where in the answer the instances and their fields are: see README.md.

#[path = "json-over-http/changes.rs"]
mod changes;
#[path = "../../../pdk/rust/adapter.rs"]
mod edgecache;
#[path = "json-over-http/fetch.rs"]
mod fetch;
#[path = "json-over-http/fields.rs"]
mod fields;
#[path = "json-over-http/instance.rs"]
mod instance;
#[path = "json-over-http/options.rs"]
mod options;
#[path = "json-over-http/reader.rs"]
mod reader;
#[path = "json-over-http/services.rs"]
mod services;
#[path = "json-over-http/template.rs"]
mod template;
#[path = "json-over-http/word.rs"]
mod word;

use changes::Seen;
use edgecache::json::{self, Value};
use edgecache::{config, failed, found, not_found, not_modified, Answer, Code, Error, Names, Poll, Started};
use fetch::Fetched;
use options::{Options, Version};
use services::Service;

edgecache::adapter!(start, lookup, list, poll);

pub struct Registry {
    options: Options,
    mark: String, // of the versions that this configuration gives
    seen: Option<Seen>,
}

/// Rises when records are made differently of the same answers.
const MAPPING: u32 = 1;

fn start() -> Started<Registry> {
    let text = config("").unwrap_or_else(|| "{}".into());
    let config = json::parse(&text).map_err(|e| e.text)?;
    let options = Options::read(config)?;
    // A version that another mapping gave must not confirm a record.
    let mark = format!("{:08x}:", word::hash(&[&word::compact(config.raw())]) as u32 ^ MAPPING);
    Ok(Registry { options, mark, seen: None })
}

fn lookup(r: &mut Registry, name: &str, held: Option<&str>) -> Answer {
    let o = &r.options;
    let held = held.and_then(|h| h.strip_prefix(r.mark.as_str()));
    let one_page = o.lookup.is_some() || o.next.is_none();
    let etag = held.filter(|_| o.version == Version::ETag && one_page);
    let (url, absent) = match (&o.lookup, &o.list) {
        (Some(lookup), _) => (lookup.fill(&o.url, name), &o.absent.status[..]),
        (None, Some(list)) => (list.fill(&o.url, ""), &[][..]), // a list that is not there says nothing of a name
        (None, None) => return failed(Code::Invalid, "lookup: missing"),
    };
    let (text, etag) = match fetch::get(o, &url, etag, absent)? {
        Fetched::Absent => return not_found(),
        Fetched::Same => return not_modified(),
        Fetched::Body { text, etag } => (text, etag.filter(|_| one_page)),
    };
    let pages = if o.lookup.is_some() { vec![text] } else { services::pages(o, &url, text)? };
    let documents = services::parse(&pages, &url)?;
    let service = match (&o.lookup, &documents[..]) {
        (Some(_), [document]) => Service { name, parts: vec![*document] },
        _ => match services::one(o, &documents, name).map_err(|e| e.of(&url))? {
            Some(service) => service,
            None => return not_found(),
        },
    };
    answer(r, &service, held, etag).map_err(|e| e.of(&url))
}

/// What is answered about a service that was found.
fn answer(r: &Registry, service: &Service, held: Option<&str>, etag: Option<String>) -> Answer {
    let o = &r.options;
    let version = match (&o.version, &service.parts[..]) {
        (Version::ETag, _) => etag,
        (Version::At(pointer), [part]) if !o.absent.null_in(*part) => Some(version_at(*part, pointer)?),
        _ => None,
    };
    if matches!(o.version, Version::At(_)) && version.is_some() && version.as_deref() == held {
        return not_modified();
    }
    match service.record(o)? {
        None => not_found(),
        Some(record) => found(record, version.map(|v| r.mark.clone() + &v)),
    }
}

fn version_at(part: Value, pointer: &str) -> Result<String, Error> {
    let value = part.at(pointer);
    match value.map(word::text) {
        Some(Ok(version)) if !version.is_empty() => Ok(version.into()),
        _ => failed(Code::Invalid, format!("version: {}: a text or number expected, found {}", pointer, word::found(value))),
    }
}

/// Lists one page; its cursor is the URL of the next one.
fn list(r: &mut Registry, cursor: Option<&str>) -> Result<Names, Error> {
    let o = &r.options;
    let url = match (&o.list, cursor) {
        (_, Some(url)) => url.to_string(),
        (Some(list), None) => list.fill(&o.url, ""),
        (None, None) => return failed(Code::Unsupported, "list: missing; a URL as in {url}/services expected"),
    };
    let text = fetch::list(o, &url)?;
    let page = json::parse(&text).map_err(|e| e.of(&url))?;
    let all = services::all(o, &[page]).map_err(|e| e.of(&url))?;
    let next = services::next(o, page, &url).map_err(|e| e.of(&url))?;
    if next.as_deref() == Some(url.as_str()) {
        return failed(Code::Invalid, format!("{}: next: it leads to the same page", url));
    }
    Ok(Names { names: all.into_iter().map(|(name, _)| name.into()).collect(), next })
}

fn poll(r: &mut Registry, poll: &mut Poll) -> Result<u32, Error> {
    changes::poll(&r.options, &mut r.seen, poll)
}

#[cfg(test)]
#[path = "json-over-http/tests.rs"]
mod tests;
