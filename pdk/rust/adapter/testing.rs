//! What stands for the host in tests, of ABI 1.0. Each thread has its own, so that tests
//! do not meet.

#[path = "testing/calls.rs"]
pub mod calls;

use super::{json, Code, Error, Poll};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What a registry answers to a request in a test.
#[derive(Clone, Debug)]
pub struct Exchange {
    request: String,
    needs: Vec<(String, String)>,
    needs_body: Option<Vec<u8>>,
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    breaks: bool,
    error: Option<Code>,
}

/// An exchange of a request line: "GET http://registry.test/services/web". It answers
/// 200, without a body.
pub fn exchange(request: &str) -> Exchange {
    Exchange {
        request: request.into(),
        needs: Vec::new(),
        needs_body: None,
        status: 200,
        headers: Vec::new(),
        body: Vec::new(),
        breaks: false,
        error: None,
    }
}

impl Exchange {
    /// Says what header the request must have. Others are not looked at.
    pub fn needs(mut self, name: &str, value: &str) -> Exchange {
        self.needs.push((name.into(), value.into()));
        self
    }

    /// Says what body the request must have.
    pub fn needs_body(mut self, body: &str) -> Exchange {
        self.needs_body = Some(body.into());
        self
    }

    pub fn status(mut self, status: u16) -> Exchange {
        self.status = status;
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Exchange {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn answer(mut self, body: impl AsRef<[u8]>) -> Exchange {
        self.body = body.as_ref().into();
        self
    }

    /// The connection breaks behind the body.
    pub fn breaks(mut self) -> Exchange {
        self.breaks = true;
        self
    }

    /// There is no answer.
    pub fn error(mut self, code: Code) -> Exchange {
        self.error = Some(code);
        self
    }
}

/// What a poll told.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    Upsert(String, String),
    Delete(String),
    Invalidate(String),
    Again,
}

struct Open {
    answer: Exchange,
    read: usize,
}

#[derive(Default)]
struct State {
    config: String,
    exchanges: Vec<(Exchange, bool)>, // whether it was used
    requests: Vec<String>,
    open: BTreeMap<i64, Open>,
    handles: i64,
    kv: BTreeMap<String, Vec<u8>>,
    inputs: BTreeMap<i32, String>,
    outputs: BTreeMap<i32, String>,
    told: Vec<Told>,
    logged: Vec<String>,
    error: String,
    now: i64,
    left: i32,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::new(State::default());
}

fn state<R>(f: impl FnOnce(&mut State) -> R) -> R {
    STATE.with(|s| f(&mut s.borrow_mut()))
}

/// The host of this test.
pub struct Host(());

impl Host {
    /// A host that has nothing but a configuration, as JSON.
    pub fn new(config: &str) -> Host {
        json::parse(config).expect("the configuration of the test");
        state(|s| *s = State { config: config.into(), left: 10_000, ..State::default() });
        Host(())
    }

    /// Adds an exchange. Those of one request line are used in order, the last one again
    /// and again; a request without one panics.
    pub fn exchange(&self, e: Exchange) -> &Host {
        state(|s| s.exchanges.push((e, false)));
        self
    }

    /// Calls a poll; what it told, and its cursor.
    pub fn poll<T>(
        &self,
        adapter: &mut T,
        poll: fn(&mut T, &mut Poll) -> Result<u32, Error>,
        cursor: Option<&str>,
    ) -> Result<(Vec<Told>, Option<String>, u32), Error> {
        let mut p = Poll { cursor: cursor.map(str::to_string), next: None };
        state(|s| s.told.clear());
        let wait = poll(adapter, &mut p)?;
        Ok((state(|s| s.told.clone()), p.next, wait))
    }

    /// The heads of the requests that were sent.
    pub fn requests(&self) -> Vec<String> {
        state(|s| s.requests.clone())
    }

    /// The lines that were logged, as "Warn text".
    pub fn logged(&self) -> Vec<String> {
        state(|s| s.logged.clone())
    }

    /// The last error that was set.
    pub fn error(&self) -> String {
        state(|s| s.error.clone())
    }

    /// How many answers were not closed.
    pub fn open(&self) -> usize {
        state(|s| s.open.len())
    }

    /// Sets an input of the ABI, and forgets the outputs.
    pub fn input(&self, slot: i32, text: &str) -> &Host {
        state(|s| {
            s.outputs.clear();
            s.inputs.insert(slot, text.into())
        });
        self
    }

    /// An output of the ABI.
    pub fn output(&self, kind: i32) -> Option<String> {
        state(|s| s.outputs.get(&kind).cloned())
    }

    /// Sets the time, and what a call has left, in milliseconds.
    pub fn time(&self, now: u64, left: u32) -> &Host {
        state(|s| {
            s.now = now as i64;
            s.left = left as i32
        });
        self
    }
}

fn copy(from: Option<&[u8]>, buffer: &mut [u8]) -> i32 {
    match from {
        None => -1,
        Some(bytes) => {
            if let Some(b) = buffer.get_mut(..bytes.len()) {
                b.copy_from_slice(bytes);
            }
            bytes.len() as i32
        }
    }
}

fn joined(all: &[(String, String)], name: &str) -> Option<String> {
    let values: Vec<&str> = all.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect();
    if values.is_empty() {
        return None;
    }
    Some(values.join("\n"))
}

impl State {
    fn send(&mut self, head: &str, body: &[u8]) -> i64 {
        self.requests.push(head.into());
        let (request, rest) = head.split_once('\n').expect("a head has lines");
        let of: Vec<usize> = (0..self.exchanges.len()).filter(|i| self.exchanges[*i].0.request == request).collect();
        let next = of.iter().copied().find(|i| !self.exchanges[*i].1).or_else(|| of.last().copied());
        let next = next.unwrap_or_else(|| panic!("there is no exchange for {}", request));
        self.exchanges[next].1 = true;
        let answer = self.exchanges[next].0.clone();
        let headers: Vec<(String, String)> = rest.lines().filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.into(), v.into())).collect();
        for (name, value) in &answer.needs {
            assert_eq!(joined(&headers, name).as_ref(), Some(value), "header {} of {}", name, request);
        }
        if let Some(want) = &answer.needs_body {
            assert_eq!(String::from_utf8_lossy(body), String::from_utf8_lossy(want), "body of {}", request);
        }
        if let Some(code) = answer.error {
            return code as i64;
        }
        if self.open.len() == 4 {
            return Code::TooLarge as i64;
        }
        self.handles += 1;
        self.open.insert(self.handles, Open { answer, read: 0 });
        self.handles
    }
}
