//! zone: instances in the client's zone first, or only those.
//!
//! Configuration: {"strict": true} drops the others where there are any in the
//! zone; otherwise they follow.
#![cfg_attr(target_arch = "wasm32", no_std)]

#[path = "../../../pdk/rust/edgecache.rs"]
mod edgecache;

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use edgecache::{config, Call, Started, Verdict};

// The manifest's needs.
const ZONE: usize = 0;

static STRICT: AtomicBool = AtomicBool::new(false);

edgecache::filter!(start, decide);

fn start() -> Started {
    STRICT.store(config("/strict", &mut [0; 8]) == Some(b"true"), Relaxed);
    Ok(())
}

fn decide(call: &Call) -> Verdict {
    let zone = match call.place(ZONE) {
        Some(zone) => zone,
        None => return Verdict::PASS.cacheable(),
    };
    let mut keep = call.keep_where(|at| at.zone_place() == zone);
    if keep.len() == 0 {
        return Verdict::PASS.cacheable();
    }
    let verdict = if STRICT.load(Relaxed) { keep.verdict() } else { keep.first() };
    verdict.cacheable()
}

#[cfg(test)]
mod tests {
    use super::edgecache::testing::{Decision, Host, Request, Sample, Value};

    fn request(zone: Option<&'static str>) -> Request {
        let at = |id, zone| Sample { id, zone, ..Sample::default() };
        Request {
            attributes: match zone {
                Some(z) => vec![Value::Text(z)],
                None => vec![Value::Absent],
            },
            instances: vec![at("w1", "eu-1a"), at("w2", "eu-1b"), at("w3", ""), at("w4", "eu-1b")],
            ..Request::default()
        }
    }

    #[test]
    fn instances_of_the_clients_zone_are_first() {
        let host = Host::start(&[], super::start).unwrap();
        assert_eq!(host.decide(&request(Some("eu-1b")), super::decide), Decision::Kept(vec![1, 3, 0, 2]));
    }

    #[test]
    fn strict_drops_the_others() {
        let host = Host::start(&[("/strict", "true")], super::start).unwrap();
        assert_eq!(host.decide(&request(Some("eu-1b")), super::decide), Decision::Kept(vec![1, 3]));
    }

    #[test]
    fn nothing_is_dropped_without_a_zone() {
        let host = Host::start(&[("/strict", "true")], super::start).unwrap();
        assert_eq!(host.decide(&request(None), super::decide), Decision::Kept(vec![0, 1, 2, 3]));
    }
}
