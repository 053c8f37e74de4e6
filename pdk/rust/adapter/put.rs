//! Members of an object of JSON, as they are written.

use super::json;

/// Begins an object, behind those before it.
pub fn open(out: &mut String) {
    out.push_str(if out.is_empty() { "{" } else { ",{" });
}

/// Puts a text that is there.
pub fn say(out: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        put(out, name, value);
    }
}

pub fn put(out: &mut String, name: &str, value: &str) {
    key(out, name);
    quote(out, value);
}

/// Puts what is JSON as it is.
pub fn put_raw(out: &mut String, name: &str, json: &str) {
    key(out, name);
    out.push_str(json);
}

/// Puts a number. What formats anything costs ten times as much.
pub fn put_number(out: &mut String, name: &str, mut n: u64) {
    let (mut digits, mut at) = ([0; 20], 20);
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    key(out, name);
    digits[at..].iter().for_each(|d| out.push(*d as char));
}

pub fn put_list<S: AsRef<str>>(out: &mut String, name: &str, list: impl IntoIterator<Item = S>) {
    key(out, name);
    out.push('[');
    for (i, s) in list.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        quote(out, s.as_ref());
    }
    out.push(']');
}

pub fn put_pairs<K: AsRef<str>, V: AsRef<str>>(out: &mut String, name: &str, pairs: impl IntoIterator<Item = (K, V)>) {
    key(out, name);
    out.push('{');
    for (k, v) in pairs {
        put(out, k.as_ref(), v.as_ref());
    }
    out.push('}');
}

/// Puts a key, behind a comma if it is not the first of its object.
fn key(out: &mut String, name: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    quote(out, name);
    out.push(':');
}

fn quote(out: &mut String, s: &str) {
    out.push('"');
    match json::special(s) {
        at if at == s.len() => out.push_str(s),
        at => escaped(out, s, at),
    }
    out.push('"');
}

/// Puts a text with what has to be escaped, which is first at a place. It is apart
/// because fuel is charged for all of a function, whatever of it runs.
#[inline(never)]
fn escaped(out: &mut String, s: &str, mut at: usize) {
    let mut rest = s;
    while let Some(c) = rest.as_bytes().get(at) {
        out.push_str(&rest[..at]);
        escape(out, *c);
        rest = &rest[at + 1..];
        at = json::special(rest);
    }
    out.push_str(rest);
}

fn escape(out: &mut String, c: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push('\\');
    if c >= b' ' {
        return out.push(c as char);
    }
    out.push_str("u00");
    out.push(HEX[c as usize >> 4] as char);
    out.push(HEX[c as usize & 15] as char);
}
