//! {{name}}: an adapter that asks a registry which answers
//!
//! GET {url}/{service}  [{"id": "a", "host": "10.0.0.1", "port": 8080, "zone": "z1"}]
//! GET {url}/           ["db", "web"]

#[path = "pdk/rust/adapter.rs"]
mod edgecache;

use edgecache::http::{escape, request, Response};
use edgecache::json::{self, Kind, Value};
use edgecache::{config, found, not_found, not_modified, record, Answer, Code, Error, Names, Outcome, Poll, Started};

const PAUSE: u32 = 10_000; // ms between two polls

struct Registry {
    url: String,
}

edgecache::adapter!(start, lookup, list, poll);

fn start() -> Started<Registry> {
    match config("/url") {
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => Ok(Registry { url: url.trim_end_matches('/').into() }),
        _ => Err("url: the registry's address expected, as in http://10.0.0.5:8080".into()),
    }
}

/// Looks a name up. held is the version that edgecache has.
fn lookup(r: &mut Registry, name: &str, held: Option<&str>) -> Answer {
    let mut answer = get(r, &escape(name), held)?;
    match answer.status() {
        304 if held.is_some() => return not_modified(),
        404 => return not_found(),
        _ => {}
    }
    let text = body(&mut answer)?;
    let list = list_of(&answer, &text)?;
    let mut record = record(name);
    for (i, at) in list.items().enumerate() {
        let wrong = |what| answer.error(Code::Invalid, format!("[{}].{} expected", i, what));
        let field = |key| at.get(key).filter(|value| !value.is_null());
        let text = |key| field(key).map_or(Some("".into()), Value::text);
        let id = text("id").ok_or_else(|| wrong("id: a string"))?;
        let host = text("host").filter(|h| !h.is_empty()).ok_or_else(|| wrong("host: a name or an address"))?;
        let port = field("port").map_or(Some(0), Value::whole).and_then(|n| u16::try_from(n).ok());
        let port = port.ok_or_else(|| wrong("port: a whole number to 65535"))?;
        let zone = text("zone").ok_or_else(|| wrong("zone: a string"))?;
        record.instance(&id).address(&host).port(port).zone(&zone);
    }
    found(record.json(), answer.header("ETag"))
}

fn list(r: &mut Registry, _: Option<&str>) -> Result<Names, Error> {
    let mut answer = get(r, "", None)?;
    let text = body(&mut answer)?;
    let names = list_of(&answer, &text)?.items().map(|name| name.text().map(String::from)).collect();
    match names {
        Some(names) => Ok(Names { names, next: None }),
        None => Err(answer.error(Code::Invalid, "a list of strings expected")),
    }
}

/// Reads everything again.
fn poll(r: &mut Registry, poll: &mut Poll) -> Result<u32, Error> {
    let names = list(r, None)?.names;
    poll.again()?; // what follows is all there is
    for name in &names {
        if let Outcome::Found { record, .. } = lookup(r, name, None)? {
            poll.upsert(name, record)?;
        }
    }
    poll.next("all");
    Ok(PAUSE)
}

fn get(r: &Registry, path: &str, held: Option<&str>) -> Result<Response, Error> {
    let request = request("GET", &format!("{}/{}", r.url, path));
    match held {
        Some(held) => request.header("If-None-Match", held).send(),
        None => request.send(),
    }
}

fn body(answer: &mut Response) -> Result<String, Error> {
    match answer.status() {
        200 => answer.text(),
        status => Err(answer.error(Code::Unavailable, format!("status {}", status))),
    }
}

fn list_of<'a>(answer: &Response, text: &'a str) -> Result<Value<'a>, Error> {
    let value = json::parse(text).map_err(|e| answer.error(e.code, e.text))?;
    match value.kind() {
        Kind::List => Ok(value),
        kind => Err(answer.error(Code::Invalid, format!("a list expected, found {:?}", kind))),
    }
}

#[cfg(test)]
mod tests {
    use super::edgecache::testing::{exchange, Host, Told};
    use super::*;

    fn begin() -> (Host, Registry) {
        let host = Host::new(r#"{"url": "http://registry.test/"}"#);
        (host, start().unwrap())
    }

    #[test]
    fn looks_up() {
        let (host, mut r) = begin();
        let web = || exchange("GET http://registry.test/web");
        host.exchange(web().header("ETag", "\"7\"").answer(r#"[{"id": "a", "host": "10.0.0.1", "port": 80}]"#));
        host.exchange(web().needs("If-None-Match", "\"7\"").status(304));
        host.exchange(exchange("GET http://registry.test/none").status(404));
        host.exchange(exchange("GET http://registry.test/down").status(503));
        let want = r#"{"name":"web","instances":[{"id":"a","address":"10.0.0.1","port":80}]}"#;
        assert_eq!(lookup(&mut r, "web", None), found(want, Some("\"7\"".into())));
        assert_eq!(lookup(&mut r, "web", Some("\"7\"")), not_modified());
        assert_eq!(lookup(&mut r, "none", None), not_found());
        assert_eq!(lookup(&mut r, "down", None), Err(Error::new(Code::Unavailable, "GET http://registry.test/down: status 503")));
    }

    #[test]
    fn tells_all() {
        let (host, mut r) = begin();
        host.exchange(exchange("GET http://registry.test/").answer(r#"["web"]"#));
        host.exchange(exchange("GET http://registry.test/web").answer("[]"));
        assert_eq!(list(&mut r, None).unwrap().names, ["web"]);
        let web = Told::Upsert("web".into(), r#"{"name":"web","instances":[]}"#.into());
        assert_eq!(host.poll(&mut r, poll, None), Ok((vec![Told::Again, web], Some("all".into()), PAUSE)));
    }

    #[test]
    fn needs_a_url() {
        let _host = Host::new("{}");
        assert!(start().err().unwrap().contains("url"));
    }
}
