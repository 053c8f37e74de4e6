use crate::edgecache::testing::{exchange, Exchange, Host};
use crate::edgecache::{json, Answer, Code, Error, Outcome};
use crate::{lookup, start, Registry};

#[path = "tests_config.rs"]
mod config;
#[path = "tests_lists.rs"]
mod lists;

fn with(config: &str) -> (Host, Registry) {
    let host = Host::new(config);
    let registry = start().unwrap_or_else(|why| panic!("{}: {}", config, why));
    (host, registry)
}

fn refused(config: &str) -> String {
    let _host = Host::new(config);
    start().err().unwrap_or_else(|| panic!("{}: it was let pass", config))
}

fn web() -> Exchange {
    exchange("GET http://r.test/services/web")
}

fn all() -> Exchange {
    exchange("GET http://r.test/services")
}

const LOOKUP: &str = r#"{"url": "http://r.test/", "lookup": "{url}/services/{name}"}"#;
const LIST: &str = r#"{"url": "http://r.test", "list": "{url}/services", "instances": "/instances", "poll_ms": 1000}"#;

/// The configuration LOOKUP with more in it.
fn mapped(more: &str) -> String {
    format!("{}, {}}}", LOOKUP.trim_end_matches('}'), more)
}

/// What a lookup of web makes of an answer.
fn made(config: &str, answer: &str) -> Answer {
    let (host, mut r) = with(config);
    host.exchange(web().answer(answer));
    lookup(&mut r, "web", None)
}

fn record(config: &str, answer: &str) -> String {
    match made(config, answer) {
        Ok(Outcome::Found { record, .. }) => record,
        other => panic!("{}: {:?}", answer, other),
    }
}

fn error(config: &str, answer: &str) -> String {
    match made(config, answer) {
        Err(Error { code: Code::Invalid, text }) => text,
        other => panic!("{}: {:?}", answer, other),
    }
}

#[test]
fn fields_under_their_own_names() {
    let answer = r#"[
        {"id": "a", "address": "10.0.0.1", "port": 80, "protocol": "http", "tls": true, "health": "passing", "weight": 0.5, "priority": 2,
         "version": "1", "node": "n", "region": "r", "zone": "z", "tags": ["t", 5], "metadata": {"k": "v", "o": {"a": [1, "b c"]}}, "registered": 0},
        {"address": "::1", "port": "81", "zone": null, "tags": null, "metadata": null, "more": [[]]},
        {"id": 7, "url": "https://web.test:8443/x"}]"#;
    let want = concat!(
        r#"{"name":"web","instances":[{"id":"a","address":"10.0.0.1","protocol":"http","health":"passing","#,
        r#""registered":"1970-01-01T00:00:00.000Z","version":"1","node":"n","region":"r","zone":"z","port":80,"tls":true,"weight":0.50,"priority":2,"tags":["t","5"],"#,
        r#""metadata":{"k":"v","o":"{\"a\":[1,\"b c\"]}"}},{"id":"","address":"::1","port":81},"#,
        r#"{"id":"7","address":"web.test","protocol":"https","url":"https://web.test:8443/x","port":8443,"tls":true}]}"#
    );
    assert_eq!(record(LOOKUP, answer), want);
}

#[test]
fn fields_that_are_mapped() {
    let config = mapped(
        r#""instances": "/data/list", "ttl_ms": 5, "health_values": {"UP": "passing", "1": "warning", "false": "critical", "*": "unknown"},
        "fields": {"id": "/ID", "host_port": "/at/0", "health": "/state", "zone": "/meta/a~1z", "metadata": "/meta"}"#,
    );
    let answer = r#"{"data": {"list": [{"ID": "a", "at": ["[::1]:80"], "state": "UP", "meta": {"a/z": "z1"}},
        {"ID": "b", "at": ["h:81"], "state": 1}, {"ID": "c", "at": ["fe80::1%eth0"], "state": false}, {"ID": "d", "at": ["h"], "state": "odd"}]}}"#;
    let want = concat!(
        r#"{"name":"web","ttl_ms":5,"instances":[{"id":"a","address":"::1","health":"passing","zone":"z1","port":80,"metadata":{"a/z":"z1"}},"#,
        r#"{"id":"b","address":"h","health":"warning","port":81},{"id":"c","address":"fe80::1%eth0","health":"critical"},"#,
        r#"{"id":"d","address":"h","health":"unknown"}]}"#
    );
    assert_eq!(record(&config, answer), want);
}

#[test]
fn shapes_of_instances() {
    let texts = mapped(r#""fields": {"host_port": ""}"#);
    assert_eq!(record(&texts, r#"["h:1"]"#), r#"{"name":"web","instances":[{"id":"","address":"h","port":1}]}"#);
    let object = mapped(r#""instances_are": "object", "instances": "/i""#);
    assert_eq!(record(&object, r#"{"i": {"a": {"address": "h"}}}"#), r#"{"name":"web","instances":[{"id":"a","address":"h"}]}"#);
    let one = mapped(r#""instances_are": "one""#);
    assert_eq!(record(&one, r#"{"address": "h"}"#), r#"{"name":"web","instances":[{"id":"","address":"h"}]}"#);
    assert_eq!(record(&object, r#"{"i": null}"#), r#"{"name":"web","instances":[]}"#);
}

#[test]
fn answers_that_do_not_fit() {
    for (answer, want) in [
        ("<!doctype html>", "markup without a type"),
        ("", "JSON: line 1, column 1: a value expected, found the end"),
        (r#"[{"address": "h""#, "a comma or } expected, found the end"),
        ("{}", "instances (): a list expected, found an object"),
        ("[5]", "instances[0]: an object expected, found 5"),
        (r#"[{"address": "h"}, {}]"#, "instances[1].address (/address): nothing is there"),
        (r#"[{"address": ["h"]}]"#, "instances[0].address (/address): a text expected, found a list"),
        (r#"[{"address": "h:80"}]"#, "instances[0].address (/address): \"h:80\": a host name or an IP address expected"),
        (r#"[{"address": "h", "port": 65536}]"#, "instances[0].port (/port): \"65536\": a whole number from 0 to 65535 expected"),
        (r#"[{"address": "h", "port": 80.5}]"#, "instances[0].port (/port): \"80.5\""),
        (r#"[{"address": "h", "port": true}]"#, "instances[0].port (/port): a text expected, found true"),
        (r#"[{"address": "h", "tls": "yes"}]"#, "instances[0].tls (/tls): true or false expected, found \"yes\""),
        (r#"[{"address": "h", "health": "UP"}]"#, "instances[0].health (/health): \"UP\" is neither in health_values nor one of unknown, passing"),
        (r#"[{"address": "h", "weight": -1}]"#, "instances[0].weight (/weight): \"-1\": a number from 0 to 42949672 expected"),
        (r#"[{"address": "h", "weight": "inf"}]"#, "instances[0].weight (/weight): \"inf\""),
        (r#"[{"address": "h", "tags": "t"}]"#, "instances[0].tags (/tags): a list of texts expected, found \"t\""),
        (r#"[{"address": "h", "metadata": []}]"#, "instances[0].metadata (/metadata): an object expected, found a list"),
        (r#"[{"address": "h", "registered": {}}]"#, "instances[0].registered (/registered): an RFC 3339 time"),
        (r#"[{"url": "web"}]"#, "instances[0].url (/url): \"web\": an absolute URL expected"),
    ] {
        let got = error(LOOKUP, answer);
        assert!(got.contains("http://r.test/services/web: ") && got.contains(want), "{}: {}", answer, got);
    }
    let list = mapped(r#""instances": "/data/list", "fields": {"host_port": "/at"}"#);
    assert!(error(&list, r#"{"error": "down"}"#).contains("instances (/data/list): a list expected, found nothing"));
    assert!(error(&list, r#"{"data": {"list": [{"at": "h:http"}]}}"#).contains("instances[0].host_port (/at): \"h:http\": host:port expected"));
    let many = format!("[{}]", vec![r#"{"address": "h"}"#; 10_001].join(","));
    assert_eq!(made(LOOKUP, &many).unwrap_err().code, Code::TooLarge);
}

#[test]
fn bad_instances_are_left_out_if_that_is_wanted() {
    let config = mapped(r#""skip_bad": true"#);
    let (host, mut r) = with(&config);
    host.exchange(web().answer(r#"[{"address": "h"}, {}, 5]"#));
    assert_eq!(lookup(&mut r, "web", None).unwrap(), Outcome::Found { record: r#"{"name":"web","instances":[{"id":"","address":"h"}]}"#.into(), version: None });
    assert_eq!(host.logged(), ["Warn web: 2 instances are left out: instances[1].address (/address): nothing is there"]);
    assert!(error(&config, "[{}, 5]").contains("none of 2 instances can be read: instances[0].address"));
}

#[test]
fn absence() {
    for (more, answer, absent) in [
        (r#""ttl_ms": 1"#, web().status(404), true),
        (r#""absent": {"status": [204, 410]}"#, web().status(410), true),
        (r#""absent": {"status": [204, 410]}"#, web().status(204), true),
        (r#""absent": {"status": [410]}"#, web().status(404), false),
        (r#""absent": {"empty": true}"#, web().answer("[]"), true),
        (r#""absent": {"empty": true}, "skip_bad": true"#, web().answer("[{}]"), false),
        (r#""absent": {"null": "/data"}, "instances": "/data""#, web().answer(r#"{"data": null}"#), true),
        (r#""absent": {"null": "/data"}, "instances": "/data""#, web().answer("{}"), false),
        (r#""absent": {"null": ""}"#, web().answer("null"), true),
    ] {
        let (host, mut r) = with(&mapped(more));
        host.exchange(answer);
        let got = lookup(&mut r, "web", None);
        assert_eq!(got == Ok(Outcome::NotFound), absent, "{}: {:?}", more, got);
        assert_eq!(got.is_err(), !absent);
    }
    assert!(matches!(made(LOOKUP, "[]"), Ok(Outcome::Found { .. })), "an empty list is an answer");
}

#[test]
fn failures() {
    for (answer, code, text) in [
        (web().status(500), Code::Unavailable, "status 500"),
        (web().status(403), Code::Denied, "status 403"),
        (web().status(429).header("retry-after", "7"), Code::RateLimited, "after 7"),
        (web().status(302).header("location", "http://b/"), Code::Invalid, "status 302 to http://b/: redirects are not followed"),
        (web().status(304), Code::Invalid, "status 304"),
        (web().status(200).answer("[{").breaks(), Code::Unavailable, "broke"),
        (web().answer(b"[\"\xff\"]"), Code::Invalid, "not UTF-8"),
        (web().error(Code::Timeout), Code::Timeout, "in time"),
    ] {
        let (host, mut r) = with(LOOKUP);
        host.exchange(answer);
        let e = lookup(&mut r, "web", None).unwrap_err();
        assert!(e.code == code && e.text.contains(text) && e.text.contains("http://r.test/services/web"), "{:?}", e);
        assert_eq!(host.open(), 0);
    }
}

#[test]
fn requests() {
    let config = mapped(r#""headers": {"Authorization": "Bearer ${secret.r}", "accept": "text/json"}"#).replace("/{name}", "?q={name}&all");
    let (host, mut r) = with(&config);
    let request = "GET http://r.test/services?q=a%2F%C3%BC%20%26b&all";
    host.exchange(exchange(request).answer("[]"));
    lookup(&mut r, "a/ü &b", None).unwrap();
    assert_eq!(host.requests(), [format!("{}\nAuthorization: Bearer ${{secret.r}}\naccept: text/json\n", request)]);
}

fn version(a: Answer) -> String {
    match a.unwrap() {
        Outcome::Found { version, .. } => version.expect("a version"),
        other => panic!("{:?}", other),
    }
}

#[test]
fn versions_are_etags() {
    let (host, mut r) = with(LOOKUP);
    host.exchange(web().answer("[]").header("ETag", "W/\"1\""));
    let held = version(lookup(&mut r, "web", None));
    assert!(held.ends_with(":W/\"1\"") && held.len() == 14, "{}", held);
    host.exchange(web().needs("If-None-Match", "W/\"1\"").status(304));
    assert_eq!(lookup(&mut r, "web", Some(&held)), Ok(Outcome::NotModified));

    let (host, mut other) = with(&mapped(r#""ttl_ms": 5"#));
    host.exchange(web().answer("[]").header("ETag", "W/\"1\""));
    assert_ne!(version(lookup(&mut other, "web", Some(&held))), held, "another mapping makes another record");
    assert!(!host.requests()[0].contains("If-None-Match"));

    let (host, mut none) = with(&mapped(r#""version": "content""#));
    host.exchange(web().answer("[]").header("ETag", "1"));
    assert!(matches!(lookup(&mut none, "web", None), Ok(Outcome::Found { version: None, .. })));
}

#[test]
fn versions_at_a_pointer() {
    let config = mapped(r#""version": "/rev", "instances": "/list""#);
    let (host, mut r) = with(&config);
    host.exchange(web().answer(r#"{"rev": 5, "list": []}"#).header("ETag", "1"));
    let held = version(lookup(&mut r, "web", None));
    assert!(held.ends_with(":5"), "{}", held);
    assert_eq!(lookup(&mut r, "web", Some(&held)), Ok(Outcome::NotModified));
    assert!(!host.requests()[1].contains("If-None-Match"));
    host.exchange(web().answer(r#"{"rev": 6, "list": []}"#));
    assert!(version(lookup(&mut r, "web", Some(&held))).ends_with(":6"));
    assert!(error(&config, r#"{"list": []}"#).contains("version: /rev: a text or number expected, found nothing"));
}

#[test]
fn whatever_comes_is_survived() {
    let text = r#"{"data": [{"address": "h\u00e9\"", "port": 80, "metadata": {"a": [1, {"b": null}]}, "tags": ["x"], "health": "passing"}]}"#;
    for seed in 0u32..1000 {
        let (mut bytes, mut random) = (text.as_bytes().to_vec(), seed.wrapping_mul(2654435761) | 1);
        for _ in 0..1 + seed % 3 {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            let at = random as usize % bytes.len();
            match random >> 8 & 3 {
                0 => bytes[at] = b"{}[]\",:0\\nt-"[(random >> 10) as usize % 12],
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                2 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, (random >> 16) as u8),
            }
        }
        let (host, mut r) = with(&mapped(r#""instances": "/data""#));
        host.exchange(web().answer(&bytes));
        if let Ok(Outcome::Found { record, .. }) = lookup(&mut r, "web", None) {
            assert!(json::parse(&record).is_ok(), "{}", record);
        }
    }
}
