// Runs the tests that a module in AssemblyScript exports, each in a module of its own.
import { readFile } from "node:fs/promises";

const module = await WebAssembly.compile(await readFile(process.argv[2]));
const tests = WebAssembly.Module.exports(module).filter((e) => e.name.startsWith("test"));
if (tests.length === 0) throw new Error("no tests: functions whose names begin with test expected");
let failed = 0;

const TOO_LARGE = -6, INVALID = -5, CLOSED = -10;
const HOSTS = /^(host|connection|content-length|transfer-encoding|upgrade|te|trailer|keep-alive|expect|accept-encoding|proxy-.*)$/i;

// A Host is what a module imports, and what its test says of the world.
class Host {
  memory;
  config = new Map();
  kv = new Map();
  said = "";
  pieces = 61;
  now = 1_700_000_000_000n;

  constructor() {
    this.forget();
  }

  forget() {
    this.config.clear();
    this.exchanges = [];
    this.log = "";
    this.requests = "";
    this.begin(null, null, null);
  }

  begin(name, held, cursor) {
    this.inputs = [name, null, held, cursor];
    this.outputs = [undefined, "", undefined, undefined];
    this.emits = "";
    this.open = new Map();
    this.sent = 0;
  }

  text(at, length) {
    return new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(this.memory.buffer, at >>> 0, length));
  }

  // A string of AssemblyScript: UTF-16, after its length in bytes.
  string(at) {
    if (!at) return null;
    return new TextDecoder("utf-16le").decode(new Uint8Array(this.memory.buffer, at, new Uint32Array(this.memory.buffer)[(at - 4) >> 2]));
  }

  give(text, buffer, capacity) {
    if (text === undefined || text === null) return -1;
    const bytes = new TextEncoder().encode(text);
    if (bytes.length <= capacity) new Uint8Array(this.memory.buffer).set(bytes, buffer);
    return bytes.length;
  }

  send(head, body) {
    const lines = head.split("\n");
    if (lines.pop() !== "" || !/^[A-Z]+ https?:\/\/[^ ]+$/.test(lines[0])) return BigInt(INVALID);
    const headers = new Map(lines.slice(1).map((line) => [line.split(": ", 1)[0].toLowerCase(), line.slice(line.indexOf(": ") + 2)]));
    if (lines.slice(1).some((line) => !/^[^: ]+: /.test(line)) || [...headers.keys()].some((name) => HOSTS.test(name))) return BigInt(INVALID);
    if (headers.size > 32 || ++this.sent > 16 || this.open.size === 4) return BigInt(TOO_LARGE);
    this.requests += lines[0] + "\n";
    const all = this.exchanges.filter((e) => e.request === lines[0]);
    const exchange = all.find((e) => !e.used) ?? all.at(-1);
    if (!exchange) throw new Error(`${lines[0]}: no such exchange`);
    exchange.used = true;
    for (const [name, value] of exchange.wants) {
      if (headers.get(name) !== value) throw new Error(`${lines[0]}: header ${name}: got ${headers.get(name)}, want ${value}`);
    }
    if (exchange.body !== undefined && body !== exchange.body) throw new Error(`${lines[0]}: body: got ${body}, want ${exchange.body}`);
    if (exchange.code && exchange.after < 0) return BigInt(exchange.code);
    this.open.set(this.sent, { exchange, at: 0 });
    return BigInt(this.sent);
  }

  read(handle, buffer, capacity) {
    const answer = this.open.get(Number(handle));
    if (!answer) return CLOSED;
    const { exchange } = answer;
    const end = exchange.code ? Math.min(exchange.after, exchange.answer.length) : exchange.answer.length;
    const piece = exchange.answer.subarray(answer.at, Math.min(answer.at + Math.min(capacity, this.pieces), end));
    if (piece.length === 0 && exchange.code) return exchange.code;
    new Uint8Array(this.memory.buffer).set(piece, buffer);
    answer.at += piece.length;
    return piece.length;
  }

  emit(op, name, text) {
    const operation = ["upsert", "delete", "invalidate", "again"][op];
    this.emits += [operation, ...(op < 3 ? [name] : []), ...(op === 0 ? [text] : [])].join(" ") + "\n";
    return 0;
  }

  get edgecache_v1() {
    return {
      log: (level, at, length) => void (this.log += this.text(at, length) + "\n"),
      error_set: (at, length) => void (this.said = this.text(at, length)),
      config_get: (key, length, buffer, capacity) => this.give(this.config.get(this.text(key, length)), buffer, capacity),
      host_features: () => 0n,
      fuel_left: () => 200_000,
      input_get: (slot, buffer, capacity) => this.give(this.inputs[slot], buffer, capacity),
      output_set: (kind, at, length) => {
        this.outputs[kind] = (kind === 1 ? this.outputs[1] : "") + this.text(at, length);
        return 0;
      },
      emit: (op, name, nameLength, at, length) => this.emit(op, this.text(name, nameLength), this.text(at, length)),
      http_send: (head, headLength, body, bodyLength, timeout) => this.send(this.text(head, headLength), this.text(body, bodyLength)),
      http_status: (handle) => this.open.get(Number(handle))?.exchange.status ?? CLOSED,
      http_header: (handle, name, length, buffer, capacity) => {
        const answer = this.open.get(Number(handle));
        return answer ? this.give(answer.exchange.has.get(this.text(name, length).toLowerCase()), buffer, capacity) : CLOSED;
      },
      http_read: (handle, buffer, capacity) => this.read(handle, buffer, capacity),
      http_close: (handle) => (this.open.delete(Number(handle)) ? 0 : CLOSED),
      kv_get: (key, length, buffer, capacity) => {
        const kept = this.kv.get(this.text(key, length));
        return kept && (kept.until === 0n || kept.until > this.now) ? this.give(kept.value, buffer, capacity) : -1;
      },
      kv_set: (key, length, value, valueLength, ttl) => {
        if (length > 256 || valueLength > 64 << 10) return TOO_LARGE;
        this.kv.set(this.text(key, length), { value: this.text(value, valueLength), until: ttl ? this.now + BigInt(ttl) : 0n });
        return 0;
      },
      kv_del: (key, length) => (this.kv.delete(this.text(key, length)), 0),
      now_ms: () => this.now,
      deadline_ms: () => 10_000,
    };
  }

  get edgecache_test() {
    const last = () => this.exchanges.at(-1);
    return {
      config: (pointer, json) => void (pointer ? this.config.set(this.string(pointer), this.string(json)) : this.forget()),
      exchange: (request, status, answer) =>
        void this.exchanges.push({ request: this.string(request), status, answer: new TextEncoder().encode(this.string(answer)), wants: [], has: new Map() }),
      wants: (name, value) => void last().wants.push([this.string(name).toLowerCase(), this.string(value)]),
      wants_body: (body) => void (last().body = this.string(body)),
      has: (name, value) => void last().has.set(this.string(name).toLowerCase(), this.string(value)),
      breaks: (code, after) => void Object.assign(last(), { code, after }),
      chunk: (bytes) => void (this.pieces = bytes),
      clock: (ms) => void (this.now = ms),
      begin: (name, held, cursor) => this.begin(this.string(name), this.string(held), this.string(cursor)),
      take: (what, buffer, capacity) => this.give(this.taken(this.string(what)), buffer, capacity),
    };
  }

  taken(what) {
    const [record, names, cursor, version] = this.outputs;
    const all = { record, names, cursor, version, emits: this.emits, error: this.said, log: this.log, requests: this.requests };
    return all[what] ?? "";
  }
}

for (const { name } of tests) {
  const host = new Host();
  const instance = await WebAssembly.instantiate(module, { edgecache_v1: host.edgecache_v1, edgecache_test: host.edgecache_test });
  host.memory = instance.exports.memory;
  host.said = "";
  try {
    instance.exports._initialize();
    instance.exports[name]();
  } catch (e) {
    failed++;
    console.error(`${name}: ${(e instanceof WebAssembly.RuntimeError && host.said) || e}\n${host.log}`.trimEnd());
  }
}
console.log(`${tests.length - failed} of ${tests.length} tests passed`);
process.exitCode = failed ? 1 : 0;
