//! Where the fields of an instance are.

use crate::edgecache::json::{Kind, Value};
use crate::reader::Reader;
use std::borrow::Cow;

/// A field, and its place in NAMES.
#[derive(Clone, Copy, PartialEq)]
pub enum Field {
    Id,
    Address,
    Port,
    HostPort,
    Protocol,
    Tls,
    Url,
    Health,
    Weight,
    Priority,
    Version,
    Node,
    Region,
    Zone,
    Tags,
    Metadata,
    Registered,
}

use Field::*;

const ALL: [Field; 17] =
    [Id, Address, Port, HostPort, Protocol, Tls, Url, Health, Weight, Priority, Version, Node, Region, Zone, Tags, Metadata, Registered];

const NAMES: [&str; ALL.len()] = [
    "id",
    "address",
    "port",
    "host_port",
    "protocol",
    "tls",
    "url",
    "health",
    "weight",
    "priority",
    "version",
    "node",
    "region",
    "zone",
    "tags",
    "metadata",
    "registered",
];

/// The fields that are mapped.
#[derive(Clone)]
pub struct Fields {
    all: Vec<Mapped>,
    by_length: [u32; LENGTHS], // of the first part: bits of their places in all
}

const LENGTHS: usize = 32; // those that are longer are together

/// A field, and the JSON pointer to it from the instance.
#[derive(Clone)]
struct Mapped {
    field: Field,
    pointer: String,
    first: String, // part of the pointer, unescaped
    rest: String,  // of the pointer
}

impl Mapped {
    fn new(field: Field, pointer: String) -> Mapped {
        let (first, rest) = match pointer.get(1..).map(|p| p.find('/').map_or((p, ""), |i| p.split_at(i))) {
            None => (String::new(), String::new()),
            Some((first, rest)) => (first.replace("~1", "/").replace("~0", "~"), rest.into()),
        };
        Mapped { field, pointer, first, rest }
    }
}

impl Fields {
    pub fn read(r: &Reader) -> Fields {
        if !r.is("fields") {
            let own = ALL.iter().filter(|f| **f != HostPort);
            return Fields::of(own.map(|f| Mapped::new(*f, format!("/{}", NAMES[*f as usize]))).collect());
        }
        let f = r.object("fields", "fields.");
        let fields = ALL.iter().filter_map(|field| f.pointer(NAMES[*field as usize]).map(|p| Mapped::new(*field, p))).collect::<Vec<_>>();
        if f.there() && !f.is("address") && !f.is("host_port") && !f.is("url") {
            f.wrong("address", "missing; address, host_port or url expected");
        }
        if f.is("host_port") && (f.is("address") || f.is("port")) {
            f.wrong("host_port", "it is instead of address and port");
        }
        if r.is("health_values") && !f.is("health") {
            f.wrong("health", "missing; health_values needs it");
        }
        f.end();
        Fields::of(fields)
    }

    fn of(all: Vec<Mapped>) -> Fields {
        let mut by_length = [0; LENGTHS];
        for (i, m) in all.iter().enumerate().filter(|(_, m)| !m.pointer.is_empty()) {
            by_length[m.first.len().min(LENGTHS - 1)] |= 1 << i;
        }
        Fields { all, by_length }
    }

    /// Those whose pointers begin with a key.
    fn beginning<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Mapped> {
        let mut bits = self.by_length[key.len().min(LENGTHS - 1)];
        std::iter::from_fn(move || {
            let m = self.all.get(bits.trailing_zeros() as usize)?;
            bits &= bits - 1;
            Some(m)
        })
        .filter(move |m| m.first == key)
    }

    /// Whether an instance may be something else than an object or list.
    fn whole(&self) -> bool {
        self.all.iter().any(|m| m.pointer.is_empty())
    }

    pub fn is(&self, field: Field) -> bool {
        self.all.iter().any(|m| m.field == field)
    }

    /// The error of a field.
    pub fn wrong(&self, field: Field, why: &str) -> String {
        let pointer = self.all.iter().find(|m| m.field == field).map_or("", |m| &m.pointer);
        format!(".{} ({}): {}", NAMES[field as usize], pointer, why)
    }
}

/// The fields of an instance, before they are known to be right.
pub struct Source<'a> {
    found: [Option<Value<'a>>; ALL.len()],
    pub fields: &'a Fields,
}

impl<'a> Source<'a> {
    /// Finds the fields in one pass, for there may be thousands of instances.
    pub fn find(value: Value<'a>, fields: &'a Fields) -> Option<Source<'a>> {
        let mut s = Source { found: [None; ALL.len()], fields };
        match value.kind() {
            Kind::Object => {
                for (key, member) in value.members() {
                    for m in fields.beginning(&key) {
                        let found = if m.rest.is_empty() { Some(member) } else { member.at(&m.rest) };
                        s.found[m.field as usize] = s.found[m.field as usize].or(found);
                    }
                }
            }
            Kind::List => fields.all.iter().for_each(|m| s.found[m.field as usize] = value.at(&m.pointer)),
            _ if fields.whole() => {}
            _ => return None,
        }
        fields.all.iter().filter(|m| m.pointer.is_empty()).for_each(|m| s.found[m.field as usize] = Some(value));
        Some(s)
    }

    /// A field that is mapped and there, converted; null is not there.
    pub fn read<T>(&self, field: Field, convert: impl Fn(Value<'a>) -> Result<T, String>) -> Result<Option<T>, String> {
        match self.found[field as usize] {
            Some(value) if !value.is_null() => convert(value).map(Some).map_err(|why| self.fields.wrong(field, &why)),
            _ => Ok(None),
        }
    }

    pub fn text(&self, field: Field) -> Result<Cow<'a, str>, String> {
        self.read(field, crate::word::text).map(|t| t.unwrap_or_default())
    }
}
