/* service.h: the layout of SkyDNS. The key /skydns/local/cluster/web/x1 is the
 * instance x1 of web.cluster.local, and its value {"host": "10.0.0.1", "port": 8080}. */
#ifndef SERVICE_H
#define SERVICE_H

#include "edgecache_adapter.h"

#define MOST_INSTANCES 10000u /* of a record */

static ec_string skydns_prefix; /* ends in / */

/* The directory of a name, with a / at its end; without text: no key has that name. */
static ec_string directory_of(ec_string name) {
	ec_buffer b = {0};
	ec_add(&b, skydns_prefix);
	if (ec_find(name, '/') >= 0) return (ec_string){0, 0};
	for (;;) {
		int32_t dot = ec_last(name, '.');
		ec_string label = ec_from(name, (uint32_t)(dot + 1));
		if (!label.length) return (ec_string){0, 0};
		ec_add(&b, label);
		ec_add_byte(&b, '/');
		if (dot < 0) return b.full ? (ec_string){0, 0} : ec_text(&b);
		name.length = (uint32_t)dot;
	}
}

/* Whether a text is UTF-8 without control characters, and without dots if it is to be
 * a part of a name. */
static int label(ec_string s, int dots) {
	for (uint32_t i = 0; i < s.length;) {
		unsigned char c = (unsigned char)s.text[i];
		uint32_t n = c < 0x80 ? c >= 0x20 && c != 0x7f && (c != '.' || dots) : ec_utf8(s.text + i, s.text + s.length);
		if (!n || (c == 0xc2 && (unsigned char)s.text[i + 1] < 0xa0)) return 0;
		i += n;
	}
	return s.length > 0;
}

/* Splits a key below the prefix into a directory, with the / at its end, and an id.
 * 0: it is no instance's. */
static int split(ec_string key, ec_string *directory, ec_string *id) {
	int32_t slash = ec_last(key, '/');
	if (!ec_begins(key, skydns_prefix) || slash < (int32_t)skydns_prefix.length) return 0;
	*directory = (ec_string){key.text, (uint32_t)slash + 1};
	*id = ec_from(key, (uint32_t)slash + 1);
	return label(*id, 1);
}

/* The name of a directory; without text: it has none. */
static ec_string name_of(ec_string directory) {
	ec_buffer b = {0};
	ec_string path = ec_from(directory, skydns_prefix.length);
	if (path.length > 513) return (ec_string){0, 0};
	while (path.length > 0) {
		path.length--;
		uint32_t begins = (uint32_t)(ec_last(path, '/') + 1);
		if (!label(ec_from(path, begins), 0)) return (ec_string){0, 0};
		if (b.length) ec_add_byte(&b, '.');
		ec_add(&b, ec_from(path, begins));
		path.length = begins;
	}
	return b.full ? (ec_string){0, 0} : ec_text(&b);
}

/* Whether a text is an IPv4 address; IPv6 may end in one. */
static int ipv4(ec_string s) {
	for (int part = 0;; part++) {
		int32_t dot = ec_find(s, '.');
		ec_string digits = {s.text, dot < 0 ? s.length : (uint32_t)dot};
		int64_t n;
		if (digits.length > 3 || !ec_digits(digits, &n) || n > 255 || (digits.length > 1 && digits.text[0] == '0')) return 0;
		if (dot < 0) return part == 3;
		s = ec_from(s, (uint32_t)dot + 1);
	}
}

static int hexadecimal(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

static int ipv6(ec_string s) {
	int groups = 0, gap = 0;
	if (s.length < 2) return 0;
	if (s.text[0] == ':' && s.text[1] != ':') return 0;
	if (s.text[0] == ':') gap = 1, s = ec_from(s, 2);
	while (s.length) {
		int32_t colon = ec_find(s, ':');
		ec_string group = {s.text, colon < 0 ? s.length : (uint32_t)colon};
		if (colon < 0 && ec_find(group, '.') >= 0) return ipv4(group) && (gap ? groups < 6 : groups == 6);
		if (group.length < 1 || group.length > 4) return 0;
		for (uint32_t i = 0; i < group.length; i++)
			if (!hexadecimal(group.text[i])) return 0;
		groups++;
		if (colon < 0) break;
		s = ec_from(s, (uint32_t)colon + 1);
		if (!s.length) return 0;
		if (s.text[0] == ':') {
			if (gap++) return 0;
			s = ec_from(s, 1);
		}
	}
	return gap ? groups < 8 : groups == 8;
}

/* Whether a host is a name or an address, as the host of adapters reads it. */
static int address(ec_string s) {
	for (uint32_t i = 0; i < s.length; i++) {
		char c = s.text[i];
		if ((unsigned char)c <= 0x20 || c == '/' || c == '[' || c == ']') return 0;
	}
	return ec_find(s, ':') < 0 || ipv6(s);
}

/* A name's record while its keys are read. */
typedef struct {
	ec_record record;
	int64_t ttl;   /* the least that an instance said, in seconds; 0: none did */
	uint32_t keys, bad; /* how many it has, and how many of them cannot be used */
	const char *wrong, *expected; /* of the last one of those */
} service;

/* The members of a value that are read: texts, then numbers. */
enum { HOST, TEXT, GROUP, PORT, PRIORITY, WEIGHT, TTL, MEMBERS };
static const char *const members[] = {"host", "text", "group", "port", "priority", "weight", "ttl"};

/* Reads them. What is null is absent; 0: wrong says which one is of another kind. */
static int read_members(service *s, ec_json of, ec_string *texts, int64_t *numbers) {
	ec_json values[MEMBERS];
	ec_json_members(of, members, values, MEMBERS);
	for (int i = 0; i < MEMBERS; i++) {
		int64_t most = i == PORT || i == PRIORITY ? 65535 : INT32_MAX, *n = &numbers[i];
		texts[i] = (ec_string){0, 0}, *n = 0;
		if (ec_json_type(values[i]) <= EC_JSON_NULL) continue;
		s->wrong = members[i];
		if (i < PORT && !ec_json_string(values[i], &texts[i])) return s->expected = "a string", 0;
		if (i >= PORT && (!ec_json_int(values[i], n) || *n < 0 || *n > most))
			return s->expected = most == INT32_MAX ? "a whole number from 0 to 2147483647" : "a whole number from 0 to 65535", 0;
	}
	if (address(texts[HOST])) return 1;
	return s->wrong = members[HOST], s->expected = "a host name or an IP address", 0;
}

/* Adds the instance that a value says. 0: it cannot be used, wrong says why. A value
 * without a host, such as one for TXT, is no instance, and well. */
static int add(service *s, ec_string id, ec_string value) {
	ec_json v = {0, 0};
	ec_string texts[MEMBERS];
	int64_t n[MEMBERS];
	if (!value.length || !ec_json_parse(value, &v) || ec_json_type(v) != EC_JSON_OBJECT) return s->wrong = "value", s->expected = "a JSON object", 0;
	if (!read_members(s, v, texts, n)) return 0;
	if (n[TTL] && (!s->ttl || n[TTL] < s->ttl)) s->ttl = n[TTL];
	if (!texts[HOST].length) return 1;
	ec_instance(&s->record, id);
	ec_instance_address(&s->record, texts[HOST]);
	ec_instance_port(&s->record, (uint16_t)n[PORT]);
	ec_instance_priority(&s->record, (uint16_t)(n[PRIORITY] ? n[PRIORITY] : 10)); /* what DNS servers of this layout take 0 for */
	if (n[WEIGHT]) ec_instance_weight(&s->record, (uint32_t)n[WEIGHT]);           /* 100 is theirs too for one that says none */
	if (texts[TEXT].length) ec_instance_metadata(&s->record, EC_S("text"), texts[TEXT]);
	if (texts[GROUP].length) ec_instance_metadata(&s->record, EC_S("group"), texts[GROUP]);
	return 1;
}

/* Adds one key. One that cannot be used is told to the log, and left out. */
static void add_key(service *s, ec_string key, ec_string id, ec_string value) {
	s->keys++;
	if (s->record.count > MOST_INSTANCES || add(s, id, value)) return;
	s->bad++;
	ec_log(EC_WARN, "key %.*s: %s: %s expected", EC_P(key), s->wrong, s->expected);
}

/* Ends the record: 0, or what is wrong with it. */
static int32_t complete(service *s) {
	ec_string name = s->record.name;
	if (s->record.count > MOST_INSTANCES) return ec_failed(EC_TOO_LARGE, "%.*s: %u instances at most expected", EC_P(name), MOST_INSTANCES);
	if (s->bad && s->record.count == 0) return ec_failed(EC_INVALID, "%.*s: of %u keys none can be used; of the last one %s: %s expected", EC_P(name), s->keys, s->wrong, s->expected);
	if (s->ttl) ec_record_ttl_ms(&s->record, 1000 * (uint64_t)s->ttl);
	return 0;
}

#endif
