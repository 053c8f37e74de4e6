//! Versions and ranges of them, by SemVer 2.0.0.

use core::cmp::Ordering;

/// A version, without what follows its plus sign: that has no precedence.
#[derive(Clone, Copy)]
pub struct Version<'a> {
    numbers: [u64; 3],
    pre: &'a [u8],
}

impl<'a> Version<'a> {
    pub const ZERO: Version<'static> = Version { numbers: [0; 3], pre: b"" };

    /// The version that a text is; a v before it is let pass.
    pub fn parse(text: &'a [u8]) -> Option<Version<'a>> {
        let mut version = Version::ZERO;
        if version.read(text) == Some(3) {
            Some(version)
        } else {
            None
        }
    }

    /// Reads a version, and returns how many of its numbers are said: the others are
    /// 0. It goes over the text once, for it is what a call spends most on.
    fn read(&mut self, text: &'a [u8]) -> Option<usize> {
        const DIGITS: usize = 19; // what 64 bits always hold
        let digit = |i: usize| text.get(i).map_or(10, |c| c.wrapping_sub(b'0'));
        let (mut at, mut said) = ((text.first() == Some(&b'v')) as usize, 0);
        while said < 3 {
            let (from, mut number) = (at, 0u64);
            let mut d = digit(at);
            while d < 10 {
                number = number.wrapping_mul(10).wrapping_add(d as u64);
                at += 1;
                d = digit(at);
            }
            if at == from || at > from + DIGITS || (at > from + 1 && digit(from) == 0) {
                return None;
            }
            self.numbers[said] = number;
            said += 1;
            if said == 3 || text.get(at) != Some(&b'.') {
                break;
            }
            at += 1;
        }
        if said == 3 && text.get(at) == Some(&b'-') {
            let end = identifiers_end(text, at + 1, false)?;
            self.pre = text.get(at + 1..end)?;
            at = end;
        }
        if said == 3 && text.get(at) == Some(&b'+') {
            at = identifiers_end(text, at + 1, true)?;
        }
        if at == text.len() {
            Some(said)
        } else {
            None
        }
    }

    /// Compares precedence: a pre-release is before its version.
    pub fn cmp(&self, other: &Version) -> Ordering {
        let (a, b) = (&self.numbers, &other.numbers);
        if a[0] != b[0] {
            return a[0].cmp(&b[0]);
        }
        if a[1] != b[1] {
            return a[1].cmp(&b[1]);
        }
        if a[2] != b[2] {
            return a[2].cmp(&b[2]);
        }
        match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, _) => Ordering::Greater,
            (_, true) => Ordering::Less,
            _ => identifiers(self.pre, other.pre),
        }
    }
}

/// Compares pre-releases, identifier by identifier: numbers are before words, and
/// by their value however long they are.
fn identifiers(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a.split(|c| *c == b'.'), b.split(|c| *c == b'.'));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, _) => return Ordering::Less,
            (_, None) => return Ordering::Greater,
            (Some(a), Some(b)) => match (digits(a), digits(b)) {
                (true, true) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
                (false, false) => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn digits(s: &[u8]) -> bool {
    s.iter().all(u8::is_ascii_digit)
}

/// Where the identifiers that begin at a place end; none of them may be empty, and
/// numbers begin with zeros in builds only.
fn identifiers_end(text: &[u8], mut at: usize, zeros: bool) -> Option<usize> {
    loop {
        let from = at;
        let mut word = false;
        while let Some(c) = text.get(at).filter(|c| c.is_ascii_alphanumeric() || **c == b'-') {
            word |= !c.is_ascii_digit();
            at += 1;
        }
        if at == from || (!zeros && !word && at > from + 1 && text.get(from) == Some(&b'0')) {
            return None;
        }
        if text.get(at) != Some(&b'.') {
            return Some(at);
        }
        at += 1;
    }
}

#[derive(Clone, Copy)]
enum Is {
    Equal,
    Above,
    AtLeast,
    Below,
    AtMost,
    Like(usize), // at least, and as many numbers are the same
}

#[derive(Clone, Copy)]
struct Comparator<'a> {
    is: Is,
    than: Version<'a>,
}

const MOST: usize = 4;

/// Of a range: one that is longer could be made to cost more than a call has.
const MOST_BYTES: usize = 256;

/// What a version has to be: all of some comparators.
pub struct Range<'a> {
    all: [Comparator<'a>; MOST],
    n: usize,
}

impl<'a> Range<'a> {
    /// The range that a text is. The error says what is expected.
    pub fn parse(text: &'a [u8]) -> Result<Range<'a>, &'static str> {
        if text.len() > MOST_BYTES {
            return Err("v: at most 256 bytes expected");
        }
        let none = Comparator { is: Is::Equal, than: Version::ZERO };
        let mut range = Range { all: [none; MOST], n: 0 };
        for part in text.split(|c| *c == b',') {
            match range.all.get_mut(range.n) {
                None => return Err("v: at most 4 conditions, with commas between them, expected"),
                Some(place) => match comparator(trim(part)) {
                    None => return Err("v: a version or range expected, as 1.2.3, ^1.2, ~1.2.3, >=1.0.0, or some with commas between them"),
                    Some(c) => *place = c,
                },
            }
            range.n += 1;
        }
        Ok(range)
    }

    /// Whether a version is in the range. A pre-release is only if the range names
    /// one of the same version.
    pub fn has(&self, v: &Version) -> bool {
        let all = &self.all[..self.n];
        let named = v.pre.is_empty() || all.iter().any(|c| !c.than.pre.is_empty() && c.than.numbers == v.numbers);
        named && all.iter().all(|c| c.has(v))
    }
}

impl Comparator<'_> {
    fn has(&self, v: &Version) -> bool {
        let order = v.cmp(&self.than);
        match self.is {
            Is::Equal => order == Ordering::Equal,
            Is::Above => order == Ordering::Greater,
            Is::AtLeast => order != Ordering::Less,
            Is::Below => order == Ordering::Less,
            Is::AtMost => order != Ordering::Greater,
            Is::Like(n) => order != Ordering::Less && (0..3).all(|i| i >= n || v.numbers[i] == self.than.numbers[i]),
        }
    }
}

fn trim(mut s: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = s {
        s = rest;
    }
    s
}

fn comparator(s: &[u8]) -> Option<Comparator> {
    let (operator, rest) = s.split_at(s.iter().position(|c| c.is_ascii_digit() || *c == b'v').unwrap_or(s.len()));
    let mut than = Version::ZERO;
    let said = than.read(rest)?;
    let is = match operator {
        b"" | b"=" => Is::Equal,
        b">" => Is::Above,
        b">=" => Is::AtLeast,
        b"<" => Is::Below,
        b"<=" => Is::AtMost,
        b"~" => Is::Like(said.min(2)),
        // What is compatible: all numbers up to the first that is not 0.
        b"^" => Is::Like(than.numbers[..said].iter().position(|n| *n > 0).map_or(said, |i| i + 1)),
        _ => return None,
    };
    Some(Comparator { is, than })
}
