// An adapter for the host's tests: its registry says everything, and names that
// begin with x- make it misbehave (misbehave.h). Built a second time with
// -DBARE, it does not import fuel_left.
#include <stdint.h>

#define IMPORT(name) __attribute__((import_module("edgecache_v1"), import_name(name))) extern
#define EXPORT(name) __attribute__((export_name(name)))

IMPORT("log") void host_log(int32_t level, const char *text, uint32_t length);
IMPORT("error_set") void error_set(const char *text, uint32_t length);
IMPORT("config_get") int32_t config_get(const char *key, uint32_t length, char *to, uint32_t capacity);
IMPORT("input_get") int32_t input_get(int32_t slot, char *to, uint32_t capacity);
IMPORT("output_set") int32_t output_set(int32_t kind, const char *text, uint32_t length);
IMPORT("emit") int32_t emit(int32_t op, const char *name, uint32_t length, const char *text, uint32_t text_length);
IMPORT("http_send") int64_t http_send(const char *head, uint32_t length, const char *body, uint32_t body_length, uint32_t timeout);
IMPORT("http_status") int32_t http_status(int64_t handle);
IMPORT("http_header") int32_t http_header(int64_t handle, const char *name, uint32_t length, char *to, uint32_t capacity);
IMPORT("http_read") int32_t http_read(int64_t handle, char *to, uint32_t capacity);
IMPORT("http_close") int32_t http_close(int64_t handle);
IMPORT("kv_get") int32_t kv_get(const char *key, uint32_t length, char *to, uint32_t capacity);
IMPORT("kv_set") int32_t kv_set(const char *key, uint32_t length, const char *value, uint32_t value_length, uint32_t ttl);
IMPORT("kv_del") int32_t kv_del(const char *key, uint32_t length);
IMPORT("now_ms") int64_t now_ms(void);
IMPORT("deadline_ms") int32_t deadline_ms(void);
#ifndef BARE
IMPORT("fuel_left") int32_t fuel_left(void);
#else
static int32_t fuel_left(void) { return 0; }
#endif

#define TEXT(text) text, sizeof text - 1

enum { NOT_FOUND = -1, UNAVAILABLE = -2, TOO_LARGE = -6, INTERNAL = -7, UNSUPPORTED = -8, PAGE = 65536 };

extern char __heap_base;

static char url[256], name[1 << 16], scratch[1 << 16], head[2 << 16];
static uint32_t url_length, held;

// What the answer's body is read into: all memory behind the heap's base, which
// grows and never shrinks.
static char *body(void) { return &__heap_base; }

static uint32_t room(void) { return __builtin_wasm_memory_size(0) * PAGE - (uint32_t)&__heap_base; }

static uint32_t put(char *to, uint32_t at, const char *text, uint32_t length) {
	__builtin_memcpy(to + at, text, length);
	return at + length;
}

static uint32_t put_number(char *to, uint32_t at, int64_t n) {
	char digits[20];
	uint32_t count = 0;
	if (n < 0) {
		to[at++] = '-';
		n = -n;
	}
	do
		digits[count++] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	while (count > 0)
		to[at++] = digits[--count];
	return at;
}

static int32_t number(const char *text, uint32_t length) {
	int32_t n = 0;
	for (uint32_t i = 0; i < length && text[i] >= '0' && text[i] <= '9'; i++)
		n = 10 * n + text[i] - '0';
	return n;
}

// begins returns what follows a prefix, 0 if text does not begin with it.
static const char *begins(const char *text, uint32_t length, const char *prefix, uint32_t prefix_length) {
	if (length < prefix_length)
		return 0;
	for (uint32_t i = 0; i < prefix_length; i++)
		if (text[i] != prefix[i])
			return 0;
	return text + prefix_length;
}

// says fails with a number in words.
static int32_t says(const char *text, uint32_t length, int32_t n, int32_t code) {
	uint32_t at = put(scratch, 0, text, length);
	at = put_number(scratch, at, n);
	error_set(scratch, at);
	return code;
}

// answer sets a record without a name that has one pair of metadata.
static int32_t answer(const char *key, uint32_t length, const char *value, uint32_t value_length) {
	uint32_t at = put(head, 0, TEXT("{\"instances\":[],\"metadata\":{\""));
	at = put(head, at, key, length);
	at = put(head, at, TEXT("\":\""));
	at = put(head, at, value, value_length);
	at = put(head, at, TEXT("\"}}"));
	return output_set(0, head, at);
}

static int32_t answer_number(const char *key, uint32_t length, int64_t n) {
	return answer(key, length, scratch, put_number(scratch, 0, n));
}

// get sends GET url path rest, and a further header line if there is one.
static int64_t get(const char *path, uint32_t length, const char *rest, uint32_t rest_length, const char *line, uint32_t line_length, uint32_t timeout) {
	uint32_t at = put(head, 0, TEXT("GET "));
	at = put(head, at, url, url_length);
	at = put(head, at, path, length);
	at = put(head, at, rest, rest_length);
	at = put(head, at, TEXT("\n"));
	at = put(head, at, line, line_length);
	return http_send(head, at, 0, 0, timeout);
}

// receive reads all of an answer's body, and returns its length or a code.
static int32_t receive(int64_t handle) {
	uint32_t length = 0;
	for (;;) {
		if (room() - length < PAGE && __builtin_wasm_memory_grow(0, 1) == (uint32_t)-1)
			return says(TEXT("no memory after "), (int32_t)length, TOO_LARGE);
		int32_t n = http_read(handle, body() + length, room() - length);
		if (n < 0)
			return n;
		if (n == 0)
			return (int32_t)length;
		length += (uint32_t)n;
	}
}

#include "misbehave.h"

EXPORT("edgecache_abi_v1") void marker(void) {}

EXPORT("ec_abi") int32_t abi(void) { return 1 << 16; }

EXPORT("ec_init") int32_t init(void) {
	fuel_left();
	url_length = (uint32_t)config_get(TEXT("/url"), url, sizeof url);
	int32_t n = config_get(TEXT("/init"), name, sizeof name);
	n = n > 0 ? misbehave(name, (uint32_t)n) : 0;
	return n == UNSUPPORTED ? 0 : n; // an output, here
}

EXPORT("ec_lookup") int32_t lookup(void) {
	uint32_t length = (uint32_t)input_get(0, name, sizeof name);
	const char *x = begins(name, length, TEXT("x-"));
	if (x)
		return misbehave(x, length - 2);
	uint32_t line = put(scratch, 0, TEXT("If-None-Match: "));
	int32_t n = input_get(2, scratch + line, sizeof scratch - line - 1);
	line = n < 0 ? 0 : put(scratch, line + (uint32_t)n, TEXT("\n"));
	int64_t handle = get(TEXT("/s/"), name, length, scratch, line, 0);
	if (handle < 0)
		return (int32_t)handle;
	switch (http_status(handle)) {
	case 200:
		break;
	case 304:
		return 1;
	case 404:
		return NOT_FOUND;
	default:
		return says(TEXT("its status is "), http_status(handle), UNAVAILABLE);
	}
	n = http_header(handle, TEXT("ETag"), scratch, sizeof scratch);
	if (n >= 0)
		output_set(3, scratch, (uint32_t)n);
	n = receive(handle);
	return n < 0 ? n : output_set(0, body(), (uint32_t)n);
}

EXPORT("ec_list") int32_t list(void) {
	uint32_t query = put(scratch, 0, TEXT("?after="));
	int32_t n = input_get(3, scratch + query, sizeof scratch - query);
	int64_t handle = get(TEXT("/names"), scratch, n < 0 ? 0 : query + (uint32_t)n, 0, 0, 0);
	if (handle < 0)
		return (int32_t)handle;
	if (http_status(handle) != 200)
		return says(TEXT("its status is "), http_status(handle), UNAVAILABLE);
	n = http_header(handle, TEXT("X-Next"), scratch, sizeof scratch);
	if (n >= 0)
		output_set(2, scratch, (uint32_t)n);
	n = receive(handle);
	return n < 0 ? n : output_set(1, body(), (uint32_t)n);
}

// line does what one line of a poll's answer says.
static int32_t line(const char *text, uint32_t length, int32_t *wait) {
	const char *rest = text + 2;
	uint32_t n = 0;
	length = length > 2 ? length - 2 : 0;
	while (n < length && rest[n] != ' ')
		n++;
	switch (text[0]) {
	case 'U':
		return n < length ? emit(0, rest, n, rest + n + 1, length - n - 1) : INTERNAL;
	case 'R': // an upsert again and again
		for (int32_t i = 0, code = 0; i < 60; i++)
			if (n == length || (code = emit(0, rest, n, rest + n + 1, length - n - 1)) < 0)
				return code;
		return 0;
	case 'D':
		return emit(1, rest, length, 0, 0);
	case 'I':
		return emit(2, rest, length, 0, 0);
	case 'A':
		return emit(3, 0, 0, 0, 0);
	case 'C':
		return output_set(2, rest, length);
	case 'W':
		*wait = number(rest, length);
		return 0;
	case 'X':
		return misbehave(rest, length);
	}
	return says(TEXT("a line begins with the character "), text[0], INTERNAL);
}

EXPORT("ec_poll") int32_t poll(void) {
	uint32_t query = put(scratch, 0, TEXT("?from="));
	int32_t n = input_get(3, scratch + query, sizeof scratch - query), wait = 0;
	int64_t handle = get(TEXT("/poll"), scratch, n < 0 ? 0 : query + (uint32_t)n, 0, 0, 0);
	if (handle < 0)
		return (int32_t)handle;
	if (http_status(handle) != 200)
		return says(TEXT("its status is "), http_status(handle), UNAVAILABLE);
	n = receive(handle);
	if (n < 0)
		return n;
	for (uint32_t from = 0, at = 0; at < (uint32_t)n; from = ++at) {
		while (at < (uint32_t)n && body()[at] != '\n')
			at++;
		int32_t code = line(body() + from, at - from, &wait);
		if (code < 0)
			return code;
	}
	return wait;
}
