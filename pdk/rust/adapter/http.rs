//! Requests to the registry, where manifest and operator allow them.

use super::{host, Code, Error};
use std::fmt::Write;
use std::slice;

/// The most that text and bytes read: as much as the host lets in.
pub const MOST: usize = 8 << 20;

const CHUNK: usize = 16 << 10; // by which a body grows at first
const LEAST: usize = 1 << 10; // room that is worth a read

/// A request that is being made up.
pub struct Request {
    what: String, // method and URL
    head: String,
    body: Vec<u8>,
    timeout: u32,
    bad: Option<String>,
}

/// A request: "GET", "https://registry.example.com/services".
pub fn request(method: &str, url: &str) -> Request {
    let what = format!("{} {}", method, url);
    let mut r = Request { head: format!("{}\n", what), what, body: Vec::new(), timeout: 0, bad: None };
    if method.is_empty() || !method.bytes().all(|c| c.is_ascii_alphanumeric()) {
        r.bad = Some("the method is no word".into());
    } else if url.is_empty() || url.bytes().any(|c| c <= b' ' || c == 0x7f) {
        r.bad = Some("the URL has a space or control character, or there is none".into());
    }
    r
}

/// Text as a segment of a path or a value of a query: what is not a-z, 0-9 or one of
/// -._~@ is escaped.
pub fn escape(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for c in text.bytes() {
        if c.is_ascii_alphanumeric() || b"-._~@".contains(&c) {
            out.push(c as char);
        } else {
            out.push('%');
            out.push(HEX[c as usize >> 4] as char);
            out.push(HEX[c as usize & 15] as char);
        }
    }
    out
}

impl Request {
    /// Adds a header. ${secret.NAME} in the value becomes the secret of that name.
    pub fn header(mut self, name: &str, value: &str) -> Request {
        let word = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
        if name.is_empty() || !name.bytes().all(word) {
            self.bad.get_or_insert(format!("{:?} is not the name of a header", name));
        } else if value.bytes().any(|c| c < b' ' && c != b'\t' || c == 0x7f) {
            self.bad.get_or_insert(format!("the header {} has a control character", name));
        }
        let _ = writeln!(self.head, "{}: {}", name, value); // a String takes it
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Request {
        self.body = body.into();
        self
    }

    /// How many milliseconds it may take; else until the call's deadline.
    pub fn timeout(mut self, ms: u32) -> Request {
        self.timeout = ms;
        self
    }

    /// Sends it. Whatever the status of the answer, it is one.
    pub fn send(self) -> Result<Response, Error> {
        if let Some(bad) = self.bad {
            return Err(Error::new(Code::Invalid, format!("{}: {}", self.what, bad)));
        }
        match host::http_send(&self.head, &self.body, self.timeout) {
            handle if handle > 0 => Ok(Response { what: self.what, handle }),
            code => Err(failure(&self.what, code)),
        }
    }
}

fn failure(what: &str, code: i64) -> Error {
    let code = Code::of(code);
    let why = match code {
        Code::Unavailable => "no connection, or it broke",
        Code::Timeout => "no answer in time",
        Code::Denied => "the operator does not allow this origin, its address, or the secret",
        Code::Invalid => "the host refuses the request",
        Code::TooLarge => "too large, or too many requests",
        Code::RateLimited => "too often",
        Code::Closed => "closed",
        _ => "the host failed",
    };
    Error::new(code, format!("{}: {}", what, why))
}

/// An answer. It is closed when it is dropped.
pub struct Response {
    what: String,
    handle: i64,
}

impl Response {
    pub fn status(&self) -> u16 {
        host::http_status(self.handle).max(0) as u16
    }

    /// A header, its values with a line for each.
    pub fn header(&self, name: &str) -> Option<String> {
        host::read(|buffer| host::http_header(self.handle, name, buffer)).map(host::text)
    }

    /// Reads up to as much of the body as the buffer takes; 0: that was all.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        match host::http_read(self.handle, buffer) {
            n if n >= 0 => Ok(n as usize),
            code => Err(failure(&self.what, code as i64)),
        }
    }

    /// The whole body.
    pub fn bytes(&mut self) -> Result<Vec<u8>, Error> {
        let large = || format!("an answer of at most {} bytes, and for which there is memory, expected", MOST);
        let mut body = Vec::new();
        loop {
            if body.capacity() - body.len() < LEAST {
                body.try_reserve(CHUNK).map_err(|_| self.error(Code::TooLarge, large()))?;
            }
            let room = body.spare_capacity_mut();
            // What is there is written only, and counted once it is.
            let n = self.read(unsafe { slice::from_raw_parts_mut(room.as_mut_ptr() as *mut u8, room.len()) })?;
            unsafe { body.set_len(body.len() + n) };
            if body.len() > MOST {
                return Err(self.error(Code::TooLarge, large()));
            }
            if n == 0 {
                return Ok(body);
            }
        }
    }

    /// The whole body, which must be UTF-8.
    pub fn text(&mut self) -> Result<String, Error> {
        let body = self.bytes()?;
        String::from_utf8(body)
            .map_err(|e| self.error(Code::Invalid, format!("the answer is not UTF-8 at byte {}", e.utf8_error().valid_up_to())))
    }

    /// An error that says of which request it is.
    pub fn error(&self, code: Code, text: impl Into<String>) -> Error {
        Error::new(code, text).of(&self.what)
    }

    pub fn close(self) {}
}

impl Drop for Response {
    fn drop(&mut self) {
        host::http_close(self.handle);
    }
}
