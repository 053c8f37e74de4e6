/* edgecache_json.h: reads JSON as RFC 8259 has it; ec_add_json writes its strings.
 * edgecache_adapter.h includes it.
 *
 *   ec_json answer;
 *   int32_t code = ec_json_read(url, text, &answer);
 *   if (code) return code;                             ec_failed said where it is wrong
 *   ec_json list = ec_json_at(answer, "/instances");
 *   for (ec_json_item in = {0}; ec_json_next(list, &in);) {
 *     if (!ec_json_string(ec_json_at(in.value, "/host"), &host)) …
 *   }
 */
#ifndef EDGECACHE_JSON_H
#define EDGECACHE_JSON_H

#include "edgecache_text.h"

/* A value inside a text that ec_json_read has looked at; text is null if it is
 * absent. It is there as long as that text. */
typedef struct { const char *text, *end; } ec_json;

enum { EC_JSON_ABSENT, EC_JSON_NULL, EC_JSON_BOOL, EC_JSON_NUMBER, EC_JSON_STRING, EC_JSON_LIST, EC_JSON_OBJECT };
#define EC_JSON_DEPTH 64 /* lists and objects inside each other, at most */

static inline int ec_json_type(ec_json v) {
	if (!v.text) return EC_JSON_ABSENT;
	switch (*v.text) {
	case 'n': return EC_JSON_NULL;
	case 't': case 'f': return EC_JSON_BOOL;
	case '"': return EC_JSON_STRING;
	case '[': return EC_JSON_LIST;
	case '{': return EC_JSON_OBJECT;
	}
	return EC_JSON_NUMBER;
}

/* What a value is, in words for an error: "a string expected, found null". */
static inline const char *ec_json_kind(ec_json v) {
	static const char *const kinds[] = {"nothing", "null", "a boolean", "a number", "a string", "a list", "an object"};
	return kinds[ec_json_type(v)];
}

static inline const char *ec_json_space(const char *at, const char *end) {
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n')) at++;
	return at;
}

/* The code unit of four hexadecimal digits, -1: they are not. */
static inline int32_t ec_json_hex(const char *at, const char *end) {
	int32_t unit = 0;
	if (end - at < 4) return -1;
	for (int i = 0; i < 4; i++) {
		char c = at[i], low = c | 0x20;
		if (c >= '0' && c <= '9') unit = unit << 4 | (c - '0');
		else if (low >= 'a' && low <= 'f') unit = unit << 4 | (low - 'a' + 10);
		else return -1;
	}
	return unit;
}

/* What follows a backslash: its length, 0 if there is no such escape. Half of a
 * pair of surrogates is none. */
static inline uint32_t ec_json_escape(const char *at, const char *end) {
	if (at == end) return 0;
	switch (*at) {
	case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't': return 1;
	case 'u': break;
	default: return 0;
	}
	int32_t unit = ec_json_hex(at + 1, end);
	if (unit < 0 || (unit & 0xfc00) == 0xdc00) return 0;
	if ((unit & 0xfc00) != 0xd800) return 5;
	if (end - at < 7 || at[5] != '\\' || at[6] != 'u') return 0;
	return (ec_json_hex(at + 7, end) & ~0x3ff) == 0xdc00 ? 11 : 0;
}

/* These step over a value; at stays where it is wrong, and they say 0. */
static inline int ec_json_over_string(const char **at, const char *end) {
	for (*at = ec_plain(*at + 1, end); *at < end && **at != '"';) {
		unsigned char c = (unsigned char)**at;
		uint32_t n = 1;
		if (c < 0x20) return 0;
		if (c == '\\') n = ec_json_escape(*at + 1, end) ? 1 + ec_json_escape(*at + 1, end) : 0;
		else if (c >= 0x80) n = ec_utf8(*at, end);
		if (!n) return 0;
		*at += n;
	}
	if (*at == end) return 0;
	return ++*at, 1;
}
static inline int ec_json_over_digits(const char **at, const char *end) {
	const char *from = *at;
	while (*at < end && **at >= '0' && **at <= '9') ++*at;
	return *at > from;
}
static inline int ec_json_over_number(const char **at, const char *end) {
	if (**at == '-') ++*at;
	if (*at < end && **at == '0') ++*at;
	else if (!ec_json_over_digits(at, end)) return 0;
	if (*at < end && **at == '.' && (++*at, !ec_json_over_digits(at, end))) return 0;
	if (*at == end || (**at | 0x20) != 'e') return 1;
	++*at;
	if (*at < end && (**at == '+' || **at == '-')) ++*at;
	return ec_json_over_digits(at, end);
}
static inline int ec_json_over_word(const char **at, const char *end, const char *word) {
	for (; *word; word++, ++*at)
		if (*at == end || **at != *word) return 0;
	return 1;
}
static inline int ec_json_over_plain(const char **at, const char *end) {
	switch (**at) {
	case '"': return ec_json_over_string(at, end);
	case 't': return ec_json_over_word(at, end, "true");
	case 'f': return ec_json_over_word(at, end, "false");
	case 'n': return ec_json_over_word(at, end, "null");
	}
	return ec_json_over_number(at, end);
}
static inline int ec_json_over_key(const char **at, const char *end) {
	*at = ec_json_space(*at, end);
	if (*at == end || **at != '"' || !ec_json_over_string(at, end)) return 0;
	*at = ec_json_space(*at, end);
	return *at < end && *(*at)++ == ':';
}

/* Steps over any value. A bit of objects says what is open at that depth. */
static inline int ec_json_over(const char **at, const char *end) {
	uint64_t objects = 0;
	uint32_t depth = 0;
	for (;;) {
		*at = ec_json_space(*at, end);
		if (*at == end) return 0;
		char c = **at;
		if (c == '{' || c == '[') {
			if (depth++ == EC_JSON_DEPTH) return 0;
			objects = objects << 1 | (c == '{');
			*at = ec_json_space(*at + 1, end);
			if (*at == end) return 0;
			if (**at != c + 2) { /* } and ] are two after { and [ */
				if (c == '{' && !ec_json_over_key(at, end)) return 0;
				continue;
			}
			depth--, objects >>= 1, ++*at;
		} else if (!ec_json_over_plain(at, end)) return 0;
		for (;; depth--, objects >>= 1, ++*at) { /* what follows a value */
			if (depth == 0) return 1;
			*at = ec_json_space(*at, end);
			if (*at == end) return 0;
			if (**at == ',') break;
			if (**at != (objects & 1 ? '}' : ']')) return 0;
		}
		++*at;
		if (objects & 1 && !ec_json_over_key(at, end)) return 0;
	}
}

/* Whether all of a text is JSON; then *value is it. Else value->end is where it is
 * not. What follows trusts that a value was looked at here. */
static inline int ec_json_parse(ec_string text, ec_json *value) {
	const char *end = text.text + text.length, *from = ec_json_space(text.text, end), *at = from, *done;
	if (ec_json_over(&at, end)) {
		done = at;
		at = ec_json_space(at, end);
		if (at == end) return *value = (ec_json){from, done}, 1;
	}
	*value = (ec_json){0, at};
	return 0;
}

/* The same; 0, or it says where of is wrong and returns a code. */
static inline int32_t ec_json_read(ec_string of, ec_string text, ec_json *value) {
	if (ec_json_parse(text, value)) return 0;
	const char *at = value->end, *end = text.text + text.length;
	if (at == end) return ec_failed(-5, "%.*s: JSON expected, it ends after %u bytes", EC_P(of), text.length);
	ec_string shown = {at, 0};
	while (shown.length < 20 && at + shown.length < end && at[shown.length] >= 0x20) shown.length++;
	return ec_failed(-5, "%.*s: JSON expected, at byte %u is \"%.*s\"", EC_P(of), (unsigned)(at - text.text), EC_P(shown));
}

/* The end of the value at at, which is known to be right, in a text that ends at end. */
static inline const char *ec_json_end(const char *at, const char *end) {
	uint32_t depth = 0;
	do {
		char c = *at++;
		if (c == '"') {
			while (*(at = ec_plain(at, end)) != '"') {
				while (*at != '"' && *at != '\\') at++;
				if (*at == '\\') at += 2;
			}
			at++;
		} else if (c == '{' || c == '[') depth++;
		else if (c == '}' || c == ']') depth--;
		else if (depth == 0)
			while (at < end && ((*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'z') || *at == '.' || *at == '-' || *at == '+' || *at == 'E')) at++;
	} while (depth > 0);
	return at;
}

/* A member of an object or an element of a list; begin with {0}. */
typedef struct { ec_json key, value; uint32_t index; const char *next; } ec_json_item;

static inline int ec_json_next(ec_json of, ec_json_item *item) {
	int type = ec_json_type(of);
	if (type < EC_JSON_LIST) return 0;
	if (item->next) item->index++;
	const char *at = ec_json_space(item->next ? item->next : of.text + 1, of.end);
	if (*at == ',') at = ec_json_space(at + 1, of.end);
	if (*at == '}' || *at == ']') return 0;
	if (type == EC_JSON_OBJECT) {
		item->key = (ec_json){at, ec_json_end(at, of.end)};
		at = ec_json_space(ec_json_space(item->key.end, of.end) + 1, of.end);
	}
	item->value = (ec_json){at, item->next = ec_json_end(at, of.end)};
	return 1;
}

static inline uint32_t ec_json_unescape(const char *at, const char *end, char *to) {
	static const char names[] = "bfnrt", stands[] = "\b\f\n\r\t";
	if (*at != 'u') {
		*to = *at;
		for (int i = 0; i < 5; i++)
			if (*at == names[i]) *to = stands[i];
		return 1;
	}
	uint32_t c = (uint32_t)ec_json_hex(at + 1, end), n = 0;
	if ((c & 0xfc00) == 0xd800) c = 0x10000 + ((c & 0x3ff) << 10 | ((uint32_t)ec_json_hex(at + 7, end) & 0x3ff));
	if (c < 0x80) return *to = (char)c, 1;
	if (c >= 0x10000) to[n++] = (char)(0xf0 | c >> 18), to[n++] = (char)(0x80 | (c >> 12 & 63));
	else if (c >= 0x800) to[n++] = (char)(0xe0 | c >> 12);
	if (c >= 0x800) to[n++] = (char)(0x80 | (c >> 6 & 63));
	else to[n++] = (char)(0xc0 | c >> 6);
	to[n++] = (char)(0x80 | (c & 63));
	return n;
}

/* Whether a value is a string; then *s is its text, unescaped. */
static inline int ec_json_string(ec_json v, ec_string *s) {
	if (ec_json_type(v) != EC_JSON_STRING) return 0;
	ec_string raw = {v.text + 1, (uint32_t)(v.end - v.text - 2)};
	*s = raw;
	const char *plain = ec_plain(raw.text, v.end - 1);
	if (ec_find(ec_from(raw, (uint32_t)(plain - raw.text)), '\\') < 0) return 1;
	char *to = ec_room(raw.length);
	if (!to) return 0;
	uint32_t n = 0;
	for (const char *at = raw.text, *end = at + raw.length; at < end;) {
		if (*at != '\\') {
			to[n++] = *at++;
			continue;
		}
		n += ec_json_unescape(at + 1, end, to + n);
		at += 1 + ec_json_escape(at + 1, end);
	}
	*s = (ec_string){to, n};
	return 1;
}

/* Whether a value is a number with so many decimals at most, written without an
 * exponent; then *n is it without its point: 0.25 has 25 of 2 decimals. */
static inline int ec_json_decimal(ec_json v, uint32_t decimals, int64_t *n) {
	if (ec_json_type(v) != EC_JSON_NUMBER) return 0;
	int minus = *v.text == '-', point = 0;
	int64_t sum = 0;
	for (const char *at = v.text + minus; at < v.end; at++) {
		if (*at == '.' && !point) {
			point = 1;
			continue;
		}
		if (*at < '0' || *at > '9') return 0;
		if (point && decimals == 0 && *at != '0') return 0;
		if (point && decimals == 0) continue;
		decimals -= (uint32_t)point;
		if (sum > (INT64_MAX - (*at - '0')) / 10) return 0;
		sum = 10 * sum + (*at - '0');
	}
	for (; decimals > 0; decimals--) {
		if (sum > INT64_MAX / 10) return 0;
		sum *= 10;
	}
	*n = minus ? -sum : sum;
	return 1;
}
static inline int ec_json_int(ec_json v, int64_t *n) { return ec_json_decimal(v, 0, n); }
static inline int ec_json_true(ec_json v) { return v.text && *v.text == 't'; }

/* One part of a JSON pointer is a key, or a position in a list. */
static inline ec_json ec_json_part(ec_json of, ec_string part) {
	ec_string key;
	int64_t index = -1;
	if (ec_json_type(of) == EC_JSON_LIST && !ec_digits(part, &index)) return (ec_json){0, 0};
	for (ec_json_item item = {0}; ec_json_next(of, &item);)
		if (item.key.text ? ec_json_string(item.key, &key) && ec_same(key, part) : item.index == index) return item.value;
	return (ec_json){0, 0};
}

/* Finds n members of an object in one go; those that are not there are absent. */
static inline void ec_json_members(ec_json of, const char *const *names, ec_json *values, uint32_t n) {
	ec_string key;
	for (uint32_t i = 0; i < n; i++) values[i] = (ec_json){0, 0};
	if (ec_json_type(of) != EC_JSON_OBJECT) return;
	for (ec_json_item item = {0}; ec_json_next(of, &item);) {
		if (!ec_json_string(item.key, &key)) continue;
		for (uint32_t i = 0; i < n; i++) {
			uint32_t at = 0;
			while (at < key.length && names[i][at] && names[i][at] == key.text[at]) at++;
			if (at < key.length || names[i][at] || values[i].text) continue;
			values[i] = item.value;
			break;
		}
	}
}

/* The value at a JSON pointer, such as /header/revision or /kvs/0/key. Keys with /
 * or ~ in them are found by ec_json_part. */
static inline ec_json ec_json_at(ec_json v, const char *pointer) {
	while (*pointer == '/') {
		const char *from = ++pointer;
		while (*pointer && *pointer != '/') pointer++;
		v = ec_json_part(v, (ec_string){from, (uint32_t)(pointer - from)});
	}
	return v;
}

#endif
