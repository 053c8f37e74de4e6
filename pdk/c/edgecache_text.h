/* edgecache_text.h: memory, text, base64 and strings of JSON for adapters in C,
 * which have no standard library. edgecache_adapter.h includes it. */
#ifndef EDGECACHE_TEXT_H
#define EDGECACHE_TEXT_H

#include <stdarg.h>
#include "edgecache.h"

/* A string that a literal is, and one for "%.*s" of ec_format. */
#define EC_S(literal) ((ec_string){literal, sizeof(literal) - 1})
#define EC_P(string) (int)(string).length, (string).text

/* Memory. What ec_alloc returns is zero, aligned to 8, and is there until the call
 * ends; what the start of an adapter allocates stays for good. Null: there is no
 * more, which the manifest's memory_pages decides. What was allocated since a mark
 * can be given back early. */
#ifdef __wasm__
extern unsigned char __heap_base;
#define EC_HEAP (&__heap_base)
static inline int ec_heap_reach(uintptr_t end) {
	uintptr_t pages = __builtin_wasm_memory_size(0), need = (end + 65535) >> 16;
	return need <= pages || __builtin_wasm_memory_grow(0, need - pages) != (uintptr_t)-1;
}
#else
#define EC_NATIVE_HEAP (32u << 20)
static _Alignas(8) unsigned char ec_heap[EC_NATIVE_HEAP];
#define EC_HEAP ec_heap
static inline int ec_heap_reach(uintptr_t end) { return end <= (uintptr_t)ec_heap + EC_NATIVE_HEAP; }
#endif

static unsigned char *ec_heap_at, *ec_heap_kept;

static inline unsigned char *ec_mark(void) {
	if (!ec_heap_at) ec_heap_at = (unsigned char *)(((uintptr_t)EC_HEAP + 7) & ~(uintptr_t)7);
	return ec_heap_at;
}
static inline void ec_release(unsigned char *mark) { ec_heap_at = mark; }

/* Room that is not zero. */
static inline void *ec_room(uint32_t size) {
	unsigned char *room = ec_mark();
	if (size > 1u << 30 || !ec_heap_reach((uintptr_t)room + size + 8)) return 0;
	ec_heap_at = room + ((size + 7) & ~7u);
	return room;
}

static inline void *ec_alloc(uint32_t size) {
	void *room = ec_room(size);
	if (room) __builtin_memset(room, 0, size);
	return room;
}

/* A text that grows. When there is no room for more it is full, and what it has is
 * of no use: look at full once, at its end. */
typedef struct { char *text; uint32_t length, capacity; int full; } ec_buffer;

static inline ec_string ec_text(const ec_buffer *b) { return (ec_string){b->text ? b->text : "", b->length}; }

__attribute__((noinline)) static char *ec_grow(ec_buffer *b, uint32_t more) {
	uint32_t capacity = b->capacity < 64 ? 64 : 2 * b->capacity;
	if (b->full) return 0;
	if (more > 1u << 29 || b->length > 1u << 29) capacity = 1u << 31; /* more than there ever is */
	else if (capacity < b->length + more) capacity = b->length + more;
	capacity = (capacity + 7) & ~7u;
	if (b->text && (unsigned char *)b->text + b->capacity == ec_heap_at) { /* the last: it grows where it is */
		if (ec_room(capacity - b->capacity)) return b->capacity = capacity, b->text + b->length;
	} else {
		char *text = ec_room(capacity);
		if (text) {
			if (b->length) __builtin_memcpy(text, b->text, b->length);
			return b->text = text, b->capacity = capacity, text + b->length;
		}
	}
	b->full = 1;
	b->capacity = b->length; /* so that it is asked here again */
	return 0;
}

/* Makes room for so many bytes more, and returns where they go; null if it is full. */
static inline char *ec_reserve(ec_buffer *b, uint32_t more) {
	return more <= b->capacity - b->length ? b->text + b->length : ec_grow(b, more);
}

static inline void ec_add(ec_buffer *b, ec_string s) {
	char *to = s.length ? ec_reserve(b, s.length) : 0;
	if (!to) return;
	__builtin_memcpy(to, s.text, s.length);
	b->length += s.length;
}
static inline void ec_add_byte(ec_buffer *b, char c) {
	char *to = ec_reserve(b, 1);
	if (to) *to = c, b->length++;
}
static inline void ec_add_uint(ec_buffer *b, uint64_t n) {
	char digits[20];
	uint32_t at = sizeof digits;
	do digits[--at] = (char)('0' + n % 10);
	while (n /= 10);
	ec_add(b, (ec_string){digits + at, sizeof digits - at});
}
static inline void ec_add_int(ec_buffer *b, int64_t n) {
	if (n < 0) ec_add_byte(b, '-');
	ec_add_uint(b, n < 0 ? -(uint64_t)n : (uint64_t)n);
}

static inline ec_string ec_copy(ec_string s) {
	char *text = ec_room(s.length + 1);
	if (!text) return (ec_string){0, 0};
	if (s.length) __builtin_memcpy(text, s.text, s.length);
	text[s.length] = 0;
	return (ec_string){text, s.length};
}

static inline int ec_same(ec_string a, ec_string b) { return ec_equal(a, b.text, b.length); }
static inline int ec_begins(ec_string s, ec_string with) {
	return s.length >= with.length && ec_equal((ec_string){s.text, with.length}, with.text, with.length);
}
/* The rest from a byte on, and the place of the last c, -1: none. */
static inline ec_string ec_from(ec_string s, uint32_t at) { return (ec_string){at ? s.text + at : s.text, s.length - at}; }
static inline int32_t ec_last(ec_string s, char c) {
	int32_t i = (int32_t)s.length - 1;
	while (i >= 0 && s.text[i] != c) i--;
	return i;
}
static inline int32_t ec_find(ec_string s, char c) {
	for (uint32_t i = 0; i < s.length; i++)
		if (s.text[i] == c) return (int32_t)i;
	return -1;
}

/* Whether a string is digits only, at most 18; then *n is their number. */
static inline int ec_digits(ec_string s, int64_t *n) {
	if (!s.length || s.length > 18) return 0;
	*n = 0;
	for (uint32_t i = 0; i < s.length; i++) {
		if (s.text[i] < '0' || s.text[i] > '9') return 0;
		*n = 10 * *n + (s.text[i] - '0');
	}
	return 1;
}

/* Adds a text as printf makes it, of %s %.*s %c %d %u %lld %llu %%. */
static inline void ec_formats(ec_buffer *b, const char *format, va_list args) {
	for (; *format; format++) {
		const char *from = format;
		while (*format && *format != '%') format++;
		ec_add(b, (ec_string){from, (uint32_t)(format - from)});
		if (!*format++) return;
		int longs = 0, length = -1;
		if (format[0] == '.' && format[1] == '*') length = va_arg(args, int), format += 2;
		while (*format == 'l') longs++, format++;
		switch (*format) {
		case 'c': ec_add_byte(b, (char)va_arg(args, int)); break;
		case 'd': ec_add_int(b, longs > 1 ? va_arg(args, long long) : longs ? va_arg(args, long) : va_arg(args, int)); break;
		case 'u': ec_add_uint(b, longs > 1 ? va_arg(args, unsigned long long) : longs ? va_arg(args, unsigned long) : va_arg(args, unsigned)); break;
		case 's':
			for (const char *s = va_arg(args, const char *); length < 0 ? *s != 0 : length-- > 0; s++) ec_add_byte(b, *s);
			break;
		default: ec_add_byte(b, *format);
		}
	}
}
__attribute__((format(printf, 2, 3))) static inline void ec_format(ec_buffer *b, const char *format, ...) {
	va_list args;
	va_start(args, format);
	ec_formats(b, format, args);
	va_end(args);
}

/* A line of the host's log, as printf would write it. */
__attribute__((format(printf, 2, 3))) static inline void ec_log(int32_t level, const char *format, ...) {
	unsigned char *mark = ec_mark();
	ec_buffer b = {0};
	va_list args;
	va_start(args, format);
	ec_formats(&b, format, args);
	va_end(args);
	ec_host_log(level, ec_text(&b).text, b.length);
	ec_release(mark);
}

/* Says what is wrong, for the operator, and returns the code. */
__attribute__((format(printf, 2, 3))) static inline int32_t ec_failed(int32_t code, const char *format, ...) {
	unsigned char *mark = ec_mark();
	ec_buffer b = {0};
	va_list args;
	va_start(args, format);
	ec_formats(&b, format, args);
	va_end(args);
	ec_error(ec_text(&b).text, b.length);
	ec_release(mark);
	return code;
}

/* The length of the UTF-8 sequence at a byte that is no ASCII, 0: it is none. */
static inline uint32_t ec_utf8(const char *text, const char *end) {
	const unsigned char *s = (const unsigned char *)text;
	uint32_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4 || (uint32_t)(end - text) < n) return 0;
	for (uint32_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80) return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)) return 0;
	if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)) return 0;
	return n;
}

/* Steps over what is ASCII without quotes, backslashes and control characters, eight
 * bytes at a time: it stops at the first other byte, or where less than eight are
 * left. The lowest bit that is set is exact, for borrows go upward. */
static inline const char *ec_plain(const char *at, const char *end) {
	const uint64_t ones = 0x0101010101010101u;
	for (; end - at >= 8; at += 8) {
		uint64_t w, quotes, backslashes;
		__builtin_memcpy(&w, at, 8);
		quotes = w ^ ones * '"', backslashes = w ^ ones * '\\';
		w = (w | ((w - ones * 0x20) & ~w) | ((quotes - ones) & ~quotes) | ((backslashes - ones) & ~backslashes)) & ones * 0x80;
		if (w) return at + __builtin_ctzll(w) / 8;
	}
	return at;
}

/* Adds a string in JSON. Bytes that are not UTF-8 become U+FFFD. */
static inline void ec_add_json(ec_buffer *b, ec_string s) {
	static const char hex[] = "0123456789abcdef";
	ec_add_byte(b, '"');
	uint32_t done = 0;
	for (uint32_t i = 0; i < s.length;) {
		i = (uint32_t)(ec_plain(s.text + i, s.text + s.length) - s.text);
		if (i == s.length) break;
		unsigned char c = (unsigned char)s.text[i];
		uint32_t n = c < 0x80 ? 1 : ec_utf8(s.text + i, s.text + s.length);
		if (n && c >= 0x20 && c != '"' && c != '\\') {
			i += n;
			continue;
		}
		ec_add(b, (ec_string){s.text + done, i - done});
		if (!n) ec_add(b, EC_S("\xef\xbf\xbd"));
		else if (c < 0x20) ec_format(b, "\\u00%c%c", hex[c >> 4], hex[c & 15]);
		else ec_add_byte(b, '\\'), ec_add_byte(b, (char)c);
		done = ++i;
	}
	ec_add(b, ec_from(s, done));
	ec_add_byte(b, '"');
}

/* Adds text as a segment of a path or a value of a query: what is not a-z, 0-9 or one
 * of -._~@ is escaped. */
static inline void ec_add_escape(ec_buffer *b, ec_string text) {
	static const char hex[] = "0123456789ABCDEF";
	for (uint32_t i = 0; i < text.length; i++) {
		char c = text.text[i], low = c | 0x20;
		if ((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || ec_find(EC_S("-._~@"), c) >= 0) ec_add_byte(b, c);
		else ec_format(b, "%%%c%c", hex[c >> 4 & 15], hex[c & 15]);
	}
}
static inline ec_string ec_escape(ec_string text) {
	ec_buffer b = {0};
	ec_add_escape(&b, text);
	return ec_text(&b);
}

/* Adds bytes in base64, as RFC 4648 has it: with + and /, padded. */
static inline void ec_add_base64(ec_buffer *b, ec_string bytes) {
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (uint32_t i = 0; i < bytes.length; i += 3) {
		uint32_t left = bytes.length - i, n = (uint32_t)(unsigned char)bytes.text[i] << 16;
		if (left > 1) n |= (uint32_t)(unsigned char)bytes.text[i + 1] << 8;
		if (left > 2) n |= (unsigned char)bytes.text[i + 2];
		char four[4] = {digits[n >> 18], digits[n >> 12 & 63], left > 1 ? digits[n >> 6 & 63] : '=', left > 2 ? digits[n & 63] : '='};
		ec_add(b, (ec_string){four, 4});
	}
}

/* The digit that a character is, 64: none. */
static const unsigned char ec_base64_digits[256] = {
#define EC_X8 64, 64, 64, 64, 64, 64, 64, 64
	EC_X8, EC_X8, EC_X8, EC_X8, EC_X8, 64, 64, 64, 62, 64, 64, 64, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 64, 64, 64, 64, 64, 64,
	64, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 64, 64, 64, 64, 64,
	64, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 64, 64, 64, 64, 64,
	EC_X8, EC_X8, EC_X8, EC_X8, EC_X8, EC_X8, EC_X8, EC_X8, EC_X8, EC_X8, EC_X8, EC_X8, EC_X8, EC_X8, EC_X8, EC_X8,
#undef EC_X8
};

/* Writes to to what a text in base64 stands for, padded as it has to be: how many
 * bytes, at most 3 for 4; -1 if it is none. to may be where the text is. */
static inline int32_t ec_base64(ec_string text, char *to) {
	const unsigned char *at = (const unsigned char *)text.text, *digits = ec_base64_digits;
	uint32_t padding = 0, groups = text.length / 4, wrong = 0, bits, n = 0;
	if (text.length % 4) return -1;
	while (padding < 2 && padding < text.length && at[text.length - 1 - padding] == '=') padding++;
	for (uint32_t i = 0; i + (padding > 0) < groups; i++, at += 4) {
		uint32_t a = digits[at[0]], b = digits[at[1]], c = digits[at[2]], d = digits[at[3]];
		wrong |= a | b | c | d, bits = a << 18 | b << 12 | c << 6 | d;
		to[n++] = (char)(bits >> 16), to[n++] = (char)(bits >> 8), to[n++] = (char)bits;
	}
	if (padding) {
		uint32_t a = digits[at[0]], b = digits[at[1]], c = padding > 1 ? 0 : digits[at[2]];
		wrong |= a | b | c, bits = a << 18 | b << 12 | c << 6;
		if (bits & (padding > 1 ? 0xffff : 0xff)) return -1;
		to[n++] = (char)(bits >> 16);
		if (padding == 1) to[n++] = (char)(bits >> 8);
	}
	return wrong & 64 ? -1 : (int32_t)n;
}

#endif
