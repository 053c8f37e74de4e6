// What tests of adapters say of the world, of ABI 1.0. A test imports its adapter and
// this, is built as an adapter is, and is run by
//
//   node pdk/as/test.mjs x.wasm
//
// which calls all it exports whose name begins with test. Answers come in pieces of 61
// bytes, and what a call allocated is overwritten after it: an adapter that keeps some
// of it is found out.
import { Reader, Writer, mark, release } from "./adapter";
import { ec_init, ec_list, ec_lookup, ec_poll } from "./adapter";
export { equal } from "./testing";

@external("edgecache_test", "config")
declare function hostConfig(pointer: string | null, json: string | null): void;
@external("edgecache_test", "exchange")
declare function hostExchange(request: string, status: i32, answer: string): void;
@external("edgecache_test", "wants")
declare function hostWants(name: string, value: string): void;
@external("edgecache_test", "wants_body")
declare function hostWantsBody(body: string): void;
@external("edgecache_test", "has")
declare function hostHas(name: string, value: string): void;
@external("edgecache_test", "breaks")
declare function hostBreaks(code: i32, after: i32): void;
@external("edgecache_test", "chunk")
declare function hostChunk(bytes: i32): void;
@external("edgecache_test", "clock")
declare function hostClock(ms: i64): void;
@external("edgecache_test", "begin")
declare function hostBegin(name: string | null, held: string | null, cursor: string | null): void;
@external("edgecache_test", "take")
declare function hostTake(what: string, buffer: usize, capacity: u32): i32;

/** Runs the adapter's start, with what config finds at JSON pointers: pairs. What was
 *  said of the world before is forgotten. */
export function start(config: string[]): bool {
  hostConfig(null, null);
  for (let i = 0; i + 1 < config.length; i += 2) hostConfig(config[i], config[i + 1]);
  return ec_init() == 0;
}

/** A request that the adapter may send, and what the registry answers. Those of one
 *  request line are used in order, the last one again and again; any other request
 *  ends the test. */
export class Exchange {
  constructor(request: string, status: i32 = 200, answer: string = "") {
    hostExchange(request, status, answer);
  }

  /** The request must have this header. Before the next exchange. */
  wants(name: string, value: string): Exchange {
    hostWants(name, value);
    return this;
  }

  /** The request must have this body. */
  wantsBody(body: string): Exchange {
    hostWantsBody(body);
    return this;
  }

  /** The answer has this header. */
  has(name: string, value: string): Exchange {
    hostHas(name, value);
    return this;
  }

  /** There is no answer but this code, or its body breaks off after so many bytes. */
  breaks(code: i32, after: i32 = -1): Exchange {
    hostBreaks(code, after);
    return this;
  }
}

/** Answers come in pieces of so many bytes. */
export function chunk(bytes: i32): void {
  hostChunk(bytes);
}

/** Sets the time, which stands still. */
export function clock(ms: i64): void {
  hostClock(ms);
}

/** Looks a name up: "found", "not modified", "not found" or "failed -5: why". */
export function lookup(name: string, held: string | null = null): string {
  hostBegin(name, held, null);
  const answer = ec_lookup();
  overwrite();
  if (answer == -1) return "not found";
  return answer == 1 ? "not modified" : answer == 0 ? "found" : failure(answer);
}

/** Lists names: "a b" or "a b, next 7", or "failed -5: why". */
export function list(cursor: string | null = null): string {
  hostBegin(null, null, cursor);
  const answer = ec_list();
  overwrite();
  if (answer != 0) return failure(answer);
  const next = taken("cursor");
  return taken("names").trim().replaceAll("\n", " ") + (next == "" ? "" : ", next " + next);
}

/** Polls: "1000 ms" or "1000 ms, next 7", or "failed -5: why". */
export function poll(cursor: string | null = null): string {
  hostBegin(null, null, cursor);
  const answer = ec_poll();
  overwrite();
  if (answer < 0) return failure(answer);
  const next = taken("cursor");
  return answer.toString() + " ms" + (next == "" ? "" : ", next " + next);
}

/** The record that the last lookup found, as JSON. */
export function record(): string {
  return taken("record");
}

/** What a JSON pointer finds in it: a string's text, of anything else its JSON; "none". */
export function value(pointer: string): string {
  const json = Reader.of(record());
  if (!json.find(pointer)) return "none";
  const kept = new Writer();
  json.keep(kept);
  json.skip();
  json.keep(null);
  const text = String.UTF8.decodeUnsafe(kept.base, kept.size);
  return text.startsWith('"') ? Reader.of(text).string(1 << 20) : text;
}

/** The version that it gave. */
export function version(): string {
  return taken("version");
}

/** What the last poll emitted, a line each: "upsert web {…}", "delete db",
 *  "invalidate db", "again". */
export function emitted(): string {
  return taken("emits");
}

/** What was logged since start, a line each. */
export function logged(): string {
  return taken("log");
}

/** The requests since start, a line each. */
export function requests(): string {
  return taken("requests");
}

function failure(code: i32): string {
  return "failed " + code.toString() + ": " + taken("error");
}

function taken(what: string): string {
  const n = hostTake(what, 0, 0);
  const b = new ArrayBuffer(n);
  hostTake(what, changetype<usize>(b), n);
  return String.UTF8.decode(b);
}

function overwrite(): void {
  const free = mark();
  memory.fill(free, 0xa5, ((<usize>memory.size()) << 16) - free);
  release(free);
}
