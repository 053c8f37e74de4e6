// The plugin kit for AssemblyScript, of ABI 1.0 (docs/plugin-abi.md). It is one long
// file, for authors who copy it.
//
// A filter registers itself, has the exports, and is built with
//
//   asc x.ts -o x.wasm -Ospeed --noAssert --runtime stub --exportStart _initialize \
//     --use abort=pdk/as/edgecache/abort
//
//   import { call, filter, … } from "…/pdk/as/edgecache";
//   export { ec_abi, ec_arena, ec_filter, ec_init, edgecache_abi_v1 } from "…/pdk/as/edgecache";
//   filter(start, decide);
//
// A filter must not allocate in decide: nothing is freed. Strings of the frame
// are a Text, which is a number and no string, and what is called here allocates
// only where that is said.

@external("edgecache_v1", "log")
declare function hostLog(level: i32, text: usize, length: u32): void;
@external("edgecache_v1", "error_set")
declare function hostError(text: usize, length: u32): void;
@external("edgecache_v1", "config_get")
declare function hostConfig(key: usize, keyLength: u32, buffer: usize, capacity: u32): i32;

const IN: u32 = 64 << 10; // what the host writes
const OUT: u32 = 16 << 10; // what a verdict may take
const ABSENT: u32 = 0xffffffff; // as an offset
const NUMERIC: u32 = 0xfffffffe; // as a length: the offset is the value

const ARENA: usize = memory.data(80 << 10, 16);

/** A string in the frame, gone when decide has returned: its length, and then its
 *  address, in 32 bits each. */
export type Text = u64;

/** What is absent. An empty text is not. */
export const NONE: Text = 0;

// @ts-ignore: decorator
@inline
function text(off: u32, length: u32): Text {
  return off == ABSENT ? NONE : ((<u64>length) << 32) | (<u64>(ARENA + off));
}

/** Where a text lies: of the texts of a record, and the client's zone with them, two
 *  are the same if they have one place, and only then. 0: there is none. */
export type Place = u64;

// What of a word is a place: the rest follows it in an instance.
const PLACED: u64 = (1 << 48) - 1;

/** Its length in bytes. */
export function length(t: Text): u32 {
  return <u32>(t >> 32);
}

/** A byte of it, of UTF-8. */
export function byteAt(t: Text, i: u32): u32 {
  return load<u8>((<u32>t) + i);
}

/** Whether two texts are the same. One that is absent is like no other. */
export function equal(a: Text, b: Text): bool {
  if (a == NONE || b == NONE || length(a) != length(b)) return false;
  if (a == b) return true; // the host has equal strings of a record once
  return memory.compare(<u32>a, <u32>b, length(a)) == 0;
}

/** Whether a text is this literal, of ASCII. */
export function is(t: Text, literal: string): bool {
  if (t == NONE || length(t) != <u32>literal.length) return false;
  for (let i = 0; i < literal.length; i++) {
    if (byteAt(t, i) != <u32>literal.charCodeAt(i)) return false;
  }
  return true;
}

/** One of the instances that the answer would hold. Strings that it does not have
 *  are empty. */
@unmanaged
export class Instance {
  /** FNV-1a, of 64 bits, of the id. */
  idHash: u64;
  /** FNV-1a, of 32 bits, of the zone. Two zones may share it. */
  zoneHash: u32;
  /** The share of load it wants, relative to others. */
  weight: u32;
  private addressOff: u32;
  private addressLength: u16;
  /** The port of the main endpoint. */
  port: u16;
  /** A Health. */
  health: u8;
  private flags: u8;
  private versionLength: u16;
  private metaOff: u32;
  private zoneOff: u32;
  private zoneLength: u16;
  private idLength: u16;
  private idOff: u32;
  private versionOff: u32;

  /** Whether the main endpoint speaks TLS. */
  get tls(): bool {
    return (this.flags & 1) != 0;
  }

  /** The address of the main endpoint: a host's name or an IP address. */
  get address(): Text {
    return text(this.addressOff, this.addressLength);
  }

  /** Its id, which no other instance of the service has. */
  get id(): Text {
    return text(this.idOff, this.idLength);
  }

  /** Its zone. */
  get zone(): Text {
    return text(this.zoneOff, this.zoneLength);
  }

  /** Where its zone lies. */
  get zonePlace(): Place {
    return load<u64>(changetype<usize>(this), offsetof<Instance>("zoneOff")) & PLACED;
  }

  /** Its version. */
  get version(): Text {
    return text(this.versionOff, this.versionLength);
  }

  /** A value of its metadata; the number is its key's place in the manifest's
   *  needs.meta. NONE: it does not have the key. */
  meta(key: u32): Text {
    if (this.metaOff == 0) return NONE;
    const slot = ARENA + this.metaOff + 8 * key;
    return text(load<u32>(slot), load<u32>(slot, 4));
  }
}

/** An instance's health, as its registry says. */
export enum Health {
  Unknown,
  Passing,
  Warning,
  Draining,
  Critical,
  Maintenance,
}

/** A request that a filter is asked about: the arena, as the host wrote it. */
@unmanaged
export class Call {
  private magic: u32;
  private header: u16;
  private flags: u16;
  private version: u64;
  /** The time of the call, in milliseconds since 1970 UTC. A verdict that depends
   *  on it is not CACHEABLE. */
  now: u64;
  /** The number of instances, 1024 at most. */
  count: u32;
  private instances: u32;
  private stride: u16;
  private attributes: u16;
  private slots: u32;
  private out: u32;
  private outCapacity: u32;
  private nameOff: u32;
  private nameLength: u32;

  /** The service's name. */
  get name(): Text {
    return text(this.nameOff, this.nameLength);
  }

  /** Whether an attribute is absent because it was longer than 4 KiB. */
  get tooLong(): bool {
    return (this.flags & (1 << 4)) != 0;
  }

  /** An attribute of the request; the number is its place in the manifest's needs:
   *  headers, then query, then attrs. NONE: the request does not have it. */
  attribute(i: u32): Text {
    if (i >= <u32>this.attributes) return NONE;
    const slot = ARENA + this.slots + 8 * i;
    const length = load<u32>(slot, 4);
    return length == NUMERIC ? NONE : text(load<u32>(slot), length);
  }

  /** Where an attribute's text lies. */
  place(i: u32): Place {
    return this.attribute(i) == NONE ? 0 : load<u64>(ARENA + this.slots + 8 * i);
  }

  /** Whether an attribute is there that is a number, one of attrs with #hash. */
  hasNumber(i: u32): bool {
    return i < <u32>this.attributes && load<u32>(ARENA + this.slots + 8 * i, 4) == NUMERIC;
  }

  /** That number. */
  number(i: u32): u32 {
    return this.hasNumber(i) ? load<u32>(ARENA + this.slots + 8 * i) : 0;
  }

  /** The first instance, if there is any, and from each to the next so many bytes. */
  get first(): Instance {
    return changetype<Instance>(ARENA + this.instances);
  }
  get step(): u32 {
    return this.stride;
  }

  /** An instance, 0 to count-1. */
  at(i: u32): Instance {
    if (i >= this.count) throw new Error("no such instance");
    return changetype<Instance>(ARENA + this.instances + i * this.stride);
  }
}

/** The call that the filter is asked about. */
export const call = changetype<Call>(ARENA);

/** What decide returns. */
export type Verdict = u64;

/** Leaves the instances as they are. */
export const PASS: Verdict = 0;

/** Or it to a verdict that is the same whenever the record and the attributes are:
 *  the host remembers it. */
export const CACHEABLE: Verdict = 1 << 8;

/** Or it to a verdict that ends the chain of filters. */
export const FINAL: Verdict = 2 << 8;

// There is one call at a time, so that one set and one list do.

/** A set of instances. */
export namespace keep {
  /** Makes it empty. */
  export function clear(): void {
    for (let at: u32 = 0; at <= call.count / 32; at++) store<u32>(ARENA + IN + 4 * at, 0);
  }

  /** Adds an instance. */
  export function add(i: u32): void {
    if (i >= call.count) throw new Error("no such instance");
    const at = ARENA + IN + 4 * (i / 32);
    store<u32>(at, load<u32>(at) | (1 << (i % 32)));
  }

  /** Has the set be the instances whose zone lies at a place. A filter's loop costs
   *  more than what is in it: here some are looked at in each round. */
  export function zone(place: Place): void {
    const n = call.count;
    const step = call.step;
    let row = changetype<usize>(call.first) + offsetof<Instance>("zoneOff");
    for (let at: u32 = 0, i: u32 = 0; at <= n / 32; at++) {
      const end = min(n, 32 * at + 32);
      let word: u32 = 0;
      for (; i + 4 <= end; i += 4, row += 4 * step) {
        word |= (lies(row, place) | (lies(row + step, place) << 1) | (lies(row + 2 * step, place) << 2) | (lies(row + 3 * step, place) << 3)) << (i % 32);
      }
      for (; i < end; i++, row += step) word |= lies(row, place) << (i % 32);
      store<u32>(ARENA + IN + 4 * at, word);
    }
  }

  // @ts-ignore: decorator
  @inline
  function lies(zone: usize, place: Place): u32 {
    return <u32>((load<u64>(zone) & PLACED) == place);
  }

  /** How many were added. */
  export function count(): u32 {
    let n: u32 = 0;
    for (let at: u32 = 0; at <= call.count / 32; at++) n += popcnt<u32>(load<u32>(ARENA + IN + 4 * at));
    return n;
  }

  /** Has those that were added first and the others behind them, both in their
   *  order. None is dropped. */
  export function first(): Verdict {
    return verdict() | (4 << 8);
  }

  /** Drops all that were not added. The others stay in their order. */
  export function verdict(): Verdict {
    const n = call.count;
    if (n <= 32) return 1 | ((<u64>load<u32>(ARENA + IN)) << 32);
    return 2 | ((<u64>((n + 7) / 8)) << 32);
  }
}

let listed: u32 = 0;

/** A list of instances in a new order. */
export namespace order {
  /** Makes it empty. */
  export function clear(): void {
    listed = 0;
  }

  /** Appends an instance, which must not be in the list. */
  export function add(i: u32): void {
    if (listed >= min(call.count, OUT / 2)) throw new Error("more in an order than there are instances");
    store<u16>(ARENA + IN + 2 * listed, <u16>i);
    listed++;
  }

  /** How many were added. */
  export function count(): u32 {
    return listed;
  }

  /** Drops all that were not added, and has the others in the order in which they
   *  were. */
  export function verdict(): Verdict {
    return 3 | ((<u64>listed) << 32);
  }
}

/** Refuses the request, with an HTTP status from 400 to 599 and a reason of 1 KiB
 *  at most, of ASCII. */
export function deny(status: u32, reason: string): Verdict {
  const n = min(reason.length, 1024);
  for (let i = 0; i < n; i++) store<u8>(ARENA + IN + i, <u8>reason.charCodeAt(i));
  return 5 | ((<u64>status) << 16) | ((<u64>n) << 32);
}

/** Says that the filter could not decide; why says why, and code is its own. The
 *  host then does what the filter's on_failure says. It allocates. */
export function fail(code: u32, why: string): Verdict {
  error(why);
  return 255 | ((<u64>code) << 16);
}

/** Says what is wrong, before start returns false. It allocates. */
export function error(why: string): void {
  const b = String.UTF8.encode(why);
  hostError(changetype<usize>(b), b.byteLength);
}

/** Of a line in the host's log, least first. */
export enum Level {
  Trace,
  Debug,
  Info,
  Warn,
  Error,
}

/** Writes a line to the host's log, which takes some 100 a second of a plugin. It
 *  allocates. */
export function log(level: Level, line: string): void {
  const b = String.UTF8.encode(line);
  hostLog(level, changetype<usize>(b), b.byteLength);
}

/** The configuration at a JSON pointer (RFC 6901), "" being all of it: a string's
 *  text, of anything else its JSON; null if there is none. It allocates: it is for
 *  start. */
export function config(pointer: string): string | null {
  const key = String.UTF8.encode(pointer);
  const n = hostConfig(changetype<usize>(key), key.byteLength, 0, 0);
  if (n < 0) return null;
  const buffer = new ArrayBuffer(n);
  hostConfig(changetype<usize>(key), key.byteLength, changetype<usize>(buffer), n);
  return String.UTF8.decode(buffer);
}

let starts: () => bool = () => true;
let decides: () => Verdict = () => PASS;

/** Registers a filter. start runs once for each instance of the module, and returns
 *  false if the configuration does not do; decide runs for each request. */
export function filter(start: () => bool, decide: () => Verdict): void {
  starts = start;
  decides = decide;
}

/** What asserts and exceptions come to. */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  if (message) error(message);
  unreachable();
}

export function edgecache_abi_v1(): void {}

export function ec_abi(): i32 {
  return 1 << 16;
}

export function ec_init(): i32 {
  return starts() ? 0 : 1;
}

export function ec_arena(least: u32): usize {
  return least <= IN + OUT ? ARENA : 0;
}

export function ec_filter(length: u32): u64 {
  return decides();
}
