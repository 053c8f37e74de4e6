// A reader of JSON that takes a document as it comes, in chunks, and holds no more
// of it than what is asked for.
//
//   const json = new Reader(answer);
//   json.object();
//   while (json.next()) {
//     if (json.is("name")) name = json.string();
//     else if (json.is("tags")) tags(json);
//   } // any other member is passed
//   if (!json.end()) return failed(json.code, json.error);
//
// What is wrong ends it: next returns false, values are empty, and error says what
// was wrong, and where, as in "versions.1.0.0.dist: an object expected, found a
// string".
import { Text, byteAt, is, length } from "./edgecache";
import { Writer, copy } from "./bytes";
import { DEPTH, Scanner, Source } from "./scan";

const KEY: u32 = 4 << 10; // the longest key

/** Bytes that are there. */
class Whole extends Source {
  private at: u32 = 0;

  constructor(private bytes: ArrayBuffer) {
    super();
  }

  read(buffer: usize, capacity: u32): i32 {
    const n = min(capacity, <u32>this.bytes.byteLength - this.at);
    memory.copy(buffer, changetype<usize>(this.bytes) + this.at, n);
    this.at += n;
    return n;
  }
}

/** What a value is. None: none is there, or it is no JSON. */
export enum Kind {
  None,
  Object,
  Array,
  String,
  Number,
  Bool,
  Null,
}

const NAMES: StaticArray<string> = ["no JSON", "an object", "a list", "a string", "a number", "a boolean", "null"];

/** A reader of one document. It stands at a value, which is taken or passed. */
export class Reader extends Scanner {
  private depth: i32 = 0;
  private lists: StaticArray<bool> = new StaticArray<bool>(DEPTH + 1);
  private counts: StaticArray<u32> = new StaticArray<u32>(DEPTH + 1);
  private ends: StaticArray<u32> = new StaticArray<u32>(DEPTH + 1); // of each level's key
  private keys: Writer = new Writer(256);
  private keyFrom: u32 = 0; // the innermost
  private keySize: u32 = 0;

  constructor(source: Source) {
    super(source);
  }

  /** A reader of a string. */
  static of(s: string): Reader {
    return new Reader(new Whole(String.UTF8.encode(s)));
  }

  /** A reader of bytes. */
  static bytes(b: ArrayBuffer): Reader {
    return new Reader(new Whole(b));
  }

  /** What the value is. */
  kind(): Kind {
    if (!this.ready || this.code != 0) return Kind.None;
    const c = this.space();
    if (c == 0x7b) return Kind.Object;
    if (c == 0x5b) return Kind.Array;
    if (c == 0x22) return Kind.String;
    if (c == 0x2d || (c >= 0x30 && c <= 0x39)) return Kind.Number;
    if (c == 0x74 || c == 0x66) return Kind.Bool;
    return c == 0x6e ? Kind.Null : Kind.None;
  }

  /** Steps into an object; next goes to its members. */
  object(): bool {
    return this.expect(Kind.Object) && this.enter(false);
  }

  /** Steps into a list; next goes to its elements. */
  array(): bool {
    return this.expect(Kind.Array) && this.enter(true);
  }

  /** Goes to the next value of the object or list that it is in, and passes what was
   *  not taken; false: there is none, and it has left it. */
  next(): bool {
    if (this.ready) this.skip();
    return this.step();
  }

  /** The key of the member that it is at. It allocates. */
  key(): string {
    return copy(this.keyText());
  }

  /** The key of the member that it is at, until next. */
  keyText(): Text {
    return ((<u64>this.keySize) << 32) | (<u64>(this.keys.base + this.keyFrom));
  }

  /** Whether that is this literal, of ASCII. */
  // @ts-ignore: decorator
  @inline
  is(literal: string): bool {
    return this.keySize == <u32>literal.length && is(this.keyText(), literal);
  }

  /** Takes a string, of so many bytes at most. It allocates. */
  string(most: u32 = 64 << 10): string {
    return copy(this.text(most));
  }

  /** Takes a string, which is there until the next is taken. */
  text(most: u32 = 64 << 10): Text {
    this.scratch.clear();
    if (!this.expect(Kind.String) || !this.quoted(this.scratch, most)) this.scratch.clear();
    this.scratch.mend(0);
    return this.scratch.text;
  }

  /** Takes a number. It allocates. */
  number(): f64 {
    return this.expect(Kind.Number) && this.digits() ? F64.parseFloat(copy(this.scratch.text)) : 0;
  }

  /** Takes a whole number between two. */
  integer(least: i64, most: i64): i64 {
    if (!this.expect(Kind.Number) || !this.digits()) return 0;
    const t = this.scratch.text;
    let n: i64 = 0;
    const sign: u32 = byteAt(t, 0) == 0x2d ? 1 : 0;
    let whole = length(t) - sign <= 18;
    for (let i = sign; i < length(t); i++) {
      const c = byteAt(t, i);
      if (c < 0x30 || c > 0x39) whole = false;
      n = 10 * n + (c - 0x30);
    }
    if (sign) n = -n;
    if (whole && n >= least && n <= most) return n;
    this.fail(copy(t) + ": a whole number from " + least.toString() + " to " + most.toString() + " expected");
    return 0;
  }

  /** Takes true or false. */
  bool(): bool {
    if (!this.expect(Kind.Bool)) return false;
    const yes = load<u8>(this.pos) == 0x74;
    return this.literal(yes ? "true" : "false") && yes;
  }

  /** Takes null if that is the value. */
  null(): bool {
    return this.kind() == Kind.Null && this.literal("null");
  }

  /** Passes the value. */
  skip(): void {
    if (!this.ready || this.code != 0) return;
    const c = this.space();
    if (c == 0x22) this.quoted(null, u32.MAX_VALUE);
    else if (c == 0x7b || c == 0x5b) this.pass(DEPTH - this.depth);
    else this.scalar(c);
  }

  /** Goes to what a JSON pointer (RFC 6901) finds in the value, and never back; false:
   *  it finds nothing. */
  find(pointer: string): bool {
    const parts = pointer.split("/");
    for (let i = 1; i < parts.length; i++) {
      const part = parts[i].replaceAll("~1", "/").replaceAll("~0", "~");
      const kind = this.kind();
      if (kind != Kind.Object && kind != Kind.Array) return false;
      this.enter(kind == Kind.Array);
      let found = false;
      while (!found && this.next()) {
        found = part == (kind == Kind.Array ? (this.counts[this.depth] - 1).toString() : this.key());
      }
      if (!found) return false;
    }
    return this.kind() != Kind.None;
  }

  /** Whether all was well, and nothing comes after the document. */
  end(): bool {
    if (this.code == 0 && this.ready) this.skip();
    if (this.code == 0 && (this.depth > 0 || this.space() >= 0)) this.broken("the end expected");
    return this.code == 0;
  }

  protected path(): string {
    let path = "";
    for (let d = 1; d <= this.depth; d++) {
      if (this.lists[d]) path += "[" + (this.counts[d] - 1).toString() + "]";
      else if (this.ends[d] > this.ends[d - 1]) path += (path == "" ? "" : ".") + this.part(d);
    }
    return path;
  }

  private part(level: i32): string {
    const from = this.ends[level - 1];
    return String.UTF8.decodeUnsafe(this.keys.base + from, min(this.ends[level] - from, 64));
  }

  private expect(kind: Kind): bool {
    const found = this.kind();
    if (found == kind) return true;
    if (this.code != 0) return false;
    if (!this.ready) this.fail(NAMES[kind] + " expected, and the value was taken");
    else if (found == Kind.None) this.broken("a value expected");
    else this.fail(NAMES[kind] + " expected, found " + NAMES[found]);
    return false;
  }

  private enter(list: bool): bool {
    if (this.depth == DEPTH) return this.deep();
    this.pos++;
    const d = ++this.depth;
    unchecked((this.lists[d] = list));
    unchecked((this.counts[d] = 0));
    unchecked((this.ends[d] = this.ends[d - 1]));
    this.keySize = 0;
    this.ready = false;
    return true;
  }

  /** Goes to the next value of the innermost level, whose last one is taken. */
  private step(): bool {
    if (this.code != 0 || this.depth == 0) return false;
    const d = this.depth;
    const list = unchecked(this.lists[d]);
    let c = this.space();
    if (c == (list ? 0x5d : 0x7d)) return this.leave();
    const count = unchecked(this.counts[d]);
    if (count > 0) {
      if (c != 0x2c) return this.broken(list ? "a comma or ] expected" : "a comma or } expected");
      this.pos++;
      c = this.space();
    }
    unchecked((this.counts[d] = count + 1));
    return (this.ready = list || this.member(c));
  }

  private leave(): bool {
    this.pos++;
    const d = --this.depth;
    this.keyFrom = d > 0 ? this.ends[d - 1] : 0;
    this.keySize = this.ends[d] - this.keyFrom;
    return false;
  }

  private member(c: i32): bool {
    const d = this.depth;
    const from = unchecked(this.ends[d - 1]);
    this.keys.size = from;
    unchecked((this.ends[d] = from));
    if (c != 0x22) return this.broken("a key expected");
    if (!this.quoted(this.keys, KEY)) return false;
    this.keys.mend(from);
    const end = this.keys.size;
    unchecked((this.ends[d] = end));
    this.keyFrom = from;
    this.keySize = end - from;
    if (this.space() != 0x3a) return this.broken("a colon expected");
    this.pos++;
    return true;
  }
}
