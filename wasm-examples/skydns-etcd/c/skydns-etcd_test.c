#include "skydns-etcd.c"

#include "edgecache_adapter_test.h"

#define URL "http://etcd.test/v3/kv/range"
#define ASK "POST " URL

/* Answers of etcd are made up here: begin, key for each, then answer. */
static char made[256 << 10];
static int keys;

static void base64(const char *text) {
	static char room[8 << 10];
	ec_buffer b = {.text = room, .capacity = sizeof room};
	ec_add_base64(&b, (ec_string){text, (uint32_t)strlen(text)});
	sprintf(made + strlen(made), "%.*s", EC_P(ec_text(&b)));
}
static void begin(int revision) {
	sprintf(made, "{\"header\":{\"cluster_id\":\"77\",\"member_id\":\"1\",\"revision\":\"%d\",\"raft_term\":\"2\"}", revision);
	keys = 0;
}
static void key(const char *name, int created, int changed, const char *value) {
	strcat(made, keys++ ? ",{\"key\":\"" : ",\"kvs\":[{\"key\":\"");
	base64(name);
	sprintf(made + strlen(made), "\",\"create_revision\":\"%d\",\"mod_revision\":\"%d\",\"version\":\"1\"", created, changed);
	if (value) strcat(made, ",\"value\":\""), base64(value), strcat(made, "\"");
	strcat(made, "}");
}
static const char *end(int count, int more) {
	if (keys) strcat(made, "]");
	if (more) strcat(made, ",\"more\":true");
	if (count) sprintf(made + strlen(made), ",\"count\":\"%d\"", count);
	strcat(made, "}\n");
	return made;
}
static void answer(int count) { ec_test_answer(ASK, 200, end(count, 0)); }

static void begins(const char *what, const char *got, const char *want) {
	if (strncmp(got, want, strlen(want)) != 0) ec_test_equal(what, got, want);
}
static void has(const char *what, const char *got, const char *want) {
	if (!strstr(got, want)) ec_test_equal(what, got, want);
}

static void configured(void) {
	ec_test_equal("no url", ec_test_start(), "failed -5 url: that of etcd expected, such as http://10.0.0.5:2379");
	ec_test_config = (const char *[]){"/url", "http://etcd.test", "/poll_ms", "10", 0};
	ec_test_equal("polls too often", ec_test_start(), "failed -5 poll_ms: a whole number from 100 to 60000 expected");
	ec_test_config = (const char *[]){"/url", "http://etcd.test/", "/token", "${secret.etcd}", 0};
	ec_test_equal("configured", ec_test_start(), "ok");
}

static void found(void) {
	begin(9);
	key("/skydns/local/cluster/web/sub/s1", 2, 8, "{\"host\":\"10.9.9.9\"}");
	key("/skydns/local/cluster/web/x1", 2, 3, "{\"host\":\"10.0.0.1\",\"port\":8080,\"priority\":20,\"weight\":25,\"ttl\":60,\"text\":\"first\"}");
	key("/skydns/local/cluster/web/x2", 4, 7, "{\"host\":\"::1\",\"ttl\":30,\"group\":\"g\",\"mail\":false}");
	key("/skydns/local/cluster/web/x3", 4, 5, "{\"text\":\"for TXT only\"}");
	answer(4);
	ec_test_equal("found", ec_test_lookup("web.cluster.local", 0), "found {\"name\":\"web.cluster.local\",\"instances\":["
		"{\"id\":\"x1\",\"address\":\"10.0.0.1\",\"port\":8080,\"priority\":20,\"weight\":0.25,\"metadata\":{\"text\":\"first\"}},"
		"{\"id\":\"x2\",\"address\":\"::1\",\"priority\":10,\"metadata\":{\"group\":\"g\"}}],\"ttl_ms\":30000} version 8.4.77");
	ec_test_equal("what was asked", ec_test_body, "{\"key\":\"L3NreWRucy9sb2NhbC9jbHVzdGVyL3dlYi8=\",\"range_end\":\"L3NreWRucy9sb2NhbC9jbHVzdGVyL3dlYjA=\",\"limit\":\"1000\"}");
	ec_test_equal("by which head", ec_test_head, ASK "\nContent-Type: application/json\nAuthorization: ${secret.etcd}\n");
	ec_test_forget();

	begin(9);
	answer(4);
	ec_test_equal("held", ec_test_lookup("web.cluster.local", "8.4.77"), "not modified");
	ec_test_equal("what was asked of it", ec_test_body, "{\"key\":\"L3NreWRucy9sb2NhbC9jbHVzdGVyL3dlYi8=\",\"range_end\":\"L3NreWRucy9sb2NhbC9jbHVzdGVyL3dlYjA=\","
		"\"limit\":\"1\",\"min_mod_revision\":\"9\",\"keys_only\":true}");
	ec_test_equal("none", ec_test_lookup("web.cluster.local", 0), "not found");
	ec_test_equal("a name that no key has", ec_test_lookup("web/x.local", 0), "not found");
	ec_test_equal("an empty label", ec_test_lookup("web..local", 0), "not found");
	ec_test_forget();
}

static void modified(void) {
	const char *held[] = {"8.5.77", "8.4.78", "10.4.77", "nonsense", "8..77", 0};
	for (int i = 0; held[i]; i++) { /* a key less, another etcd, an etcd that was reset, and what is no state */
		begin(9);
		answer(4);
		begin(9);
		key("/skydns/local/web/x1", 2, 3, "{\"host\":\"a\"}");
		answer(4);
		if (i >= 3) ec_test_exchanges[0] = ec_test_exchanges[1];
		begins(held[i], ec_test_lookup("web.local", held[i]), "found {\"name\":\"web.local\",\"instances\":[{\"id\":\"x1\"");
		ec_test_forget();
	}
	begin(9);
	key("/skydns/local/web/x1", 2, 9, 0);
	answer(4);
	begin(9);
	key("/skydns/local/web/x1", 2, 9, "{\"host\":\"b\"}");
	answer(4);
	has("a key that changed", ec_test_lookup("web.local", "8.4.77"), "\"address\":\"b\"");
	ec_test_forget();
}

static void wrong(void) {
	static const struct { int status; const char *answer, *want; } cases[] = {
		{200, "<html>login</html>", "failed -5 " URL ": JSON expected, at byte 0 is \"<html>login</html>\""},
		{200, "{\"header\":{\"revision\":\"9\"", "failed -5 " URL ": JSON expected, it ends after 25 bytes"},
		{200, "", "failed -5 " URL ": JSON expected, it ends after 0 bytes"},
		{200, "[]", "failed -5 " URL ": header.revision: a number above 0 expected, found nothing"},
		{200, "{\"header\":{\"revision\":\"0\",\"cluster_id\":\"1\"}}", "failed -5 " URL ": header.revision: a number above 0 expected, found a string"},
		{200, "{\"header\":{\"revision\":9}}", "failed -5 " URL ": header.cluster_id: a string expected, found nothing"},
		{200, "{\"header\":{\"revision\":9,\"cluster_id\":\"1\"},\"kvs\":{}}", "failed -5 " URL ": kvs: a list expected, found an object"},
		{200, "{\"header\":{\"revision\":9,\"cluster_id\":\"1\"},\"kvs\":[7]}", "failed -5 " URL ": kvs[0].key: a string expected"},
		{200, "{\"header\":{\"revision\":9,\"cluster_id\":\"1\"},\"kvs\":[{\"key\":\"L\",\"create_revision\":\"1\",\"mod_revision\":\"1\"}]}", "failed -5 " URL ": kvs[0]: base64 expected"},
		{200, "{\"header\":{\"revision\":9,\"cluster_id\":\"1\"},\"kvs\":[{\"key\":\"Lz==\",\"mod_revision\":\"1\"}]}", "failed -5 " URL ": kvs[0].create_revision: a number expected"},
		{200, "{\"header\":{\"revision\":9,\"cluster_id\":\"1\"},\"kvs\":[{\"key\":\"L3g=\",\"create_revision\":\"1\",\"mod_revision\":\"1\"}]}", "failed -5 " URL ": kvs[0].key: one below /skydns/local/web/ expected"},
		{200, "{\"header\":{\"revision\":9,\"cluster_id\":\"1\"},\"more\":true}", "failed -5 " URL ": kvs: a list of some, as there are more, expected, found nothing"},
		{200, "{\"header\":{\"revision\":9,\"cluster_id\":\"1\"},\"count\":\"-1\"}", "failed -5 " URL ": count: a number expected, found a string"},
		{400, "{\"error\":\"x\",\"message\":\"etcdserver: mvcc: required revision has been compacted\",\"code\":11}", "failed -5 " URL ": status 400: etcdserver: mvcc: required revision has been compacted"},
		{401, "{\"message\":\"etcdserver: invalid auth token\"}", "failed -4 " URL ": status 401: etcdserver: invalid auth token"},
		{404, "404 page not found", "failed -5 " URL ": status 404: no message; etcd 3.4 or later expected"},
		{429, "", "failed -9 " URL ": status 429: no message"},
		{503, "{\"message\":\"etcdserver: no leader\"}", "failed -2 " URL ": status 503: etcdserver: no leader"},
		{504, "{\"message\":7}", "failed -3 " URL ": status 504: no message"},
		{302, "", "failed -5 " URL ": status 302: no message"},
	};
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		ec_test_answer(ASK, cases[i].status, cases[i].answer);
		ec_test_equal(cases[i].answer, ec_test_lookup("web.local", 0), cases[i].want);
		begins(cases[i].answer, ec_test_lookup("web.local", "8.4.77"), "failed");
		ec_test_forget();
	}
	ec_test_error(ASK, EC_UNAVAILABLE);
	ec_test_equal("down", ec_test_lookup("web.local", 0), "failed -2 " URL ": unavailable");
	ec_test_equal("down, listed", ec_test_list(), "failed -2 " URL ": unavailable");
	ec_test_equal("down, polled", ec_test_poll("7.1.77"), "failed -2 " URL ": unavailable");
	ec_test_forget();
	ec_test_answer(ASK, 200, "{\"header\":{\"revision\":\"9\",\"cluster_id\":\"77\"}}")->breaks = EC_UNAVAILABLE;
	ec_test_equal("a body that breaks off", ec_test_lookup("web.local", 0), "failed -2 " URL ": unavailable");
	ec_test_forget();
}

static void values(void) {
	static const struct { const char *value, *want; } cases[] = {
		{"not JSON", "value: a JSON object"}, {"", "value: a JSON object"}, {"[]", "value: a JSON object"},
		{"{\"host\":7}", "host: a string"}, {"{\"host\":\"10.0.0.1:80\"}", "host: a host name or an IP address"},
		{"{\"host\":\"[::1]\"}", "host: a host name or an IP address"}, {"{\"host\":\"1::2::3\"}", "host: a host name or an IP address"},
		{"{\"host\":\"a\",\"port\":\"80\"}", "port: a whole number from 0 to 65535"}, {"{\"host\":\"a\",\"port\":65536}", "port: a whole number from 0 to 65535"},
		{"{\"host\":\"a\",\"weight\":-1}", "weight: a whole number from 0 to 2147483647"}, {"{\"host\":\"a\",\"ttl\":1.5}", "ttl: a whole number from 0 to 2147483647"},
		{"{\"host\":\"a\",\"text\":[]}", "text: a string"},
	};
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		char want[256];
		begin(9);
		key("/skydns/local/web/bad", 2, 3, cases[i].value);
		answer(1);
		snprintf(want, sizeof want, "failed -5 web.local: of 1 keys none can be used; of the last one %s expected", cases[i].want);
		ec_test_equal(cases[i].value, ec_test_lookup("web.local", 0), want);
		ec_test_forget();
		begin(9);
		key("/skydns/local/web/bad", 2, 3, cases[i].value);
		key("/skydns/local/web/good", 2, 3, "{\"host\":\"a\",\"port\":null,\"else\":{}}");
		answer(2);
		ec_test_equal(cases[i].value, ec_test_lookup("web.local", 0), "found {\"name\":\"web.local\",\"instances\":[{\"id\":\"good\",\"address\":\"a\",\"priority\":10}]} version 3.2.77");
		snprintf(want, sizeof want, "3 key /skydns/local/web/bad: %s expected\n", cases[i].want);
		ec_test_equal("and told", ec_test_logged, want);
		ec_test_forget();
	}
	const char *hosts[] = {"::", "::1", "1::", "fe80::1:2", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::ffff:10.0.0.1", "1:2:3:4:5:6:1.2.3.4", "h.example.", "10.0.0.1", 0};
	for (int i = 0; hosts[i]; i++)
		if (!address((ec_string){hosts[i], (uint32_t)strlen(hosts[i])})) ec_test_equal("address", "none", hosts[i]);
	const char *none[] = {":", ":1", "1:", "1:2", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1.2.3", "::1.2.3.256", "::01.2.3.4", "12345::", "g::", "::1%e", "a b", 0};
	for (int i = 0; none[i]; i++)
		if (address((ec_string){none[i], (uint32_t)strlen(none[i])})) ec_test_equal("no address", "one", none[i]);
}

static void paged(void) {
	begin(9);
	key("/skydns/local/web/x1", 2, 3, "{\"host\":\"a\"}");
	ec_test_answer(ASK, 200, end(3, 1));
	begin(12);
	key("/skydns/local/web/x2/deep", 2, 3, "{\"host\":\"b\"}");
	ec_test_answer(ASK, 200, end(2, 1));
	begin(13);
	key("/skydns/local/web/x20", 2, 3, "{\"host\":\"c\"}");
	answer(1);
	ec_test_equal("pages", ec_test_lookup("web.local", 0), "found {\"name\":\"web.local\",\"instances\":[{\"id\":\"x1\",\"address\":\"a\",\"priority\":10},"
		"{\"id\":\"x20\",\"address\":\"c\",\"priority\":10}]} version 3.3.77");
	/* from x20, for what is below x2/ is not looked at, and of the first page's revision */
	ec_test_equal("the last page", ec_test_body, "{\"key\":\"L3NreWRucy9sb2NhbC93ZWIveDIw\",\"range_end\":\"L3NreWRucy9sb2NhbC93ZWIw\",\"limit\":\"1000\",\"revision\":\"9\"}");
	ec_test_forget();
}

static void listed(void) {
	begin(9);
	key("/skydns/", 2, 3, 0);
	key("/skydns/local", 2, 3, 0);
	key("/skydns/local/a.b/x", 2, 3, 0);
	key("/skydns/local/db/1", 2, 3, 0);
	key("/skydns/local/web/10.0.0.1", 2, 3, 0);
	ec_test_answer(ASK, 200, end(9, 1));
	begin(11);
	key("/skydns/local/web/x2", 2, 3, 0);
	key("/skydns/local/x//y", 2, 3, 0);
	key("/skydns/x", 2, 3, 0);
	answer(9);
	ec_test_equal("names", ec_test_list(), "db.local\nweb.local\nweb.local\n");
	ec_test_equal("the next page", ec_test_body, "{\"key\":\"L3NreWRucy9sb2NhbC93ZWIvMTAuMC4wLjEA\",\"range_end\":\"L3NreWRuczA=\",\"limit\":\"4000\",\"revision\":\"9\",\"keys_only\":true}");
	ec_test_forget();
	ec_test_answer(ASK, 400, "{\"message\":\"etcdserver: mvcc: required revision has been compacted\",\"code\":11}");
	ec_test_equal("compacted", ec_test_list(), "failed -5 " URL ": status 400: etcdserver: mvcc: required revision has been compacted");
	ec_test_forget();
}

#define UPSERT(name, id, host) "upsert " name " {\"name\":\"" name "\",\"instances\":[{\"id\":\"" id "\",\"address\":\"" host "\",\"priority\":10}]}\n"

static ec_test_exchange pages[2]; /* of everything */

static void polled(void) {
	begin(9);
	key("/skydns/local/a/x1", 2, 3, "{\"host\":\"a\"}");
	key("/skydns/local/b/deep/x1", 2, 3, "{\"host\":\"c\"}");
	key("/skydns/local/b/x1", 2, 3, "{\"host\":\"b\"}");
	key("/skydns/local/bad/x1", 2, 3, "nonsense");
	ec_test_answer(ASK, 200, end(6, 1));
	begin(10);
	key("/skydns/local/c/d/x1", 2, 3, "{\"host\":\"d\"}");
	key("/skydns/local/c/x1", 2, 3, "{\"host\":\"e\"}");
	answer(5);
#define ALL UPSERT("a.local", "x1", "a") UPSERT("deep.b.local", "x1", "c") UPSERT("b.local", "x1", "b") "upsert bad.local {\"name\":\"bad.local\",\"instances\":[]}\n" \
	UPSERT("d.c.local", "x1", "d") UPSERT("c.local", "x1", "e") "next 9.6.77\nwait 5000\n"
	ec_test_equal("everything", ec_test_poll(0), ALL);
	for (int i = 0; i < ec_test_exchange_count; i++) ec_test_exchanges[i].used = 0;
	memcpy(pages, ec_test_exchanges, sizeof pages);
	ec_test_forget();

	begin(9);
	answer(6);
	ec_test_equal("nothing happened", ec_test_poll("9.6.77"), "next 9.6.77\nwait 5000\n");
	ec_test_equal("what was asked", ec_test_body, "{\"key\":\"L3NreWRucy8=\",\"range_end\":\"L3NreWRuczA=\",\"limit\":\"1000\",\"min_mod_revision\":\"10\",\"keys_only\":true}");
	ec_test_forget();
	begin(15);
	key("/skydns/local/a/x1", 2, 11, 0);
	key("/skydns/local/a/x2", 12, 12, 0);
	key("/skydns/local/e/x1", 13, 13, 0);
	key("/skydns/local/f/x1", 14, 14, 0);
	answer(9);
	begin(15);
	key("/skydns/local/a/x1", 2, 11, "{\"host\":\"a\"}");
	answer(1);
	begin(16);
	answer(0);
	begin(16);
	key("/skydns/local/f/x1", 14, 14, "nonsense");
	answer(1);
	ec_test_equal("changed", ec_test_poll("9.6.77"), UPSERT("a.local", "x1", "a") "delete e.local\nnext 15.9.77\nwait 5000\n");
	ec_test_equal("read one by one", ec_test_requests == 4 ? "4" : "others", "4");
	ec_test_forget();
}

static void polled_again(void) {
	const char *cursors[] = {"8.7.77", "10.6.77", "9.6.78", "x", 0}; /* one key less, an etcd that was reset, another one, and no cursor */
	for (int i = 0; cursors[i]; i++) {
		begin(9);
		if (cursors[i][0] != 'x') answer(6);
		ec_test_exchanges[ec_test_exchange_count++] = pages[0];
		ec_test_exchanges[ec_test_exchange_count++] = pages[1];
		ec_test_equal(cursors[i], ec_test_poll(cursors[i]), "again\n" ALL);
		ec_test_forget();
	}
	begin(15); /* one was deleted and is there again, and one that was created hides that one is gone */
	key("/skydns/local/a/x1", 12, 12, 0);
	answer(6);
	ec_test_exchanges[ec_test_exchange_count++] = pages[0];
	ec_test_exchanges[ec_test_exchange_count++] = pages[1];
	ec_test_equal("gone and there", ec_test_poll("9.6.77"), "again\n" ALL);
	ec_test_forget();
}

int main(void) {
	configured();
	found();
	modified();
	wrong();
	values();
	paged();
	listed();
	polled();
	polled_again();
}
