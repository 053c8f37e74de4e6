//! Tests of the kit for adapters: rustc --edition 2021 --test adapter_test.rs

#[path = "adapter.rs"]
mod edgecache;

use edgecache::testing::{exchange, Host, Told};
use edgecache::{failed, found, host, http, json, kv, not_found, not_modified, record, rfc3339};
use edgecache::{Answer, Code, Error, Names, Poll, Started};

struct Registry {
    url: String,
    polls: u32,
}

fn start() -> Started<Registry> {
    let url = edgecache::config("/url").ok_or("url: missing")?;
    Ok(Registry { url, polls: 0 })
}

fn lookup(r: &mut Registry, name: &str, held: Option<&str>) -> Answer {
    let mut request = http::request("GET", &format!("{}/{}", r.url, name)).header("accept", "application/json");
    if let Some(held) = held {
        request = request.header("if-none-match", held);
    }
    let mut answer = request.send()?;
    match answer.status() {
        200 => found(answer.text()?, answer.header("etag")),
        304 => not_modified(),
        404 => not_found(),
        status => failed(Code::Unavailable, format!("status {}", status)),
    }
}

fn list(_: &mut Registry, cursor: Option<&str>) -> Result<Names, Error> {
    match cursor {
        None => Ok(Names { names: vec!["a".into(), "b".into()], next: Some("2".into()) }),
        Some("2") => Ok(Names { names: vec!["c".into()], next: None }),
        Some(_) => Ok(Names { names: vec!["two\nlines".into()], next: None }),
    }
}

fn poll(r: &mut Registry, poll: &mut Poll) -> Result<u32, Error> {
    r.polls += 1;
    match poll.cursor() {
        None => poll.upsert("a", record("a").json())?,
        Some("1") => {
            poll.delete("a")?;
            poll.invalidate("b")?;
        }
        Some(_) => poll.again()?,
    }
    poll.next(r.polls.to_string());
    Ok(1000)
}

edgecache::adapter!(start, lookup, list, poll);

#[test]
fn what_the_host_calls() {
    let h = Host::new(r#"{"url": "http://r.test"}"#);
    h.exchange(exchange("GET http://r.test/web").needs("Accept", "application/json").header("ETag", "\"1\"").answer("{}"));
    h.exchange(exchange("GET http://r.test/web").needs("if-none-match", "\"1\"").status(304));
    h.exchange(exchange("GET http://r.test/none").status(404)).exchange(exchange("GET http://r.test/down").status(503));
    assert_eq!((ec_abi(), ec_init()), (1 << 16, 0));
    h.input(host::NAME, "web");
    assert_eq!(ec_lookup(), 0);
    assert_eq!((h.output(host::RECORD), h.output(host::VERSION)), (Some("{}".into()), Some("\"1\"".into())));
    h.input(host::HELD, "\"1\"");
    assert_eq!((ec_lookup(), h.output(host::RECORD)), (1, None));
    h.input(host::NAME, "none");
    assert_eq!(ec_lookup(), -1);
    h.input(host::NAME, "down");
    assert_eq!((ec_lookup(), h.error()), (-2, "status 503".into()));
    assert_eq!(h.open(), 0, "answers are closed");

    assert_eq!((ec_list(), h.output(host::NAMES), h.output(host::NEXT)), (0, Some("a\nb\n".into()), Some("2".into())));
    h.input(host::CURSOR, "2");
    assert_eq!((ec_list(), h.output(host::NAMES), h.output(host::NEXT)), (0, Some("c\n".into()), None));
    h.input(host::CURSOR, "3");
    assert_eq!((ec_list(), h.output(host::NAMES)), (-5, None));
    assert!(h.error().contains("two\\nlines"), "{}", h.error());
    assert_eq!((ec_poll(), h.output(host::NEXT)), (1000, Some("1".into())));
}

#[test]
fn a_start_that_refuses() {
    let h = Host::new("{}");
    assert_eq!((ec_init(), h.error()), (-5, "url: missing".into()));
}

#[test]
fn polls() {
    let h = Host::new(r#"{"url": "http://r.test"}"#);
    let mut r = start().unwrap();
    let (told, cursor, wait) = h.poll(&mut r, poll, None).unwrap();
    assert_eq!(told, [Told::Upsert("a".into(), r#"{"name":"a","instances":[]}"#.into())]);
    assert_eq!((cursor.as_deref(), wait), (Some("1"), 1000));
    let (told, _, _) = h.poll(&mut r, poll, cursor.as_deref()).unwrap();
    assert_eq!(told, [Told::Delete("a".into()), Told::Invalidate("b".into())]);
    assert_eq!(h.poll(&mut r, poll, Some("x")).unwrap().0, [Told::Again]);
}

#[test]
fn requests() {
    let h = Host::new("{}");
    let long = "é".repeat(5000);
    h.exchange(exchange("POST http://r.test/q").needs_body("{}").answer(&long).header("a", "1").header("A", "2"));
    let mut answer = http::request("POST", "http://r.test/q").header("x", "${secret.token}").body("{}").timeout(5).send().unwrap();
    assert_eq!((answer.status(), answer.header("a"), answer.header("b")), (200, Some("1\n2".into()), None));
    assert_eq!(answer.text().unwrap(), long);
    assert_eq!((h.open(), answer.close(), h.open()), (1, (), 0));
    assert_eq!(h.requests(), ["POST http://r.test/q\nx: ${secret.token}\n"]);

    for (bad, why) in [
        (http::request("GET", "http://r.test/a b"), "space"),
        (http::request("GET", "http://r.test/\nx: y"), "control"),
        (http::request("GET", ""), "none"),
        (http::request("G T", "http://r.test/"), "method"),
        (http::request("GET", "http://r.test/").header("x y", ""), "\"x y\""),
        (http::request("GET", "http://r.test/").header("x", "a\nb: c"), "the header x"),
    ] {
        let e = bad.send().err().unwrap();
        assert!(e.code == Code::Invalid && e.text.contains(why), "{}", e);
    }
    assert_eq!(h.requests().len(), 1);
}

#[test]
fn answers_that_are_none() {
    let h = Host::new("{}");
    h.exchange(exchange("GET http://r.test/denied").error(Code::Denied));
    h.exchange(exchange("GET http://r.test/half").answer("{\"a\":").breaks());
    h.exchange(exchange("GET http://r.test/latin").answer(b"ab\xff"));
    h.exchange(exchange("GET http://r.test/large").answer(vec![b' '; http::MOST + 1]));
    let get = |path: &str| http::request("GET", &format!("http://r.test/{}", path)).send().and_then(|mut a| a.text()).unwrap_err();
    assert_eq!(get("denied").code, Code::Denied);
    assert_eq!((get("half").code, get("large").code), (Code::Unavailable, Code::TooLarge));
    assert_eq!(get("latin"), Error::new(Code::Invalid, "GET http://r.test/latin: the answer is not UTF-8 at byte 2"));
    assert_eq!(h.open(), 0);
}

#[test]
fn what_is_kept() {
    let _h = Host::new(r#"{"a": {"b": "text", "c": [1, 2]}}"#);
    assert_eq!(kv::get("k"), None);
    kv::set("k", vec![7; 1000], 0).unwrap();
    assert_eq!(kv::get("k"), Some(vec![7; 1000]));
    kv::del("k");
    assert_eq!(kv::get("k"), None);
    assert_eq!(kv::set(&"k".repeat(257), "", 0).unwrap_err().code, Code::TooLarge);
    assert_eq!(edgecache::config("/a/b").as_deref(), Some("text"));
    assert_eq!((edgecache::config("/a/c").as_deref(), edgecache::config("/x")), (Some("[1, 2]"), None));
    _h.time(12, 34);
    assert_eq!((edgecache::now(), edgecache::deadline()), (12, 34));
    edgecache::log(edgecache::Level::Warn, "line");
    assert_eq!(_h.logged(), ["Warn line"]);
}

#[test]
fn records() {
    let mut r = record("a\"\\\n\u{1}é");
    r.metadata([("k", "v"), ("l", "\t")]).tags(["x", "y"]).ttl_ms(30_000).stale_while_revalidate_ms(1).stale_if_error_ms(2).no_store();
    r.document(json::parse(" {\"d\": [1]} ").unwrap());
    r.instance("i1").address("10.0.0.1").port(80).protocol("http").tls(true).url("http://h/").health("passing").weight(0.5).priority(3);
    r.instance("i2").version("1").node("n").region("r").zone("z").tags(["t"]).metadata([("m", "1")]).registered(&rfc3339(0));
    r.instance("").address("").metadata([("", ""); 0]);
    r.version("1.0").status("active").labels(["latest"]).metadata([("a", "b")]).updated("2026-01-31T12:00:00Z").document(json::parse("1").unwrap());
    r.version("1.1");
    let want = concat!(
        r#"{"name":"a\"\\\u000a\u0001é","metadata":{"k":"v","l":"\u0009"},"tags":["x","y"],"ttl_ms":30000,"stale_while_revalidate_ms":1,"#,
        r#""stale_if_error_ms":2,"no_store":true,"document":{"d": [1]},"versions":[{"version":"1.0","status":"active","labels":["latest"],"#,
        r#""metadata":{"a":"b"},"updated":"2026-01-31T12:00:00Z","document":1},{"version":"1.1"}],"instances":["#,
        r#"{"id":"i1","address":"10.0.0.1","port":80,"protocol":"http","tls":true,"url":"http://h/","health":"passing","weight":0.50,"priority":3},"#,
        r#"{"id":"i2","version":"1","node":"n","region":"r","zone":"z","tags":["t"],"metadata":{"m":"1"},"registered":"1970-01-01T00:00:00.000Z"},"#,
        r#"{"id":"","metadata":{}}]}"#
    );
    let got = r.json();
    assert_eq!(got, want);
    assert!(json::parse(&got).is_ok());
}

#[test]
fn endpoints() {
    let mut r = record("web");
    {
        let mut a = r.instance("a");
        a.address("10.0.0.1");
        a.endpoint("grpc").port(9090).protocol("grpc");
        a.endpoint("web").address("h").tls(true).url("https://h/");
        a.zone("z");
    }
    r.instance("b").address("");
    let want = concat!(
        r#"{"name":"web","instances":[{"id":"a","address":"10.0.0.1","zone":"z","endpoints":[{"name":"grpc","port":9090,"protocol":"grpc"},"#,
        r#"{"name":"web","address":"h","tls":true,"url":"https://h/"}]},{"id":"b"}]}"#
    );
    assert_eq!(r.json(), want);
}

#[test]
fn escapes() {
    assert_eq!(http::escape("aZ09-._~@"), "aZ09-._~@");
    assert_eq!(http::escape("a/b c\0é%"), "a%2Fb%20c%00%C3%A9%25");
}

#[test]
fn weights() {
    for (weight, want) in [
        (0.0, "0.00"), (1.0, "1.00"), (0.001, "0.01"), (0.25, "0.25"), (1.1, "1.10"), (100.0, "100.00"), (1e300, "184467440737095516.15"),
        (-1.0, "-1"), (f64::NAN, "-1"),
    ] {
        let mut r = record("w");
        r.instance("i").weight(weight);
        assert_eq!(r.json(), format!(r#"{{"name":"w","instances":[{{"id":"i","weight":{}}}]}}"#, want));
    }
}

#[test]
fn times() {
    for (ms, want) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_399_999, "2000-02-28T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (951_868_800_000, "2000-03-01T00:00:00.000Z"),
        (1_769_860_800_123, "2026-01-31T12:00:00.123Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ] {
        assert_eq!(rfc3339(ms), want);
    }
}

#[test]
fn json_that_is_none() {
    for (text, want) in [
        ("", "line 1, column 1: a value expected, found the end"),
        ("<html>", "line 1, column 1: a value expected, found '<'"),
        ("{\n \"é\" x", "line 2, column 6: a colon expected, found 'x'"),
        ("[1,]", "line 1, column 4: a value expected, found ']'"),
        ("[1 2]", "line 1, column 4: a comma or ] expected, found '2'"),
        ("{\"a\":1,}", "line 1, column 8: a key in quotes expected, found '}'"),
        ("{\"a\":1]", "line 1, column 7: a comma or } expected, found ']'"),
        ("{1:2}", "line 1, column 2: a key in quotes expected, found '1'"),
        ("{} {}", "line 1, column 4: nothing more expected, found '{'"),
        ("{\"a\": [1, {\"b\": tru", "line 1, column 17: a value expected, found 't'"),
        ("\"a", "line 1, column 3: a quote expected, found the end"),
        ("\"a\\x\"", "line 1, column 4: an escape expected, found 'x'"),
        ("\"\\u12g4\"", "line 1, column 6: a hexadecimal digit expected, found 'g'"),
        ("\"a\nb\"", "line 1, column 3: no control character in a string expected, found '\\n'"),
        ("01", "line 1, column 2: nothing more expected, found '1'"),
        ("1.", "line 1, column 3: a digit expected, found the end"),
        ("-", "line 1, column 2: a digit expected, found the end"),
        ("1e+", "line 1, column 4: a digit expected, found the end"),
        ("nul", "line 1, column 1: a value expected, found 'n'"),
        ("truer", "line 1, column 5: nothing more expected, found 'r'"),
        ("[\u{0}]", "line 1, column 2: a value expected, found '\\0'"),
    ] {
        let e = json::parse(text).expect_err(text);
        assert_eq!(e, Error::new(Code::Invalid, format!("JSON: {}", want)), "{:?}", text);
    }
    let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
    assert!(json::parse(&deep(64)).is_ok());
    assert!(json::parse(&deep(65)).unwrap_err().text.contains("at most 64"));
    assert!(json::parse(&"[".repeat(1 << 20)).is_err());
    for end in 0..SAMPLE.len() {
        if SAMPLE.is_char_boundary(end) {
            assert!(json::parse(&SAMPLE[..end]).is_err(), "{}", &SAMPLE[..end]);
        }
    }
}

const SAMPLE: &str = r#"{"a": {"b/c": [10, {"d~": "x"}], "": null}, "e\"\u00e9" : [ ], "f":{},"t":true , "n":-1.5e2,
    "s": "\b\f\n\r\t\/\\\" \ud83d\ude00 \ud83d \ude00é {[,:]}", "z": "last"}"#;

#[test]
fn json_values() {
    use json::Kind;
    let v = json::parse(SAMPLE).unwrap();
    assert_eq!(json::parse(&format!("\u{feff} {} ", SAMPLE)).unwrap(), v);
    let keys: Vec<String> = v.members().map(|(k, _)| k.into()).collect();
    assert_eq!(keys, ["a", "e\"é", "f", "t", "n", "s", "z"]);
    let raw = |pointer: &str| v.at(pointer).map(|v| v.raw());
    assert_eq!(raw(""), Some(SAMPLE));
    assert_eq!((raw("/a/b~1c/0"), raw("/a/b~1c/1/d~0"), raw("/a/")), (Some("10"), Some("\"x\""), Some("null")));
    assert_eq!((raw("/a/b~1c/00"), raw("/a/b~1c/+1"), raw("/a/b~1c/2"), raw("/a/b~1c/-")), (None, None, None, None));
    assert_eq!((raw("/x"), raw("/t/x"), raw("/s/0"), raw("/e\"é/0")), (None, None, None, None));
    assert_eq!(v.get("s").unwrap().text().unwrap(), "\u{8}\u{c}\n\r\t/\\\" 😀 \u{fffd} \u{fffd}é {[,:]}");
    assert_eq!((v.get("n").unwrap().number(), v.get("n").unwrap().whole()), (Some(-150.0), None));
    assert_eq!(v.at("/a/b~1c/0").unwrap().whole(), Some(10));
    assert_eq!((v.get("t").unwrap().boolean(), v.get("n").unwrap().boolean()), (Some(true), None));
    assert!(v.at("/a/").unwrap().is_null() && v.get("s").unwrap().number().is_none() && v.text().is_none());
    let kinds: Vec<Kind> = v.members().map(|(_, v)| v.kind()).collect();
    assert_eq!(kinds, [Kind::Object, Kind::List, Kind::Object, Kind::Boolean, Kind::Number, Kind::Text, Kind::Text]);
    assert_eq!((v.items().count(), v.get("f").unwrap().members().count(), v.get("e\"é").unwrap().items().count()), (0, 0, 0));
    assert_eq!(json::parse("[1,[2,{\"a\":3}],\"4\",null]").unwrap().items().map(|v| v.raw()).collect::<Vec<_>>().join(" "), "1 [2,{\"a\":3}] \"4\" null");
    for (pointer, is) in [("", true), ("/", true), ("/a~0~1", true), ("a", false), ("/~", false), ("/~2", false)] {
        assert_eq!(json::is_pointer(pointer), is, "{}", pointer);
    }
}
