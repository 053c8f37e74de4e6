//! What goes wrong.

use std::fmt;

/// Why a call failed. Not found is none of these: a registry says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
    Unavailable = -2, // refused, broken, or a DNS failure
    Timeout = -3,
    Denied = -4,  // the operator did not allow it
    Invalid = -5, // what it was given
    TooLarge = -6,
    Internal = -7,
    Unsupported = -8,
    RateLimited = -9,
    Closed = -10, // no such handle
}

impl Code {
    /// The code that the host returned.
    pub(super) fn of(code: i64) -> Code {
        use Code::*;
        let known = [Unavailable, Timeout, Denied, Invalid, TooLarge, Internal, Unsupported, RateLimited, Closed];
        known.iter().copied().find(|c| *c as i64 == code).unwrap_or(Internal)
    }
}

/// What a call failed with: the text is for the operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    pub code: Code,
    pub text: String,
}

impl Error {
    pub fn new(code: Code, text: impl Into<String>) -> Error {
        Error { code, text: text.into() }
    }

    /// The error with what it happened to before it.
    pub fn of(self, what: impl fmt::Display) -> Error {
        Error { text: format!("{}: {}", what, self.text), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Ends a call: the registry did not say, or not so that it could be understood.
pub fn failed<T>(code: Code, text: impl Into<String>) -> Result<T, Error> {
    Err(Error::new(code, text))
}
