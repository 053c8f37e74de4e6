#include "{{name}}.c"

#include "edgecache_test.h"

int main(void) {
	if (ec_start() != 0) return 1;
	ec_test_begin("web", 3);
	ec_test_attribute("gold");
	ec_test_instance("w1", "", 1, (const char *[]){"gold"});
	ec_test_instance("w2", "", 1, (const char *[]){"silver"});
	ec_test_instance("w3", "", 1, (const char *[]){0});
	ec_test_equal("only the tier that is asked for", ec_test_decide(), "0");
}
