//! What the host calls. adapter! exports these.

use super::{host, Answer, Code, Error, Names, Outcome, Poll, Started};
use std::any::Any;
use std::cell::RefCell;

const NAMES: usize = 64 << 10; // bytes that are handed over at once

thread_local! {
    static STATE: RefCell<Option<Box<dyn Any>>> = RefCell::new(None);
}

pub fn init<T: Any>(start: fn() -> Started<T>) -> i32 {
    // Who imports this gets the fuel of a call bit by bit, and need not ask for it.
    host::fuel_left();
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| host::error_set(&panic.to_string())));
    match start() {
        Ok(state) => {
            STATE.with(|s| *s.borrow_mut() = Some(Box::new(state)));
            0
        }
        Err(text) => {
            host::error_set(&text);
            Code::Invalid as i32
        }
    }
}

/// Calls with what start, which only says its type here, returned.
fn with<T: Any, R>(_: fn() -> Started<T>, call: impl FnOnce(&mut T) -> R) -> R {
    STATE.with(|s| {
        let mut state = s.borrow_mut();
        call(state.as_mut().and_then(|s| s.downcast_mut()).expect("called before ec_init"))
    })
}

fn code(result: Result<i32, Error>) -> i32 {
    result.unwrap_or_else(|e| {
        host::error_set(&e.text);
        e.code as i32
    })
}

pub fn lookup<T: Any>(start: fn() -> Started<T>, lookup: fn(&mut T, &str, Option<&str>) -> Answer) -> i32 {
    let name = host::input(host::NAME).unwrap_or_default();
    let held = host::input(host::HELD);
    let answered = with(start, |state| lookup(state, &name, held.as_deref()));
    code(answered.and_then(|outcome| match outcome {
        Outcome::Found { record, version } => {
            host::output(host::RECORD, &record)?;
            if let Some(version) = version {
                host::output(host::VERSION, &version)?;
            }
            Ok(0)
        }
        Outcome::NotModified => Ok(1),
        Outcome::NotFound => Ok(-1),
    }))
}

pub fn list<T: Any>(start: fn() -> Started<T>, list: fn(&mut T, Option<&str>) -> Result<Names, Error>) -> i32 {
    let cursor = host::input(host::CURSOR);
    let listed = with(start, |state| list(state, cursor.as_deref()));
    code(listed.and_then(|names| hand_over(&names).map(|()| 0)))
}

fn hand_over(list: &Names) -> Result<(), Error> {
    let mut lines = String::new();
    for name in &list.names {
        if name.contains('\n') {
            return Err(Error::new(Code::Invalid, format!("list: the name {:?} has more than one line", name)));
        }
        lines.push_str(name);
        lines.push('\n');
        if lines.len() > NAMES {
            host::output(host::NAMES, &lines)?;
            lines.clear();
        }
    }
    host::output(host::NAMES, &lines)?;
    list.next.as_ref().map_or(Ok(()), |next| host::output(host::NEXT, next))
}

pub fn poll<T: Any>(start: fn() -> Started<T>, poll: fn(&mut T, &mut Poll) -> Result<u32, Error>) -> i32 {
    let mut p = Poll { cursor: host::input(host::CURSOR), next: None };
    let polled = with(start, |state| poll(state, &mut p));
    code(polled.and_then(|wait| {
        if let Some(next) = &p.next {
            host::output(host::NEXT, next)?;
        }
        Ok(wait.min(i32::MAX as u32) as i32)
    }))
}
