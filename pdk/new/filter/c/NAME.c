/* {{name}}: instances whose metadata tier is what the header x-tier says; all of
 * them without the header. */
#include "edgecache.h"

enum { HEADER_TIER }; /* the manifest's needs */
enum { META_TIER };

static int32_t ec_start(void) { return 0; }

static uint64_t ec_decide(void) {
	ec_string tier = ec_attribute(HEADER_TIER);
	if (!tier.text) return EC_PASS | EC_CACHEABLE;
	ec_keep_clear();
	for (uint32_t i = 0; i < ec_count(); i++)
		if (ec_equal(ec_meta(ec_at(i), META_TIER), tier.text, tier.length)) ec_keep_add(i);
	return ec_keep_verdict() | EC_CACHEABLE;
}
