// Reads the bytes of JSON, in chunks: strings, numbers and words. Reader, in json.ts,
// knows where in the document they are. One long file: its parts share the chunk.
import { Writer } from "./bytes";

const CHUNK: u32 = 64 << 10;

/** Where bytes come from. */
export abstract class Source {
  /** Reads so many bytes at most; 0: that was all; or a code. */
  abstract read(buffer: usize, capacity: u32): i32;
}

/** How many levels a document may have. */
export const DEPTH = 64;

/** What comes next in an object or a list that is passed. */
const enum State {
  Value,
  FirstValue, // or its end
  Key,
  FirstKey, // or its end
  Next, // a comma, or its end
}

/** What a byte may begin. */
const enum Class {
  None,
  Space,
  Quote,
  Comma,
  Open,
  Close,
  Scalar,
  End, // of a chunk
}

const CLASSES: usize = classes();

function classes(): usize {
  const table = memory.data(256);
  classify(table, " \t\r\n", Class.Space);
  classify(table, '"', Class.Quote);
  classify(table, ",", Class.Comma);
  classify(table, "[{", Class.Open);
  classify(table, "]}", Class.Close);
  classify(table, "-0123456789tfn", Class.Scalar);
  classify(table, "\0", Class.End);
  return table;
}

function classify(table: usize, bytes: string, c: Class): void {
  for (let i = 0; i < bytes.length; i++) store<u8>(table + bytes.charCodeAt(i), <u8>c);
}

/** What reads bytes. */
export abstract class Scanner {
  /** What was wrong; "": nothing. */
  error: string = "";
  /** The code of that. */
  code: i32 = 0;
  protected pos: usize;
  protected scratch: Writer = new Writer(256); // the last number
  protected ready: bool = true; // the value was not taken
  private chunk: ArrayBuffer = new ArrayBuffer(CHUNK + 8);
  private stop: usize;
  private before: u64 = 0; // bytes of chunks that were
  private kept: Writer | null = null;
  private keptFrom: usize = 0;

  constructor(private source: Source) {
    this.pos = this.stop = changetype<usize>(this.chunk);
  }

  /** Where the value is, as in "a.b[1]". */
  protected abstract path(): string;

  /** Says that the value is wrong, and ends it. */
  fail(why: string, code: i32 = -5): void {
    if (this.code != 0) return;
    const path = this.path();
    this.error = path == "" ? why : path + ": " + why;
    this.code = code;
    this.pos = this.stop;
  }

  /** From here on what is read is appended to a writer too, as it stands, until
   *  keep(null). */
  keep(into: Writer | null): void {
    if (into !== null) this.space();
    const w = this.kept;
    if (w !== null) w.append(this.keptFrom, <u32>(this.pos - this.keptFrom));
    this.kept = into;
    this.keptFrom = this.pos;
  }

  /** Says that it is no JSON. */
  protected broken(expected: string): bool {
    const c = this.peek();
    let found = "its end";
    if (c >= 0x20 && c < 0x7f) found = '"' + String.fromCharCode(c) + '"';
    else if (c >= 0) found = "byte " + c.toString();
    const at = this.before + (this.pos - changetype<usize>(this.chunk));
    this.fail("JSON, byte " + at.toString() + ": " + expected + ", found " + found);
    return false;
  }

  /** Reads a string into a writer, if there is one. */
  protected quoted(into: Writer | null, most: u32): bool {
    const from = this.pos + 1;
    const at = plain(from);
    const n = <u32>(at - from);
    this.ready = false;
    if (load<u8>(at) != 0x22 || n > most) {
      this.pos = from;
      return this.pieces(into, most);
    }
    if (into !== null) into.append(from, n);
    this.pos = at + 1;
    return true;
  }

  /** Reads a string that is not all there, or not as it stands. */
  private pieces(into: Writer | null, most: u32): bool {
    let read: u32 = 0;
    let c: i32 = 0;
    while (c != 0x22) {
      const from = this.pos;
      this.pos = plain(from);
      read += <u32>(this.pos - from);
      if (into !== null) {
        if (read > most) {
          this.fail("a string of at most " + most.toString() + " bytes expected", -6);
          return false;
        }
        into.append(from, <u32>(this.pos - from));
      }
      c = this.peek();
      if (c < 0x20) return this.broken('" expected');
      if (c == 0x5c) {
        this.pos++;
        read++;
        if (!this.escaped(into)) return false;
      }
    }
    this.pos++;
    return true;
  }

  /** Passes an object or a list, which has so many levels at most. Most of a document
   *  is passed here. */
  protected pass(levels: i32): bool {
    let lists: u64 = 0; // a bit for each level, the innermost in bit 0
    let level = 0;
    let state = State.Value;
    do {
      const list = (lists & 1) != 0;
      const c = <i32>load<u8>(this.pos);
      // A table of jumps, for fuel is counted by what is jumped to.
      switch (<i32>load<u8>(CLASSES + c)) {
        case Class.Space:
          this.pos++;
          break;
        case Class.Quote:
          if (state == State.Next || !this.quoted(null, u32.MAX_VALUE)) return this.unexpected(state, list);
          if (state <= State.FirstValue) {
            state = State.Next;
            break;
          }
          if (this.space() != 0x3a) return this.broken("a colon expected");
          this.pos++;
          state = State.Value;
          break;
        case Class.Comma:
          if (state != State.Next) return this.unexpected(state, list);
          this.pos++;
          state = list ? State.Value : State.Key;
          break;
        case Class.Open:
          if (state > State.FirstValue) return this.unexpected(state, list);
          if (++level > levels) return this.deep();
          this.pos++;
          lists = (lists << 1) | (c == 0x5b ? 1 : 0);
          state = c == 0x5b ? State.FirstValue : State.FirstKey;
          break;
        case Class.Close:
          if (c != (list ? 0x5d : 0x7d) || state == State.Value || state == State.Key) return this.unexpected(state, list);
          this.pos++;
          lists >>= 1;
          level--;
          state = State.Next;
          break;
        case Class.Scalar:
          if (state > State.FirstValue || !this.scalar(c)) return this.unexpected(state, list);
          state = State.Next;
          break;
        case Class.End:
          if (this.pos < this.stop || !this.fill()) return this.unexpected(state, list);
          break;
        default:
          return this.unexpected(state, list);
      }
    } while (level > 0);
    this.ready = false;
    return true;
  }

  private unexpected(state: State, list: bool): bool {
    if (state == State.Next) return this.broken(list ? "a comma or ] expected" : "a comma or } expected");
    return this.broken(state <= State.FirstValue ? "a value expected" : "a key expected");
  }

  protected deep(): bool {
    this.fail("more than " + DEPTH.toString() + " levels");
    return false;
  }

  /** Passes a number or a word, which begins so. */
  protected scalar(c: i32): bool {
    if (c == 0x74) return this.literal("true");
    if (c == 0x66) return this.literal("false");
    if (c == 0x6e) return this.literal("null");
    return c == 0x2d || (c >= 0x30 && c <= 0x39) ? this.digits() : this.broken("a value expected");
  }

  /** Reads what comes after a backslash. */
  protected escaped(into: Writer | null): bool {
    const c = this.peek();
    let rune: i32 = -1;
    if (c == 0x22 || c == 0x5c || c == 0x2f) rune = c;
    else if (c == 0x62) rune = 8;
    else if (c == 0x66) rune = 12;
    else if (c == 0x6e) rune = 10;
    else if (c == 0x72) rune = 13;
    else if (c == 0x74) rune = 9;
    if (rune < 0 && c != 0x75) return this.broken('one of "\\/bfnrtu expected');
    this.pos++;
    if (rune < 0) return this.units(into);
    if (into !== null) into.byte(rune);
    return true;
  }

  /** Reads what comes after \u, with the other half of a surrogate. */
  protected units(into: Writer | null): bool {
    let unit = this.hex();
    while (unit >= 0 && (unit & 0xfc00) == 0xd800) {
      if (this.peek() != 0x5c) break;
      this.pos++;
      if (this.peek() != 0x75) {
        if (into !== null) into.rune(unit);
        return this.escaped(into);
      }
      this.pos++;
      const low = this.hex();
      const pair = low >= 0 && (low & 0xfc00) == 0xdc00;
      if (!pair && into !== null) into.rune(unit);
      unit = pair ? 0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff) : low;
    }
    if (unit >= 0 && into !== null) into.rune(unit);
    return unit >= 0;
  }

  protected hex(): i32 {
    let unit = 0;
    for (let i = 0; i < 4; i++) {
      const c = this.peek();
      const digit = c >= 0x30 && c <= 0x39 ? c - 0x30 : (c | 32) >= 0x61 && (c | 32) <= 0x66 ? (c | 32) - 0x57 : -1;
      if (digit < 0) {
        this.broken("four hexadecimal digits expected");
        return -1;
      }
      unit = (unit << 4) | digit;
      this.pos++;
    }
    return unit;
  }

  /** Reads a number into scratch. */
  protected digits(): bool {
    const w = this.scratch;
    w.clear();
    if (this.peek() == 0x2d) this.take(w);
    if (this.peek() == 0x30) this.take(w);
    else if (!this.run(w)) return false;
    if (this.peek() == 0x2e) {
      this.take(w);
      if (!this.run(w)) return false;
    }
    if ((this.peek() | 32) == 0x65) {
      this.take(w);
      if (this.peek() == 0x2b || this.peek() == 0x2d) this.take(w);
      if (!this.run(w)) return false;
    }
    this.ready = false;
    return true;
  }

  protected run(w: Writer): bool {
    const from = w.size;
    for (let c = this.peek(); c >= 0x30 && c <= 0x39; c = this.peek()) this.take(w);
    return w.size > from ? true : this.broken("a digit expected");
  }

  protected take(w: Writer): void {
    if (w.size == 512) this.fail("a number of at most 512 digits expected");
    w.byte(this.peek());
    this.pos++;
  }

  protected literal(word: string): bool {
    for (let i = 0; i < word.length; i++) {
      if (this.peek() != word.charCodeAt(i)) return this.broken(word + " expected");
      this.pos++;
    }
    this.ready = false;
    return true;
  }

  /** The next byte that is no space; -1: there is none. */
  // @ts-ignore: decorator
  @inline
  protected space(): i32 {
    let c = <i32>load<u8>(this.pos);
    if (c == 0x20) c = <i32>load<u8>(++this.pos); // one is usual
    return c > 0x20 ? c : this.spaces();
  }

  protected spaces(): i32 {
    let c = this.peek();
    while (c == 0x20 || c == 0x0a || c == 0x0d || c == 0x09) {
      this.pos++;
      c = this.peek();
    }
    return c;
  }

  // @ts-ignore: decorator
  @inline
  protected peek(): i32 {
    return this.pos < this.stop || this.fill() ? <i32>load<u8>(this.pos) : -1;
  }

  protected fill(): bool {
    if (this.code != 0) return false;
    const start = changetype<usize>(this.chunk);
    const w = this.kept;
    if (w !== null) w.append(this.keptFrom, <u32>(this.stop - this.keptFrom));
    this.before += this.stop - start;
    this.pos = this.stop = this.keptFrom = start;
    const n = this.source.read(start, CHUNK);
    if (n < 0) this.fail("the answer broke off after " + this.before.toString() + " bytes", n);
    else this.stop = start + n;
    store<u64>(this.stop, 0);
    return n > 0;
  }
}

/** Where the first byte is that ends a string or is escaped in it: there is one, for
 *  zeros follow each chunk. */
// @ts-ignore: decorator
@inline
function plain(at: usize): usize {
  let ends: u64 = 0;
  while (true) {
    const x = load<u64>(at);
    const quote = x ^ 0x2222222222222222;
    const slash = x ^ 0x5c5c5c5c5c5c5c5c;
    // The lowest byte whose upper bit stays is right; those above it may not be.
    ends = (((x - 0x2020202020202020) & ~x) | ((quote - 0x0101010101010101) & ~quote) | ((slash - 0x0101010101010101) & ~slash)) & 0x8080808080808080;
    if (ends != 0) break;
    at += 8;
  }
  return at + <usize>(ctz(ends) >> 3);
}
