import {
  Answer, Code, Health, Level, NOT_FOUND, NOT_MODIFIED, Poll, Reader, Record, adapter, codeName, config, deadline, failed, found, http, kv, listed, log, mark, now, release,
} from "./adapter";
import { Exchange, chunk, clock, emitted, equal, list, logged, lookup, poll, record, requests, start, value, version } from "./testing-adapter";

const URL = "http://registry.test";

/** What an author must not do: it is gone when the call has ended. */
let kept: string = "";

adapter(
  () => config("/url") !== null,
  (name, held) => {
    if (name == "builder") return builder(name);
    if (name == "loop") return loop(name);
    if (name == "keep") return keep(name);
    if (name == "huge") return huge(name);
    if (name == "absent") return failed(Code.NotFound, "a cache said so");
    return ask(name, held);
  },
  (cursor) => (cursor === null ? listed(["a", "b"], "2") : listed(["c"])),
  follow,
);

function ask(name: string, held: string | null): Answer {
  const request = http.request("POST", URL + "/" + name).header("x-name", name).body("{}").timeout(500);
  if (held !== null) request.header("if-none-match", held);
  const answer = request.send();
  if (answer.code != 0) return failed(answer.code, "POST: " + codeName(answer.code));
  if (answer.status == 304) return NOT_MODIFIED;
  if (answer.status == 404) return NOT_FOUND;
  const tag = answer.header("ETag");
  const text = answer.text(100);
  if (text === null) return failed(answer.code, "body: " + codeName(answer.code));
  answer.close();
  log(Level.Info, name + " has " + text.length.toString() + " bytes");
  const web = new Record(name);
  web.metadata("body", text);
  return found(web, tag);
}

function builder(name: string): Answer {
  const r = new Record(name).metadata("a\"b", "c\nd").tag("t1").tags(["t2"]).ttlMs(30000).staleWhileRevalidateMs(1).staleIfErrorMs(2).noStore();
  const a = r.instance("a").address("10.0.0.1").port(80).protocol("http").tls(true).url("http://x").health(Health.Warning).weight(1.25).priority(1);
  a.endpoint("grpc").port(9090).protocol("grpc");
  a.endpoint("web").address("h").tls(true).url("https://h/");
  a.metadata("k", "v").tag("x").version("1").node("n").region("r").zone("z").tags(["y"]).registered(1769860800123);
  r.instance("b").address("::1").weight(0).registered(0);
  r.version("2").status("deprecated").label("latest").metadata("m", "n").updated(1769860800000);
  r.version("1");
  return found(r);
}

function loop(name: string): Answer {
  const pages = memory.size();
  for (let i = 0; i < 10_000; i++) {
    const at = mark();
    new Record("x").instance("y").address("z".repeat(1000));
    release(at);
  }
  return found(new Record(name).metadata("grew", (memory.size() > pages + 1).toString()));
}

function keep(name: string): Answer {
  if (kept == "") kept = "kept" + now().toString();
  return found(new Record(name).metadata("kept", kept));
}

function huge(name: string): Answer {
  const r = new Record(name);
  const text = "x".repeat(1 << 20);
  for (let i = 0; i < 5; i++) r.metadata(i.toString(), text);
  return found(r);
}

function follow(poll: Poll): i32 {
  if (poll.cursor === null) {
    poll.upsert("web", new Record("web"));
    poll.delete("db");
    kv.set("seen", "5", 1000);
  } else {
    poll.again();
    const seen = kv.get("seen");
    poll.invalidate("web" + (seen === null ? "none" : seen));
    kv.del("other");
  }
  poll.next("7");
  return deadline() / 10;
}

export function testHttp(): void {
  equal("start", start(["/url", URL]).toString(), "true");
  new Exchange("POST http://registry.test/web", 200, "aé").wants("x-name", "web").wantsBody("{}").has("etag", '"1"');
  new Exchange("POST http://registry.test/web", 304).wants("if-none-match", '"1"');
  new Exchange("POST http://registry.test/none", 404);
  new Exchange("POST http://registry.test/down").breaks(Code.Unavailable);
  new Exchange("POST http://registry.test/half", 200, "0123456789").breaks(Code.Timeout, 5);
  new Exchange("POST http://registry.test/long", 200, "0".repeat(101));
  new Exchange("POST http://registry.test/most", 200, "0".repeat(100));
  equal("found", lookup("web"), "found");
  equal("record", record(), '{"name":"web","metadata":{"body":"aé"},"instances":[]}');
  equal("version", version(), '"1"');
  equal("held", lookup("web", version()), "not modified");
  equal("none", lookup("none"), "not found");
  equal("down", lookup("down"), "failed -2: POST: unavailable");
  equal("half", lookup("half"), "failed -3: body: timeout");
  equal("long", lookup("long"), "failed -6: body: too large");
  equal("most", lookup("most"), "found");
  equal("a line break", lookup("x\nevil: 1"), "failed -5: POST: invalid");
  equal("logged", logged(), "web has 2 bytes\nmost has 100 bytes\n");
  equal("requests", requests().split("\n").length.toString(), "8");
}

export function testNotFoundIsOfTheRegistry(): void {
  equal("absent", lookup("absent"), "failed -7: a cache said so");
}

export function testBuilder(): void {
  equal("found", lookup("builder"), "found");
  equal(
    "record",
    record(),
    '{"name":"builder","ttl_ms":30000,"stale_while_revalidate_ms":1,"stale_if_error_ms":2,"no_store":true,"metadata":{"a\\"b":"c\\u000ad"},"tags":["t1","t2"],"instances":[' +
      '{"id":"a","address":"10.0.0.1","port":80,"protocol":"http","tls":true,"url":"http://x","health":"warning","weight":1.25,"priority":1,"version":"1","node":"n","region":"r","zone":"z",' +
      '"registered":"2026-01-31T12:00:00.123Z","endpoints":[{"name":"grpc","port":9090,"protocol":"grpc"},{"name":"web","address":"h","tls":true,"url":"https://h/"}],"metadata":{"k":"v"},"tags":["x","y"]},{"id":"b","address":"::1","weight":0.00,"registered":null}],' +
      '"versions":[{"version":"2","status":"deprecated","updated":"2026-01-31T12:00:00.000Z","metadata":{"m":"n"},"labels":["latest"]},{"version":"1"}]}',
  );
  equal("well", Reader.of(record()).end().toString(), "true");
  equal("value", value("/instances/1/address"), "::1");
  equal("object", value("/instances/0/metadata"), '{"k":"v"}');
  equal("huge", lookup("huge"), "failed -6: the record has more than 4 MiB");
}

export function testListAndPoll(): void {
  clock(1000);
  equal("list", list(), "a b, next 2");
  equal("next", list("2"), "c");
  equal("poll", poll(), "1000 ms, next 7");
  equal("emitted", emitted(), 'upsert web {"name":"web","instances":[]}\ndelete db\n');
  equal("poll", poll("7"), "1000 ms, next 7");
  equal("emitted", emitted(), "again\ninvalidate web5\n");
  clock(2000);
  poll("7");
  equal("over", emitted(), "again\ninvalidate webnone\n");
}

export function testMemory(): void {
  equal("start", start(["/url", URL]).toString(), "true");
  new Exchange("POST http://registry.test/web", 200, "x");
  chunk(1 << 20);
  lookup("web");
  const pages = memory.size();
  for (let i = 0; i < 2000; i++) {
    const at = mark();
    equal("found", lookup("web"), "found");
    release(at);
  }
  equal("pages", memory.size().toString(), pages.toString());
  lookup("loop");
  equal("grew", value("/metadata/grew"), "false");
}

export function testWhatIsKeptIsGone(): void {
  lookup("keep");
  const first = value("/metadata/kept");
  lookup("keep");
  equal("kept", (value("/metadata/kept") != first).toString(), "true");
}
