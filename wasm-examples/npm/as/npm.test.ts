import { Code, mark, release } from "../../../pdk/as/adapter";
import { Exchange, chunk, equal, logged, lookup, record, requests, start, value, version } from "../../../pdk/as/testing-adapter";
import "./npm";

const WEB = "GET http://npm.test/web";

function begin(more: string[] = []): void {
  equal("start", start(["/url", "http://npm.test/"].concat(more)).toString(), "true");
}

function one(version: string, more: string = ""): string {
  return '"' + version + '":{"name":"web","version":"' + version + '"' + more + ',"dist":{"tarball":"http://npm.test/web/-/web-' + version + '.tgz","integrity":"sha512-' + version + '","shasum":"5"}}';
}

function packument(tags: string, versions: string[], more: string = ""): string {
  return '{"name":"web","dist-tags":{' + tags + '},"versions":{' + versions.join(",") + "}" + more + "}";
}

/** The versions of the record, newest first. */
function versions(): string {
  let all = "";
  for (let i = 0; value("/versions/" + i.toString() + "/version") != "none"; i++) all += " " + value("/versions/" + i.toString() + "/version");
  return all.trim();
}

export function testAPackage(): void {
  begin(["/token_secret", "NPM"]);
  new Exchange(WEB, 200, packument('"latest":"1.1.0","old":"1.0.0"', [one("1.0.0", ',"deprecated":"use 1.1"'), one("1.1.0", ',"license":"MIT"')]))
    .wants("accept", "application/vnd.npm.install-v1+json")
    .wants("authorization", "Bearer ${secret.NPM}")
    .has("etag", '"7"')
    .has("cache-control", "public, max-age=300");
  new Exchange(WEB, 304).wants("if-none-match", '"7"');
  equal("found", lookup("web"), "found");
  equal(
    "record",
    record(),
    '{"name":"web","ttl_ms":300000,"document":{"name":"web","version":"1.1.0","license":"MIT","dist":{"tarball":"http://npm.test/web/-/web-1.1.0.tgz","integrity":"sha512-1.1.0","shasum":"5"}},' +
      '"instances":[{"id":"latest","url":"http://npm.test/web/-/web-1.1.0.tgz","version":"1.1.0","metadata":{"integrity":"sha512-1.1.0","shasum":"5"}}],' +
      '"versions":[{"version":"1.1.0","metadata":{"license":"MIT","tarball":"http://npm.test/web/-/web-1.1.0.tgz","integrity":"sha512-1.1.0","shasum":"5"},"labels":["latest"]},' +
      '{"version":"1.0.0","status":"deprecated","metadata":{"tarball":"http://npm.test/web/-/web-1.0.0.tgz","integrity":"sha512-1.0.0","shasum":"5","deprecated":"use 1.1"},"labels":["old"]}]}',
  );
  equal("version", version(), '"7"');
  equal("held", lookup("web", '"7"'), "not modified");
}

export function testScopes(): void {
  begin();
  new Exchange("GET http://npm.test/@types%2Fnode", 200, '{"name":"@types/node","versions":{}}');
  equal("found", lookup("@types/node"), "found");
  equal("record", record(), '{"name":"@types/node","instances":[]}');
  new Exchange("GET http://npm.test/a%3Fb%20%C3%A9", 404);
  equal("escaped", lookup("a?b é"), "not found");
}

export function testTheMostRecent(): void {
  begin(["/versions", "2", "/tags", '["latest","old","none"]']);
  const all = [one("1.0.0"), one("9.0.0"), one("2.0.0"), one("3.0.0")];
  new Exchange(WEB, 200, packument('"latest":"3.0.0","old":"1.0.0","next":"9.0.0"', all)).has("etag", 'W/"1"');
  equal("found", lookup("web"), "found");
  equal("in its order", versions(), "3.0.0 2.0.0 1.0.0");
  equal("instances", value("/instances/1/id") + value("/instances/2"), "oldnone");
  equal("version", version(), 'W/"1" 2 latest,old,none');
  new Exchange(WEB, 304).wants("if-none-match", 'W/"1"');
  equal("held", lookup("web", version()), "not modified");
  new Exchange(WEB, 200, packument('"latest":"3.0.0"', all, ',"time":{"modified":"2026-01-01T00:00:00Z","9.0.0":"2026-03-01T00:00:00.000Z","3.0.0":"2026-02-01T00:00:00+00:00","2.0.0":"soon","1.0.0":7}'));
  equal("held by others", lookup("web", '"1"'), "found");
  equal("by time", versions(), "9.0.0 3.0.0");
  equal("updated", value("/versions/1/updated"), "2026-02-01T00:00:00.000Z");
}

export function testTagsBehindVersions(): void {
  begin();
  new Exchange(WEB, 200, '{"time":{"1.0.0":"2026-02-01T00:00:00Z"},"versions":{' + one("1.0.0") + '},"dist-tags":{"latest":"1.0.0"}}');
  equal("found", lookup("web"), "found");
  equal("label", value("/versions/0/labels/0") + value("/versions/0/updated"), "latest2026-02-01T00:00:00.000Z");
  equal("instance", value("/instances/0/id"), "latest");
  equal("document", value("/document"), "none");
}

export function testOddPackages(): void {
  begin();
  new Exchange(WEB, 200, packument('"latest":"1.0.0","beta":"2.0.0"', ['"1.0.0":{"license":{"type":"BSD","url":"x"},"deprecated":true}', one("0.9.0", ',"deprecated":false,"license":[]'), one("0.8.0", ',"deprecated":""')]));
  equal("found", lookup("web"), "found");
  equal("no tarball", value("/instances") + logged(), "[]tag latest: version 1.0.0 has no tarball\n");
  equal("license", value("/versions/2/metadata"), '{"license":"BSD","deprecated":"deprecated"}');
  equal("not deprecated", value("/versions/0/status") + value("/versions/1/status"), "nonenone");
  new Exchange("GET http://npm.test/gone", 200, '{"name":"gone","time":{"unpublished":{"name":"x"}}}');
  equal("unpublished", lookup("gone"), "not found");
  new Exchange("GET http://npm.test/long", 200, '{"versions":{"1.0.0":{"deprecated":"' + "é".repeat(600) + '"}}}');
  equal("long", lookup("long"), "found");
  equal("cut", value("/versions/0/metadata/deprecated").length.toString(), "512");
}

function fails(answer: string, status: i32 = 200): string {
  begin();
  new Exchange(WEB, status, answer).has("content-type", "text/html").has("location", "http://other.test/");
  return lookup("web");
}

export function testWhatIsWrong(): void {
  const web = "http://npm.test/web: ";
  equal("html", fails("<!DOCTYPE html>"), "failed -5: " + web + 'JSON, byte 0: a value expected, found "<"');
  equal("half", fails('{"versions":{"1.0.0":{"di'), "failed -5: " + web + 'versions.1.0.0: JSON, byte 25: " expected, found its end');
  equal("list", fails("[]"), "failed -5: " + web + "an object expected, found a list");
  equal("error", fails('{"error":"x"}'), "failed -5: " + web + "versions expected, the answer has none");
  equal("versions", fails('{"versions":[]}'), "failed -5: " + web + "versions: an object expected, found a list");
  equal("dist", fails('{"versions":{"1":{"dist":"x"}}}'), "failed -5: " + web + "versions.1.dist: an object expected, found a string");
  equal("tarball", fails('{"versions":{"1":{"dist":{"tarball":7}}}}'), "failed -5: " + web + "versions.1.dist.tarball: a string expected, found a number");
  equal("tag", fails('{"dist-tags":{"latest":null}}'), "failed -5: " + web + "dist-tags.latest: a string expected, found null");
  equal("name", fails('{"name":"db"}'), "failed -5: " + web + 'name: "db", and "web" was asked');
  equal("more", fails('{"versions":{}} x'), "failed -5: " + web + 'JSON, byte 16: the end expected, found "x"');
  equal("a page", fails("<html>", 404), "failed -5: " + web + "status 404 with a page of HTML: is url a registry's?");
  equal("moved", fails("", 302), "failed -5: " + web + "status 302 to http://other.test/");
  equal("503", fails("", 503), "failed -2: " + web + "status 503");
  equal("429", fails("", 429), "failed -9: " + web + "status 429");
  equal("403", fails("", 403), "failed -4: " + web + "status 403");
  equal("304 of nothing", fails("", 304), "failed -5: " + web + "status 304 to http://other.test/");
  begin();
  new Exchange(WEB).breaks(Code.Timeout);
  equal("timeout", lookup("web").substring(0, 9), "failed -3");
  begin();
  new Exchange(WEB, 200, packument("", [one("1.0.0")])).breaks(Code.Unavailable, 70);
  equal("broken", lookup("web"), "failed -2: " + web + "versions.1.0.0: the answer broke off after 70 bytes");
}

export function testAPackumentThatIsTooLarge(): void {
  begin(["/tags", '["latest","next","none"]']);
  new Exchange(WEB, 200, packument('"latest":"1.0.0"', [one("1.0.0")])).breaks(Code.TooLarge, 90);
  new Exchange(WEB + "/latest", 200, one("1.0.0").substring(8)).has("cache-control", "max-age=60");
  new Exchange(WEB + "/next", 200, one("1.0.0").substring(8));
  new Exchange(WEB + "/none", 404);
  equal("found", lookup("web"), "found");
  equal("versions", versions() + value("/ttl_ms") + value("/versions/0/labels"), '1.0.060000["latest","next"]');
  equal("instances", value("/instances/0/id") + value("/instances/1/id") + value("/instances/2"), "latestnextnone");
  equal("document", value("/document/version"), "1.0.0");
  equal("again", lookup("web"), "found");
  equal("it is known", requests().split(WEB + "\n").length.toString(), "2");
  new Exchange(WEB + "/latest", 404);
  new Exchange(WEB + "/next", 404);
  new Exchange(WEB, 404);
  equal("gone", lookup("web"), "not found");
  new Exchange(WEB, 200, "{").breaks(Code.TooLarge, 1);
  equal("no tags", lookup("web"), "failed -6: http://npm.test/web: too large, and the registry answers none of its tags latest, next, none");
}

export function testAConfigurationThatIsWrong(): void {
  equal("none", start([]).toString(), "false");
  equal("url", start(["/url", "npm.test"]).toString(), "false");
  equal("tags", start(["/url", "http://npm.test", "/tags", "[]"]).toString(), "false");
  equal("tags", start(["/url", "http://npm.test", "/tags", "latest"]).toString(), "false");
  equal("versions", start(["/url", "http://npm.test", "/versions", "501"]).toString(), "false");
  equal("versions", start(["/url", "http://npm.test", "/versions", "many"]).toString(), "false");
  equal("well", start(["/url", "http://npm.test", "/versions", "0"]).toString(), "true");
}

export function testMegabytes(): void {
  begin();
  chunk(1 << 20);
  const many: string[] = [];
  for (let i = 0; i < 4000; i++) many.push(one("1.0." + i.toString(), ',"dependencies":{"x":"' + "y".repeat(500) + '"}'));
  new Exchange(WEB, 200, packument('"latest":"1.0.3999"', many));
  equal("found", lookup("web"), "found");
  equal("versions", versions().substring(0, 17), "1.0.3999 1.0.3998");
  const pages = memory.size();
  for (let i = 0; i < 10; i++) {
    const at = mark();
    equal("found", lookup("web"), "found");
    release(at);
  }
  equal("pages", memory.size().toString(), pages.toString());
}
