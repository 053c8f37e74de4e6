/* edgecache_adapter.h: the kit for adapters in C, of ABI 1.0 (docs/plugin-abi.md).
 *
 * An adapter answers lookups as a registry does. It includes this, and says at its
 * end what it can do:
 *
 *   EC_ADAPTER(start, lookup)
 *   EC_ADAPTER_LIST(list)       if it can list all names
 *   EC_ADAPTER_POLL(poll)       if it can follow them
 *
 * It is built as a filter is, see edgecache.h, which has to lie beside it, as have
 * edgecache_text.h (memory and text), edgecache_json.h and edgecache_record.h. For
 * tests there is edgecache_adapter_test.h.
 */
#ifndef EDGECACHE_ADAPTER_H
#define EDGECACHE_ADAPTER_H

#define EC_ADAPTER(start, lookup) \
	EC_EXPORT("ec_init") int32_t ec_export_init(void) { return ec_init(start); } \
	EC_EXPORT("ec_lookup") int32_t ec_export_lookup(void) { return ec_begin(), lookup(ec_input(0), ec_input(2)); }
#define EC_ADAPTER_LIST(list) \
	EC_EXPORT("ec_list") int32_t ec_export_list(void) { return ec_begin(), ec_listed(list(ec_input(3))); }
#define EC_ADAPTER_POLL(poll) \
	EC_EXPORT("ec_poll") int32_t ec_export_poll(void) { return ec_begin(), poll(ec_input(3)); }

#include "edgecache.h" /* without what is of filters, as EC_ADAPTER is defined */
#include "edgecache_text.h"
#include "edgecache_json.h"
#include "edgecache_record.h"

/* What start, lookup, list and poll return, and the functions below. */
enum {
	EC_OK = 0,
	EC_NOT_MODIFIED = 1,   /* of lookup: the version that was held is still right */
	EC_NOT_FOUND = -1,     /* of lookup: the registry answered that there is no such name */
	EC_UNAVAILABLE = -2,   /* connection refused or broken, a DNS failure, a registry that is in trouble */
	EC_TIMEOUT = -3,
	EC_DENIED = -4,        /* by the operator, or by the registry */
	EC_INVALID = -5,       /* what was given, and what the registry answered */
	EC_TOO_LARGE = -6,     /* or too many */
	EC_INTERNAL = -7,
	EC_UNSUPPORTED = -8,
	EC_RATE_LIMITED = -9,
	EC_CLOSED = -10,       /* no such response */
};

EC_IMPORT("fuel_left") int32_t ec_host_fuel_left(void);
EC_IMPORT("input_get") int32_t ec_host_input_get(int32_t slot, char *buffer, uint32_t capacity);
EC_IMPORT("output_set") int32_t ec_host_output_set(int32_t kind, const char *text, uint32_t length);
EC_IMPORT("emit") int32_t ec_host_emit(int32_t op, const char *name, uint32_t name_length, const char *text, uint32_t length);
EC_IMPORT("http_send") int64_t ec_host_http_send(const char *head, uint32_t head_length, const char *body, uint32_t body_length, int32_t timeout);
EC_IMPORT("http_status") int32_t ec_host_http_status(int64_t handle);
EC_IMPORT("http_header") int32_t ec_host_http_header(int64_t handle, const char *name, uint32_t name_length, char *buffer, uint32_t capacity);
EC_IMPORT("http_read") int32_t ec_host_http_read(int64_t handle, char *buffer, uint32_t capacity);
EC_IMPORT("http_close") int32_t ec_host_http_close(int64_t handle);
EC_IMPORT("kv_get") int32_t ec_host_kv_get(const char *key, uint32_t key_length, char *buffer, uint32_t capacity);
EC_IMPORT("kv_set") int32_t ec_host_kv_set(const char *key, uint32_t key_length, const char *value, uint32_t length, int32_t ttl);
EC_IMPORT("kv_del") int32_t ec_host_kv_del(const char *key, uint32_t key_length);
EC_IMPORT("now_ms") int64_t ec_host_now_ms(void);
EC_IMPORT("deadline_ms") int32_t ec_host_deadline_ms(void);

/* Unix milliseconds, and how many the call has left. */
static inline int64_t ec_now(void) { return ec_host_now_ms(); }
static inline int32_t ec_deadline(void) { return ec_host_deadline_ms(); }

/* What there is to ask the host for that comes in a buffer. */
typedef struct { enum { EC_ASK_INPUT, EC_ASK_CONFIG, EC_ASK_HEADER, EC_ASK_KV } what; int32_t slot; int64_t handle; ec_string key; } ec_question;

/* Inlined, so that an adapter imports what it asks for and no more. */
__attribute__((always_inline)) static inline int32_t ec_ask(const ec_question *q, char *buffer, uint32_t capacity) {
	switch (q->what) {
	case EC_ASK_INPUT: return ec_host_input_get(q->slot, buffer, capacity);
	case EC_ASK_CONFIG: return ec_host_config_get(q->key.text, q->key.length, buffer, capacity);
	case EC_ASK_HEADER: return ec_host_http_header(q->handle, q->key.text, q->key.length, buffer, capacity);
	default: return ec_host_kv_get(q->key.text, q->key.length, buffer, capacity);
	}
}

/* The answer, whatever its length; its text is null if there is none, *code says why. */
__attribute__((always_inline)) static inline ec_string ec_answer(ec_question q, int32_t *code) {
	char *to = ec_room(256);
	*code = to ? ec_ask(&q, to, 256) : EC_TOO_LARGE;
	if (*code > 256) {
		uint32_t size = (uint32_t)*code;
		to = ec_room(size);
		*code = to ? ec_ask(&q, to, size) : EC_TOO_LARGE;
		if (*code > (int32_t)size) *code = EC_INTERNAL;
	}
	if (*code < 0) return (ec_string){0, 0};
	return (ec_string){to, (uint32_t)*code};
}

static inline ec_string ec_input(int32_t slot) {
	int32_t code;
	return ec_answer((ec_question){EC_ASK_INPUT, slot, 0, {0, 0}}, &code);
}

/* The configuration at a JSON pointer: a string's text, of anything else its JSON.
 * Its text is null if there is none. What start reads stays. */
static inline ec_string ec_config_at(const char *pointer) {
	ec_buffer key = {0};
	int32_t code;
	ec_format(&key, "%s", pointer);
	return ec_answer((ec_question){EC_ASK_CONFIG, 0, 0, ec_text(&key)}, &code);
}

/* A value that this node keeps, and may lose; EC_NOT_FOUND: there is none. ttl is in
 * milliseconds, 0: for good. */
static inline int32_t ec_kv_get(ec_string key, ec_string *value) {
	int32_t code;
	*value = ec_answer((ec_question){EC_ASK_KV, 0, 0, key}, &code);
	return code < 0 ? code : 0;
}
static inline int32_t ec_kv_set(ec_string key, ec_string value, int32_t ttl) {
	return ec_host_kv_set(key.text, key.length, value.text, value.length, ttl);
}
static inline int32_t ec_kv_del(ec_string key) { return ec_host_kv_del(key.text, key.length); }

/* A request: ec_http, what it has besides, then ec_send. */
typedef struct { ec_buffer head; ec_string body; int32_t timeout; } ec_request;
typedef struct { int64_t handle; int32_t status; } ec_response;

/* A line of the head. One that would be two lines is refused by ec_send. */
static inline void ec_head(ec_request *q, ec_string first, const char *between, ec_string second) {
	if (ec_find(first, '\n') >= 0 || ec_find(second, '\n') >= 0) q->head.full = 1;
	ec_add(&q->head, first);
	ec_format(&q->head, "%s", between);
	ec_add(&q->head, second);
	ec_add_byte(&q->head, '\n');
}
static inline ec_request ec_http(ec_string method, ec_string url) {
	ec_request q = {0};
	ec_head(&q, method, " ", url);
	return q;
}
/* ${secret.NAME} in the value is a secret that the host puts there. */
static inline void ec_request_header(ec_request *q, ec_string name, ec_string value) { ec_head(q, name, ": ", value); }
static inline void ec_request_body(ec_request *q, ec_string body) { q->body = body; }
static inline void ec_request_timeout(ec_request *q, int32_t ms) { q->timeout = ms; }

/* Sends it, and waits for the head of the answer, whatever its status. 0, or a code. */
static inline int32_t ec_send(ec_request *q, ec_response *a) {
	*a = (ec_response){0, 0};
	if (q->head.full) return ec_failed(EC_INVALID, "a request of one line each for URL and headers expected");
	a->handle = ec_host_http_send(q->head.text, q->head.length, q->body.text, q->body.length, q->timeout);
	if (a->handle <= 0) return a->handle < 0 ? (int32_t)a->handle : EC_INTERNAL;
	a->status = ec_host_http_status(a->handle);
	return a->status < 0 ? a->status : 0;
}

/* A header of the answer; its text is null if it is not there. */
static inline ec_string ec_response_header(const ec_response *a, ec_string name) {
	int32_t code;
	return ec_answer((ec_question){EC_ASK_HEADER, 0, a->handle, name}, &code);
}
/* Up to so many bytes more of the body: how many, 0 at its end, or a code. */
static inline int32_t ec_response_read(const ec_response *a, char *buffer, uint32_t capacity) {
	return ec_host_http_read(a->handle, buffer, capacity);
}
static inline void ec_response_close(ec_response *a) { ec_host_http_close(a->handle); }

/* Adds all of the body to b, and closes the answer; EC_TOO_LARGE if that makes b
 * longer than most. */
static inline int32_t ec_response_into(ec_response *a, ec_buffer *b, uint32_t most) {
	int32_t n;
	do {
		uint32_t room = b->capacity - b->length;
		char *to = ec_reserve(b, room > 0 ? room : 16 << 10);
		n = to ? ec_response_read(a, to, b->capacity - b->length) : EC_TOO_LARGE;
		if (n > 0) b->length += (uint32_t)n;
		if (b->length > most) n = EC_TOO_LARGE;
	} while (n > 0);
	ec_response_close(a);
	return n;
}
static inline int32_t ec_response_text(ec_response *a, uint32_t most, ec_string *text) {
	ec_buffer b = {0};
	int32_t code = ec_response_into(a, &b, most);
	*text = ec_text(&b);
	return code;
}

/* What a code of ec_send and ec_response_text means, in words. */
static inline const char *ec_words(int32_t code) {
	static const char *const words[] = {"ok", "not found", "unavailable", "no answer in time", "not allowed by the operator",
		"invalid", "too large", "internal error", "not supported", "rate limited", "closed"};
	return code <= 0 && code >= EC_CLOSED ? words[-code] : "unknown code";
}

/* Lookups: return ec_found(…), EC_NOT_MODIFIED, EC_NOT_FOUND or ec_failed(…). The
 * version is what the next lookup is given as held; without text the host compares
 * the record itself. */
static inline int32_t ec_found(ec_record *r, ec_string version) {
	ec_string json = ec_record_json(r);
	if (!json.text) return ec_failed(EC_TOO_LARGE, "no memory for the record");
	int32_t code = ec_host_output_set(0, json.text, json.length);
	if (code == 0 && version.text) code = ec_host_output_set(3, version.text, version.length);
	return code;
}

/* Lists: ec_list_name for each name, ec_list_next if there are more, with what the
 * next call is given as cursor; return 0. */
static ec_buffer ec_names;

static inline int32_t ec_list_flush(void) {
	int32_t code = ec_names.full ? EC_TOO_LARGE : ec_names.length ? ec_host_output_set(1, ec_names.text, ec_names.length) : 0;
	ec_names.length = 0;
	return code;
}
static inline int32_t ec_list_name(ec_string name) {
	ec_add(&ec_names, name);
	ec_add_byte(&ec_names, '\n');
	return ec_names.length < 60 << 10 ? 0 : ec_list_flush();
}
static inline int32_t ec_list_next(ec_string cursor) { return ec_host_output_set(2, cursor.text, cursor.length); }
static inline int32_t ec_listed(int32_t code) { return code ? code : ec_list_flush(); }

/* Polls: what changed, ec_poll_next with what the next call is given as cursor;
 * return the milliseconds until then, or ec_failed(…). Without a cursor, and after
 * ec_poll_again, everything that there is. */
static inline int32_t ec_poll_upsert(ec_record *r) {
	ec_string json = ec_record_json(r);
	if (!json.text) return ec_failed(EC_TOO_LARGE, "no memory for the record");
	return ec_host_emit(0, r->name.text, r->name.length, json.text, json.length);
}
static inline int32_t ec_poll_delete(ec_string name) { return ec_host_emit(1, name.text, name.length, 0, 0); }
static inline int32_t ec_poll_invalidate(ec_string name) { return ec_host_emit(2, name.text, name.length, 0, 0); } /* the host looks it up */
static inline int32_t ec_poll_again(void) { return ec_host_emit(3, 0, 0, 0, 0); }
static inline int32_t ec_poll_next(ec_string cursor) { return ec_host_output_set(2, cursor.text, cursor.length); }

/* A call has the memory that start left. The import of fuel_left is what makes the
 * host give more fuel by itself. */
static inline void ec_begin(void) {
	ec_release(ec_heap_kept);
	ec_names = (ec_buffer){0};
}
static inline int32_t ec_init(int32_t (*start)(void)) {
	ec_host_fuel_left();
	int32_t code = start();
	ec_heap_kept = ec_mark();
	return code;
}

#endif
