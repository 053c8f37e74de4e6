import { Kind, Reader, Source, Writer, copy, unixMs } from "./adapter";
import { equal } from "./testing";

export function testValues(): void {
  const json = Reader.of('{"s": "a\\u00e9\\ud83d\\ude00\\n", "n": -1.5e2, "i": 42, "t": true, "z": null, "l": [1, [2], {"x": 3}], "e": {}}');
  let seen = "";
  json.object();
  while (json.next()) {
    seen += json.key() + "=";
    if (json.is("s")) seen += json.string();
    else if (json.is("n")) seen += json.number().toString();
    else if (json.is("i")) seen += json.integer(0, 42).toString();
    else if (json.is("t")) seen += json.bool().toString();
    else if (json.is("z")) seen += json.null().toString();
    seen += " ";
  }
  equal("values", seen, "s=aé😀\n n=-150.0 i=42 t=true z=true l= e= ");
  equal("end", json.end().toString(), "true");
}

function wrong(text: string): string {
  const json = Reader.of(text);
  return json.end() ? "well" : json.error;
}

export function testWhatIsWrong(): void {
  equal("html", wrong("<html>"), 'JSON, byte 0: a value expected, found "<"');
  equal("nothing", wrong(""), "JSON, byte 0: a value expected, found its end");
  equal("half", wrong('{"a": [1, 2'), "JSON, byte 11: a comma or ] expected, found its end");
  equal("half a string", wrong('{"a": "x'), 'JSON, byte 8: " expected, found its end');
  equal("two", wrong("1 2"), 'JSON, byte 2: the end expected, found "2"');
  equal("comma", wrong("[1,]"), 'JSON, byte 3: a value expected, found "]"');
  equal("a comma in an object", wrong('{"a":1,}'), 'JSON, byte 7: a key expected, found "}"');
  equal("colon", wrong('{"a" 1}'), 'JSON, byte 5: a colon expected, found "1"');
  equal("word", wrong("nul"), "JSON, byte 3: null expected, found its end");
  equal("word", wrong("truex"), 'JSON, byte 4: the end expected, found "x"');
  equal("digit", wrong("-"), "JSON, byte 1: a digit expected, found its end");
  equal("zero", wrong("01"), 'JSON, byte 1: the end expected, found "1"');
  equal("point", wrong("1.x"), 'JSON, byte 2: a digit expected, found "x"');
  equal("escape", wrong('"\\x"'), 'JSON, byte 2: one of "\\/bfnrtu expected, found "x"');
  equal("hex", wrong('"\\u12g4"'), 'JSON, byte 5: four hexadecimal digits expected, found "g"');
  equal("control", wrong('"a\nb"'), 'JSON, byte 2: " expected, found byte 10');
  equal("deep", wrong("[".repeat(65)).endsWith("more than 64 levels").toString(), "true");
  equal("not too deep", wrong("[".repeat(64) + "]".repeat(64)), "well");
  equal("closed", wrong("[}"), 'JSON, byte 1: a value expected, found "}"');
}

export function testATypeThatIsWrong(): void {
  const json = Reader.of('{"versions": {"1.0.0": {"dist": ["x", "y"]}}}');
  equal("find", json.find("/versions/1.0.0/dist/1").toString(), "true");
  equal("number", json.integer(0, 1).toString(), "0");
  equal("error", json.error, "versions.1.0.0.dist[1]: a number expected, found a string");
  equal("next", json.next().toString(), "false");
  equal("end", json.end().toString(), "false");
  const port = Reader.of("80.5");
  port.integer(0, 65535);
  equal("whole", port.error, "80.5: a whole number from 0 to 65535 expected");
  const long = Reader.of('"12345"');
  equal("long", long.string(4), "");
  equal("why", long.error, "a string of at most 4 bytes expected");
  equal("code", long.code.toString(), "-6");
}

export function testFind(): void {
  const text = '{"a": {"b/c": [0, {"~d": "x"}]}, "e": 1}';
  const json = Reader.of(text);
  equal("find", json.find("/a/b~1c/1/~0d").toString(), "true");
  equal("value", json.string(), "x");
  equal("absent", Reader.of(text).find("/a/x").toString(), "false");
  equal("no container", Reader.of(text).find("/e/x").toString(), "false");
  equal("all", (Reader.of(text).find("") && Reader.of(text).kind() == Kind.Object).toString(), "true");
}

/** Bytes in pieces. */
class Pieces extends Source {
  private at: u32 = 0;
  constructor(
    private bytes: ArrayBuffer,
    private piece: u32,
  ) {
    super();
  }
  read(buffer: usize, capacity: u32): i32 {
    const n = min(min(capacity, this.piece), <u32>this.bytes.byteLength - this.at);
    memory.copy(buffer, changetype<usize>(this.bytes) + this.at, n);
    this.at += n;
    return n;
  }
}

export function testPieces(): void {
  const text = '{"key\\u0041": "long enough for eight \\"\\\\\\ud83d\\ude00é\\ud800x\\udc00", "list": [true, false, null, -12.5e+3], "more": {"a": {"b": "c"}}}';
  for (let piece: u32 = 1; piece < 70; piece++) {
    const json = new Reader(new Pieces(String.UTF8.encode(text), piece));
    const kept = new Writer();
    json.keep(kept);
    json.object();
    json.next();
    equal("key", json.key(), "keyA");
    equal("string", json.string(), 'long enough for eight "\\😀é�x�');
    json.next();
    json.skip();
    json.next();
    const more = new Writer();
    json.keep(null);
    json.keep(more);
    json.skip();
    json.keep(null);
    equal("kept", copy(kept.text) + copy(more.text) + "}", text.replace('"more": ', '"more":'));
    equal("end", (!json.next() && json.end()).toString(), "true");
  }
}

export function testBytesThatAreNoUtf8(): void {
  const b = Uint8Array.wrap(String.UTF8.encode('{"a": "x??yé?"}'));
  for (let i = 0; i < b.length; i++) if (b[i] == 0x3f) b[i] = 0xe2;
  const json = Reader.bytes(b.buffer);
  json.find("/a");
  equal("mended", json.string(), "x\ufffd\ufffdyé\ufffd");
}

export function testWriter(): void {
  const w = new Writer(1);
  w.quote('a"\\\n\u001fé😀' + String.fromCharCode(0xd800) + "/");
  w.rune(0x10ffff);
  w.number(-7);
  equal("escaped", copy(w.text), '"a\\"\\\\\\u000a\\u001fé😀\ufffd/"\u{10ffff}-7');
  const all = new Writer();
  for (let i = 0; i < 1000; i++) all.quote(w.text);
  equal("size", all.size.toString(), (1000 * (w.size + 10)).toString());
}

export function testTimes(): void {
  equal("z", unixMs("2026-01-31T12:00:00Z").toString(), "1769860800000");
  equal("fraction", unixMs("2026-01-31T12:00:00.1239Z").toString(), "1769860800123");
  equal("zone", unixMs("2026-01-31T13:30:00.5+01:30").toString(), "1769860800500");
  equal("west", unixMs("2026-01-31T04:00:00-08:00").toString(), "1769860800000");
  equal("leap", unixMs("2024-02-29T00:00:00Z").toString(), "1709164800000");
  const none = ["", "yesterday", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T12:00:00", "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00+0100"];
  for (let i = 0; i < none.length; i++) equal(none[i], unixMs(none[i]).toString(), "-1");
}
