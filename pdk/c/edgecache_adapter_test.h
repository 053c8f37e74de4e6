/* edgecache_adapter_test.h: a host for tests of adapters, of ABI 1.0. A test
 * includes its adapter's source and then this, and is built for the machine it runs
 * on:
 *
 *   ec_test_config = (const char *[]){"/url", "http://registry.test", 0};
 *   ec_test_start();
 *   ec_test_answer("GET http://registry.test/web", 200, "{…}");
 *   ec_test_equal("found", ec_test_lookup("web", 0), "found {…} version 7");
 */
#ifndef EDGECACHE_ADAPTER_TEST_H
#define EDGECACHE_ADAPTER_TEST_H

#include "edgecache_test.h"

/* What the registry answers. Answers to one request line are used in order, the
 * last one again and again. */
typedef struct {
	const char *request; /* null: any */
	int status;
	const char *answer, *headers; /* headers: pairs, and then a null, as one text with \n between them: "etag\n1\n" */
	int32_t error;                /* instead: a code */
	int32_t breaks;               /* a code at the end of the body */
	int used;
} ec_test_exchange;

static ec_test_exchange ec_test_exchanges[64];
static int ec_test_exchange_count;
static struct ec_test_text { struct ec_test_text *older; char text[]; } *ec_test_texts; /* of answers, for good */

static ec_test_exchange *ec_test_answer(const char *request, int status, const char *answer) {
	struct ec_test_text *own = malloc(sizeof *own + strlen(answer) + 1);
	if (ec_test_exchange_count == 64 || !own) abort();
	own->older = ec_test_texts, ec_test_texts = own;
	ec_test_exchange *x = &ec_test_exchanges[ec_test_exchange_count++];
	*x = (ec_test_exchange){.request = request, .status = status, .answer = strcpy(own->text, answer)};
	return x;
}
/* A request that ends in a code, such as EC_UNAVAILABLE. */
static ec_test_exchange *ec_test_error(const char *request, int32_t code) {
	ec_test_exchange *x = ec_test_answer(request, 0, "");
	x->error = code;
	return x;
}
static void ec_test_forget(void) { ec_test_exchange_count = 0; }

/* What was sent last: its head and its body; and how many requests there were. */
static char ec_test_head[8 << 10], ec_test_body[8 << 10];
static int ec_test_requests;

#define EC_TEST_ROOM (4u << 20)
static char ec_test_inputs[4][EC_TEST_ROOM / 4]; /* of slots */
static int ec_test_given[4];
static char ec_test_outputs[4][EC_TEST_ROOM]; /* of kinds */
static int ec_test_have[4];
static char ec_test_emitted[EC_TEST_ROOM];
static int64_t ec_test_now = 1767225600000;

int32_t ec_host_fuel_left(void) { return 200000; }
int64_t ec_host_now_ms(void) { return ec_test_now; }
int32_t ec_host_deadline_ms(void) { return 10000; }

static int32_t ec_test_copy(const char *text, char *buffer, uint32_t capacity) {
	size_t length = strlen(text);
	if (length <= capacity) memcpy(buffer, text, length);
	return (int32_t)length;
}
int32_t ec_host_input_get(int32_t slot, char *buffer, uint32_t capacity) {
	return slot < 0 || slot > 3 || !ec_test_given[slot] ? -1 : ec_test_copy(ec_test_inputs[slot], buffer, capacity);
}
int32_t ec_host_output_set(int32_t kind, const char *text, uint32_t length) {
	if (kind < 0 || kind > 3) return -5;
	size_t end = kind == 1 ? strlen(ec_test_outputs[kind]) : 0;
	if (end + length >= EC_TEST_ROOM) return -6;
	memcpy(ec_test_outputs[kind] + end, text, length);
	ec_test_outputs[kind][end + length] = 0;
	ec_test_have[kind] = 1;
	return 0;
}
int32_t ec_host_emit(int32_t op, const char *name, uint32_t name_length, const char *text, uint32_t length) {
	static const char *const ops[] = {"upsert", "delete", "invalidate", "again"};
	size_t end = strlen(ec_test_emitted);
	if (op < 0 || op > 3) return -5;
	if (end + name_length + length + 16 > EC_TEST_ROOM) return -6;
	snprintf(ec_test_emitted + end, EC_TEST_ROOM - end, op == 3 ? "%s%.*s\n" : op == 0 ? "%s %.*s %.*s\n" : "%s %.*s\n", ops[op],
		(int)name_length, name ? name : "", (int)length, text);
	return 0;
}

static struct { const ec_test_exchange *exchange; size_t read; } ec_test_handles[4];

static ec_test_exchange *ec_test_match(const char *line) {
	ec_test_exchange *last = 0;
	for (int i = 0; i < ec_test_exchange_count; i++) {
		ec_test_exchange *x = &ec_test_exchanges[i];
		if (x->request && strcmp(x->request, line) != 0) continue;
		last = x;
		if (!x->used) break;
	}
	if (last) last->used = 1;
	return last;
}
int64_t ec_host_http_send(const char *head, uint32_t head_length, const char *body, uint32_t body_length, int32_t timeout) {
	char line[4096];
	(void)timeout;
	snprintf(ec_test_head, sizeof ec_test_head, "%.*s", (int)head_length, head);
	snprintf(ec_test_body, sizeof ec_test_body, "%.*s", (int)body_length, body ? body : "");
	snprintf(line, sizeof line, "%.*s", (int)strcspn(ec_test_head, "\n"), ec_test_head);
	if (++ec_test_requests > 256) return -9; /* of a poll; others have 16 */
	ec_test_exchange *x = ec_test_match(line);
	if (!x) {
		fprintf(stderr, "a request that nothing answers: %s %s\n", line, ec_test_body);
		exit(1);
	}
	if (x->error) return x->error;
	for (int i = 0; i < 4; i++)
		if (!ec_test_handles[i].exchange) {
			ec_test_handles[i].exchange = x, ec_test_handles[i].read = 0;
			return i + 1;
		}
	return -6;
}

static int ec_test_open(int64_t handle) { return handle > 0 && handle <= 4 && ec_test_handles[handle - 1].exchange; }
int32_t ec_host_http_status(int64_t handle) { return ec_test_open(handle) ? ec_test_handles[handle - 1].exchange->status : -10; }
int32_t ec_host_http_header(int64_t handle, const char *name, uint32_t name_length, char *buffer, uint32_t capacity) {
	if (!ec_test_open(handle)) return -10;
	for (const char *at = ec_test_handles[handle - 1].exchange->headers; at && *at;) {
		size_t key = strcspn(at, "\n"), value = strcspn(at + key + 1, "\n");
		if (key == name_length && memcmp(at, name, key) == 0) {
			if (value <= capacity) memcpy(buffer, at + key + 1, value);
			return (int32_t)value;
		}
		at += key + value + 2;
	}
	return -1;
}
int32_t ec_host_http_read(int64_t handle, char *buffer, uint32_t capacity) {
	if (!ec_test_open(handle)) return -10;
	const ec_test_exchange *x = ec_test_handles[handle - 1].exchange;
	size_t *read = &ec_test_handles[handle - 1].read, left = strlen(x->answer) - *read;
	if (left == 0) return x->breaks;
	if (left > capacity) left = capacity;
	if (left > 1000) left = 1000; /* bodies come in pieces */
	memcpy(buffer, x->answer + *read, left);
	*read += left;
	return (int32_t)left;
}
int32_t ec_host_http_close(int64_t handle) {
	if (!ec_test_open(handle)) return -10;
	ec_test_handles[handle - 1].exchange = 0;
	return 0;
}

static struct { char key[257], value[1 << 10]; } ec_test_kv[16];

static int ec_test_kv_at(const char *key, uint32_t length, int any) {
	for (int i = 0; i < 16; i++)
		if (ec_test_kv[i].key[0] && strlen(ec_test_kv[i].key) == length && memcmp(ec_test_kv[i].key, key, length) == 0) return i;
	for (int i = 0; any && i < 16; i++)
		if (!ec_test_kv[i].key[0]) return i;
	return -1;
}
int32_t ec_host_kv_get(const char *key, uint32_t key_length, char *buffer, uint32_t capacity) {
	int i = ec_test_kv_at(key, key_length, 0);
	return i < 0 ? -1 : ec_test_copy(ec_test_kv[i].value, buffer, capacity);
}
int32_t ec_host_kv_set(const char *key, uint32_t key_length, const char *value, uint32_t length, int32_t ttl) {
	int i = ec_test_kv_at(key, key_length, 1);
	(void)ttl;
	if (i < 0 || key_length > 256 || length >= sizeof ec_test_kv[0].value) return -6;
	snprintf(ec_test_kv[i].key, sizeof ec_test_kv[i].key, "%.*s", (int)key_length, key);
	snprintf(ec_test_kv[i].value, sizeof ec_test_kv[i].value, "%.*s", (int)length, value);
	return 0;
}
int32_t ec_host_kv_del(const char *key, uint32_t key_length) {
	int i = ec_test_kv_at(key, key_length, 0);
	if (i >= 0) ec_test_kv[i].key[0] = 0;
	return 0;
}

static void ec_test_input(int slot, const char *text) {
	ec_test_given[slot] = text != 0;
	snprintf(ec_test_inputs[slot], sizeof ec_test_inputs[slot], "%s", text ? text : "");
}
/* Begins a call, and ends what the last one left open. */
static void ec_test_begin(void) {
	memset(ec_test_have, 0, sizeof ec_test_have);
	memset(ec_test_handles, 0, sizeof ec_test_handles);
	for (int i = 0; i < 4; i++) ec_test_outputs[i][0] = 0, ec_test_given[i] = 0;
	ec_test_said[0] = ec_test_logged[0] = ec_test_emitted[0] = 0;
	ec_test_requests = 0;
}

static char ec_test_text[3 * EC_TEST_ROOM];

static const char *ec_test_failed(int32_t code) {
	snprintf(ec_test_text, sizeof ec_test_text, "failed %d %s", code, ec_test_said);
	return ec_test_text;
}

/* Each of these calls the adapter and says in one text what came of it. */

/* "ok" or "failed -5 text". */
static const char *ec_test_start(void) {
	ec_test_begin();
	int32_t code = ec_export_init();
	return code ? ec_test_failed(code) : "ok";
}

int32_t ec_export_list(void);
int32_t ec_export_poll(void);

/* "found {…} version 7", "not modified", "not found", or "failed -2 text". */
static const char *ec_test_lookup(const char *name, const char *held) {
	ec_test_begin();
	ec_test_input(0, name);
	ec_test_input(2, held);
	int32_t code = ec_export_lookup();
	if (code == 1) return "not modified";
	if (code == -1) return "not found";
	if (code) return ec_test_failed(code);
	snprintf(ec_test_text, sizeof ec_test_text, "found %s%s%s", ec_test_outputs[0], ec_test_have[3] ? " version " : "", ec_test_outputs[3]);
	return ec_test_text;
}

/* The names, a line each, of all calls that the list takes, or "failed -2 text". */
static inline const char *ec_test_list(void) {
	static char names[EC_TEST_ROOM], cursor[4096];
	names[0] = cursor[0] = 0;
	for (;;) {
		ec_test_begin();
		ec_test_input(3, cursor[0] ? cursor : 0);
		int32_t code = ec_export_list();
		if (code) return ec_test_failed(code);
		if (strlen(names) + strlen(ec_test_outputs[1]) >= sizeof names) abort();
		strcat(names, ec_test_outputs[1]);
		snprintf(cursor, sizeof cursor, "%s", ec_test_outputs[2]);
		if (!ec_test_have[2]) return names;
	}
}

/* What was emitted, a line each, then "next 7" and "wait 1000"; or "failed -2 text". */
static inline const char *ec_test_poll(const char *cursor) {
	ec_test_begin();
	ec_test_input(3, cursor);
	int32_t code = ec_export_poll();
	if (code < 0) return ec_test_failed(code);
	snprintf(ec_test_text, sizeof ec_test_text, "%snext %s\nwait %d\n", ec_test_emitted, ec_test_outputs[2], code);
	return ec_test_text;
}

#endif
