//! Instances.

use crate::edgecache::json::{Kind, Value};
use crate::edgecache::{rfc3339, Record};
use crate::fields::{Field, Source};
use crate::options::Options;
use crate::word::{self, found, short, text};
use std::borrow::Cow;

pub const HEALTHS: [&str; 6] = ["unknown", "passing", "warning", "draining", "critical", "maintenance"];

/// How an instance is reached.
#[derive(Default)]
struct Endpoint<'a> {
    address: Cow<'a, str>,
    port: Option<u16>,
    protocol: Cow<'a, str>,
    tls: Option<bool>,
    url: Cow<'a, str>,
}

/// Adds an instance to a record. The error begins with the field.
pub fn add(record: &mut Record, key: &str, value: Value, o: &Options) -> Result<(), String> {
    let s = Source::find(value, &o.fields).ok_or_else(|| format!(": an object expected, found {}", found(Some(value))))?;
    let mut id = s.text(Field::Id)?;
    if id.is_empty() {
        id = key.into();
    }
    let e = endpoint(&s)?;
    let health = s.read(Field::Health, |v| health(v, o))?.unwrap_or("");
    let weight = s.read(Field::Weight, weight)?;
    let priority = s.read(Field::Priority, number)?;
    let tags = s.read(Field::Tags, tags)?;
    let metadata = s.read(Field::Metadata, metadata)?;
    let registered = s.read(Field::Registered, time)?.unwrap_or_default();
    let (version, node, region, zone) = (s.text(Field::Version)?, s.text(Field::Node)?, s.text(Field::Region)?, s.text(Field::Zone)?);

    let mut i = record.instance(&id);
    i.address(&e.address).protocol(&e.protocol).url(&e.url).health(health).registered(&registered);
    i.version(&version).node(&node).region(&region).zone(&zone);
    if let Some(port) = e.port {
        i.port(port);
    }
    if let Some(tls) = e.tls {
        i.tls(tls);
    }
    if let Some(weight) = weight {
        i.weight(weight);
    }
    if let Some(priority) = priority {
        i.priority(priority);
    }
    if let Some(tags) = tags {
        i.tags(tags.items().map(|tag| text(tag).unwrap_or_default()));
    }
    if let Some(metadata) = metadata {
        i.metadata(metadata.members().map(|(key, v)| (key, v.text().unwrap_or_else(|| word::compact(v.raw()).into()))));
    }
    Ok(())
}

fn endpoint<'a>(s: &Source<'a>) -> Result<Endpoint<'a>, String> {
    let mut e = Endpoint {
        address: s.text(Field::Address)?,
        port: s.read(Field::Port, number)?,
        protocol: s.text(Field::Protocol)?,
        tls: s.read(Field::Tls, flag)?,
        url: s.text(Field::Url)?,
    };
    let mut field = if s.fields.is(Field::HostPort) { Field::HostPort } else { Field::Address };
    if let Some((host, port)) = s.read(Field::HostPort, host_port)? {
        e.address = host.into();
        e.port = port;
    }
    if e.address.is_empty() && !e.url.is_empty() {
        field = Field::Url;
        from_url(&mut e).map_err(|why| s.fields.wrong(field, &why))?;
    }
    if e.address.is_empty() {
        return Err(s.fields.wrong(field, "nothing is there"));
    }
    if e.protocol != "unix" && !word::is_address(&e.address) {
        return Err(s.fields.wrong(field, &format!("{:?}: a host name or an IP address expected", short(&e.address))));
    }
    Ok(e)
}

fn number(v: Value) -> Result<u16, String> {
    match text(v)? {
        digits if digits.is_empty() => Ok(0),
        digits => word::port(&digits),
    }
}

fn host_port(v: Value) -> Result<(String, Option<u16>), String> {
    let s = text(v)?;
    word::split_port(&s).map(|(host, port)| (host.into(), port))
}

/// Takes from the URL what nothing else says.
fn from_url(e: &mut Endpoint) -> Result<(), String> {
    let url = e.url.to_string();
    let (scheme, authority) = word::split_url(&url).ok_or_else(|| format!("{:?}: an absolute URL expected", short(&url)))?;
    let (host, port) = word::split_port(authority.rsplit('@').next().unwrap_or_default())?;
    e.address = host.to_string().into();
    if e.protocol.is_empty() {
        e.protocol = scheme.to_string().into();
    }
    e.tls = e.tls.or(Some(scheme == "https"));
    e.port = e.port.or(port).or(match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    });
    Ok(())
}

fn flag(v: Value) -> Result<bool, String> {
    match v.text().as_deref().unwrap_or_else(|| v.raw()) {
        "true" => Ok(true),
        "false" | "" => Ok(false),
        _ => Err(format!("true or false expected, found {}", found(Some(v)))),
    }
}

fn health<'o>(v: Value, o: &'o Options) -> Result<&'o str, String> {
    let said = match v.kind() {
        Kind::Boolean => v.raw().into(),
        _ => text(v)?,
    };
    let of = |word: &str| o.health_values.iter().find(|(theirs, _)| theirs == word).map(|(_, ours)| ours.as_str());
    let own = || HEALTHS.iter().copied().find(|h| *h == said);
    let any = || if said.is_empty() { Some("unknown") } else { of("*") };
    of(&said)
        .or_else(any)
        .or_else(own)
        .ok_or_else(|| format!("{:?} is neither in health_values nor one of {}", short(&said), HEALTHS.join(", ")))
}

fn weight(v: Value) -> Result<f64, String> {
    let s = text(v)?;
    let number = s.bytes().all(|c| c.is_ascii_digit() || b"+-.eE".contains(&c)); // parse takes inf and NaN
    match s.parse::<f64>() {
        _ if s.is_empty() => Ok(1.0),
        Ok(w) if number && (0.0..=42_949_672.0).contains(&w) => Ok(w),
        _ => Err(format!("{:?}: a number from 0 to 42949672 expected", short(&s))),
    }
}

fn tags(v: Value) -> Result<Value, String> {
    if v.kind() != Kind::List {
        return Err(format!("a list of texts expected, found {}", found(Some(v))));
    }
    v.items().try_for_each(|tag| text(tag).map(drop)).map(|()| v)
}

fn metadata(v: Value) -> Result<Value, String> {
    if v.kind() != Kind::Object {
        return Err(format!("an object expected, found {}", found(Some(v))));
    }
    Ok(v)
}

fn time(v: Value) -> Result<String, String> {
    match v.whole() {
        Some(ms) if (0..=253_402_300_799_999).contains(&ms) => Ok(rfc3339(ms as u64)),
        _ => {
            v.text().map(|t| t.into()).ok_or_else(|| format!("an RFC 3339 time, or Unix milliseconds, expected, found {}", found(Some(v))))
        }
    }
}
