// {{name}}: an adapter that asks a registry which answers
//
//   GET {url}/{service}  [{"id": "a", "host": "10.0.0.1", "port": 8080, "zone": "z1"}]
//   GET {url}/           ["db", "web"]
import {
  Answer, Code, NOT_FOUND, NOT_MODIFIED, Poll, Reader, Record, Response, adapter, codeName, config, error, failed, found, http, listed, mark, release,
} from "./pdk/as/adapter";
export { ec_abi, ec_init, ec_list, ec_lookup, ec_poll, edgecache_abi_v1 } from "./pdk/as/adapter";

const PAUSE = 10_000; // ms between two polls

let url = "";

adapter(start, lookup, list, poll);

function start(): bool {
  const address = config("/url");
  if (address === null || !(address.startsWith("http://") || address.startsWith("https://"))) {
    error("url: the registry's address expected, as in http://10.0.0.5:8080");
    return false;
  }
  url = address;
  while (url.endsWith("/")) url = url.substring(0, url.length - 1);
  return true;
}

/** Looks a name up. held is the version that edgecache has, if it has one. */
function lookup(name: string, held: string | null): Answer {
  const answer = get(http.escape(name), held);
  if (answer.status == 304 && held !== null) return NOT_MODIFIED;
  if (answer.status == 404) return NOT_FOUND;
  const record = new Record(name);
  const code = read(answer, http.escape(name), record);
  return code == 0 ? found(record, answer.header("ETag")) : code;
}

function list(cursor: string | null): Answer {
  const names: string[] = [];
  const code = readNames(names);
  return code == 0 ? listed(names) : code;
}

/** Reads everything again. */
function poll(poll: Poll): i32 {
  const names: string[] = [];
  const code = readNames(names);
  if (code != 0) return code;
  poll.again(); // what follows is all there is
  for (let i = 0; i < names.length; i++) {
    const before = mark();
    const answer = get(http.escape(names[i]));
    if (answer.status != 404) {
      const record = new Record(names[i]);
      const code = read(answer, http.escape(names[i]), record);
      if (code != 0) return code;
      poll.upsert(names[i], record);
    }
    answer.close();
    release(before);
  }
  poll.next("all");
  return PAUSE;
}

function get(path: string, held: string | null = null): Response {
  const request = http.request("GET", url + "/" + path);
  if (held !== null) request.header("If-None-Match", held);
  return request.send();
}

/** Says why there is no answer 200. */
function refused(answer: Response, path: string): Answer {
  const what = "GET " + url + "/" + path + ": ";
  if (answer.status == 0) return failed(answer.code, what + codeName(answer.code));
  return failed(Code.Unavailable, what + "status " + answer.status.toString());
}

/** Reads an answer's instances into a record. */
function read(answer: Response, path: string, record: Record): Answer {
  if (answer.status != 200) return refused(answer, path);
  const json = new Reader(answer);
  json.array();
  while (json.next()) {
    let id = "", host = "", zone = "", port: i64 = 0;
    json.object();
    while (json.next()) {
      if (json.null()) continue;
      if (json.is("id")) id = json.string();
      else if (json.is("host")) host = json.string();
      else if (json.is("port")) port = json.integer(0, 65535);
      else if (json.is("zone")) zone = json.string();
    }
    if (host == "") json.fail("host: a name or an address expected");
    const instance = record.instance(id).address(host).port(<u32>port);
    if (zone != "") instance.zone(zone);
  }
  return json.end() ? 0 : failed(json.code, "GET " + url + "/" + path + ": " + json.error);
}

function readNames(names: string[]): Answer {
  const answer = get("");
  if (answer.status != 200) return refused(answer, "");
  const json = new Reader(answer);
  json.array();
  while (json.next()) names.push(json.string());
  const well = json.end();
  answer.close();
  return well ? 0 : failed(json.code, "GET " + url + "/: " + json.error);
}
