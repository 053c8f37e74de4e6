/* {{name}}: an adapter that asks a registry which answers
 *
 *   GET {url}/{service}  [{"id": "a", "host": "10.0.0.1", "port": 8080, "zone": "z1"}]
 *   GET {url}/           ["db", "web"] */
#include "edgecache_adapter.h"

#define PAUSE 10000     /* ms between two polls */
#define MOST (4u << 20) /* bytes of an answer */

static ec_string url;

static int32_t start(void) {
	url = ec_config_at("/url");
	if (!ec_begins(url, EC_S("http://")) && !ec_begins(url, EC_S("https://")))
		return ec_failed(EC_INVALID, "url: the registry's address expected, as in http://10.0.0.5:8080");
	while (url.text[url.length - 1] == '/') url.length--;
	return 0;
}

/* The URL of a name, as a segment of its path; of all names if it is empty. */
static ec_string address(ec_string name) {
	ec_buffer b = {0};
	ec_format(&b, "%.*s/", EC_P(url));
	ec_add_escape(&b, name);
	return ec_text(&b);
}

/* Asks for a list: 0, EC_NOT_MODIFIED, EC_NOT_FOUND, or it failed. */
static int32_t get(ec_string from, ec_string held, ec_json *list, ec_string *version) {
	ec_response answer;
	ec_string text;
	ec_request request = ec_http(EC_S("GET"), from);
	if (held.text) ec_request_header(&request, EC_S("If-None-Match"), held);
	int32_t code = ec_send(&request, &answer);
	if (code) return ec_failed(code, "GET %.*s: %s", EC_P(from), ec_words(code));
	*version = ec_response_header(&answer, EC_S("etag"));
	code = ec_response_text(&answer, MOST, &text); /* which closes it */
	if (answer.status == 304 && held.text) return EC_NOT_MODIFIED;
	if (answer.status == 404) return EC_NOT_FOUND;
	if (answer.status != 200) return ec_failed(EC_UNAVAILABLE, "GET %.*s: status %d", EC_P(from), answer.status);
	if (code) return ec_failed(code, "GET %.*s: %s", EC_P(from), ec_words(code));
	if ((code = ec_json_read(from, text, list))) return code;
	if (ec_json_type(*list) != EC_JSON_LIST) return ec_failed(EC_INVALID, "GET %.*s: a list expected, found %s", EC_P(from), ec_json_kind(*list));
	return 0;
}

/* A string of an instance, empty if it is not there or null; 0: it is something else. */
static int string_at(ec_json at, const char *key, ec_string *s) {
	ec_json value = ec_json_at(at, key);
	*s = EC_S("");
	return ec_json_type(value) <= EC_JSON_NULL || ec_json_string(value, s);
}

/* What get says, and the record of a name. */
static int32_t read(ec_string name, ec_string held, ec_record *record, ec_string *version) {
	ec_json list;
	ec_string from = address(name), id, host, zone;
	int32_t code = get(from, held, &list, version);
	if (code) return code;
	*record = ec_record_of(name);
	for (ec_json_item in = {0}; ec_json_next(list, &in);) {
		ec_json number = ec_json_at(in.value, "/port");
		int64_t port = 0;
		const char *wrong = 0;
		if (!string_at(in.value, "/id", &id)) wrong = "id: a string";
		if (!string_at(in.value, "/host", &host) || !host.length) wrong = "host: a name or an address";
		if (!string_at(in.value, "/zone", &zone)) wrong = "zone: a string";
		if (ec_json_type(number) > EC_JSON_NULL && (!ec_json_int(number, &port) || port < 0 || port > 65535)) wrong = "port: a whole number to 65535";
		if (wrong) return ec_failed(EC_INVALID, "GET %.*s: [%u].%s expected", EC_P(from), in.index, wrong);
		ec_instance(record, id);
		ec_instance_address(record, host);
		ec_instance_port(record, (uint16_t)port);
		ec_instance_zone(record, zone);
	}
	return 0;
}

/* Looks a name up. held is the version that edgecache has, without text if none. */
static int32_t lookup(ec_string name, ec_string held) {
	ec_record record;
	ec_string version;
	int32_t code = read(name, held, &record, &version);
	return code ? code : ec_found(&record, version);
}

/* All names: a list of strings. */
static int32_t get_names(ec_json *names) {
	ec_string all = address(EC_S("")), name;
	int32_t code = get(all, (ec_string){0, 0}, names, &name);
	if (code == EC_NOT_FOUND) return ec_failed(EC_UNAVAILABLE, "GET %.*s: status 404", EC_P(all));
	for (ec_json_item at = {0}; !code && ec_json_next(*names, &at);)
		if (!ec_json_string(at.value, &name)) code = ec_failed(EC_INVALID, "GET %.*s: [%u]: a string expected", EC_P(all), at.index);
	return code;
}

static int32_t list(ec_string cursor) {
	ec_json names;
	ec_string name;
	int32_t code = get_names(&names);
	(void)cursor;
	for (ec_json_item at = {0}; !code && ec_json_next(names, &at);)
		code = ec_json_string(at.value, &name) ? ec_list_name(name) : 0;
	return code;
}

/* Reads everything again. */
static int32_t poll(ec_string cursor) {
	ec_json names;
	ec_record record;
	ec_string name, version;
	int32_t code = get_names(&names);
	(void)cursor;
	if (!code) code = ec_poll_again(); /* what follows is all there is */
	for (ec_json_item at = {0}; !code && ec_json_next(names, &at);) {
		unsigned char *mark = ec_mark();
		if (!ec_json_string(at.value, &name)) continue;
		code = read(name, (ec_string){0, 0}, &record, &version);
		code = code == EC_NOT_FOUND ? 0 : code ? code : ec_poll_upsert(&record);
		ec_release(mark);
	}
	if (!code) code = ec_poll_next(EC_S("all"));
	return code ? code : PAUSE;
}

EC_ADAPTER(start, lookup)
EC_ADAPTER_LIST(list)
EC_ADAPTER_POLL(poll)
