#include "tenant.c"

#include "edgecache_test.h"

static void call(const char *tenant) {
	ec_test_begin("billing", 3);
	ec_test_attribute(tenant);
	ec_test_instance("everybodys", "", 1, (const char *[]){0});
	ec_test_instance("acme", "", 1, (const char *[]){"acme"});
	ec_test_instance("empty", "", 1, (const char *[]){""});
}

int main(void) {
	if (ec_start() != 0) return 1;
	call("acme");
	ec_test_equal("one's own", ec_test_decide(), "0 1");
	call(0);
	ec_test_equal("no header", ec_test_decide(), "deny 403 x-tenant: the name of a tenant expected");

	ec_test_config = (const char *[]){"/missing", "public", 0};
	if (ec_start() != 0) return 1;
	call(0);
	ec_test_equal("no header, public", ec_test_decide(), "0");
	call(0);
	((ec_frame *)ec_memory)->flags = 1 << 4;
	ec_test_equal("a header that is too long", ec_test_decide(), "deny 403 x-tenant: a name of at most 4096 bytes expected");
	ec_test_begin("billing", 1);
	ec_test_attribute("blue");
	ec_test_instance("acme", "", 1, (const char *[]){"acme"});
	ec_test_equal("others' only", ec_test_decide(), "deny 403 x-tenant: this service has instances for other tenants only");

	ec_test_config = (const char *[]){"/missing", "a word that is too long for it", 0};
	if (ec_start() == 0) return 1;
	ec_test_equal("a configuration that is wrong", ec_test_said, "missing: deny or public expected");
}
