/* zone: instances in the client's zone first, or only those.
 *
 * Configuration: {"strict": true} drops the others where there are any in the
 * zone; otherwise they follow. */
#include "edgecache.h"

enum { ZONE }; /* the manifest's needs */

static int strict;

static int32_t ec_start(void) {
	char text[8];
	int32_t n = EC_CONFIG("/strict", text);
	strict = n == 4 && text[0] == 't';
	return 0;
}

static int near(const ec_instance *in, const void *zone) { return ec_zone_place(in) == *(const ec_place *)zone; }

static uint64_t ec_decide(void) {
	ec_place zone = ec_attribute_place(ZONE);
	if (zone == 0) return EC_PASS | EC_CACHEABLE;
	ec_keep_where(near, &zone);
	if (ec_keep_count() == 0) return EC_PASS | EC_CACHEABLE;
	return (strict ? ec_keep_verdict() : ec_keep_first()) | EC_CACHEABLE;
}
