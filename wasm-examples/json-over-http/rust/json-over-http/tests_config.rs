use super::{mapped, refused, with, LIST};

#[test]
fn configurations_that_are_refused() {
    for (config, want) in [
        ("[]", "config: an object expected, found a list"),
        ("{}", "url: missing; http://host or https://host expected; lookup: missing; lookup, as in {url}/services/{name}, or list, as in {url}/services, expected"),
        (r#"{"url": "r.test", "list": "{url}/"}"#, "url: \"r.test\": http://host or https://host expected"),
        (r#"{"url": "http://a:b@r.test", "list": "{url}/"}"#, "url: \"http://a:b@r.test\": http://host"),
        (r#"{"url": "http://r.test?x", "list": "{url}/"}"#, "url: \"http://r.test?x\": http://host"),
        (r#"{"url": 5, "list": "{url}/"}"#, "url: a text expected, found 5"),
        (r#"{"url": "http://r.test", "lookup": "{url}/services"}"#, "lookup: \"{url}/services\": {name} expected in it"),
        (r#"{"url": "http://r.test", "lookup": "{url}/{id}/{name}"}"#, "lookup: \"{url}/{id}/{name}\": {id} is unknown, {url} or {name} expected"),
        (r#"{"url": "http://r.test", "lookup": "/{name}"}"#, "{url}/… or http://…/… expected"),
        (r#"{"url": "http://r.test", "lookup": "{url}{name}"}"#, "{url}/… or http://…/… expected"),
        (r#"{"url": "http://r.test", "lookup": "http://{name}.test/"}"#, "lookup: "),
        (r#"{"url": "http://r.test", "lookup": "http://a{name}/"}"#, "lookup: "),
        (r#"{"url": "http://r.test", "lookup": "{url}/{name"}"#, "a } expected"),
        (r#"{"url": "http://r.test", "list": "{url}/a b"}"#, "list: \"{url}/a b\": an escaped URL without a fragment expected"),
        (r#"{"url": "http://r.test", "list": "{url}/a}"}"#, "list: \"{url}/a}\": an escaped URL"),
        (r#"{"url": "http://r.test", "list": "{url}/", "page": "{url}/{next}"}"#, "page: it needs next"),
    ] {
        let got = refused(config);
        assert!(got.contains(want), "{}: {}", config, got);
    }
}

#[test]
fn mappings_that_are_refused() {
    for (more, want) in [
        (r#""lists": 1"#, "lists: unknown, one of url, lookup, list, headers, "),
        (r#""items": "/a""#, "items: it needs list"),
        (r#""poll_ms": 500"#, "poll_ms: it needs list; poll_ms: it needs list without lookup"),
        (r#""instances": "data""#, "instances: \"data\": a JSON pointer expected, as in /data/items"),
        (r#""instances": "/a~2""#, "instances: \"/a~2\": a JSON pointer expected"),
        (r#""instances_are": "map""#, "instances_are: \"map\": list, object or one expected"),
        (r#""fields": []"#, "fields: an object expected, found a list"),
        (r#""fields": {}"#, "fields.address: missing; address, host_port or url expected"),
        (r#""fields": {"id": "/id"}"#, "fields.address: missing"),
        (r#""fields": {"address": "/a", "host_port": "/b"}"#, "fields.host_port: it is instead of address and port"),
        (r#""fields": {"address": "/a", "adress": "/a"}"#, "fields.adress: unknown, one of id, address, port, host_port, "),
        (r#""fields": {"address": "a"}"#, "fields.address: \"a\": a JSON pointer expected"),
        (r#""fields": {"address": 1}"#, "fields.address: a text expected, found 1"),
        (r#""fields": {"address": "/a"}, "health_values": {"UP": "passing"}"#, "fields.health: missing; health_values needs it"),
        (r#""health_values": {"UP": "ok"}"#, "health_values.UP: \"ok\": one of unknown, passing, warning"),
        (r#""health_values": {"UP": 1}"#, "health_values.UP: a text expected, found 1"),
        (r#""absent": {"status": 404}"#, "absent.status: a list expected, as in [404, 410], found 404"),
        (r#""absent": {"status": [200]}"#, "absent.status: 200: 204, or one of 400 to 499"),
        (r#""absent": {"status": [404, 401]}"#, "absent.status: 401: "),
        (r#""absent": {"status": [503]}"#, "absent.status: 503: "),
        (r#""absent": {"empty": "yes"}"#, "absent.empty: true or false expected, found \"yes\""),
        (r#""absent": {"nil": "/a"}"#, "absent.nil: unknown, one of empty, null, status expected"),
        (r#""version": "md5""#, "version: \"md5\": etag, content, or a JSON pointer, as in /revision, expected"),
        (r#""version": "/~""#, "version: \"/~\": a JSON pointer expected"),
        (r#""headers": {"Host": "x"}"#, "headers.Host: it cannot be set"),
        (r#""headers": {"Proxy-Authorization": "x"}"#, "headers.Proxy-Authorization: it cannot be set"),
        (r#""headers": {"a b": "x"}"#, "headers.a b: the name of a header expected"),
        (r#""headers": {"a": "x\ny: z"}"#, "headers.a: one line expected"),
        (r#""headers": {"a": 1}"#, "headers.a: a text expected, found 1"),
        (r#""ttl_ms": -1"#, "ttl_ms: a whole number from 0 to 86400000 expected, found -1"),
        (r#""skip_bad": 1"#, "skip_bad: true or false expected, found 1"),
    ] {
        let got = refused(&mapped(more));
        assert!(got.contains(want), "{}: {}", more, got);
    }
    assert!(refused(&LIST.replace("1000", "99")).contains("poll_ms: a whole number from 100 to 86400000 expected, found 99"));
}

#[test]
fn configurations_that_do() {
    for more in [
        r#""fields": null, "headers": {}, "health_values": {}"#,
        r#""fields": {"url": "/u"}"#,
        r#""list": "https://other.test/all?x=1", "items": "", "next": "/n", "version": "/v""#,
        r#""absent": {"status": [], "empty": false, "null": "/a/0"}"#,
    ] {
        with(&mapped(more));
    }
    with(LIST);
    with(r#"{"url": "http://r.test:80/base", "lookup": "{url}"}"#.replace("{url}\"", "{url}?n={name}\"").as_str());
}
