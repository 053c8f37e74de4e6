// Calls that tests of filters make up, of ABI 1.0. A test imports its filter and
// this, is built as a filter is, and is run by
//
//   node pdk/as/test.mjs x.wasm
//
// which calls all it exports whose name begins with test.
import { call, ec_arena, ec_filter, ec_init } from "./edgecache";

@external("edgecache_test", "config")
declare function hostConfig(pointer: string | null, json: string | null): void;

const ROWS: u32 = 64 + 32 * 8; // where instances begin
const ROW: u32 = 48;
const OUT: u32 = 64 << 10;

/** An instance in a test. */
export class Sample {
  address: string = "";
  version: string = "";
  meta: (string | null)[] = []; // in the order of needs.meta

  constructor(
    public id: string,
    public zone: string = "",
  ) {}
}

/** Runs the filter's start, with what config finds at JSON pointers: pairs. */
export function start(config: string[]): bool {
  hostConfig(null, null);
  for (let i = 0; i + 1 < config.length; i += 2) hostConfig(config[i], config[i + 1]);
  return ec_init() == 0;
}

/** FNV-1a, as in client.zone#hash. */
export function zoneHash(zone: string): u32 {
  const b = Uint8Array.wrap(String.UTF8.encode(zone));
  let h: u32 = 2166136261;
  for (let i = 0; i < b.length; i++) h = (h ^ b[i]) * 16777619;
  return h;
}

/** A call in a test. */
export class Request {
  private base: usize = ec_arena(80 << 10);
  private end: u32 = ROWS;
  private strings: u32 = ROWS;
  private slots: u32 = 0;

  constructor(name: string, instances: Sample[]) {
    memory.fill(this.base, 0, 80 << 10);
    this.end = this.strings = ROWS + instances.length * ROW;
    this.header(name, instances.length);
    for (let i = 0; i < instances.length; i++) this.instance(this.base + ROWS + i * ROW, instances[i]);
  }

  /** Adds an attribute, in the order of the manifest's needs; null is absent. */
  attribute(text: string | null): Request {
    this.slot(this.base + 64 + 8 * this.slots, text);
    store<u16>(this.base, <u16>++this.slots, 34);
    return this;
  }

  /** Adds an attribute that is a number. */
  number(n: u32): Request {
    store<u32>(this.base + 64 + 8 * this.slots, n);
    store<u32>(this.base + 64 + 8 * this.slots, 0xfffffffe, 4);
    store<u16>(this.base, <u16>++this.slots, 34);
    return this;
  }

  /** What the filter decides: "0 2 1" for instances that are kept, in order, "deny
   *  403 reason", or "fail 1". */
  decide(): string {
    const verdict = ec_filter(this.end);
    const action = <u32>(verdict & 0xff);
    const code = (<u32>(verdict >> 16)) & 0xffff;
    const arg = <u32>(verdict >> 32);
    const out = this.base + OUT;
    if (action == 5) return "deny " + code.toString() + " " + String.UTF8.decodeUnsafe(out, arg);
    if (action == 255) return "fail " + code.toString();
    const kept: string[] = [];
    const others: string[] = [];
    for (let i: u32 = 0; i < (action == 3 ? arg : call.count); i++) {
      const lacks =
        (action == 1 && ((arg >> i) & 1) == 0) || (action == 2 && ((load<u8>(out + i / 8) >> (<u8>i % 8)) & 1) == 0);
      (lacks ? others : kept).push(action == 3 ? load<u16>(out + 2 * i).toString() : i.toString());
    }
    return ((verdict & (4 << 8)) != 0 ? kept.concat(others) : kept).join(" ");
  }

  private header(name: string, instances: u32): void {
    store<u32>(this.base, 0x31464345);
    store<u16>(this.base, 64, 4);
    store<u32>(this.base, instances, 24);
    store<u32>(this.base, ROWS, 28);
    store<u16>(this.base, <u16>ROW, 32);
    store<u32>(this.base, 64, 36);
    store<u32>(this.base, OUT, 40);
    store<u32>(this.base, 16 << 10, 44);
    this.slot(this.base + 48, name);
  }

  private instance(row: usize, s: Sample): void {
    store<u32>(row, zoneHash(s.zone), 8);
    store<u32>(row, this.text(s.address), 16);
    store<u16>(row, <u16>String.UTF8.byteLength(s.address), 20);
    store<u16>(row, <u16>String.UTF8.byteLength(s.version), 26);
    store<u32>(row, this.text(s.zone), 32);
    store<u16>(row, <u16>String.UTF8.byteLength(s.zone), 36);
    store<u16>(row, <u16>String.UTF8.byteLength(s.id), 38);
    store<u32>(row, this.text(s.id), 40);
    store<u32>(row, this.text(s.version), 44);
    if (s.meta.length == 0) return;
    const table = (this.end + 3) & ~3;
    this.end = table + 8 * s.meta.length;
    store<u32>(row, table, 28);
    for (let k = 0; k < s.meta.length; k++) this.slot(this.base + table + 8 * k, s.meta[k]);
  }

  private slot(at: usize, text: string | null): void {
    store<u32>(at, text === null ? 0xffffffff : this.text(text));
    store<u32>(at, text === null ? 0 : String.UTF8.byteLength(text), 4);
  }

  // Equal texts lie at one place.
  private text(s: string): u32 {
    const at = this.end;
    const size = String.UTF8.byteLength(s);
    if (at + size > OUT) throw new Error("the request does not fit into a frame");
    String.UTF8.encodeUnsafe(changetype<usize>(s), s.length, this.base + at);
    for (let there = this.strings; size > 0 && there + size <= at; there++) {
      if (memory.compare(this.base + there, this.base + at, size) == 0) return there;
    }
    this.end += size;
    return at;
  }
}

/** Ends the test if two texts differ. */
export function equal(what: string, got: string, want: string): void {
  if (got != want) throw new Error(what + ': got "' + got + '", want "' + want + '"');
}
