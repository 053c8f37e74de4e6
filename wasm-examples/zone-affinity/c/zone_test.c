#include "zone.c"

#include "edgecache_test.h"

static void call(const char *zone) {
	ec_test_begin("web", 4);
	ec_test_attribute(zone);
	ec_test_instance("w1", "eu-1a", 0, 0);
	ec_test_instance("w2", "eu-1b", 0, 0);
	ec_test_instance("w3", "", 0, 0);
	ec_test_instance("w4", "eu-1b", 0, 0);
}

int main(void) {
	ec_start();
	call("eu-1b");
	ec_test_equal("instances of the client's zone are first", ec_test_decide(), "1 3 0 2");
	call("us-1a");
	ec_test_equal("a zone without instances", ec_test_decide(), "0 1 2 3");

	ec_test_config = (const char *[]){"/strict", "true", 0};
	ec_start();
	call("eu-1b");
	ec_test_equal("strict drops the others", ec_test_decide(), "1 3");
	call(0);
	ec_test_equal("nothing is dropped without a zone", ec_test_decide(), "0 1 2 3");
}
