// {{name}}: instances whose metadata tier is what the header x-tier says; all of
// them without the header.
import { CACHEABLE, NONE, PASS, Verdict, call, equal, filter, keep } from "./pdk/as/edgecache";
export { ec_abi, ec_arena, ec_filter, ec_init, edgecache_abi_v1 } from "./pdk/as/edgecache";

// The manifest's needs.
const HEADER_TIER = 0;
const META_TIER = 0;

filter(start, decide);

function start(): bool {
  return true;
}

function decide(): Verdict {
  const tier = call.attribute(HEADER_TIER);
  if (tier == NONE) return PASS | CACHEABLE;
  keep.clear();
  for (let i: u32 = 0; i < call.count; i++) {
    if (equal(call.at(i).meta(META_TIER), tier)) keep.add(i);
  }
  return keep.verdict() | CACHEABLE;
}
