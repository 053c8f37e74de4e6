/* etcd.h: the keys of etcd 3.4 or later, read through its HTTP gateway. Numbers of
 * 64 bits are strings there, keys and values base64, and what is 0 is left out. */
#ifndef ETCD_H
#define ETCD_H

#include "edgecache_adapter.h"

#define ETCD_PAGE 1000             /* keys an answer, with their values */
#define ETCD_MOST (2u << 20)       /* bytes of one */
#define ETCD_TIMEOUT 10000         /* ms for one */

static ec_string etcd_url, etcd_token; /* the token may be empty */
static ec_buffer etcd_body;            /* of the last answer: there until the next */

/* Keys from from on, below end. Of those at a revision, 0: now, the ones that
 * changed at min_changed or later. */
typedef struct {
	ec_string from, end;
	int64_t revision, min_changed, limit;
	int keys_only;
} etcd_range;

/* revision is the one that was read, and cluster the etcd that it is of. count is of
 * all keys from from to end, whatever limit and min_changed say. */
typedef struct {
	int64_t revision, count;
	ec_string cluster;
	ec_json keys;
	int more;
} etcd_answer;

typedef struct { ec_string key, value; int64_t created, changed; } etcd_key;

/* Before the first answer of a call. */
static int32_t etcd_begin(void) {
	etcd_body = (ec_buffer){0};
	return ec_reserve(&etcd_body, ETCD_MOST + 1) ? 0 : ec_failed(EC_TOO_LARGE, "memory: %u bytes for answers of etcd expected", ETCD_MOST);
}

static void etcd_bytes(ec_buffer *b, const char *name, ec_string bytes) {
	ec_format(b, "%s\"%s\":\"", b->length > 1 ? "," : "", name);
	ec_add_base64(b, bytes);
	ec_add_byte(b, '"');
}

static ec_string etcd_request(const etcd_range *r) {
	ec_buffer b = {0};
	ec_add_byte(&b, '{');
	etcd_bytes(&b, "key", r->from);
	etcd_bytes(&b, "range_end", r->end);
	if (r->limit) ec_format(&b, ",\"limit\":\"%lld\"", (long long)r->limit);
	if (r->revision) ec_format(&b, ",\"revision\":\"%lld\"", (long long)r->revision);
	if (r->min_changed) ec_format(&b, ",\"min_mod_revision\":\"%lld\"", (long long)r->min_changed);
	if (r->keys_only) ec_add(&b, EC_S(",\"keys_only\":true"));
	ec_add_byte(&b, '}');
	return ec_text(&b);
}

/* Whether a value is a whole number or a string of one. */
static int etcd_number(ec_json v, int64_t *n) {
	ec_string digits;
	return (ec_json_string(v, &digits) && ec_digits(digits, n)) || (ec_json_int(v, n) && *n >= 0);
}

/* What an answer says that has another status than 200. */
static int32_t etcd_refused(int32_t status) {
	ec_json said;
	ec_string text = ec_text(&etcd_body), message = EC_S("no message");
	if (text.length && ec_json_parse(text, &said)) ec_json_string(ec_json_at(said, "/message"), &message);
	int32_t result = status == 401 || status == 403 ? EC_DENIED : status == 429 ? EC_RATE_LIMITED
		: status == 504 || status == 408 ? EC_TIMEOUT : status >= 500 ? EC_UNAVAILABLE : EC_INVALID;
	const char *hint = status == 404 ? "; etcd 3.4 or later expected" : "";
	return ec_failed(result, "%.*s: status %d: %.*s%s", EC_P(etcd_url), status, EC_P(message), hint);
}

static int32_t etcd_wrong(const char *field, const char *expected, ec_json found) {
	return ec_failed(EC_INVALID, "%.*s: %s: %s expected, found %s", EC_P(etcd_url), field, expected, ec_json_kind(found));
}

static int32_t etcd_read(etcd_answer *a) {
	static const char *const names[] = {"header", "count", "more", "kvs"}, *const in_header[] = {"revision", "cluster_id"};
	ec_json top, m[4], header[2];
	ec_json_item first = {0};
	int32_t code = ec_json_read(etcd_url, ec_text(&etcd_body), &top);
	if (code) return code;
	*a = (etcd_answer){0};
	ec_json_members(top, names, m, 4);
	ec_json_members(m[0], in_header, header, 2);
	if (!etcd_number(header[0], &a->revision) || a->revision == 0) return etcd_wrong("header.revision", "a number above 0", header[0]);
	if (!ec_json_string(header[1], &a->cluster)) return etcd_wrong("header.cluster_id", "a string", header[1]);
	if (a->cluster.length > 20) return ec_failed(EC_INVALID, "%.*s: header.cluster_id: 20 digits at most expected", EC_P(etcd_url));
	a->cluster = ec_copy(a->cluster);
	if (m[1].text && !etcd_number(m[1], &a->count)) return etcd_wrong("count", "a number", m[1]);
	if (m[2].text && ec_json_type(m[2]) != EC_JSON_BOOL) return etcd_wrong("more", "true or false", m[2]);
	a->more = ec_json_true(m[2]);
	a->keys = m[3];
	if (a->keys.text && ec_json_type(a->keys) != EC_JSON_LIST) return etcd_wrong("kvs", "a list", a->keys);
	if (a->more && !ec_json_next(a->keys, &first)) return etcd_wrong("kvs", "a list of some, as there are more,", a->keys);
	return 0;
}

/* Asks for a range: 0, or it failed, and why was said. */
static int32_t etcd_ask(const etcd_range *r, etcd_answer *a) {
	ec_response answer;
	ec_request q = ec_http(EC_S("POST"), etcd_url);
	ec_request_header(&q, EC_S("Content-Type"), EC_S("application/json"));
	if (etcd_token.length) ec_request_header(&q, EC_S("Authorization"), etcd_token);
	ec_request_body(&q, etcd_request(r));
	ec_request_timeout(&q, ETCD_TIMEOUT);
	etcd_body.length = 0;
	int32_t code = ec_send(&q, &answer);
	if (!code) code = ec_response_into(&answer, &etcd_body, ETCD_MOST);
	if (code == EC_TOO_LARGE) return ec_failed(code, "%.*s: %u bytes at most expected of %lld keys", EC_P(etcd_url), ETCD_MOST, (long long)r->limit);
	if (code) return ec_failed(code, "%.*s: %s", EC_P(etcd_url), ec_words(code));
	if (answer.status != 200) return etcd_refused(answer.status);
	code = etcd_read(a);
	if (r->revision) a->revision = r->revision;
	return code;
}

/* The next key of an answer: 1, 0 at the end, or it failed. at begins with {0}. */
static int32_t etcd_next(const etcd_answer *a, ec_json_item *at, etcd_key *k) {
	if (!ec_json_next(a->keys, at)) return 0;
	static const char *const names[] = {"key", "create_revision", "mod_revision", "value"};
	const char *wrong = 0;
	ec_json m[4];
	*k = (etcd_key){0};
	ec_json_members(at->value, names, m, 4);
	if (!etcd_number(m[1], &k->created)) wrong = "create_revision: a number";
	if (!etcd_number(m[2], &k->changed)) wrong = "mod_revision: a number";
	if (!ec_json_string(m[0], &k->key)) wrong = "key: a string";
	if (m[3].text && !ec_json_string(m[3], &k->value)) wrong = "value: a string";
	if (wrong) return ec_failed(EC_INVALID, "%.*s: kvs[%u].%s expected", EC_P(etcd_url), at->index, wrong);
	/* Decoded where they are, in etcd_body, now that nothing looks for members there any more. */
	int32_t key_length = ec_base64(k->key, (char *)k->key.text), value_length = k->value.text ? ec_base64(k->value, (char *)k->value.text) : 0;
	if (key_length < 0 || value_length < 0) return ec_failed(EC_INVALID, "%.*s: kvs[%u]: base64 expected", EC_P(etcd_url), at->index);
	k->key.length = (uint32_t)key_length, k->value.length = (uint32_t)value_length;
	return 1;
}

/* The range goes on at a key and one byte more, at the revision that it began with. */
static void etcd_go_on(etcd_range *r, const etcd_answer *a, ec_string key, char byte) {
	ec_buffer b = {0};
	ec_add(&b, key);
	ec_add_byte(&b, byte);
	r->from = ec_text(&b);
	r->revision = a->revision;
}

/* All below a path that ends in /. */
static etcd_range etcd_below(ec_string path) {
	ec_string end = ec_copy(path);
	if (end.text) ((char *)end.text)[end.length - 1] = '/' + 1;
	return (etcd_range){.from = path, .end = end};
}

#endif
