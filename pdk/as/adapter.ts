// The kit of adapters for AssemblyScript, of ABI 1.0 (docs/plugin-abi.md). Beside it
// lie http.ts, record.ts, endpoint.ts, items.ts, time.ts, json.ts, scan.ts and bytes.ts,
// and edgecache.ts, which is the kit of filters and has what both use.
//
// An adapter registers itself, has the exports, and is built as a filter is:
//
//   asc x.ts -o x.wasm -Ospeed --noAssert --runtime stub --exportStart _initialize \
//     --use abort=pdk/as/edgecache/abort
//
//   import { adapter, found, … } from "…/pdk/as/adapter";
//   export { ec_abi, ec_init, ec_list, ec_lookup, ec_poll, edgecache_abi_v1 } from "…/pdk/as/adapter";
//   adapter(start, lookup, list, poll);
//
// One that cannot list or poll leaves list and poll out of the last line, and ec_list
// and ec_poll out of the line before it: what is not exported, the host does not ask.
//
// Memory. What a call allocates is gone when it ends, so that it allocates as it likes,
// 256 pages at most. Nothing that it makes may outlive it: it must not give a new
// value to a variable outside of functions that holds more than a number, and must not
// let a list, map or set grow that start made. What is to be kept goes to kv. A test
// finds who does not keep to this (testing.ts). With --runtime minimal instead of stub
// there is no such rule; the module is some 9 KiB larger, and small calls cost twice.
import { error } from "./edgecache";
import { Code, codeName } from "./http";
import { Writer } from "./bytes";
import { Record } from "./record";
export { Health, Level, NONE, Text, byteAt, config, edgecache_abi_v1, ec_abi, equal, error, is, length, log } from "./edgecache";
export { Code, Request, Response, codeName, http } from "./http";
export { Kind, Reader } from "./json";
export { Source } from "./scan";
export { Writer, copy } from "./bytes";
export { Endpoint } from "./endpoint";
export { Instance, Record, Version } from "./record";
export { unixMs } from "./time";

@external("edgecache_v1", "fuel_left")
declare function hostFuel(): i32;
@external("edgecache_v1", "input_get")
declare function hostInput(slot: i32, buffer: usize, capacity: u32): i32;
@external("edgecache_v1", "output_set")
declare function hostOutput(kind: i32, text: usize, length: u32): i32;
@external("edgecache_v1", "emit")
declare function hostEmit(op: i32, name: usize, nameLength: u32, text: usize, length: u32): i32;
@external("edgecache_v1", "kv_get")
declare function hostGet(key: usize, keyLength: u32, buffer: usize, capacity: u32): i32;
@external("edgecache_v1", "kv_set")
declare function hostSet(key: usize, keyLength: u32, value: usize, length: u32, ttl: u32): i32;
@external("edgecache_v1", "kv_del")
declare function hostDel(key: usize, keyLength: u32): i32;
@external("edgecache_v1", "now_ms")
declare function hostNow(): i64;
@external("edgecache_v1", "deadline_ms")
declare function hostDeadline(): i32;

const MOST: u32 = 4 << 20; // of a record

/** How a lookup or list ended. */
export type Answer = i32;

/** The version that the host holds is still right. */
export const NOT_MODIFIED: Answer = 1;

/** The registry answered that there is no such name. */
export const NOT_FOUND: Answer = -1;

/** Answers with a record. version is what the registry knows it by, such as an ETag:
 *  the next lookup gets it as held. */
export function found(record: Record, version: string | null = null): Answer {
  const json = record.json();
  if (json.full || json.size > MOST) return failed(Code.TooLarge, "the record has more than 4 MiB");
  let code = hostOutput(0, json.base, json.size);
  if (code == 0 && version !== null) code = output(3, version);
  return code == 0 ? 0 : failed(code, "the record: " + codeName(code));
}

/** Says that it failed, and in words for the operator why; "" leaves it to the host,
 *  which knows why a request had no answer. */
export function failed(code: i32, why: string): Answer {
  if (why != "") error(why);
  return code < Code.NotFound ? code : Code.Internal; // who fails does not know that there is no such name
}

/** Answers a list with names, and the cursor to go on with; null: these were all. */
export function listed(names: string[], next: string | null = null): Answer {
  const lines = new Writer(1024);
  for (let i = 0; i < names.length; i++) {
    lines.add(names[i]);
    lines.byte(0x0a);
  }
  let code = lines.full ? <i32>Code.TooLarge : hostOutput(1, lines.base, lines.size);
  if (code == 0 && next !== null) code = output(2, next);
  return code == 0 ? 0 : failed(code, "the list: " + codeName(code));
}

/** What a poll finds. */
export class Poll {
  private code: i32 = 0;

  /** cursor is what the last call gave to next; null: there was none, and all names
   *  are to be emitted. */
  constructor(public cursor: string | null) {}

  /** The name's record is now this one. */
  upsert(name: string, record: Record): void {
    const json = record.json();
    if (json.full || json.size > MOST) this.wrong(Code.TooLarge, name);
    else this.emit(0, name, json.base, json.size);
  }

  /** The name is gone. */
  delete(name: string): void {
    this.emit(1, name);
  }

  /** The name changed: the host looks it up. */
  invalidate(name: string): void {
    this.emit(2, name);
  }

  /** Begins anew: what is emitted from here on is all there is. */
  again(): void {
    this.emit(3, "");
  }

  /** Sets the cursor that the next call gets. */
  next(cursor: string): void {
    const code = output(2, cursor);
    if (code != 0) this.wrong(code, "the cursor");
  }

  /** What came of it: what the adapter returned, or what went wrong before. */
  end(result: i32): i32 {
    return this.code != 0 && result >= 0 ? this.code : result;
  }

  private emit(op: i32, name: string, text: usize = 0, length: u32 = 0): void {
    const b = String.UTF8.encode(name);
    const code = this.code == 0 ? hostEmit(op, changetype<usize>(b), b.byteLength, text, length) : 0;
    if (code != 0) this.wrong(code, name);
  }

  private wrong(code: i32, what: string): void {
    if (this.code == 0) this.code = failed(code, what + ": " + codeName(code));
  }
}

/** Values on this node's disk: a shortcut, that may be lost, and no memory. */
export namespace kv {
  /** A value that was kept; null: there is none. */
  export function get(key: string): string | null {
    const k = String.UTF8.encode(key);
    let b = new ArrayBuffer(512);
    let n = hostGet(changetype<usize>(k), k.byteLength, changetype<usize>(b), 512);
    if (n > 512) {
      b = new ArrayBuffer(n);
      n = hostGet(changetype<usize>(k), k.byteLength, changetype<usize>(b), n);
    }
    return n < 0 ? null : String.UTF8.decodeUnsafe(changetype<usize>(b), n);
  }

  /** Keeps a value for so many milliseconds, 0: for good. Returns a code. */
  export function set(key: string, value: string, ttl: u32 = 0): i32 {
    const k = String.UTF8.encode(key);
    const v = String.UTF8.encode(value);
    return hostSet(changetype<usize>(k), k.byteLength, changetype<usize>(v), v.byteLength, ttl);
  }

  /** Forgets it. */
  export function del(key: string): i32 {
    const k = String.UTF8.encode(key);
    return hostDel(changetype<usize>(k), k.byteLength);
  }
}

/** The time, in milliseconds since 1970 UTC. */
export function now(): i64 {
  return hostNow();
}

/** How many milliseconds the call has left. */
export function deadline(): i32 {
  return hostDeadline();
}

function input(slot: i32): string | null {
  let b = new ArrayBuffer(512);
  let n = hostInput(slot, changetype<usize>(b), 512);
  if (n > 512) {
    b = new ArrayBuffer(n);
    n = hostInput(slot, changetype<usize>(b), n);
  }
  return n < 0 ? null : String.UTF8.decodeUnsafe(changetype<usize>(b), n);
}

function output(kind: i32, text: string): i32 {
  const b = String.UTF8.encode(text);
  return hostOutput(kind, changetype<usize>(b), b.byteLength);
}

let starts: () => bool = () => true;
let lookups: (name: string, held: string | null) => Answer = (name, held) => noCall("lookup");
let lists: (cursor: string | null) => Answer = (cursor) => noCall("list");
let polls: (poll: Poll) => i32 = (poll) => noCall("poll");

function noCall(what: string): Answer {
  return failed(Code.Unsupported, "the adapter has no " + what);
}

/** Registers an adapter. start runs once for each instance of the module, and returns
 *  false if the configuration does not do. lookup looks a name up; held is the version
 *  that the host has, if it has one. list answers with names, after those that had the
 *  cursor. poll says what changed, and returns in how many milliseconds it wants to be
 *  called again, or how it failed. */
export function adapter(
  start: () => bool,
  lookup: (name: string, held: string | null) => Answer,
  list: (cursor: string | null) => Answer = lists,
  poll: (poll: Poll) => i32 = polls,
): void {
  starts = start;
  lookups = lookup;
  lists = list;
  polls = poll;
}

/** Where what is allocated begins. */
export function mark(): usize {
  return ASC_RUNTIME == 0 ? heap.alloc(0) : 0;
}

/** Frees all that was allocated since a mark, none of which is used any more: for loops
 *  of a long call. */
export function release(mark: usize): void {
  if (ASC_RUNTIME != 0) return;
  const last = heap.alloc(0);
  // A block's size stands before it, and the last block can be freed: the mark's
  // becomes all that came after it.
  store<usize>(mark - 4, last + load<usize>(last - 4) - mark);
  heap.free(mark);
}

function ended(since: usize): void {
  if (ASC_RUNTIME == 0) release(since);
  else __collect();
}

export function ec_init(): i32 {
  hostFuel(); // who imports it is given fuel by the slice
  return starts() ? 0 : Code.Invalid;
}

export function ec_lookup(): i32 {
  const since = mark();
  const answer = lookUp();
  ended(since);
  return answer;
}

function lookUp(): Answer {
  const name = input(0);
  return name === null ? failed(Code.Internal, "there is no name to look up") : lookups(name, input(2));
}

export function ec_list(): i32 {
  const since = mark();
  const answer = lists(input(3));
  ended(since);
  return answer;
}

export function ec_poll(): i32 {
  const since = mark();
  const poll = new Poll(input(3));
  const answer = poll.end(polls(poll));
  ended(since);
  return answer;
}
