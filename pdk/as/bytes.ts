// Bytes that are written: what the adapter kit makes records and requests of.
import { Text } from "./edgecache";

const MOST: u32 = 8 << 20; // that a Writer holds
const SLACK: u32 = 8; // that may be read behind them

/** A text as a string, which stays. It allocates. */
export function copy(t: Text): string {
  return String.UTF8.decodeUnsafe(<u32>t, <usize>(t >> 32));
}

/** Bytes of UTF-8 that grow as they are written to. */
export class Writer {
  /** How many there are. */
  size: u32 = 0;
  /** Whether there were more than 8 MiB: what is here is not all then. */
  full: bool = false;
  private buffer: ArrayBuffer;
  private capacity: u32;

  constructor(capacity: u32 = 64) {
    this.capacity = capacity;
    this.buffer = new ArrayBuffer(capacity + SLACK);
  }

  /** Where they begin, until the next one is written. */
  get base(): usize {
    return changetype<usize>(this.buffer);
  }

  /** All of them, until the next one is written. */
  get text(): Text {
    return ((<u64>this.size) << 32) | (<u64>this.base);
  }

  /** Makes it empty. */
  clear(): void {
    this.size = 0;
    this.full = false;
  }

  /** Appends bytes. */
  append(at: usize, n: u32): void {
    memory.copy(this.room(n), at, n);
    this.size += n;
  }

  /** Appends what another has. */
  write(w: Writer): void {
    this.append(w.base, w.size);
    this.full = this.full || w.full;
  }

  /** Appends a byte. */
  byte(c: u32): void {
    store<u8>(this.room(1), <u8>c);
    this.size++;
  }

  /** Appends a string, as it is. A surrogate without its other half becomes U+FFFD. */
  add(s: string): void {
    const n = s.length;
    this.reserve(3 * n);
    let at = this.base + this.size;
    const from = at;
    for (let i = 0; i < n; i++) {
      const c = <u32>s.charCodeAt(i);
      if (c < 0x80) {
        store<u8>(at++, <u8>c);
        continue;
      }
      const low = i + 1 < n ? <u32>s.charCodeAt(i + 1) : 0;
      if ((c & 0xfc00) == 0xd800 && (low & 0xfc00) == 0xdc00) {
        at += encode(at, 0x10000 + ((c & 0x3ff) << 10) + (low & 0x3ff));
        i++;
      } else {
        at += encode(at, c);
      }
    }
    this.size += <u32>(at - from);
  }

  /** Appends a code point. What is none becomes U+FFFD. */
  rune(c: u32): void {
    this.size += encode(this.room(4), c);
  }

  /** Appends a number. */
  number(n: i64): void {
    this.add(n.toString());
  }

  /** Appends a string or a Text as a string of JSON. */
  quote<T>(s: T): void {
    this.byte(0x22);
    const from = this.size;
    if (isString<T>()) this.add(<string>s);
    else this.append(<u32>(<Text>s), <u32>((<Text>s) >> 32));
    this.escape(from);
    this.byte(0x22);
  }

  /** Makes UTF-8 of what is there from a place on: bytes that are none become
   *  U+FFFD. */
  mend(from: u32): void {
    if (ascii(this.base + from, this.base + this.size)) return;
    const end = this.base + this.size;
    let at = this.base + from;
    while (at < end) {
      const n = sequence(at, end);
      if (n == 0) break;
      at += n;
    }
    if (at == end) return;
    const rest = this.cut(<u32>(at - this.base));
    const stop = changetype<usize>(rest) + rest.byteLength;
    for (let p = changetype<usize>(rest); p < stop; ) {
      const n = sequence(p, stop);
      if (n == 0) this.rune(0xfffd);
      else this.append(p, n);
      p += max(n, 1);
    }
  }

  /** Escapes what is there from a place on, as in a string of JSON. */
  private escape(from: u32): void {
    const end = this.base + this.size;
    let at = this.base + from;
    while (at < end && !special(load<u8>(at))) at++;
    if (at == end) return;
    const rest = this.cut(<u32>(at - this.base));
    for (let i = 0; i < rest.byteLength; i++) {
      const c = <u32>load<u8>(changetype<usize>(rest) + i);
      if (!special(c)) {
        this.byte(c);
      } else if (c >= 0x20) {
        this.byte(0x5c);
        this.byte(c);
      } else {
        this.add("\\u00");
        this.byte(0x30 + (c >> 4));
        this.byte((c & 15) < 10 ? 0x30 + (c & 15) : 0x57 + (c & 15));
      }
    }
  }

  /** Takes what is there from a place on. */
  private cut(from: u32): ArrayBuffer {
    const rest = this.buffer.slice(from, this.size);
    this.size = from;
    return rest;
  }

  /** Where so many more bytes can be written. */
  private room(n: u32): usize {
    if (this.size + n > this.capacity || n > MOST) this.reserve(n);
    return this.base + this.size;
  }

  /** Makes room for so many more bytes. */
  reserve(n: u32): void {
    if (n > MOST || this.size > MOST - n) {
      this.full = true;
      this.size = 0; // nobody reads it
    }
    if (this.size + n <= this.capacity) return;
    this.capacity = max(2 * this.capacity, this.size + n);
    this.buffer = changetype<ArrayBuffer>(__renew(changetype<usize>(this.buffer), this.capacity + SLACK));
  }
}

/** Whether bytes of a Writer are all ASCII. */
function ascii(at: usize, end: usize): bool {
  let high: u64 = 0;
  for (; at + 8 <= end; at += 8) high |= load<u64>(at);
  // Of the last ones, those that are behind the end are shifted out.
  if (at < end) high |= load<u64>(at) << (<u64>(8 * (8 - (end - at))));
  return (high & 0x8080808080808080) == 0;
}

// @ts-ignore: decorator
@inline
function special(c: u32): bool {
  return c < 0x20 || c == 0x22 || c == 0x5c;
}

/** Writes a code point, and returns its length. */
function encode(at: usize, c: u32): u32 {
  if ((c & 0xfffff800) == 0xd800 || c > 0x10ffff) c = 0xfffd;
  if (c < 0x80) {
    store<u8>(at, <u8>c);
    return 1;
  }
  const n: u32 = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (let i = n - 1; i > 0; i--) {
    store<u8>(at + i, <u8>(0x80 | (c & 0x3f)));
    c >>= 6;
  }
  store<u8>(at, <u8>((0xf00 >> n) | c));
  return n;
}

/** The length of the code point at a place; 0: there is none. */
function sequence(at: usize, end: usize): u32 {
  const c = <u32>load<u8>(at);
  if (c < 0x80) return 1;
  const n: u32 = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
  if (c < 0xc2 || c > 0xf4 || at + n > end) return 0;
  const least: u32 = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
  const most: u32 = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
  const second = <u32>load<u8>(at, 1);
  if (second < least || second > most) return 0;
  for (let i: u32 = 2; i < n; i++) {
    if ((load<u8>(at + i) & 0xc0) != 0x80) return 0;
  }
  return n;
}
