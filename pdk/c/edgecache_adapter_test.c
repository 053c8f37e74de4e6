/* Tests of the kit for adapters itself: a small adapter that uses all of it. */
#include "edgecache_adapter.h"

static ec_string greeting;

static int32_t start(void) {
	greeting = ec_config_at("/greeting");
	return greeting.text ? 0 : ec_failed(EC_INVALID, "greeting: a text expected");
}

static int32_t lookup(ec_string name, ec_string held) {
	ec_response a;
	ec_string text, again;
	ec_request q = ec_http(EC_S("GET"), EC_S("http://registry.test/all"));
	ec_request_header(&q, EC_S("X-Name"), name);
	if (ec_kv_get(EC_S("asked"), &again) == 0) ec_request_header(&q, EC_S("X-Again"), again);
	int32_t code = ec_send(&q, &a);
	if (code) return ec_failed(code, "%s", ec_words(code));
	ec_string tag = ec_response_header(&a, EC_S("etag"));
	if ((code = ec_response_text(&a, 3000, &text))) return ec_failed(code, "the body: %s", ec_words(code));
	if (tag.text && held.text && ec_same(tag, held)) return EC_NOT_MODIFIED;
	if (a.status == 404) return EC_NOT_FOUND;
	if ((code = ec_kv_set(EC_S("asked"), name, 1000))) return code;
	ec_record r = ec_record_of(name);
	ec_record_metadata(&r, EC_S("said"), text);
	ec_record_metadata(&r, EC_S("greeting"), greeting);
	return ec_found(&r, tag);
}

EC_ADAPTER(start, lookup)

#include "edgecache_adapter_test.h"

static ec_string string(const char *text) { return (ec_string){text, (uint32_t)strlen(text)}; }

/* What a string holds, for ec_test_equal. */
static const char *shown(ec_string s) {
	static char text[1 << 16];
	snprintf(text, sizeof text, "%.*s", EC_P(s));
	return text;
}

static void calls(void) {
	ec_test_equal("no configuration", ec_test_start(), "failed -5 greeting: a text expected");
	ec_test_config = (const char *[]){"/greeting", "good morning", 0};
	ec_test_equal("configured", ec_test_start(), "ok");
	ec_test_answer("GET http://registry.test/all", 200, "all")->headers = "date\nx\netag\n\"7\"\n";
	ec_test_equal("found", ec_test_lookup("web", 0), "found {\"name\":\"web\",\"instances\":[],\"metadata\":{\"said\":\"all\",\"greeting\":\"good morning\"}} version \"7\"");
	ec_test_equal("the request", ec_test_head, "GET http://registry.test/all\nX-Name: web\n");
	ec_test_equal("held", ec_test_lookup("web", "\"7\""), "not modified");
	ec_test_equal("kept", ec_test_head, "GET http://registry.test/all\nX-Name: web\nX-Again: web\n");
	ec_kv_del(EC_S("asked"));
	ec_test_equal("a header in two lines", ec_test_lookup("web\nHost: other", 0), "failed -5 invalid");
	ec_test_forget();
	ec_test_answer(0, 404, "");
	ec_test_equal("none", ec_test_lookup("web", 0), "not found");
	ec_test_forget();
	ec_test_error(0, EC_TIMEOUT);
	ec_test_equal("slow", ec_test_lookup("web", 0), "failed -3 no answer in time");
	ec_test_forget();
	static char long_text[4000];
	memset(long_text, 'x', sizeof long_text - 1);
	ec_test_answer(0, 200, long_text);
	ec_test_equal("too large", ec_test_lookup("web", 0), "failed -6 the body: too large");
	ec_test_forget();
}

static void json(void) {
	static const char *const right[] = {"null", " true ", "false", "0", "-0", "-1.5e+10", "1E2", "\"\"", "\"\\u00e9\\ud83d\\ude00\\n\\/\"", "[]", "[ ]", "{}", "{ }",
		"[1,[2,{\"a\":[]}],3]", "{\"a\":{\"b\":{}},\"c\":[ ]}", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", 0};
	static const char *const wrong[] = {"", " ", "nul", "nulll", "tru", "01", "-", "1.", ".5", "1e", "+1", "\"", "\"\\x\"", "\"\\u12g4\"", "\"\\ud800\"", "\"\\udc00\"",
		"\"\\ud800\\u0041\"", "\"\n\"", "\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"", "[", "]", "[1", "[1,]", "[,1]", "[1 2]", "{", "{\"a\"}",
		"{\"a\":}", "{\"a\":1,}", "{a:1}", "{1:1}", "[}", "{]", "{\"a\":1]", "[1}", "1 1", "\"a\"\"b\"", "<html>", "'a'", "NaN", "\"a\" x", 0};
	ec_json v;
	for (int i = 0; right[i]; i++)
		if (!ec_json_parse(string(right[i]), &v)) ec_test_equal(right[i], "wrong", "right");
	for (int i = 0; wrong[i]; i++)
		if (ec_json_parse(string(wrong[i]), &v)) ec_test_equal(wrong[i], "right", "wrong");
	char deep[2 * EC_JSON_DEPTH + 3] = "";
	memset(deep, '[', EC_JSON_DEPTH), memset(deep + EC_JSON_DEPTH, ']', EC_JSON_DEPTH);
	if (!ec_json_parse(string(deep), &v)) ec_test_equal("deep", "wrong", "right");
	memset(deep, '[', EC_JSON_DEPTH + 1), memset(deep + EC_JSON_DEPTH + 1, ']', EC_JSON_DEPTH + 1);
	if (ec_json_parse(string(deep), &v)) ec_test_equal("too deep", "right", "wrong");

	ec_test_begin();
	ec_json_read(EC_S("answer"), EC_S("{\"a\":[1,\n2 3]}"), &v);
	ec_test_equal("where", ec_test_said, "answer: JSON expected, at byte 11 is \"3]}\"");
	ec_json_read(EC_S("answer"), EC_S("{\"a\":"), &v);
	ec_test_equal("half", ec_test_said, "answer: JSON expected, it ends after 5 bytes");
}

static void values(void) {
	ec_json v;
	ec_string s;
	int64_t n = 0;
	const char *text = " {\"a\" : [ 10 , \"t\\\"w\\u00e9\\ud83d\\ude00\\n\" , {\"b\":-0.25} ], \"a/\":1,\"\\u0063\":true, \"n\":null, \"big\":9223372036854775807,\"bigger\":9223372036854775808,\"e\":1e3} ";
	if (!ec_json_parse(string(text), &v)) exit(1);
	if (!ec_json_int(ec_json_at(v, "/a/0"), &n) || n != 10) ec_test_equal("a/0", "other", "10");
	if (!ec_json_string(ec_json_at(v, "/a/1"), &s)) ec_test_equal("a/1", "none", "a string");
	ec_test_equal("a/1", shown(s), "t\"w\xc3\xa9\xf0\x9f\x98\x80\n");
	if (!ec_json_decimal(ec_json_at(v, "/a/2/b"), 2, &n) || n != -25) ec_test_equal("a/2/b", "other", "-25");
	if (ec_json_int(ec_json_at(v, "/a/2/b"), &n) || ec_json_decimal(ec_json_at(v, "/a/2/b"), 1, &n)) ec_test_equal("a/2/b", "whole", "not");
	if (!ec_json_decimal(ec_json_at(v, "/a/0"), 3, &n) || n != 10000) ec_test_equal("a/0 in thousandths", "other", "10000");
	if (!ec_json_true(ec_json_at(v, "/c"))) ec_test_equal("c", "not true", "true");
	ec_test_equal("n", ec_json_kind(ec_json_at(v, "/n")), "null");
	ec_test_equal("x", ec_json_kind(ec_json_at(v, "/x/0/y")), "nothing");
	ec_test_equal("a/3", ec_json_kind(ec_json_at(v, "/a/3")), "nothing");
	ec_test_equal("a/b", ec_json_kind(ec_json_at(v, "/a/b")), "nothing");
	ec_test_equal("part", ec_json_kind(ec_json_part(v, EC_S("a/"))), "a number");
	if (!ec_json_int(ec_json_at(v, "/big"), &n) || n != INT64_MAX) ec_test_equal("big", "other", "9223372036854775807");
	if (ec_json_int(ec_json_at(v, "/bigger"), &n) || ec_json_int(ec_json_at(v, "/e"), &n)) ec_test_equal("bigger, e", "a number", "none");
	ec_json found[3];
	if (!ec_json_parse(EC_S("{\"ab\":1,\"a\\u0000b\":2,\"a\":3,\"a\":4}"), &found[0])) exit(1);
	ec_json_members(found[0], (const char *const[]){"a", "b", "ab"}, found, 3);
	if (!ec_json_int(found[0], &n) || n != 3 || found[1].text || !ec_json_int(found[2], &n) || n != 1) ec_test_equal("members by name", "others", "a 3, ab 1");
	uint32_t members = 0;
	for (ec_json_item item = {0}; ec_json_next(v, &item);) members = item.index + 1;
	if (members != 7) ec_test_equal("members", "others", "7");
	for (ec_json_item item = {0}; ec_json_next(ec_json_at(v, "/c"), &item);) ec_test_equal("members of true", "some", "none");
}

static void base64(void) {
	static const char *const pairs[] = {"", "", "f", "Zg==", "fo", "Zm8=", "foo", "Zm9v", "foob", "Zm9vYg==", "fooba", "Zm9vYmE=", "foobar", "Zm9vYmFy", "\xff\xfe\xfd", "//79", 0};
	static const char *const wrong[] = {"Zg", "Zg=", "Z===", "Zh==", "Zm9=", "====", "Zm9v=", "Zm-_", "Zg==Zg==", "Z g=", 0};
	char room[64];
	for (int i = 0; pairs[i]; i += 2) {
		ec_buffer b = {0};
		ec_add_base64(&b, string(pairs[i]));
		ec_test_equal(pairs[i], shown(ec_text(&b)), pairs[i + 1]);
		strcpy(room, pairs[i + 1]);
		int32_t n = ec_base64(string(room), room); /* where it is */
		ec_test_equal(pairs[i + 1], shown((ec_string){room, n < 0 ? 0 : (uint32_t)n}), pairs[i]);
	}
	for (int i = 0; wrong[i]; i++)
		if (ec_base64(string(wrong[i]), room) >= 0) ec_test_equal(wrong[i], "base64", "none");
}

static void record(void) {
	ec_json document;
	if (!ec_json_parse(EC_S("{\"own\": [1]}"), &document)) exit(1);
	ec_record r = ec_record_of(EC_S("a \"name\"\n\xff\xc3\xa9"));
	ec_record_tag(&r, EC_S("key")), ec_record_metadata(&r, EC_S("m"), EC_S("1"));
	ec_instance(&r, EC_S("i1"));
	ec_instance_tag(&r, EC_S("t1")), ec_instance_metadata(&r, EC_S("k"), EC_S("\\")), ec_instance_tag(&r, EC_S("t2")), ec_instance_metadata(&r, EC_S("l"), EC_S(""));
	ec_instance_address(&r, EC_S("10.0.0.1")), ec_instance_port(&r, 80), ec_instance_protocol(&r, EC_S("http")), ec_instance_tls(&r);
	ec_endpoint(&r, EC_S("grpc")), ec_endpoint_port(&r, 9090), ec_endpoint_protocol(&r, EC_S("grpc"));
	ec_endpoint(&r, EC_S("web")), ec_endpoint_address(&r, EC_S("h")), ec_endpoint_tls(&r), ec_endpoint_url(&r, EC_S("https://h/"));
	ec_instance_health(&r, EC_DRAINING), ec_instance_weight(&r, 5), ec_instance_priority(&r, 0), ec_instance_version(&r, EC_S("1.2"));
	ec_instance_node(&r, EC_S("n")), ec_instance_region(&r, EC_S("r")), ec_instance_zone(&r, EC_S("z")), ec_instance_registered(&r, 951825600123); /* a leap day */
	ec_instance(&r, EC_S("i2"));
	ec_instance_url(&r, EC_S("http://x/")), ec_instance_port(&r, 0), ec_instance_node(&r, EC_S("")), ec_instance_weight(&r, 1234), ec_instance_registered(&r, 4102444799999);
	ec_version(&r, EC_S("2.0"));
	ec_version_status(&r, EC_S("active")), ec_version_label(&r, EC_S("latest")), ec_version_metadata(&r, EC_S("a"), EC_S("b")), ec_version_updated(&r, 1), ec_version_document(&r, document);
	ec_version(&r, EC_S("1.0"));
	ec_record_ttl_ms(&r, 1000), ec_record_stale_while_revalidate_ms(&r, 2), ec_record_stale_if_error_ms(&r, 3), ec_record_no_store(&r), ec_record_document(&r, document);
	ec_test_equal("a record", shown(ec_record_json(&r)),
		"{\"name\":\"a \\\"name\\\"\\u000a\xef\xbf\xbd\xc3\xa9\",\"instances\":["
		"{\"id\":\"i1\",\"address\":\"10.0.0.1\",\"port\":80,\"protocol\":\"http\",\"tls\":true,\"health\":\"draining\",\"weight\":0.05,\"priority\":0,\"version\":\"1.2\",\"node\":\"n\","
		"\"region\":\"r\",\"zone\":\"z\",\"registered\":\"2000-02-29T12:00:00.123Z\","
		"\"endpoints\":[{\"name\":\"grpc\",\"port\":9090,\"protocol\":\"grpc\"},{\"name\":\"web\",\"address\":\"h\",\"tls\":true,\"url\":\"https://h/\"}],\"tags\":[\"t1\",\"t2\"],\"metadata\":{\"k\":\"\\\\\",\"l\":\"\"}},"
		"{\"id\":\"i2\",\"url\":\"http://x/\",\"weight\":12.34,\"registered\":\"2099-12-31T23:59:59.999Z\"}],"
		"\"versions\":[{\"version\":\"2.0\",\"status\":\"active\",\"updated\":\"1970-01-01T00:00:00.001Z\",\"document\":{\"own\": [1]},\"labels\":[\"latest\"],\"metadata\":{\"a\":\"b\"}},{\"version\":\"1.0\"}],"
		"\"tags\":[\"key\"],\"metadata\":{\"m\":\"1\"},\"ttl_ms\":1000,\"stale_while_revalidate_ms\":2,\"stale_if_error_ms\":3,\"no_store\":true,\"document\":{\"own\": [1]}}");
}

static void escape(void) {
	ec_test_equal("nothing to escape", shown(ec_escape(EC_S("aZ09-._~@"))), "aZ09-._~@");
	ec_test_equal("escaped", shown(ec_escape(EC_S("a/b c\0\xc3\xa9%"))), "a%2Fb%20c%00%C3%A9%25");
}

static void memory(void) {
	ec_begin();
	unsigned char *mark = ec_mark();
	ec_buffer a = {0}, b = {0};
	for (int i = 0; i < 10000; i++) ec_format(&a, "%d,", i), ec_format(&b, "%c%u%lld%%", 'x', 4000000000u, -5ll);
	if (a.length != 48890 || b.length != 10000 * 14 || a.full || b.full) ec_test_equal("two that grow", "other lengths", "48890, 140000");
	if (!ec_begins(ec_text(&a), EC_S("0,1,2,")) || memcmp(a.text + a.length - 5, "9999,", 5) != 0) ec_test_equal("a buffer", "other text", "0,1,2,…9999,");
	if (ec_alloc(1u << 31) || ec_alloc(EC_NATIVE_HEAP)) ec_test_equal("more than there is", "some", "none");
	while (!b.full) ec_add(&b, ec_text(&a)); /* until there is no room */
	if (ec_reserve(&b, 1)) ec_test_equal("a full buffer", "room", "none");
	ec_release(mark);
	char *again = ec_alloc(64);
	if ((unsigned char *)again != mark || again[0] || again[63]) ec_test_equal("memory given back", "other", "the same, zero");
}

int main(void) {
	calls();
	json();
	values();
	base64();
	record();
	escape();
	memory();
}
