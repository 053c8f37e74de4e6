//! {{name}}: instances whose metadata tier is what the header x-tier says; all of
//! them without the header.
#![cfg_attr(target_arch = "wasm32", no_std)]

#[path = "pdk/rust/edgecache.rs"]
mod edgecache;

use edgecache::{same, Call, Started, Verdict};

// The manifest's needs.
const HEADER_TIER: usize = 0;
const META_TIER: usize = 0;

edgecache::filter!(start, decide);

fn start() -> Started {
    Ok(())
}

fn decide(call: &Call) -> Verdict {
    let tier = match call.attribute(HEADER_TIER) {
        Some(tier) => tier,
        None => return Verdict::PASS.cacheable(),
    };
    let mut keep = call.keep();
    for (i, at) in call.instances().enumerate() {
        if at.meta(META_TIER).map_or(false, |value| same(value, tier)) {
            keep.add(i);
        }
    }
    keep.verdict().cacheable()
}

#[cfg(test)]
mod tests {
    use super::edgecache::testing::{Decision, Host, Request, Sample, Value};

    #[test]
    fn only_the_tier_that_is_asked_for() {
        let at = |id, tier| Sample { id, meta: vec![tier], ..Sample::default() };
        let request = Request {
            attributes: vec![Value::Text("gold")],
            instances: vec![at("w1", Value::Text("gold")), at("w2", Value::Text("silver")), at("w3", Value::Absent)],
            ..Request::default()
        };
        let host = Host::start(&[], super::start).unwrap();
        assert_eq!(host.decide(&request, super::decide), Decision::Kept(vec![0]));
    }
}
