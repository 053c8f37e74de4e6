//! Services in answers.

use crate::edgecache::json::{self, Kind, Value};
use crate::edgecache::{failed, log, record, Code, Error, Level, Record};
use crate::options::{Are, Options};
use crate::word::{self, found, is_name, short, split_url};
use crate::{fetch, instance};
use std::borrow::Cow;
use std::collections::BTreeMap;

const MOST_INSTANCES: usize = 10_000;

/// A service: all that the registry's answers have of a name.
pub struct Service<'a> {
    pub name: &'a str,
    pub parts: Vec<Value<'a>>,
}

/// The instances that were read into a record, and those that were not.
#[derive(Default)]
struct Tally {
    read: usize,
    bad: usize,
    first: String, // why the first was not
}

impl Service<'_> {
    /// Its record; None: the registry says that there is no such name.
    pub fn record(&self, o: &Options) -> Result<Option<String>, Error> {
        if self.parts.iter().all(|part| o.absent.null_in(*part)) {
            return Ok(None);
        }
        let mut r = record(self.name);
        let mut tally = Tally::default();
        for part in self.parts.iter().filter(|part| !o.absent.null_in(**part)) {
            instances(*part, o, |key, value| tally.add(&mut r, key, value, o))?;
        }
        match (tally.read, tally.bad) {
            (0, 0) if o.absent.empty => return Ok(None),
            (0, bad) if bad > 0 => return failed(Code::Invalid, format!("none of {} instances can be read: {}", bad, tally.first)),
            (_, bad) if bad > 0 => log(Level::Warn, &format!("{}: {} instances are left out: {}", short(self.name), bad, tally.first)),
            _ => {}
        }
        if let Some(ms) = o.ttl_ms {
            r.ttl_ms(ms as u64);
        }
        Ok(Some(r.json()))
    }
}

impl Tally {
    fn add(&mut self, r: &mut Record, key: &str, value: Value, o: &Options) -> Result<(), Error> {
        let i = self.read + self.bad;
        if i == MOST_INSTANCES {
            return failed(Code::TooLarge, format!("instances[{}]: at most {} expected", i, MOST_INSTANCES));
        }
        match instance::add(r, key, value, o) {
            Ok(()) => self.read += 1,
            Err(why) => {
                let why = format!("instances[{}]{}", i, why);
                if !o.skip_bad {
                    return failed(Code::Invalid, why);
                }
                if self.bad == 0 {
                    self.first = why;
                }
                self.bad += 1;
            }
        }
        Ok(())
    }
}

/// Calls with each instance of a document or item, and its key in an object.
fn instances(part: Value, o: &Options, mut each: impl FnMut(&str, Value) -> Result<(), Error>) -> Result<(), Error> {
    let at = part.at(&o.instances);
    let bad = |expected: &str| failed(Code::Invalid, format!("instances ({}): {} expected, found {}", o.instances, expected, found(at)));
    match (at, at.map(|v| v.kind()), o.instances_are) {
        (_, Some(Kind::Null), _) => Ok(()), // some registries write an empty list so
        (Some(list), Some(Kind::List), Are::List) => list.items().try_for_each(|v| each("", v)),
        (Some(object), Some(Kind::Object), Are::Object) => object.members().try_for_each(|(key, v)| each(&key, v)),
        (Some(one), _, Are::One) => each("", one),
        (_, _, Are::List) => bad("a list"),
        (_, _, Are::Object) => bad("an object of instances"),
        (_, _, Are::One) => bad("an instance"),
    }
}

/// Calls with the name of each item of the lists, and the item.
fn each<'a>(o: &Options, pages: &[Value<'a>], mut call: impl FnMut(Cow<'a, str>, Value<'a>)) -> Result<(), Error> {
    for page in pages {
        let at = page.at(&o.items);
        let list = match at {
            Some(v) if matches!(v.kind(), Kind::List | Kind::Object | Kind::Null) => v,
            _ => return failed(Code::Invalid, format!("items ({}): a list or an object expected, found {}", o.items, found(at))),
        };
        let in_list = list.items().map(|v| (None, v));
        let in_object = list.members().map(|(key, v)| (Some(key), v));
        for (i, (key, item)) in in_list.chain(in_object).enumerate() {
            let (pointer, said) = match (&o.item_name, key) {
                (Some(pointer), _) => (pointer.as_str(), item.at(pointer)),
                (None, Some(key)) => {
                    call(key, item);
                    continue;
                }
                (None, None) if item.kind() == Kind::Text => ("", Some(item)),
                (None, None) => ("/name", item.get("name")),
            };
            match said.map(word::text) {
                Some(Ok(name)) if !name.is_empty() => call(name, item),
                _ => {
                    return failed(Code::Invalid, format!("items[{}]: item_name ({}): a name expected, found {}", i, pointer, found(said)))
                }
            }
        }
    }
    Ok(())
}

/// The service of a name; None: the lists do not have it.
pub fn one<'a>(o: &Options, pages: &[Value<'a>], name: &'a str) -> Result<Option<Service<'a>>, Error> {
    let mut parts = Vec::new();
    each(o, pages, |n, item| {
        if n == name {
            parts.push(item);
        }
    })?;
    Ok(if parts.is_empty() { None } else { Some(Service { name, parts }) })
}

/// All services. What cannot be a name is left out: nobody can ask for it.
pub fn all<'a>(o: &Options, pages: &[Value<'a>]) -> Result<BTreeMap<Cow<'a, str>, Vec<Value<'a>>>, Error> {
    let mut all = BTreeMap::<_, Vec<_>>::new();
    let (mut odd, mut first) = (0, String::new());
    each(o, pages, |name, item| {
        if is_name(&name) {
            all.entry(name).or_default().push(item);
            return;
        }
        if odd == 0 {
            first = format!("{:?}", short(&name));
        }
        odd += 1;
    })?;
    if odd > 0 {
        log(Level::Warn, &format!("{} names of the list cannot be names and are left out, first {}", odd, first));
    }
    Ok(all)
}

/// The texts of all pages of a list whose first one is there.
pub fn pages(o: &Options, url: &str, first: String) -> Result<Vec<String>, Error> {
    let (mut texts, mut urls) = (vec![first], vec![url.to_string()]);
    while o.next.is_some() {
        let at = urls[urls.len() - 1].as_str();
        let page = json::parse(&texts[texts.len() - 1]).map_err(|e| e.of(at))?;
        let next = match next(o, page, at).map_err(|e| e.of(at))? {
            None => break,
            Some(next) => next,
        };
        if urls.contains(&next) {
            return failed(Code::Invalid, format!("{}: next: it leads back to {}", at, short(&next)));
        }
        texts.push(fetch::list(o, &next)?);
        urls.push(next);
    }
    Ok(texts)
}

pub fn parse<'a>(texts: &'a [String], url: &str) -> Result<Vec<Value<'a>>, Error> {
    texts.iter().map(|text| json::parse(text).map_err(|e| e.of(url))).collect()
}

/// The URL of the page behind one; None: it was the last.
pub fn next(o: &Options, page: Value, url: &str) -> Result<Option<String>, Error> {
    let pointer = match &o.next {
        None => return Ok(None),
        Some(pointer) => pointer,
    };
    let at = page.at(pointer).filter(|v| !v.is_null() && v.boolean() != Some(false));
    let said = match at.map(word::text) {
        None => return Ok(None),
        Some(Ok(said)) if said.is_empty() => return Ok(None),
        Some(Ok(said)) => said,
        Some(Err(why)) => return failed(Code::Invalid, format!("next ({}): {}", pointer, why)),
    };
    if let Some(page) = &o.page {
        return Ok(Some(page.fill(&o.url, &said)));
    }
    let origin = split_url(url).map_or(url, |(scheme, host)| &url[..scheme.len() + 3 + host.len()]);
    let beyond = said.strip_prefix(origin).unwrap_or(&said);
    if beyond.starts_with('/') && !beyond.starts_with("//") && !beyond.contains(|c: char| c.is_control() || c == ' ') {
        return Ok(Some(format!("{}{}", origin, beyond)));
    }
    failed(Code::Invalid, format!("next ({}): {:?}: a URL of {} expected", pointer, short(&said), origin))
}
