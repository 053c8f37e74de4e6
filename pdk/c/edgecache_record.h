/* edgecache_record.h: writes the record of a name, as JSON. edgecache_adapter.h
 * includes it.
 *
 *   ec_record r = ec_record_of(name);
 *   ec_record_ttl_ms(&r, 30000);
 *   ec_instance(&r, id);
 *   ec_instance_address(&r, EC_S("10.0.0.1")), ec_instance_port(&r, 80), ec_instance_tag(&r, EC_S("http"));
 *   return ec_found(&r, version);
 *
 * What is said of an instance is of the last one that began, and likewise of a
 * version, and of an endpoint of the instance. What is empty is left out. Each thing is said once, tags, labels and
 * metadata as often as there are. */
#ifndef EDGECACHE_RECORD_H
#define EDGECACHE_RECORD_H

#include "edgecache_json.h"

typedef struct {
	ec_string name;
	uint32_t count;                           /* instances */
	ec_buffer instances, versions, said;      /* said: the fields of the record itself */
	ec_buffer tags, labels, metadata;         /* of the record, of the version that is open */
	ec_buffer open, open_tags, open_metadata; /* an instance or version; open ends without its brace */
	ec_buffer endpoints;                      /* of the instance that is open; likewise */
	int version;                              /* whether that is a version */
} ec_record;

static inline ec_record ec_record_of(ec_string name) {
	ec_record r = {0};
	r.name = name;
	return r;
}

static inline void ec_field(ec_buffer *b, const char *name) {
	if (b->length) ec_add_byte(b, ',');
	ec_format(b, "\"%s\":", name);
}
static inline void ec_field_string(ec_buffer *b, const char *name, ec_string s) {
	if (!s.length) return;
	ec_field(b, name);
	ec_add_json(b, s);
}
static inline void ec_field_uint(ec_buffer *b, const char *name, uint64_t n) {
	ec_field(b, name);
	ec_add_uint(b, n);
}
static inline void ec_field_true(ec_buffer *b, const char *name) {
	ec_field(b, name);
	ec_add(b, EC_S("true"));
}
/* Items that b holds, with commas between them, as a list or object. */
static inline void ec_field_all(ec_buffer *b, const char *name, const char *brackets, ec_buffer *items) {
	b->full |= items->full;
	if (!items->length) return;
	ec_field(b, name);
	ec_add_byte(b, brackets[0]);
	ec_add(b, ec_text(items));
	ec_add_byte(b, brackets[1]);
	items->length = 0;
}
static inline void ec_item(ec_buffer *items, ec_string s) {
	if (items->length) ec_add_byte(items, ',');
	ec_add_json(items, s);
}
static inline void ec_pair(ec_buffer *items, ec_string key, ec_string value) {
	ec_item(items, key);
	ec_add_byte(items, ':');
	ec_add_json(items, value);
}

/* A time in Unix milliseconds as RFC 3339 has it; the days are counted in eras of
 * 400 years that begin in March. */
static inline void ec_field_time(ec_buffer *b, const char *name, int64_t ms) {
	if (ms <= 0 || ms > 253402300799999) return;
	uint32_t days = (uint32_t)(ms / 86400000) + 719468, left = (uint32_t)(ms % 86400000);
	uint32_t era = days / 146097, day = days % 146097;
	uint32_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	day -= 365 * year + year / 4 - year / 100;
	uint32_t month = (5 * day + 2) / 153;
	day -= (153 * month + 2) / 5;
	month = month < 10 ? month + 3 : month - 9;
	year += 400 * era + (month <= 2);
	uint32_t parts[] = {month, day + 1, left / 3600000, left / 60000 % 60, left / 1000 % 60};
	ec_field(b, name);
	ec_format(b, "\"%u%u%u%u", year / 1000, year / 100 % 10, year / 10 % 10, year % 10);
	for (int i = 0; i < 5; i++) ec_format(b, "%c%u%u", "--T::"[i], parts[i] / 10, parts[i] % 10);
	ec_format(b, ".%u%u%uZ\"", left / 100 % 10, left / 10 % 10, left % 10);
}

/* Ends the endpoint that is open. */
static inline ec_buffer *ec_endpoint_close(ec_record *r) {
	if (r->endpoints.length) ec_add_byte(&r->endpoints, '}');
	return &r->endpoints;
}

/* Ends the instance or version that is open. */
static inline void ec_record_close(ec_record *r) {
	ec_buffer *to = r->version ? &r->versions : &r->instances;
	if (!r->open.length) return;
	ec_field_all(&r->open, "endpoints", "[]", ec_endpoint_close(r));
	ec_field_all(&r->open, "tags", "[]", &r->open_tags);
	ec_field_all(&r->open, "labels", "[]", &r->labels);
	ec_field_all(&r->open, "metadata", "{}", &r->open_metadata);
	if (to->length) ec_add_byte(to, ',');
	ec_add_byte(to, '{');
	ec_add(to, ec_text(&r->open));
	ec_add_byte(to, '}');
	to->full |= r->open.full;
	r->open.length = 0;
}

/* The next instance. Its id is there once in the record; of one that the registry
 * does not name it is what it is reached by, such as 10.0.0.1:80. */
static inline void ec_instance(ec_record *r, ec_string id) {
	ec_record_close(r);
	r->version = 0;
	r->count++;
	ec_field(&r->open, "id");
	ec_add_json(&r->open, id);
}
static inline void ec_instance_address(ec_record *r, ec_string host) { ec_field_string(&r->open, "address", host); }
static inline void ec_instance_port(ec_record *r, uint16_t port) { if (port) ec_field_uint(&r->open, "port", port); }
static inline void ec_instance_protocol(ec_record *r, ec_string protocol) { ec_field_string(&r->open, "protocol", protocol); }
static inline void ec_instance_tls(ec_record *r) { ec_field_true(&r->open, "tls"); }
static inline void ec_instance_url(ec_record *r, ec_string url) { ec_field_string(&r->open, "url", url); }
static inline void ec_instance_priority(ec_record *r, uint16_t priority) { ec_field_uint(&r->open, "priority", priority); } /* lower is first */
static inline void ec_instance_version(ec_record *r, ec_string version) { ec_field_string(&r->open, "version", version); }
static inline void ec_instance_node(ec_record *r, ec_string node) { ec_field_string(&r->open, "node", node); }
static inline void ec_instance_region(ec_record *r, ec_string region) { ec_field_string(&r->open, "region", region); }
static inline void ec_instance_zone(ec_record *r, ec_string zone) { ec_field_string(&r->open, "zone", zone); }
static inline void ec_instance_tag(ec_record *r, ec_string tag) { ec_item(&r->open_tags, tag); }
static inline void ec_instance_metadata(ec_record *r, ec_string key, ec_string value) { ec_pair(&r->open_metadata, key, value); }
static inline void ec_instance_registered(ec_record *r, int64_t ms) { ec_field_time(&r->open, "registered", ms); } /* Unix ms */
/* One of EC_PASSING and so on. */
static inline void ec_instance_health(ec_record *r, int health) {
	static const char *const names[] = {"unknown", "passing", "warning", "draining", "critical", "maintenance"};
	if (health < 0 || health > EC_MAINTENANCE) health = EC_UNKNOWN;
	ec_field(&r->open, "health");
	ec_format(&r->open, "\"%s\"", names[health]);
}
/* In hundredths: 100 is what an instance has that says nothing, 0 takes no traffic. */
static inline void ec_instance_weight(ec_record *r, uint32_t hundredths) {
	ec_field(&r->open, "weight");
	ec_format(&r->open, "%u.%u%u", hundredths / 100, hundredths / 10 % 10, hundredths % 10);
}

/* One more way to reach the instance. One that says no other than the instance's own
 * address, port, protocol and URL do is that one, with a name; one without an address
 * and a URL has the instance's address. */
static inline void ec_endpoint(ec_record *r, ec_string name) {
	if (ec_endpoint_close(r)->length) ec_add_byte(&r->endpoints, ',');
	ec_add(&r->endpoints, EC_S("{\"name\":"));
	ec_add_json(&r->endpoints, name);
}
static inline void ec_endpoint_address(ec_record *r, ec_string host) { ec_field_string(&r->endpoints, "address", host); }
static inline void ec_endpoint_port(ec_record *r, uint16_t port) { if (port) ec_field_uint(&r->endpoints, "port", port); }
static inline void ec_endpoint_protocol(ec_record *r, ec_string protocol) { ec_field_string(&r->endpoints, "protocol", protocol); }
static inline void ec_endpoint_tls(ec_record *r) { ec_field_true(&r->endpoints, "tls"); }
static inline void ec_endpoint_url(ec_record *r, ec_string url) { ec_field_string(&r->endpoints, "url", url); }

/* The next published version. */
static inline void ec_version(ec_record *r, ec_string version) {
	ec_record_close(r);
	r->version = 1;
	ec_field(&r->open, "version");
	ec_add_json(&r->open, version);
}
static inline void ec_version_status(ec_record *r, ec_string status) { ec_field_string(&r->open, "status", status); } /* active, deprecated, deleted */
static inline void ec_version_label(ec_record *r, ec_string label) { ec_item(&r->labels, label); }
static inline void ec_version_metadata(ec_record *r, ec_string key, ec_string value) { ec_pair(&r->open_metadata, key, value); }
static inline void ec_version_updated(ec_record *r, int64_t ms) { ec_field_time(&r->open, "updated", ms); }
static inline void ec_version_document(ec_record *r, ec_json document) {
	ec_field(&r->open, "document");
	ec_add(&r->open, (ec_string){document.text, (uint32_t)(document.end - document.text)});
}

static inline void ec_record_tag(ec_record *r, ec_string tag) { ec_item(&r->tags, tag); }
static inline void ec_record_metadata(ec_record *r, ec_string key, ec_string value) { ec_pair(&r->metadata, key, value); }
static inline void ec_record_ttl_ms(ec_record *r, uint64_t ms) { ec_field_uint(&r->said, "ttl_ms", ms); }
static inline void ec_record_stale_while_revalidate_ms(ec_record *r, uint64_t ms) { ec_field_uint(&r->said, "stale_while_revalidate_ms", ms); }
static inline void ec_record_stale_if_error_ms(ec_record *r, uint64_t ms) { ec_field_uint(&r->said, "stale_if_error_ms", ms); }
static inline void ec_record_no_store(ec_record *r) { ec_field_true(&r->said, "no_store"); }
/* The registry's own document: JSON that was read. */
static inline void ec_record_document(ec_record *r, ec_json document) {
	ec_field(&r->said, "document");
	ec_add(&r->said, (ec_string){document.text, (uint32_t)(document.end - document.text)});
}

/* The record's JSON; one without text did not find room. */
static inline ec_string ec_record_json(ec_record *r) {
	ec_buffer b = {0}, open = {0};
	ec_record_close(r);
	ec_field_string(&open, "name", r->name);
	ec_field(&open, "instances");
	ec_add_byte(&open, '[');
	ec_add_byte(&b, '{');
	ec_add(&b, ec_text(&open));
	ec_add(&b, ec_text(&r->instances));
	ec_add_byte(&b, ']');
	ec_field_all(&b, "versions", "[]", &r->versions);
	ec_field_all(&b, "tags", "[]", &r->tags);
	ec_field_all(&b, "metadata", "{}", &r->metadata);
	if (r->said.length) ec_add_byte(&b, ',');
	ec_add(&b, ec_text(&r->said));
	ec_add_byte(&b, '}');
	if (b.full || open.full || r->instances.full || r->said.full) return (ec_string){0, 0};
	return ec_text(&b);
}

#endif
