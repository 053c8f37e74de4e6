/* tenant: a request gets the instances of its tenant, and no others.
 *
 * The header x-tenant is the tenant. An instance whose metadata has tenant is that
 * tenant's; one without is everybody's. A service that has instances for other
 * tenants only is denied with 403.
 *
 * Configuration: {"missing": "deny"} refuses requests without the header with 403,
 * and is the default; {"missing": "public"} gives them what is everybody's. */
#include "edgecache.h"

enum { TENANT }; /* the manifest's needs: its header, and its metadata */

static int public;

static int32_t ec_start(void) {
	char text[16];
	int32_t n = EC_CONFIG("/missing", text);
	ec_string missing = {text, n < 0 ? 0 : (uint32_t)n};
	public = EC_IS(missing, "public");
	if (n == -1 || public || EC_IS(missing, "deny")) return 0;
	EC_ERROR_TEXT("missing: deny or public expected");
	return 1;
}

/* An instance whose tenant is an empty string is nobody's: requests have no such
 * tenant, and to whom it belongs was not said. */
static int theirs(const ec_instance *in, ec_string tenant) {
	ec_string of = ec_meta(in, TENANT);
	return !of.text || (tenant.length > 0 && ec_equal(of, tenant.text, tenant.length));
}

static uint64_t ec_decide(void) {
	ec_string tenant = ec_attribute(TENANT);
	uint32_t n = ec_count(), kept = 0;
	if (tenant.length == 0 && ec_too_long()) return EC_DENY(403, "x-tenant: a name of at most 4096 bytes expected") | EC_CACHEABLE;
	if (tenant.length == 0 && !public) return EC_DENY(403, "x-tenant: the name of a tenant expected") | EC_CACHEABLE;
	ec_keep_clear();
	for (uint32_t i = 0; i < n; i++)
		if (theirs(ec_at(i), tenant)) {
			ec_keep_add(i);
			kept++;
		}
	if (kept == n) return EC_PASS | EC_CACHEABLE;
	if (kept > 0) return ec_keep_verdict() | EC_CACHEABLE;
	if (tenant.length == 0) return EC_DENY(403, "x-tenant: the name of a tenant expected; nothing of this service is public") | EC_CACHEABLE;
	return EC_DENY(403, "x-tenant: this service has instances for other tenants only") | EC_CACHEABLE;
}
