//! The configuration.

use crate::edgecache::json::{Kind, Value};
use crate::fields::Fields;
use crate::instance::HEALTHS;
use crate::reader::Reader;
use crate::template::{is_origin, Template};
use crate::word::{self, split_url};
use std::cell::RefCell;

#[derive(Clone)]
pub struct Options {
    pub url: String,
    pub lookup: Option<Template>,
    pub list: Option<Template>,
    pub headers: Vec<(String, String)>,
    pub items: String,
    pub item_name: Option<String>,
    pub next: Option<String>,
    pub page: Option<Template>,
    pub instances: String,
    pub instances_are: Are,
    pub fields: Fields,
    pub health_values: Vec<(String, String)>,
    pub absent: Absent,
    pub version: Version,
    pub skip_bad: bool,
    pub ttl_ms: Option<u32>,
    pub poll_ms: Option<u32>,
}

/// What instances points to.
#[derive(Clone, Copy, PartialEq)]
pub enum Are {
    List,
    Object, // of instances by their ids
    One,
}

/// How the registry says that there is no such name.
#[derive(Clone)]
pub struct Absent {
    pub status: Vec<u16>,
    pub empty: bool,
    pub null: Option<String>,
}

impl Absent {
    /// Whether a document says so. A pointer that leads nowhere says nothing.
    pub fn null_in(&self, document: Value) -> bool {
        self.null.as_ref().and_then(|p| document.at(p)).map_or(false, |v| v.is_null())
    }
}

/// What a record's version is.
#[derive(Clone, PartialEq)]
pub enum Version {
    ETag,
    Content,
    At(String),
}

const LONGEST: u32 = 24 * 3600 * 1000; // ms

/// Headers that are the host's, or that the adapter sets by itself.
const TAKEN: [&str; 11] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
    "keep-alive",
    "expect",
    "accept-encoding",
    "if-none-match",
];

impl Options {
    /// Reads a configuration. The error has all that is wrong, each with its key.
    pub fn read(config: Value) -> Result<Options, String> {
        if config.kind() != Kind::Object {
            return Err(format!("config: an object expected, found {}", word::found(Some(config))));
        }
        let wrong = RefCell::new(Vec::new());
        let r = Reader::new(config, &wrong);
        let o = Options {
            url: url(&r),
            lookup: r.template("lookup", Some("name")),
            list: r.template("list", None),
            headers: headers(&r),
            items: r.pointer("items").unwrap_or_default(),
            item_name: r.pointer("item_name"),
            next: r.pointer("next"),
            page: r.template("page", Some("next")),
            instances: r.pointer("instances").unwrap_or_default(),
            instances_are: are(&r),
            fields: Fields::read(&r),
            health_values: health_values(&r),
            absent: absent(&r),
            version: version(&r),
            skip_bad: r.flag("skip_bad"),
            ttl_ms: r.whole("ttl_ms", 0, LONGEST),
            poll_ms: r.whole("poll_ms", 100, LONGEST),
        };
        together(&r);
        r.end();
        let wrong = wrong.into_inner();
        if wrong.is_empty() {
            Ok(o)
        } else {
            Err(wrong.join("; "))
        }
    }
}

/// What keys need of each other.
fn together(r: &Reader) {
    if !r.is("lookup") && !r.is("list") {
        r.wrong("lookup", "missing; lookup, as in {url}/services/{name}, or list, as in {url}/services, expected");
    }
    for key in ["items", "item_name", "next", "poll_ms"] {
        if r.is(key) && !r.is("list") {
            r.wrong(key, "it needs list");
        }
    }
    if r.is("poll_ms") && r.is("lookup") {
        r.wrong("poll_ms", "it needs list without lookup: then the list has the instances, and shows every change");
    }
    if r.is("page") && !r.is("next") {
        r.wrong("page", "it needs next, a pointer to what {next} stands for");
    }
}

fn url(r: &Reader) -> String {
    let url = match r.text("url") {
        Some(url) => url,
        None => {
            if !r.is("url") {
                r.wrong("url", "missing; http://host or https://host expected");
            }
            return String::new();
        }
    };
    match split_url(&url) {
        Some((scheme, host)) if is_origin(scheme, host) && !url.contains(&['?', '#', '{', '}'][..]) => url.trim_end_matches('/').into(),
        _ => {
            r.wrong("url", format!("{:?}: http://host or https://host expected, without credentials and query", word::short(&url)));
            url
        }
    }
}

fn headers(r: &Reader) -> Vec<(String, String)> {
    let h = r.object("headers", "headers.");
    let all = h.texts();
    if all.len() > 30 {
        h.wrong("", "at most 30 expected");
    }
    for (name, value) in &all {
        let lower = name.to_ascii_lowercase();
        if TAKEN.contains(&lower.as_str()) || lower.starts_with("proxy-") {
            h.wrong(name, "it cannot be set");
        } else if name.is_empty() || !name.bytes().all(|c| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c)) {
            h.wrong(name, "the name of a header expected");
        }
        if value.contains(|c: char| c.is_control() && c != '\t') {
            h.wrong(name, "one line expected");
        }
    }
    all
}

fn are(r: &Reader) -> Are {
    match r.text("instances_are").as_deref() {
        None | Some("list") => Are::List,
        Some("object") => Are::Object,
        Some("one") => Are::One,
        Some(other) => {
            r.wrong("instances_are", format!("{:?}: list, object or one expected", word::short(other)));
            Are::List
        }
    }
}

fn health_values(r: &Reader) -> Vec<(String, String)> {
    let h = r.object("health_values", "health_values.");
    let all = h.texts();
    for (theirs, ours) in &all {
        if !HEALTHS.contains(&ours.as_str()) {
            h.wrong(theirs, format!("{:?}: one of {} expected", word::short(ours), HEALTHS.join(", ")));
        }
    }
    all
}

fn absent(r: &Reader) -> Absent {
    let a = r.object("absent", "absent.");
    let mut absent = Absent { status: vec![404], empty: a.flag("empty"), null: a.pointer("null") };
    if let Some(list) = a.value("status") {
        absent.status.clear();
        // 200 to 203 bring what there is, and of 3xx and 5xx nobody knows.
        let known = |n: &i64| *n == 204 || (400..=499).contains(n) && !matches!(n, 401 | 403 | 407 | 408 | 429);
        for status in list.items() {
            match status.whole().filter(known) {
                Some(n) => absent.status.push(n as u16),
                None => {
                    a.wrong("status", format!("{}: 204, or one of 400 to 499 that says of the name, expected", word::found(Some(status))))
                }
            }
        }
        if list.kind() != Kind::List {
            a.wrong("status", format!("a list expected, as in [404, 410], found {}", word::found(Some(list))));
        }
    }
    a.end();
    absent
}

fn version(r: &Reader) -> Version {
    match r.text("version").as_deref() {
        None | Some("etag") => Version::ETag,
        Some("content") => Version::Content,
        Some(pointer) => {
            if !pointer.starts_with('/') {
                r.wrong("version", format!("{:?}: etag, content, or a JSON pointer, as in /revision, expected", word::short(pointer)));
            } else {
                r.pointer("version");
            }
            Version::At(pointer.into())
        }
    }
}
