// A packument, which is what a registry has of a package: its tags and versions. It may
// have megabytes; what is kept of a version is a row of some 300 bytes.
import { Kind, Reader, Text, Writer, copy, is, length, unixMs } from "../../../../pdk/as/adapter";

const TAGS = 1000; // of a packument, that become labels
const TIMES = 20_000;
const ROWS: u32 = 4 << 20; // bytes

// What a row has of a version.
export const VERSION = 0;
export const LICENSE = 1;
export const TARBALL = 2;
export const INTEGRITY = 3;
export const SHASUM = 4;
export const DEPRECATED = 5; // why it is; empty: it is not
export const FIELDS = 6;
export const NAMES: StaticArray<string> = ["version", "license", "tarball", "integrity", "shasum", "deprecated"];

/** What was read of a package. */
export class Packument {
  tags: string[] = [];
  targets: string[] = []; // the version of each
  hasVersions: bool = false;
  unpublished: bool = false;
  document: Writer = new Writer(4096);
  count: i32 = 0; // of rows
  overflow: bool = false;
  private times: Map<u64, i64> = new Map<u64, i64>(); // by the hash of a version
  private rows: Writer = new Writer(64 << 10); // lengths and texts, one after another
  private starts: u32[] = [];
  private fields: Writer[] = [];

  /** wanted are the tags that become instances; ttl is what the registry said of it. */
  constructor(
    private wanted: string[],
    public ttl: i64,
  ) {
    for (let i = 0; i < FIELDS; i++) this.fields.push(new Writer(256));
  }

  read(json: Reader, name: string): void {
    json.object();
    while (json.next()) {
      if (json.is("name")) this.readName(json, name);
      else if (json.is("dist-tags")) this.readTags(json);
      else if (json.is("versions")) this.readVersions(json);
      else if (json.is("time")) this.readTimes(json);
    }
  }

  private readName(json: Reader, name: string): void {
    const is = json.string(1024);
    if (json.code == 0 && is != name) json.fail('"' + is + '", and "' + name + '" was asked');
  }

  private readTags(json: Reader): void {
    if (json.null()) return;
    json.object();
    while (json.next()) {
      const tag = json.key();
      if (this.tags.length >= TAGS && !this.wanted.includes(tag)) continue;
      this.tags.push(tag);
      this.targets.push(json.string(256));
    }
  }

  private readVersions(json: Reader): void {
    this.hasVersions = true;
    const latest = this.target("latest");
    json.object();
    while (json.next()) {
      for (let i = 0; i < FIELDS; i++) this.fields[i].clear();
      this.set(VERSION, json.keyText(), 256);
      this.readVersion(json, latest != "" && json.is(latest));
    }
  }

  /** Reads one version, and its text if it is latest. */
  private readVersion(json: Reader, latest: bool): void {
    if (latest) json.keep(this.document);
    json.object();
    while (json.next()) {
      if (json.is("deprecated")) this.readDeprecated(json);
      else if (json.is("license")) this.readLicense(json);
      else if (json.is("dist")) this.readDist(json);
      else if (json.is("version") && this.fields[VERSION].size == 0) this.set(VERSION, json.text(256), 256);
    }
    if (latest) json.keep(null);
    this.add();
  }

  private readDeprecated(json: Reader): void {
    if (json.kind() == Kind.String) this.set(DEPRECATED, json.text(), 1024);
    else if (json.kind() == Kind.Bool && json.bool()) this.fields[DEPRECATED].add("deprecated");
  }

  /** A name, or as it was once, an object with it. */
  private readLicense(json: Reader): void {
    if (json.kind() == Kind.String) {
      this.set(LICENSE, json.text(), 256);
    } else if (json.kind() == Kind.Object) {
      json.object();
      while (json.next()) {
        if (json.is("type") && json.kind() == Kind.String) this.set(LICENSE, json.text(), 256);
      }
    }
  }

  private readDist(json: Reader): void {
    if (json.null()) return;
    json.object();
    while (json.next()) {
      if (json.is("tarball")) this.set(TARBALL, json.text(2048), 2048);
      else if (json.is("integrity")) this.set(INTEGRITY, json.text(1024), 1024);
      else if (json.is("shasum")) this.set(SHASUM, json.text(256), 256);
    }
  }

  private readTimes(json: Reader): void {
    if (json.null()) return;
    json.object();
    while (json.next()) {
      if (json.is("unpublished")) this.unpublished = true;
      else if (json.kind() == Kind.String && this.times.size < TIMES) this.times.set(hash(json.keyText()), unixMs(json.text(64)));
    }
  }

  /** Reads the version that a tag has. */
  readOne(json: Reader, tag: string): void {
    for (let i = 0; i < FIELDS; i++) this.fields[i].clear();
    this.readVersion(json, tag == "latest");
    const version = copy(this.fields[VERSION].text);
    if (version == "") json.fail("version expected, the answer has none");
    if (this.row(version) < this.count - 1) {
      this.starts.pop(); // another tag has it too
      this.count--;
    }
    this.tags.push(tag);
    this.targets.push(version);
  }

  /** Sets a field, to so many bytes at most. */
  private set(field: i32, t: Text, most: u32): void {
    const w = this.fields[field];
    let n = min(length(t), most);
    while (n < length(t) && n > 0 && (load<u8>((<u32>t) + n) & 0xc0) == 0x80) n--;
    w.clear();
    w.append(<u32>t, n);
  }

  private add(): void {
    if (this.rows.size > ROWS) {
      this.overflow = true;
      return;
    }
    this.starts.push(this.rows.size);
    this.count++;
    for (let i = 0; i < FIELDS; i++) {
      const w = this.fields[i];
      this.rows.byte(w.size & 0xff);
      this.rows.byte(w.size >> 8);
      this.rows.write(w);
    }
  }

  /** A field of a row, until a row is added. */
  at(row: i32, field: i32): Text {
    let at = this.rows.base + this.starts[row];
    for (let i = 0; i < field; i++) at += 2 + <u32>load<u16>(at);
    return ((<u64>load<u16>(at)) << 32) | (<u64>(at + 2));
  }

  /** The version of a tag; "" if it has none. */
  target(tag: string): string {
    const i = this.tags.lastIndexOf(tag);
    return i < 0 ? "" : this.targets[i];
  }

  /** The row of a version; -1 if it has none. */
  row(version: string): i32 {
    for (let i = 0; i < this.count; i++) if (is(this.at(i, VERSION), version)) return i;
    return -1;
  }

  /** Whether a row's version has one of the tags that become instances. */
  isTagged(row: i32): bool {
    for (let i = 0; i < this.wanted.length; i++) if (is(this.at(row, VERSION), this.target(this.wanted[i]))) return true;
    return false;
  }

  /** When a row's version was published; 0: nobody said. */
  time(row: i32): i64 {
    const h = hash(this.at(row, VERSION));
    return this.times.has(h) ? max(this.times.get(h), 0) : 0;
  }

  /** The rows, the newest first. */
  newest(): i32[] {
    const keys: u64[] = [];
    for (let i = 0; i < this.count; i++) keys.push(((<u64>this.time(i)) << 20) | i);
    keys.sort((a, b) => (a < b ? 1 : a > b ? -1 : 0));
    return keys.map<i32>((key) => <i32>(key & 0xfffff));
  }
}

/** FNV-1a, of 64 bits. */
function hash(t: Text): u64 {
  let h: u64 = 14695981039346656037;
  for (let i: u32 = 0; i < length(t); i++) h = (h ^ <u64>load<u8>((<u32>t) + i)) * 1099511628211;
  return h;
}
