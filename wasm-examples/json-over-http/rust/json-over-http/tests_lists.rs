use super::{all, with, LIST, LOOKUP};
use crate::edgecache::testing::{exchange, Told};
use crate::edgecache::{Code, Outcome};
use crate::{list, lookup, poll};

#[test]
fn lists() {
    let names = |config: &str, answer: &str| {
        let (host, mut r) = with(config);
        host.exchange(all().answer(answer));
        list(&mut r, None).map(|n| n.names.join(" ")).map_err(|e| e.text)
    };
    let of = |more: &str| format!(r#"{{"url": "http://r.test", "list": "{{url}}/services"{}}}"#, more);
    assert_eq!(names(&of(""), r#"["b", "a", "b", "", "x"]"#).unwrap_err(), "http://r.test/services: items[3]: item_name (): a name expected, found \"\"");
    assert_eq!(names(&of(""), r#"["b", "a", "b", "a//b", ".."]"#).unwrap(), "a b");
    assert_eq!(names(&of(""), r#"{"b": 1, "a": []}"#).unwrap(), "a b");
    assert_eq!(names(&of(""), r#"[{"name": "b"}]"#).unwrap(), "b");
    assert_eq!(names(&of(r#", "items": "/d", "item_name": "/s/n""#), r#"{"d": [{"s": {"n": "b"}}, {"s": {"n": 7}}]}"#).unwrap(), "7 b");
    assert_eq!(names(&of(r#", "items": "/d""#), r#"{"d": null}"#).unwrap(), "");
    assert!(names(&of(r#", "items": "/d""#), "{}").unwrap_err().contains("items (/d): a list or an object expected, found nothing"));
    assert!(names(&of(""), r#"[{"id": 1}]"#).unwrap_err().contains("items[0]: item_name (/name): a name expected, found nothing"));
    let (host, mut r) = with(LIST);
    host.exchange(all().status(404));
    assert!(list(&mut r, None).unwrap_err().text.contains("status 404"));
    assert!(lookup(&mut r, "a", None).unwrap_err().text.contains("status 404"), "no list says nothing of a name");
    assert_eq!(list(&mut with(LOOKUP).1, None).unwrap_err().code, Code::Unsupported);
}

#[test]
fn pages() {
    let config = r#"{"url": "http://r.test", "list": "{url}/services", "items": "/i", "next": "/next", "page": "{url}/services?after={next}", "instances": "/l"}"#;
    let (host, mut r) = with(config);
    host.exchange(all().answer(r#"{"i": [{"name": "a", "l": []}], "next": "x/1"}"#).header("ETag", "1"));
    host.exchange(exchange("GET http://r.test/services?after=x%2F1").answer(r#"{"i": [{"name": "b", "l": [{"address": "h"}]}], "next": ""}"#));
    let first = list(&mut r, None).unwrap();
    assert_eq!((first.names.join(" "), first.next.as_deref()), ("a".into(), Some("http://r.test/services?after=x%2F1")));
    let second = list(&mut r, first.next.as_deref()).unwrap();
    assert_eq!((second.names.join(" "), second.next), ("b".into(), None));
    let got = lookup(&mut r, "b", None).unwrap();
    assert_eq!(got, Outcome::Found { record: r#"{"name":"b","instances":[{"id":"","address":"h"}]}"#.into(), version: None });
    assert_eq!(lookup(&mut r, "c", None), Ok(Outcome::NotFound));

    let config = r#"{"url": "http://r.test", "list": "{url}/services", "items": "/i", "next": "/next"}"#;
    for (next, want) in [
        (r#""/services?p=2""#, Ok(Some("http://r.test/services?p=2"))),
        (r#""http://r.test/x""#, Ok(Some("http://r.test/x"))),
        ("false", Ok(None)),
        ("null", Ok(None)),
        (r#""http://r.test.evil/x""#, Err("a URL of http://r.test expected")),
        (r#""//evil/x""#, Err("a URL of http://r.test expected")),
        (r#""/services""#, Err("leads to the same page")),
        ("[]", Err("next (/next): a text expected, found a list")),
    ] {
        let (host, mut r) = with(config);
        host.exchange(all().answer(format!(r#"{{"i": [], "next": {}}}"#, next)));
        match (list(&mut r, None), want) {
            (Ok(got), Ok(want)) => assert_eq!(got.next.as_deref(), want),
            (Err(got), Err(want)) => assert!(got.text.contains(want), "{}", got.text),
            (got, _) => panic!("{}: {:?}", next, got),
        }
    }
    let (host, mut r) = with(config);
    host.exchange(all().answer(r#"{"i": [], "next": "/b"}"#)).exchange(exchange("GET http://r.test/b").answer(r#"{"i": [], "next": "/services"}"#));
    assert!(lookup(&mut r, "c", None).unwrap_err().text.contains("leads back"), "pages in a circle");
}

#[test]
fn lookups_in_a_list() {
    let flat = r#"{"url": "http://r.test", "list": "{url}/services", "item_name": "/service", "instances_are": "one"}"#;
    let (host, mut r) = with(flat);
    let answer = r#"[{"service": "a", "address": "h1"}, {"service": "b", "address": "h2"}, {"service": "a", "address": "h3"}]"#;
    host.exchange(all().answer(answer).header("etag", "\"l\""));
    match lookup(&mut r, "a", None).unwrap() {
        Outcome::Found { record, version } => {
            assert_eq!(record, r#"{"name":"a","instances":[{"id":"","address":"h1"},{"id":"","address":"h3"}]}"#);
            host.exchange(all().needs("if-none-match", "\"l\"").status(304));
            assert_eq!(lookup(&mut r, "a", version.as_deref()), Ok(Outcome::NotModified));
        }
        other => panic!("{:?}", other),
    }
    host.exchange(all().answer(answer));
    assert_eq!(lookup(&mut r, "c", None), Ok(Outcome::NotFound));
}

fn upsert(name: &str, address: &str) -> Told {
    Told::Upsert(name.into(), format!(r#"{{"name":"{}","instances":[{{"id":"","address":"{}"}}]}}"#, name, address))
}

#[test]
fn polls() {
    let (host, mut r) = with(LIST);
    let answer = |list: &str| host.exchange(all().answer(list));
    answer(r#"[{"name": "a", "instances": [{"address": "h1"}]}, {"name": "b", "instances": [{"address": "h2"}]}]"#);
    let (told, first, wait) = host.poll(&mut r, poll, None).unwrap();
    assert_eq!((told, wait), (vec![upsert("a", "h1"), upsert("b", "h2")], 1000));
    let (told, same, _) = host.poll(&mut r, poll, first.as_deref()).unwrap();
    assert_eq!((told, &same), (vec![], &first));
    answer(r#"[{"name": "a", "instances": [{"address": "h3"}]}]"#);
    let (told, second, _) = host.poll(&mut r, poll, same.as_deref()).unwrap();
    assert_eq!(told, [upsert("a", "h3"), Told::Delete("b".into())]);
    assert_ne!(first, second);
    let (told, _, _) = host.poll(&mut r, poll, Some("another's")).unwrap();
    assert_eq!(told, [Told::Again, upsert("a", "h3")]);
    assert_eq!(host.poll(&mut r, poll, None).unwrap().0, [upsert("a", "h3")], "a new watch gets all");

    answer(r#"[{"name": "a", "instances": [{}]}, {"name": "b", "instances": [{"address": "h2"}]}]"#);
    let e = host.poll(&mut r, poll, second.as_deref()).unwrap_err();
    assert!(e.text.contains("a: instances[0].address (/address): nothing is there"), "{}", e);
    host.exchange(all().status(500));
    assert_eq!(host.poll(&mut r, poll, second.as_deref()).unwrap_err().code, Code::Unavailable);
    assert_eq!(host.poll(&mut with(LOOKUP).1, poll, None).unwrap_err().code, Code::Unsupported);
}

#[test]
fn polls_of_a_list_with_an_etag() {
    let (host, mut r) = with(&LIST.replace("1000}", r#"1000, "absent": {"empty": true}}"#));
    host.exchange(all().answer(r#"[{"name": "a", "instances": [{"address": "h1"}]}]"#).header("etag", "1"));
    let (_, first, _) = host.poll(&mut r, poll, None).unwrap();
    host.exchange(all().needs("if-none-match", "1").status(304));
    assert_eq!(host.poll(&mut r, poll, first.as_deref()).unwrap(), (vec![], first.clone(), 1000));
    host.exchange(all().needs("if-none-match", "1").answer(r#"[{"name": "a", "instances": []}]"#));
    assert_eq!(host.poll(&mut r, poll, first.as_deref()).unwrap().0, [Told::Delete("a".into())], "an empty list is none here");
}
