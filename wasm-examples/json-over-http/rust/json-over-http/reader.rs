//! Reads a configuration strictly, and gathers what is wrong with it.

use crate::edgecache::json::{is_pointer, Kind, Value};
use crate::template::Template;
use crate::word;
use std::cell::RefCell;

/// An object of the configuration. What is asked of it are its keys; others are wrong.
pub struct Reader<'a> {
    object: Option<Value<'a>>,
    prefix: &'static str,
    known: RefCell<Vec<&'static str>>,
    wrong: &'a RefCell<Vec<String>>,
}

impl<'a> Reader<'a> {
    pub fn new(object: Value<'a>, wrong: &'a RefCell<Vec<String>>) -> Reader<'a> {
        Reader { object: Some(object), prefix: "", known: RefCell::default(), wrong }
    }

    /// The object of a key, whose own keys begin with prefix in errors.
    pub fn object(&self, key: &'static str, prefix: &'static str) -> Reader<'a> {
        let object = self.of(key, Kind::Object, "an object");
        Reader { object, prefix, known: RefCell::default(), wrong: self.wrong }
    }

    pub fn wrong(&self, key: &str, why: impl Into<String>) {
        self.wrong.borrow_mut().push(format!("{}{}: {}", self.prefix, key, why.into()));
    }

    /// The value of a key; null is as good as none.
    pub fn value(&self, key: &'static str) -> Option<Value<'a>> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        self.object?.get(key).filter(|v| !v.is_null())
    }

    /// Whether it is there itself.
    pub fn there(&self) -> bool {
        self.object.is_some()
    }

    pub fn is(&self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    fn of(&self, key: &'static str, kind: Kind, expected: &str) -> Option<Value<'a>> {
        let value = self.value(key)?;
        if value.kind() != kind {
            self.wrong(key, format!("{} expected, found {}", expected, word::found(Some(value))));
            return None;
        }
        Some(value)
    }

    pub fn text(&self, key: &'static str) -> Option<String> {
        self.of(key, Kind::Text, "a text")?.text().map(|t| t.into())
    }

    pub fn flag(&self, key: &'static str) -> bool {
        self.of(key, Kind::Boolean, "true or false").and_then(|v| v.boolean()).unwrap_or(false)
    }

    pub fn whole(&self, key: &'static str, least: u32, most: u32) -> Option<u32> {
        let value = self.value(key)?;
        let whole = value.whole().filter(|n| (least as i64..=most as i64).contains(n));
        if whole.is_none() {
            self.wrong(key, format!("a whole number from {} to {} expected, found {}", least, most, word::found(Some(value))));
        }
        whole.map(|n| n as u32)
    }

    pub fn pointer(&self, key: &'static str) -> Option<String> {
        let text = self.text(key)?;
        if !is_pointer(&text) {
            self.wrong(key, format!("{:?}: a JSON pointer expected, as in /data/items", word::short(&text)));
            return None;
        }
        Some(text)
    }

    pub fn template(&self, key: &'static str, other: Option<&str>) -> Option<Template> {
        let text = self.text(key)?;
        match Template::parse(&text, other) {
            Ok(template) => Some(template),
            Err(why) => {
                self.wrong(key, format!("{:?}: {}", word::short(&text), why));
                None
            }
        }
    }

    /// Its members, each with a text as value.
    pub fn texts(&self) -> Vec<(String, String)> {
        let mut texts = Vec::new();
        for (key, value) in self.object.iter().flat_map(|o| o.members()) {
            match value.text() {
                Some(text) => texts.push((key.into(), text.into())),
                None => self.wrong(&key, format!("a text expected, found {}", word::found(Some(value)))),
            }
        }
        texts
    }

    /// Says which keys are unknown.
    pub fn end(&self) {
        let known = self.known.borrow();
        for (key, _) in self.object.iter().flat_map(|o| o.members()) {
            if !known.iter().any(|k| *k == key) {
                self.wrong(&key, format!("unknown, one of {} expected", known.join(", ")));
            }
        }
    }
}
