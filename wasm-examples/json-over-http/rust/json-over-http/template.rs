//! Templates of URLs.

use crate::edgecache::http::escape;
use crate::word::split_url;

/// A URL with {url}, and perhaps one other name in braces, in it.
#[derive(Clone)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone)]
enum Part {
    Text(String),
    Url,
    Other,
}

impl Template {
    /// Reads a template. If it has another name, it must be there, in the path or query.
    pub fn parse(text: &str, other: Option<&str>) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, braced)) = rest.split_once('{') {
            let (name, after) = braced.split_once('}').ok_or("a } expected")?;
            if !before.is_empty() {
                parts.push(Part::Text(before.into()));
            }
            parts.push(match name {
                "url" if parts.is_empty() => Part::Url,
                "url" => return Err("{url} expected at the beginning".into()),
                _ if Some(name) == other => Part::Other,
                _ => {
                    return Err(format!(
                        "{{{}}} is unknown, {{url}}{} expected",
                        name,
                        other.map_or(String::new(), |o| format!(" or {{{}}}", o))
                    ))
                }
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        let t = Template { parts };
        t.check(other)?;
        Ok(t)
    }

    fn check(&self, other: Option<&str>) -> Result<(), String> {
        if self.fill("", "").contains(|c: char| c.is_control() || " #{}\"<>\\".contains(c)) {
            return Err("an escaped URL without a fragment expected".into());
        }
        let begins = match &self.parts[..] {
            [Part::Url] => true,
            [Part::Url, Part::Text(t), ..] => t.starts_with(&['/', '?'][..]),
            [Part::Text(t), rest @ ..] => match split_url(t) {
                Some((scheme, host)) => is_origin(scheme, host) && (rest.is_empty() || t.len() > scheme.len() + 3 + host.len()),
                None => false,
            },
            _ => false,
        };
        if !begins {
            return Err("{url}/… or http://…/… expected".into());
        }
        match other {
            Some(name) if !self.parts.iter().any(|p| matches!(p, Part::Other)) => Err(format!("{{{}}} expected in it", name)),
            _ => Ok(()),
        }
    }

    /// The URL with what the names stand for; the other one is escaped.
    pub fn fill(&self, url: &str, other: &str) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Url => out.push_str(url),
                Part::Other => out.push_str(&escape(other)),
            }
        }
        out
    }
}

/// Whether a URL of these may be asked. Credentials in it would stand in errors.
pub fn is_origin(scheme: &str, authority: &str) -> bool {
    matches!(scheme, "http" | "https") && !authority.contains('@')
}
