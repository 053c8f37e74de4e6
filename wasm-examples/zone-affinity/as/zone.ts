// zone: instances in the client's zone first, or only those.
//
// Configuration: {"strict": true} drops the others where there are any in the
// zone; otherwise they follow.
import { CACHEABLE, Instance, PASS, Text, Verdict, call, config, equal, filter, keep } from "../../../pdk/as/edgecache";
export { ec_abi, ec_arena, ec_filter, ec_init, edgecache_abi_v1 } from "../../../pdk/as/edgecache";

// The manifest's needs.
const ZONE_HASH = 0;
const ZONE = 1;

let strict = false;

filter(start, decide);

function start(): bool {
  strict = config("/strict") == "true";
  return true;
}

// The text too: two zones may share a hash.
function near(at: Instance, hash: u32, zone: Text): bool {
  return at.zoneHash == hash && equal(at.zone, zone);
}

function decide(): Verdict {
  if (!call.hasNumber(ZONE_HASH)) return PASS | CACHEABLE;
  const hash = call.number(ZONE_HASH);
  const zone = call.attribute(ZONE);
  keep.clear();
  for (let i: u32 = 0; i < call.count; i++) {
    if (near(call.at(i), hash, zone)) keep.add(i);
  }
  if (keep.count() == 0) return PASS | CACHEABLE;
  return (strict ? keep.verdict() : keep.first()) | CACHEABLE;
}
