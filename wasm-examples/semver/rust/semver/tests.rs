use crate::edgecache::testing::{Decision, Host, Request, Sample, Value};
use crate::version::{Range, Version};
use std::cmp::Ordering;

#[test]
fn precedence_is_that_of_semver() {
    let rising = [
        "0.0.0", "0.0.1", "0.1.0", "1.0.0-0", "1.0.0-9", "1.0.0-10", "1.0.0-99999999999999999999999", "1.0.0-alpha", "1.0.0-alpha.1",
        "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.9.0", "1.10.0", "9999999999999999999.0.0",
    ];
    for (i, a) in rising.iter().enumerate() {
        for (j, b) in rising.iter().enumerate() {
            let (a, b) = (Version::parse(a.as_bytes()).expect(a), Version::parse(b.as_bytes()).expect(b));
            assert_eq!(a.cmp(&b), i.cmp(&j), "{} and {}", rising[i], rising[j]);
        }
    }
    let (a, b) = (Version::parse(b"1.0.0+a").unwrap(), Version::parse(b"v1.0.0+001.b").unwrap());
    assert_eq!(a.cmp(&b), Ordering::Equal);
}

#[test]
fn what_is_no_version() {
    for text in [
        "", "v", "1", "1.2", "1.2.3.4", "1.2.x", "01.2.3", "1.2.-3", "1.2.3-", "1.2.3-01", "1.2.3-a..b", "1.2.3+", "1.2.3-ä", "1.2.3 ",
        "10000000000000000000.0.0", "1.2.", "1.2.3.", "1.2.3-a.", "latest", "1..3", "+1.2.3",
    ] {
        assert!(Version::parse(text.as_bytes()).is_none(), "{:?}", text);
    }
}

#[test]
fn ranges() {
    for (range, has, lacks) in [
        ("1.2.3", "1.2.3 1.2.3+b v1.2.3", "1.2.4 1.2.3-rc.1"),
        ("=1.2", "1.2.0", "1.2.1"),
        ("^1.2", "1.2.0 1.99.0", "1.1.9 2.0.0 2.0.0-rc.1 1.3.0-rc.1"),
        ("^0.2.3", "0.2.3 0.2.9", "0.2.2 0.3.0"),
        ("^0.0.3", "0.0.3", "0.0.4 0.0.2"),
        ("^0.0", "0.0.0 0.0.9", "0.1.0"),
        ("^0", "0.9.0", "1.0.0"),
        ("~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0"),
        ("~1", "1.0.0 1.9.0", "2.0.0"),
        (">=1.0.0,<2.0.0", "1.0.0 1.9.9", "0.9.0 2.0.0 2.0.0-rc.1"),
        (">1.2, <=1.4", "1.2.1 1.4.0", "1.2.0 1.4.1"),
        (">=1.3.0-beta.2", "1.3.0-beta.2 1.3.0-rc.1 1.3.0 2.0.0", "1.3.0-beta.1 1.4.0-rc.1"),
        ("^1.3.0-rc.1", "1.3.0-rc.2 1.5.0", "2.0.0-rc.1 1.3.0-alpha"),
    ] {
        let r = Range::parse(range.as_bytes()).unwrap_or_else(|e| panic!("{}: {}", range, e));
        for (versions, want) in [(has, true), (lacks, false)] {
            for v in versions.split(' ') {
                assert_eq!(r.has(&Version::parse(v.as_bytes()).unwrap()), want, "{} in {}", v, range);
            }
        }
    }
    for text in ["", ",", "1,", "*", "1.x", "^", "^^1", ">= =1", "1.2-rc.1", "1 2", ">=1 <2", "1||2", "\u{0}1", "1,2,3,4,5"] {
        assert!(Range::parse(text.as_bytes()).is_err(), "{:?}", text);
    }
    assert!(Range::parse(format!("1.2.3-{}", "1".repeat(250)).as_bytes()).is_ok());
    assert!(Range::parse(format!("1.2.3-{}", "1".repeat(251)).as_bytes()).is_err());
}

#[test]
fn many_instances() {
    let host = Host::start(&[("/newest_first", "true")], crate::start).unwrap();
    let instances = (0..256).map(|i| Sample { version: ["1.0.0", "1.2.0", "1.1.0", ""][i % 4], ..Sample::default() }).collect();
    let mut request = Request { attributes: vec![Value::Absent], instances, ..Request::default() };
    let want: Vec<usize> = [1, 2, 0, 3].iter().flat_map(|first| (*first..256).step_by(4)).collect();
    assert_eq!(host.decide(&request, crate::decide), Decision::Kept(want));

    request.instances.resize(1024, Sample { version: "2.0.0", ..Sample::default() });
    assert_eq!(host.decide(&request, crate::decide), Decision::Kept((0..1024).collect()), "these are too many to sort");
    request.attributes = vec![Value::Text("2")];
    assert_eq!(host.decide(&request, crate::decide), Decision::Kept((256..1024).collect()));
}

#[test]
fn a_configuration_that_is_wrong() {
    assert!(Host::start(&[("/newest_first", "1")], crate::start).is_err());
}
