// Requests that an adapter sends, and what the host's functions return.
import { Writer, copy } from "./bytes";
import { Reader } from "./json";
import { Source } from "./scan";

@external("edgecache_v1", "http_send")
declare function hostSend(head: usize, headLength: u32, body: usize, bodyLength: u32, timeout: u32): i64;
@external("edgecache_v1", "http_status")
declare function hostStatus(handle: i64): i32;
@external("edgecache_v1", "http_header")
declare function hostHeader(handle: i64, name: usize, nameLength: u32, buffer: usize, capacity: u32): i32;
@external("edgecache_v1", "http_read")
declare function hostRead(handle: i64, buffer: usize, capacity: u32): i32;
@external("edgecache_v1", "http_close")
declare function hostClose(handle: i64): i32;

/** What the host's functions return, and an adapter fails with. */
export enum Code {
  Ok = 0,
  NotFound = -1,
  /** Connection refused or broken, a DNS failure. */
  Unavailable = -2,
  /** The deadline or timeout is over. */
  Timeout = -3,
  /** The operator did not allow it. */
  Denied = -4,
  Invalid = -5,
  TooLarge = -6,
  Internal = -7,
  Unsupported = -8,
  RateLimited = -9,
  Closed = -10,
}

const NAMES: StaticArray<string> = [
  "ok", "not found", "unavailable", "timeout", "denied", "invalid", "too large", "internal", "unsupported", "rate limited", "closed",
];

/** A code, in words. */
export function codeName(code: i32): string {
  return code <= 0 && code > -NAMES.length ? NAMES[-code] : "code " + code.toString();
}

export namespace http {
  /** A request, to be sent. */
  export function request(method: string, url: string): Request {
    return new Request(method, url);
  }

  /** Text as a segment of a path or a value of a query: what is not a-z, 0-9 or one of
   *  -._~@ is escaped. */
  export function escape(text: string): string {
    const b = Uint8Array.wrap(String.UTF8.encode(text));
    const w = new Writer(2 * b.length);
    for (let i = 0; i < b.length; i++) {
      const c = <i32>b[i];
      const letter = (c | 32) >= 0x61 && (c | 32) <= 0x7a;
      if (letter || (c >= 0x30 && c <= 0x39) || c == 0x2d || c == 0x2e || c == 0x5f || c == 0x7e || c == 0x40) w.byte(c);
      else w.add("%" + (c < 16 ? "0" : "") + c.toString(16).toUpperCase());
    }
    return copy(w.text);
  }
}

/** A request that is made. */
export class Request {
  private head: Writer = new Writer(256);
  private content: ArrayBuffer = new ArrayBuffer(0);
  private ms: u32 = 0;
  private wrong: bool;

  constructor(method: string, url: string) {
    this.wrong = broken(method) || broken(url);
    this.head.add(method + " " + url + "\n");
  }

  /** Adds a header. ${secret.NAME} in its value becomes that secret. */
  header(name: string, value: string): Request {
    this.wrong = this.wrong || broken(name) || broken(value);
    this.head.add(name + ": " + value + "\n");
    return this;
  }

  body(text: string): Request {
    this.content = String.UTF8.encode(text);
    return this;
  }

  /** How long it may take, in milliseconds; 0, the default: until the deadline. */
  timeout(ms: u32): Request {
    this.ms = ms;
    return this;
  }

  /** Sends it, and waits until the answer's head is there. */
  send(): Response {
    if (this.wrong) return new Response(Code.Invalid);
    const b = this.content;
    return new Response(hostSend(this.head.base, this.head.size, changetype<usize>(b), b.byteLength, this.ms));
  }
}

/** Whether a line would end in it. */
function broken(s: string): bool {
  for (let i = 0; i < s.length; i++) {
    const c = s.charCodeAt(i);
    if (c < 0x20 && c != 0x09) return true;
  }
  return false;
}

/** An answer, or why there is none. All are closed when the call ends. */
export class Response extends Source {
  /** Why there is none, or why reading its body failed; 0: all is well. */
  code: i32 = 0;
  /** Its status; 0: there is no answer. */
  status: i32 = 0;

  constructor(private handle: i64) {
    super();
    if (handle > 0) this.status = hostStatus(handle);
    else this.code = handle == 0 ? <i32>Code.Internal : <i32>handle;
  }

  /** A header, its values joined by LF; null: there is none. */
  header(name: string): string | null {
    const key = String.UTF8.encode(name);
    const at = changetype<usize>(key);
    let b = new ArrayBuffer(512);
    let n = hostHeader(this.handle, at, key.byteLength, changetype<usize>(b), 512);
    if (n > 512) {
      b = new ArrayBuffer(n);
      n = hostHeader(this.handle, at, key.byteLength, changetype<usize>(b), n);
    }
    return n < 0 ? null : String.UTF8.decodeUnsafe(changetype<usize>(b), n);
  }

  /** What Cache-Control says of max-age, in milliseconds; -1: nothing. */
  maxAge(): i64 {
    const control = this.header("Cache-Control");
    if (control === null) return -1;
    const parts = control.replaceAll("\n", ",").split(",");
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i].trim();
      if (part.length < 9 || part.length > 17 || !like(part.substring(0, 8), "max-age=")) continue;
      const json = Reader.of(part.substring(8));
      const seconds = json.integer(0, 999_999_999);
      if (json.end()) return 1000 * seconds;
    }
    return -1;
  }

  /** Reads so many bytes at most of the body; 0: that was all; or a code. */
  read(buffer: usize, capacity: u32): i32 {
    if (this.code != 0) return this.code;
    const n = hostRead(this.handle, buffer, capacity);
    if (n < 0) this.code = n;
    return n;
  }

  /** All of the body; null if it has more bytes, or reading it failed: see code. */
  bytes(most: u32 = 1 << 20): ArrayBuffer | null {
    let b = new ArrayBuffer(min(most + 1, 16 << 10));
    let n: u32 = 0;
    let got = this.read(changetype<usize>(b), b.byteLength);
    while (got > 0) {
      n += got;
      if (n > most) {
        this.code = Code.TooLarge;
        return null;
      }
      if (n == b.byteLength) {
        const more = new ArrayBuffer(min(most + 1, 2 * n));
        memory.copy(changetype<usize>(more), changetype<usize>(b), n);
        b = more;
      }
      got = this.read(changetype<usize>(b) + n, b.byteLength - n);
    }
    return got < 0 ? null : b.slice(0, n);
  }

  /** All of the body, likewise. */
  text(most: u32 = 1 << 20): string | null {
    const b = this.bytes(most);
    return b === null ? null : String.UTF8.decode(b);
  }

  close(): void {
    if (this.handle > 0) hostClose(this.handle);
  }
}

/** Whether two strings are the same but for ASCII's capitals. */
function like(a: string, b: string): bool {
  for (let i = 0; i < a.length; i++) if ((a.charCodeAt(i) | 32) != (b.charCodeAt(i) | 32)) return false;
  return a.length == b.length;
}
