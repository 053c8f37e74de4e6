// zone: instances in the client's zone first, or only those.
//
// Configuration: {"strict": true} drops the others where there are any in the
// zone; otherwise they follow.
import { CACHEABLE, PASS, Verdict, call, config, filter, keep } from "../../../pdk/as/edgecache";
export { ec_abi, ec_arena, ec_filter, ec_init, edgecache_abi_v1 } from "../../../pdk/as/edgecache";

// The manifest's needs.
const ZONE = 0;

let strict = false;

filter(start, decide);

function start(): bool {
  strict = config("/strict") == "true";
  return true;
}

function decide(): Verdict {
  const place = call.place(ZONE);
  if (place == 0) return PASS | CACHEABLE;
  keep.zone(place);
  if (keep.count() == 0) return PASS | CACHEABLE;
  return (strict ? keep.verdict() : keep.first()) | CACHEABLE;
}
