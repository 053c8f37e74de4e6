//! Whether a text is JSON.

use super::{pass, seek, CONTROL, DIGIT, QUOTE, SPACE};

/// How deep lists and objects may lie in each other: a bit for each.
pub const DEEPEST: u32 = u64::BITS;

/// Looks at a text, without recursion. The error says what was expected at its place.
pub(super) struct Check<'a> {
    text: &'a [u8],
    pub at: usize,
}

type Checked = Result<(), &'static str>;

impl Check<'_> {
    pub fn of(text: &str) -> Check<'_> {
        Check { text: text.as_bytes(), at: 0 }
    }

    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn space(&mut self) {
        self.at = pass(self.text, self.at, SPACE);
    }

    pub fn all(&mut self) -> Checked {
        let (mut objects, mut depth) = (0u64, 0u32); // bit 0 of objects: the innermost is one
        loop {
            self.space();
            let open = self.peek();
            if open == b'{' || open == b'[' {
                if depth == DEEPEST {
                    return Err("at most 64 lists and objects in each other expected");
                }
                self.at += 1;
                objects = objects << 1 | (open == b'{') as u64;
                depth += 1;
                self.space();
                let empty = self.peek() == open + 2;
                if !empty {
                    if open == b'{' {
                        self.key()?;
                    }
                    continue;
                }
            } else {
                self.scalar()?;
            }
            // A value is done, or an empty list or object about to close.
            loop {
                self.space();
                if depth == 0 {
                    return if self.at == self.text.len() { Ok(()) } else { Err("nothing more expected") };
                }
                let object = objects & 1 != 0;
                match (self.peek(), object) {
                    (b'}', true) | (b']', false) => {
                        self.at += 1;
                        objects >>= 1;
                        depth -= 1;
                    }
                    (b',', _) => {
                        self.at += 1;
                        if object {
                            self.space();
                            self.key()?;
                        }
                        break;
                    }
                    (_, true) => return Err("a comma or } expected"),
                    (_, false) => return Err("a comma or ] expected"),
                }
            }
        }
    }

    fn key(&mut self) -> Checked {
        if self.peek() != b'"' {
            return Err("a key in quotes expected");
        }
        self.string()?;
        self.space();
        if self.peek() != b':' {
            return Err("a colon expected");
        }
        self.at += 1;
        Ok(())
    }

    fn scalar(&mut self) -> Checked {
        match self.peek() {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => Err("a value expected"),
        }
    }

    fn word(&mut self, word: &[u8]) -> Checked {
        if !self.text[self.at..].starts_with(word) {
            return Err("a value expected");
        }
        self.at += word.len();
        Ok(())
    }

    fn string(&mut self) -> Checked {
        loop {
            self.at = seek(self.text, self.at + 1, QUOTE | CONTROL);
            match self.text.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return Err("no control character in a string expected"),
                None => return Err("a quote expected"),
            }
        }
    }

    /// Stands on the backslash, and then on the last character of the escape.
    #[inline(never)]
    fn escape(&mut self) -> Checked {
        self.at += 1;
        match self.peek() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => {
                for _ in 0..4 {
                    self.at += 1;
                    if !self.peek().is_ascii_hexdigit() {
                        return Err("a hexadecimal digit expected");
                    }
                }
                Ok(())
            }
            _ => Err("an escape expected"),
        }
    }

    fn number(&mut self) -> Checked {
        if self.peek() == b'-' {
            self.at += 1;
        }
        if self.peek() == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Checked {
        if !self.peek().is_ascii_digit() {
            return Err("a digit expected");
        }
        self.at = pass(self.text, self.at, DIGIT);
        Ok(())
    }
}
