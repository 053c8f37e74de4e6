import { Exchange, emitted, equal, list, lookup, poll, record, start, version } from "./pdk/as/testing-adapter";
import "./{{name}}";

const CONFIG = ["/url", "http://registry.test/"];

export function testLookup(): void {
  equal("start", start(CONFIG).toString(), "true");
  new Exchange("GET http://registry.test/web", 200, '[{"id": "a", "host": "10.0.0.1", "port": 80}]').has("ETag", '"7"');
  new Exchange("GET http://registry.test/web", 304).wants("If-None-Match", '"7"');
  new Exchange("GET http://registry.test/none", 404);
  new Exchange("GET http://registry.test/down", 503);
  equal("web", lookup("web"), "found");
  equal("record", record(), '{"name":"web","instances":[{"id":"a","address":"10.0.0.1","port":80}]}');
  equal("version", version(), '"7"');
  equal("held", lookup("web", '"7"'), "not modified");
  equal("none", lookup("none"), "not found");
  equal("down", lookup("down"), "failed -2: GET http://registry.test/down: status 503");
}

export function testAll(): void {
  start(CONFIG);
  new Exchange("GET http://registry.test/", 200, '["web"]');
  new Exchange("GET http://registry.test/web", 200, "[]");
  equal("list", list(), "web");
  equal("poll", poll(), "10000 ms, next all");
  equal("emitted", emitted(), 'again\nupsert web {"name":"web","instances":[]}\n');
}

export function testNoUrl(): void {
  equal("start", start([]).toString(), "false");
}
