// npm: a registry of npm packages answers lookups. A service's name is a package's, as
// in react or @types/node.
//
// Its versions are the package's most recent ones, by the packument's times or else in
// its order, with dist-tags as labels; its instances are the tarballs of some
// dist-tags, a tag's name being the id; its document is the package.json of latest.
//
// Configuration: {"url": "https://registry.example.com"} is the registry; {"tags":
// ["latest"]}, the default, are the tags that become instances, and whose versions are
// there whatever their age; {"versions": 50}, the default, is how many others are, 500
// at most; {"token_secret": "NPM"} is the name of a secret that is sent as a token.
//
// It cannot list, for a registry has millions of names, nor poll: both are left out of
// adapter() and of the exports.
//
// A packument that is too large for the host is not read: the tags are asked for, one
// by one, and are all its versions then.
import {
  Answer, Code, Level, NOT_FOUND, NOT_MODIFIED, Reader, Record, Request, Response, adapter, config, copy, error, failed, found, http, is, kv, length, log,
} from "../../../pdk/as/adapter";
import { DEPRECATED, FIELDS, INTEGRITY, LICENSE, NAMES, Packument, SHASUM, TARBALL, VERSION } from "./packument/packument";
export { ec_abi, ec_init, ec_lookup, edgecache_abi_v1 } from "../../../pdk/as/adapter";

const ACCEPT = "application/vnd.npm.install-v1+json";
const DAY: u32 = 24 * 3600 * 1000;

let url = "";
let secret = "";
let tags: string[] = ["latest"];
let recent: i64 = 50;
let settings = ""; // what a record depends on besides the packument

adapter(start, lookup);

function start(): bool {
  const address = config("/url");
  if (address === null || !(address.startsWith("http://") || address.startsWith("https://")) || address.includes("?")) {
    return wrong("url: the address of a registry expected, as in https://registry.example.com");
  }
  url = address;
  while (url.endsWith("/")) url = url.substring(0, url.length - 1);
  const name = config("/token_secret");
  if (name !== null) secret = name;
  const list = config("/tags");
  if (list !== null && !readTagList(list)) return wrong("tags: 1 to 12 names of tags expected");
  const count = config("/versions");
  if (count !== null) {
    const json = Reader.of(count);
    recent = json.integer(0, 500);
    if (!json.end()) return wrong("versions: " + json.error);
  }
  if (list !== null || count !== null) settings = " " + recent.toString() + " " + tags.join(",");
  return true;
}

function wrong(why: string): bool {
  error(why);
  return false;
}

function readTagList(list: string): bool {
  const json = Reader.of(list);
  tags = [];
  json.array();
  while (json.next()) tags.push(json.string(128));
  return json.end() && tags.length > 0 && tags.length <= 12 && !tags.includes("");
}

function lookup(name: string, held: string | null): Answer {
  const large = "large " + name;
  if (kv.get(large) !== null) {
    const answer = lookupTags(name);
    if (answer != NOT_FOUND) return answer;
    kv.del(large); // it is smaller now, or gone
  }
  const address = url + "/" + http.escape(name);
  const request = ask(address);
  const known = held !== null && held.endsWith('"' + settings);
  if (held !== null && known) request.header("If-None-Match", held.substring(0, held.length - settings.length));
  const answer = request.send();
  if (answer.status == 304 && known) return NOT_MODIFIED;
  if (isNone(answer)) return NOT_FOUND;
  if (answer.status != 200) return refused(address, answer);
  const p = new Packument(tags, answer.maxAge());
  const json = new Reader(answer);
  p.read(json, name);
  const well = json.end();
  if (answer.code == Code.TooLarge || p.overflow) {
    answer.close();
    kv.set(large, "1", DAY);
    const only = lookupTags(name);
    return only == NOT_FOUND ? failed(Code.TooLarge, address + ": too large, and the registry answers none of its tags " + tags.join(", ")) : only;
  }
  if (!well) return failed(json.code, address + ": " + json.error);
  if (!p.hasVersions && p.unpublished) return NOT_FOUND;
  if (!p.hasVersions) return failed(Code.Invalid, address + ": versions expected, the answer has none");
  const tag = answer.header("ETag");
  return found(record(name, p), tag === null || !tag.endsWith('"') ? null : tag + settings);
}

/** Answers with the versions of the tags alone; NOT_FOUND: the registry answers none. */
function lookupTags(name: string): Answer {
  let p: Packument | null = null;
  for (let i = 0; i < tags.length; i++) {
    const address = url + "/" + http.escape(name) + "/" + http.escape(tags[i]);
    const answer = ask(address).send();
    if (!isNone(answer)) {
      if (answer.status != 200) return refused(address, answer);
      if (p === null) p = new Packument(tags, answer.maxAge());
      const json = new Reader(answer);
      p.readOne(json, tags[i]);
      if (!json.end()) return failed(json.code, address + ": " + json.error);
    }
    answer.close();
  }
  return p === null ? NOT_FOUND : found(record(name, p));
}

function ask(address: string): Request {
  const request = http.request("GET", address).header("Accept", ACCEPT);
  return secret == "" ? request : request.header("Authorization", "Bearer ${secret." + secret + "}");
}

/** Whether the registry says that there is no such package. A page says so of an
 *  address that is no registry's. */
function isNone(answer: Response): bool {
  return answer.status == 404 && !header(answer, "Content-Type").startsWith("text/html");
}

function refused(address: string, answer: Response): Answer {
  const status = answer.status;
  if (status == 0) return failed(answer.code, "");
  let code: i32 = Code.Unavailable;
  if (status == 401 || status == 403) code = Code.Denied;
  else if (status == 429) code = Code.RateLimited;
  else if (status < 500) code = Code.Invalid;
  let why = address + ": status " + status.toString();
  if (status == 404) why += " with a page of HTML: is url a registry's?";
  else if (status > 300 && status < 400) why += " to " + header(answer, "Location");
  return failed(code, why);
}

function header(answer: Response, name: string): string {
  const value = answer.header(name);
  return value === null ? "" : value;
}

function record(name: string, p: Packument): Record {
  const r = new Record(name);
  if (p.ttl >= 0) r.ttlMs(p.ttl);
  if (p.document.size > 0 && !p.document.full) r.document(p.document);
  for (let i = 0; i < tags.length; i++) addInstance(r, p, tags[i]);
  const rows = p.newest();
  for (let i = 0; i < rows.length; i++) {
    if (i < recent || p.isTagged(rows[i])) addVersion(r, p, rows[i]);
  }
  return r;
}

function addInstance(r: Record, p: Packument, tag: string): void {
  const version = p.target(tag);
  if (version == "") return;
  const row = p.row(version);
  if (row < 0 || length(p.at(row, TARBALL)) == 0) {
    log(Level.Warn, "tag " + tag + ": version " + version + (row < 0 ? " is not there" : " has no tarball"));
    return;
  }
  const instance = r.instance(tag).url(p.at(row, TARBALL)).version(version);
  if (length(p.at(row, INTEGRITY)) > 0) instance.metadata("integrity", p.at(row, INTEGRITY));
  if (length(p.at(row, SHASUM)) > 0) instance.metadata("shasum", p.at(row, SHASUM));
}

function addVersion(r: Record, p: Packument, row: i32): void {
  const version = r.version(copy(p.at(row, VERSION)));
  if (length(p.at(row, DEPRECATED)) > 0) version.status("deprecated");
  if (p.time(row) > 0) version.updated(p.time(row));
  for (let field = LICENSE; field < FIELDS; field++) {
    if (length(p.at(row, field)) > 0) version.metadata(NAMES[field], p.at(row, field));
  }
  for (let i = 0; i < p.tags.length; i++) {
    if (is(p.at(row, VERSION), p.targets[i])) version.label(p.tags[i]);
  }
}
