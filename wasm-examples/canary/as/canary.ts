// canary: some requests get the instances that are canaries, and the others those
// that are not.
//
// The header x-canary decides if it is always or never; else a share does, by who
// asks: the same one always gets the same, at each service another share of all. An
// instance is a canary if its metadata has canary with the value true. Where there
// is none of the kind that a request is for, it gets all.
//
// Configuration: {"percent": 2.5} is the share, 0 to 100 with two decimals at most;
// 0 is the default. {"by": "address"} tells who asks by the client's address, and is
// the default; {"by": "user"} by the header x-user-id. Who cannot be told gets no
// canary.
import { CACHEABLE, NONE, PASS, Text, Verdict, byteAt, call, config, error, filter, is, keep, length } from "../../../pdk/as/edgecache";
export { ec_abi, ec_arena, ec_filter, ec_init, edgecache_abi_v1 } from "../../../pdk/as/edgecache";

// The manifest's needs.
const HEADER = 0;
const USER = 1;
const ADDRESS = 2;
const CANARY = 0; // of metadata

const ALL: u32 = 10_000; // shares

let share: u32 = 0;
let by = ADDRESS;

filter(start, decide);

function start(): bool {
  const percent = config("/percent");
  share = percent === null ? 0 : hundredths(percent);
  if (share > ALL) {
    error("percent: a number from 0 to 100 with two decimals at most expected");
    return false;
  }
  const who = config("/by");
  by = who !== null && who == "user" ? USER : ADDRESS;
  if (who !== null && who != "user" && who != "address") {
    error("by: address or user expected");
    return false;
  }
  return true;
}

/** Hundredths of a number; more than ALL if it is none. */
function hundredths(text: string): u32 {
  const point = text.indexOf(".");
  const whole = point < 0 ? text : text.substring(0, point);
  const decimals = point < 0 ? "" : text.substring(point + 1);
  if (whole.length == 0 || whole.length > 3 || decimals.length > 2 || (point >= 0 && decimals.length == 0)) return ALL + 1;
  const digits = whole + decimals.padEnd(2, "0");
  let n: u32 = 0;
  for (let i = 0; i < digits.length; i++) {
    const c = digits.charCodeAt(i);
    if (c < 48 || c > 57) return ALL + 1;
    n = n * 10 + (c - 48);
  }
  return n;
}

/** FNV-1a, of 32 bits. */
function mix(h: u32, t: Text): u32 {
  for (let i: u32 = 0; i < length(t); i++) h = (h ^ byteAt(t, i)) * 16777619;
  return h;
}

/** The share, of ALL, that someone is of. */
function place(who: Text): u32 {
  let h = mix(mix(2166136261, call.name) * 16777619, who); // a byte of zero between the two
  // FNV alone spreads the ends of addresses badly.
  h = (h ^ (h >> 16)) * 0x7feb352d;
  h = (h ^ (h >> 15)) * 0x846ca68b;
  return (h ^ (h >> 16)) % ALL;
}

function wants(): bool {
  const header = call.attribute(HEADER);
  if (is(header, "always")) return true;
  if (is(header, "never")) return false;
  const who = call.attribute(by);
  return who != NONE && length(who) > 0 && place(who) < share;
}

function decide(): Verdict {
  const canary = wants();
  keep.clear();
  for (let i: u32 = 0; i < call.count; i++) {
    if (is(call.at(i).meta(CANARY), "true") == canary) keep.add(i);
  }
  if (keep.count() == 0 || keep.count() == call.count) return PASS | CACHEABLE;
  return keep.verdict() | CACHEABLE;
}
