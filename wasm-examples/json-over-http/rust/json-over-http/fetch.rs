//! Requests.

use crate::edgecache::http::{self, Response};
use crate::edgecache::{Code, Error};
use crate::options::Options;

pub enum Fetched {
    Body { text: String, etag: Option<String> },
    Same,
    Absent,
}

const LONGEST_ETAG: usize = 256;

/// Asks for a document. absent are the statuses that say that there is none.
pub fn get(o: &Options, url: &str, etag: Option<&str>, absent: &[u16]) -> Result<Fetched, Error> {
    let mut request = http::request("GET", url);
    if !o.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
        request = request.header("Accept", "application/json");
    }
    for (name, value) in &o.headers {
        request = request.header(name, value);
    }
    if let Some(etag) = etag {
        request = request.header("If-None-Match", etag);
    }
    let mut answer = request.send()?;
    match answer.status() {
        status if absent.contains(&status) => Ok(Fetched::Absent),
        304 if etag.is_some() => Ok(Fetched::Same),
        200..=203 => {
            let text = answer.text()?;
            if text.trim_start().starts_with('<') {
                return Err(answer.error(Code::Invalid, format!("JSON expected, found {}", media_type(&answer))));
            }
            let etag = answer.header("ETag").filter(|e| !e.is_empty() && e.len() <= LONGEST_ETAG && !e.contains('\n'));
            Ok(Fetched::Body { text, etag })
        }
        status => Err(refused(&answer, status)),
    }
}

/// Asks for a list, which there must be.
pub fn list(o: &Options, url: &str) -> Result<String, Error> {
    match get(o, url, None, &[])? {
        Fetched::Body { text, .. } => Ok(text),
        _ => Err(Error::new(Code::Internal, format!("GET {}: no list", url))),
    }
}

fn media_type(answer: &Response) -> String {
    answer.header("Content-Type").map_or("markup without a type".into(), |t| format!("markup of type {:?}", t))
}

fn refused(answer: &Response, status: u16) -> Error {
    let (code, why) = match status {
        300..=399 => (Code::Invalid, redirect(answer)),
        401 | 403 | 407 => (Code::Denied, ": the registry refuses the credentials, or wants some in headers".into()),
        408 | 504 => (Code::Timeout, String::new()),
        429 => (Code::RateLimited, answer.header("Retry-After").map_or(String::new(), |s| format!(": to be asked again after {}", s))),
        500..=599 => (Code::Unavailable, String::new()),
        _ => (Code::Invalid, String::new()),
    };
    answer.error(code, format!("status {}{}", status, why))
}

fn redirect(answer: &Response) -> String {
    let to = answer.header("Location").map_or(String::new(), |l| format!(" to {}", l));
    format!("{}: redirects are not followed, a URL that answers itself expected", to)
}
