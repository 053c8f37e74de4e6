//! Tests of the kit: rustc --edition 2021 --test edgecache_test.rs

#[path = "edgecache.rs"]
mod edgecache;

use edgecache::testing::{Decision, Host, Request, Sample, Value};
use edgecache::{Call, Health, Verdict};

fn well() -> edgecache::Started {
    Ok(())
}

fn first_and_last(call: &Call) -> Verdict {
    let mut keep = call.keep();
    keep.add(call.count() - 1);
    keep.add(0);
    keep.add(0);
    assert_eq!(keep.len(), 2);
    keep.verdict()
}

fn backwards(call: &Call) -> Verdict {
    let mut order = call.order();
    order.add(call.count() - 1);
    order.add(1);
    order.verdict().final_()
}

#[test]
fn verdicts() {
    let host = Host::start(&[], well).unwrap();
    for n in [3, 32, 33, 1000] {
        let r = Request { instances: vec![Sample::default(); n], ..Request::default() };
        assert_eq!(host.decide(&r, first_and_last), Decision::Kept(vec![0, n - 1]));
        assert_eq!(host.decide(&r, backwards), Decision::Kept(vec![n - 1, 1]));
    }
    let r = Request::default();
    assert_eq!(host.decide(&r, |c| c.deny(403, "no")), Decision::Denied(403, "no".into()));
    assert_eq!(host.decide(&r, |c| c.fail(7, "why")), Decision::Failed(7, "why".into()));
}

#[test]
fn what_a_call_says() {
    let host = Host::start(&[], well).unwrap();
    let r = Request {
        name: "web",
        attributes: vec![Value::Text("h"), Value::Absent, Value::Number(5), Value::Text("")],
        instances: vec![
            Sample::default(),
            Sample {
                id: "id",
                address: "10.0.0.1",
                zone: "a",
                version: "1.2.3",
                port: 80,
                weight: 7,
                health: 1,
                meta: vec![Value::Text("m"), Value::Absent, Value::Text("")],
            },
        ],
        now: 9,
    };
    fn decide(c: &Call) -> Verdict {
        assert_eq!((c.name(), c.now(), c.too_long(), c.count()), (&b"web"[..], 9, false, 2));
        assert_eq!((c.attribute(0), c.attribute(1), c.attribute(2)), (Some(&b"h"[..]), None, None));
        assert_eq!((c.attribute(3), c.attribute(4), c.number(2), c.number(0)), (Some(&b""[..]), None, Some(5), None));
        let i = c.instances().last().unwrap();
        assert_eq!((i.id(), i.address(), i.zone(), i.version()), (&b"id"[..], &b"10.0.0.1"[..], &b"a"[..], &b"1.2.3"[..]));
        assert_eq!((i.port(), i.weight(), i.health(), i.tls()), (80, 7, Health::Passing, false));
        assert_eq!((i.meta(0), i.meta(1), i.meta(2)), (Some(&b"m"[..]), None, Some(&b""[..])));
        assert_eq!(c.at(0).meta(0), None);
        Verdict::PASS.cacheable()
    }
    assert_eq!(host.decide(&r, decide), Decision::Kept(vec![0, 1]));
}
