/* zone: instances in the client's zone first, or only those.
 *
 * Configuration: {"strict": true} drops the others where there are any in the
 * zone; otherwise they follow. */
#include "edgecache.h"

enum { ZONE_HASH, ZONE }; /* the manifest's needs */

static int strict;

static int32_t ec_start(void) {
	char text[8];
	int32_t n = EC_CONFIG("/strict", text);
	strict = n == 4 && text[0] == 't';
	return 0;
}

static int near(const ec_instance *in, uint32_t hash, ec_string zone) {
	return in->zone_hash == hash && ec_equal(ec_zone(in), zone.text, zone.length);
}

static uint64_t ec_decide(void) {
	uint32_t hash, n = ec_count(), stride = ec_call()->stride;
	if (!ec_number(ZONE_HASH, &hash)) return EC_PASS | EC_CACHEABLE;
	ec_string zone = ec_attribute(ZONE);
	ec_keep_clear();
	const unsigned char *row = (const unsigned char *)ec_at(0);
	for (uint32_t i = 0; i < n; i++, row += stride)
		if (near((const ec_instance *)row, hash, zone)) ec_keep_add(i);
	if (ec_keep_count() == 0) return EC_PASS | EC_CACHEABLE;
	return (strict ? ec_keep_verdict() : ec_keep_first()) | EC_CACHEABLE;
}
