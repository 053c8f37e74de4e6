//! A strict reader of JSON. It looks at all of a text once; values are then places in
//! it, which cost nothing until they are asked.

#[path = "json/check.rs"]
mod check;

use super::{Code, Error};
use check::Check;
use std::borrow::Cow;

pub use check::DEEPEST;

/// A value: its text, known to be right and without space around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value<'a>(&'a str);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Null,
    Boolean,
    Number,
    Text,
    List,
    Object,
}

/// The value that a text is. A byte order mark before it is let pass.
pub fn parse(text: &str) -> Result<Value<'_>, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut check = Check::of(text);
    check.all().map_err(|why| {
        let before = text.as_bytes().get(..check.at).unwrap_or_default();
        let line = before.iter().filter(|c| **c == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|c| **c != b'\n').filter(|c| **c & 0xc0 != 0x80).count() + 1;
        let found = match text.get(check.at..).and_then(|rest| rest.chars().next()) {
            Some(c) => format!("{:?}", c),
            None => "the end".into(),
        };
        Error::new(Code::Invalid, format!("JSON: line {}, column {}: {}, found {}", line, column, why, found))
    })?;
    Ok(Value(text.trim_matches(&[' ', '\t', '\n', '\r'][..])))
}

/// Whether a text is a JSON pointer (RFC 6901).
pub fn is_pointer(text: &str) -> bool {
    let plain = text.replace("~0", "").replace("~1", "");
    (text.is_empty() || text.starts_with('/')) && !plain.contains('~')
}

impl<'a> Value<'a> {
    /// Its JSON.
    pub fn raw(self) -> &'a str {
        self.0
    }

    pub fn kind(self) -> Kind {
        match self.0.as_bytes()[0] {
            b'{' => Kind::Object,
            b'[' => Kind::List,
            b'"' => Kind::Text,
            b't' | b'f' => Kind::Boolean,
            b'n' => Kind::Null,
            _ => Kind::Number,
        }
    }

    pub fn is_null(self) -> bool {
        self.0 == "null"
    }

    pub fn boolean(self) -> Option<bool> {
        match self.0 {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// A number. raw has all its digits.
    pub fn number(self) -> Option<f64> {
        match self.kind() {
            Kind::Number => self.0.parse().ok(),
            _ => None,
        }
    }

    /// A number that is whole, and written without a point or exponent.
    pub fn whole(self) -> Option<i64> {
        match self.kind() {
            Kind::Number => self.0.parse().ok(),
            _ => None,
        }
    }

    /// A string, unescaped. Half of a surrogate pair becomes U+FFFD.
    pub fn text(self) -> Option<Cow<'a, str>> {
        match self.kind() {
            Kind::Text => Some(unescape(&self.0[1..self.0.len() - 1])),
            _ => None,
        }
    }

    /// The values of a list; nothing of anything else.
    pub fn items(self) -> Items<'a> {
        Items(Inside { text: self.0, at: if self.kind() == Kind::List { 1 } else { self.0.len() } })
    }

    /// The keys and values of an object; nothing of anything else.
    pub fn members(self) -> Members<'a> {
        Members(Inside { text: self.0, at: if self.kind() == Kind::Object { 1 } else { self.0.len() } })
    }

    /// A member of an object; the first, if there are two.
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        self.members().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// What a JSON pointer (RFC 6901) finds.
    pub fn at(self, pointer: &str) -> Option<Value<'a>> {
        let mut value = self;
        for part in pointer.split('/').skip(1) {
            value = match value.kind() {
                Kind::Object if !part.contains('~') => value.get(part)?,
                Kind::Object => value.get(&part.replace("~1", "/").replace("~0", "~"))?,
                Kind::List if part == "0" || !part.starts_with(&['0', '+'][..]) => value.items().nth(part.parse().ok()?)?,
                _ => return None,
            };
        }
        Some(value)
    }
}

/// A place inside a list or object.
struct Inside<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Inside<'a> {
    /// The next value, or key; None behind the last.
    fn next(&mut self) -> Option<Value<'a>> {
        let bytes = self.text.as_bytes();
        self.at = pass(bytes, self.at, SPACE);
        if matches!(bytes.get(self.at)?, b',' | b':') {
            self.at = pass(bytes, self.at + 1, SPACE);
        }
        if matches!(bytes[self.at], b']' | b'}') {
            return None;
        }
        let from = self.at;
        self.at = end(bytes, from);
        Some(Value(&self.text[from..self.at]))
    }
}

pub struct Items<'a>(Inside<'a>);

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        self.0.next()
    }
}

pub struct Members<'a>(Inside<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, Value<'a>);

    fn next(&mut self) -> Option<(Cow<'a, str>, Value<'a>)> {
        let key = self.0.next()?.text()?;
        Some((key, self.0.next()?))
    }
}

// What a character is, by the sets below.
const QUOTE: u8 = 1; // and backslash
const CONTROL: u8 = 2;
const NEST: u8 = 4; // of brackets and braces
const SPACE: u8 = 8;
const END: u8 = 16; // of a number or word, besides space
const DIGIT: u8 = 32;

const SETS: [u8; 256] = {
    let mut sets = [0; 256];
    let mut c = 0;
    while c < 256 {
        sets[c] = match c as u8 {
            b'"' => QUOTE | NEST,
            b'\\' => QUOTE,
            b'\t' | b'\n' | b'\r' => CONTROL | SPACE,
            0..=0x1f => CONTROL,
            b' ' => SPACE,
            b',' => END,
            b'{' | b'[' => NEST,
            b'}' | b']' => NEST | END,
            b'0'..=b'9' => DIGIT,
            _ => 0,
        };
        c += 1;
    }
    sets
};

/// Where the first character is that is of some sets, or the end. Fuel is charged for
/// all of a loop each time it turns: what goes over characters does nothing else.
fn seek(text: &[u8], mut at: usize, sets: u8) -> usize {
    while at < text.len() && SETS[text[at] as usize] & sets == 0 {
        at += 1;
    }
    at
}

/// Where the first character is that is of none of some sets, or the end.
fn pass(text: &[u8], mut at: usize, sets: u8) -> usize {
    while at < text.len() && SETS[text[at] as usize] & sets != 0 {
        at += 1;
    }
    at
}

/// Where the value ends that begins at a place in right JSON.
fn end(text: &[u8], at: usize) -> usize {
    match text[at] {
        b'"' => string_end(text, at) + 1,
        b'{' | b'[' => nest_end(text, at),
        _ => seek(text, at, END | SPACE),
    }
}

fn nest_end(text: &[u8], mut at: usize) -> usize {
    let mut depth = 0;
    loop {
        at = seek(text, at, NEST);
        match text[at] {
            b'"' => at = string_end(text, at),
            b'{' | b'[' => depth += 1,
            _ => depth -= 1,
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
}

/// Where the quote is that ends the string that begins at a place.
fn string_end(text: &[u8], mut at: usize) -> usize {
    loop {
        at = seek(text, at + 1, QUOTE);
        if text[at] == b'"' {
            return at;
        }
        at += 1;
    }
}

/// Where the first character is that a string has to escape, or the end.
pub(super) fn special(text: &str) -> usize {
    seek(text.as_bytes(), 0, QUOTE | CONTROL)
}

fn unescape(inner: &str) -> Cow<'_, str> {
    match special(inner) {
        at if at == inner.len() => Cow::Borrowed(inner),
        _ => Cow::Owned(unescaped(inner)),
    }
}

#[inline(never)]
fn unescaped(inner: &str) -> String {
    let mut rest = inner;
    let mut out = String::with_capacity(inner.len());
    while let Some(i) = rest.find('\\') {
        out.push_str(&rest[..i]);
        let escape = rest.as_bytes()[i + 1];
        rest = &rest[i + 2..];
        out.push(match escape {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let (c, used) = character(rest);
                rest = &rest[used..];
                c
            }
            c => c as char, // a quote, backslash or slash
        });
    }
    out.push_str(rest);
    out
}

/// The character whose four digits, and perhaps another escape with four, come next;
/// and the length of these.
fn character(text: &str) -> (char, usize) {
    let digits = |at: usize| text.get(at..at + 4).and_then(|d| u32::from_str_radix(d, 16).ok()).unwrap_or(0);
    let high = digits(0);
    if (0xd800..0xdc00).contains(&high) && text.get(4..6) == Some("\\u") {
        let low = digits(6);
        if (0xdc00..0xe000).contains(&low) {
            return (char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).unwrap_or('\u{fffd}'), 10);
        }
    }
    (char::from_u32(high).unwrap_or('\u{fffd}'), 4)
}
