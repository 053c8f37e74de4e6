#include "{{name}}.c"

#include "edgecache_adapter_test.h"

#define URL "http://registry.test"

static void looks_up(void) {
	ec_test_answer("GET " URL "/web", 200, "[{\"id\": \"a\", \"host\": \"10.0.0.1\", \"port\": 80}]")->headers = "etag\n\"7\"\n";
	ec_test_answer("GET " URL "/web", 304, "");
	ec_test_answer("GET " URL "/none", 404, "");
	ec_test_answer("GET " URL "/down", 503, "");
	ec_test_equal("web", ec_test_lookup("web", 0), "found {\"name\":\"web\",\"instances\":[{\"id\":\"a\",\"address\":\"10.0.0.1\",\"port\":80}]} version \"7\"");
	ec_test_equal("held", ec_test_lookup("web", "\"7\""), "not modified");
	ec_test_equal("asked with", ec_test_head, "GET " URL "/web\nIf-None-Match: \"7\"\n");
	ec_test_equal("none", ec_test_lookup("none", 0), "not found");
	ec_test_equal("down", ec_test_lookup("down", 0), "failed -2 GET " URL "/down: status 503");
}

static void tells_all(void) {
	ec_test_forget();
	ec_test_answer("GET " URL "/", 200, "[\"web\"]");
	ec_test_answer("GET " URL "/web", 200, "[]");
	ec_test_equal("list", ec_test_list(), "web\n");
	ec_test_equal("poll", ec_test_poll(0), "again\nupsert web {\"name\":\"web\",\"instances\":[]}\nnext all\nwait 10000\n");
}

int main(void) {
	ec_test_equal("no url", ec_test_start(), "failed -5 url: the registry's address expected, as in http://10.0.0.5:8080");
	ec_test_config = (const char *[]){"/url", URL "/", 0};
	ec_test_equal("start", ec_test_start(), "ok");
	looks_up();
	tells_all();
}
