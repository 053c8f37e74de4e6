//! Values of JSON as texts, and what errors say of them.

use crate::edgecache::json::{Kind, Value};
use std::borrow::Cow;

/// A text, the digits of a number, or nothing of null.
pub fn text(v: Value) -> Result<Cow<str>, String> {
    match v.kind() {
        Kind::Text => Ok(v.text().unwrap_or_default()),
        Kind::Number => Ok(v.raw().into()),
        Kind::Null => Ok("".into()),
        _ => Err(format!("a text expected, found {}", found(Some(v)))),
    }
}

/// What an error says that was found.
pub fn found(v: Option<Value>) -> String {
    match v {
        None => "nothing".into(),
        Some(v) => match v.kind() {
            Kind::List => "a list".into(),
            Kind::Object => "an object".into(),
            _ => short(v.raw()),
        },
    }
}

/// What an error quotes.
pub fn short(s: &str) -> String {
    match s.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &s[..end]),
        None => s.into(),
    }
}

/// JSON without the space between its values.
pub fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in json.chars() {
        if !quoted && c.is_ascii_whitespace() {
            continue;
        }
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && c == '\\' && !escaped;
        out.push(c);
    }
    out
}

/// FNV-1a, 64 bits, of texts and of where each ends.
pub fn hash(parts: &[&str]) -> u64 {
    let byte = |h: u64, b: u8| (h ^ b as u64).wrapping_mul(0x100000001b3);
    parts.iter().fold(0xcbf29ce484222325, |h, part| byte(part.bytes().fold(h, byte), 0xff))
}

/// Whether a name is one that the host knows: any other can never be asked for.
pub fn is_name(name: &str) -> bool {
    name.len() <= 512 && !name.contains(char::is_control) && !name.split('/').any(|s| matches!(s, "" | "." | ".."))
}

/// Whether an address is a host's name, or an IP address without brackets.
pub fn is_address(address: &str) -> bool {
    let mut colon = false;
    for c in address.bytes() {
        if c <= b' ' || matches!(c, b'/' | b'[' | b']' | 0x7f) {
            return false;
        }
        colon |= c == b':';
    }
    let plain = || address.split('%').next().unwrap_or_default(); // without the zone of a link-local one
    !address.is_empty() && (!colon || plain().parse::<std::net::Ipv6Addr>().is_ok())
}

/// Host and port of host:port, [host]:port or host.
pub fn split_port(s: &str) -> Result<(&str, Option<u16>), String> {
    let (host, digits) = match s.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or("-"))),
        None => match s.split_once(':') {
            Some((host, digits)) if !digits.contains(':') => (host, Some(digits)),
            _ => (s, None),
        },
    };
    match digits.map(port) {
        None => Ok((host, None)),
        Some(Ok(port)) => Ok((host, Some(port))),
        Some(Err(_)) => Err(format!("{:?}: host:port expected", short(s))),
    }
}

pub fn port(digits: &str) -> Result<u16, String> {
    let parsed = if digits.bytes().all(|c| c.is_ascii_digit()) { digits.parse().ok() } else { None };
    parsed.ok_or_else(|| format!("{:?}: a whole number from 0 to 65535 expected", short(digits)))
}

/// Scheme, and host with port, of a URL.
pub fn split_url(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(&['/', '?', '#'][..]).next()?;
    let word = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.');
    let odd = |c: char| c.is_control() || c == ' ';
    if scheme.is_empty() || !scheme.bytes().all(word) || authority.is_empty() || url.contains(odd) {
        return None;
    }
    Some((scheme, authority))
}
