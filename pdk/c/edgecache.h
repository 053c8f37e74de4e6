/* edgecache.h: the plugin kit for C, of ABI 1.0 (docs/plugin-abi.md). What it has
 * for filters ends where EC_ADAPTER is defined: edgecache_adapter.h does that.
 *
 * A filter includes it, defines ec_start and ec_decide, and is built with
 *
 *   clang --target=wasm32 -O2 -ffreestanding -nostdlib -mbulk-memory -I pdk/c \
 *     -Wl,--no-entry -Wl,-z,stack-size=65536 -Wl,--strip-all -o x.wasm x.c
 *
 * Without that target it compiles as it is, against stubs: see EC_NATIVE below.
 */
#ifndef EDGECACHE_H
#define EDGECACHE_H

#include <stdint.h>

#define EC_INLINE __attribute__((always_inline))
#ifdef __wasm__
#define EC_IMPORT(name) __attribute__((import_module("edgecache_v1"), import_name(name)))
#define EC_EXPORT(name) __attribute__((export_name(name)))
#else /* EC_NATIVE: tests define these */
#define EC_IMPORT(name)
#define EC_EXPORT(name)
#endif

EC_IMPORT("log") void ec_host_log(int32_t level, const char *text, uint32_t length);
EC_IMPORT("error_set") void ec_host_error_set(const char *text, uint32_t length);
EC_IMPORT("config_get") int32_t ec_host_config_get(const char *key, uint32_t key_length, char *buffer, uint32_t capacity);

/* A string that the host gave, gone when the call has returned; text is null if it
 * is absent. One that is empty is not absent. */
typedef struct { const char *text; uint32_t length; } ec_string;

enum { EC_UNKNOWN, EC_PASSING, EC_WARNING, EC_DRAINING, EC_CRITICAL, EC_MAINTENANCE };
enum { EC_TRACE, EC_DEBUG, EC_INFO, EC_WARN, EC_ERROR };

static inline int ec_equal(ec_string a, const char *b, uint32_t length) {
	if (!a.text || a.length != length) return 0;
	if (a.text == b) return 1; /* the host has equal strings of a record once */
	for (uint32_t i = 0; i < length; i++)
		if (a.text[i] != b[i]) return 0;
	return 1;
}
#define EC_IS(string, literal) ec_equal(string, literal, sizeof(literal) - 1)

/* Writes a line to the host's log, which takes some 100 a second of a plugin. */
#define EC_LOG(level, literal) ec_host_log(level, literal, sizeof(literal) - 1)
static inline void ec_error(const char *text, uint32_t length) { ec_host_error_set(text, length); }
#define EC_ERROR_TEXT(literal) ec_error(literal, sizeof(literal) - 1)

/* Copies the configuration at a JSON pointer, "" is all of it; returns its
 * length, or a negative code. What is longer than capacity is not copied. */
static inline int32_t ec_config(const char *pointer, uint32_t length, char *buffer, uint32_t capacity) {
	return ec_host_config_get(pointer, length, buffer, capacity);
}
#define EC_CONFIG(pointer, buffer) ec_config(pointer, sizeof(pointer) - 1, buffer, sizeof(buffer))

EC_EXPORT("edgecache_abi_v1") void ec_export_marker(void) {}
EC_EXPORT("ec_abi") int32_t ec_export_abi(void) { return 1 << 16; }

#ifndef EC_ADAPTER

/* What a filter defines. ec_start runs once for each instance: 0 is well, else
 * ec_error says what is not. ec_decide runs for each request and returns one of
 * the verdicts below. */
static int32_t ec_start(void);
static uint64_t ec_decide(void);

/* The frame, as the host writes it. */
typedef struct {
	uint32_t magic; uint16_t header_size, flags; uint64_t version, now_ms;
	uint32_t instances, instances_off; uint16_t stride, attributes; uint32_t attributes_off, out_off, out_cap;
	uint32_t name_off, name_len, body_off, body_len;
} ec_frame;

/* One of the instances that the answer would hold. Strings that it does not have
 * are empty. Hashes are FNV-1a; two zones may share theirs. */
typedef struct {
	uint64_t id_hash; uint32_t zone_hash, weight, address_off; uint16_t address_len, port;
	uint8_t health, flags; uint16_t version_len; uint32_t meta_off, zone_off; uint16_t zone_len, id_len;
	uint32_t id_off, version_off;
} ec_instance;

#define EC_IN (64u << 10)
#define EC_OUT (16u << 10)
static _Alignas(16) unsigned char ec_memory[EC_IN + EC_OUT];

static inline const ec_frame *ec_call(void) { return (const ec_frame *)ec_memory; }
static inline uint32_t ec_count(void) { return ec_call()->instances; }
static inline const ec_instance *ec_at(uint32_t i) {
	return (const ec_instance *)(ec_memory + ec_call()->instances_off + i * ec_call()->stride);
}
static inline ec_string ec_text(uint32_t off, uint32_t length) {
	ec_string s = {off == 0xffffffffu ? 0 : (const char *)ec_memory + off, off == 0xffffffffu ? 0 : length};
	return s;
}
static inline ec_string ec_name(void) { return ec_text(ec_call()->name_off, ec_call()->name_len); }
static inline ec_string ec_id(const ec_instance *in) { return ec_text(in->id_off, in->id_len); }
static inline ec_string ec_address(const ec_instance *in) { return ec_text(in->address_off, in->address_len); }
static inline ec_string ec_zone(const ec_instance *in) { return ec_text(in->zone_off, in->zone_len); }
static inline ec_string ec_version(const ec_instance *in) { return ec_text(in->version_off, in->version_len); }

static inline int ec_tls(const ec_instance *in) { return in->flags & 1; }

/* The time of the call, in milliseconds since 1970 UTC. A verdict that depends on
 * it is not EC_CACHEABLE. */
static inline uint64_t ec_now(void) { return ec_call()->now_ms; }
/* Whether an attribute is absent because it was longer than 4 KiB. */
static inline int ec_too_long(void) { return ec_call()->flags >> 4 & 1; }

/* Where a text lies: of the texts of a record, and the client's zone with them, two
 * are the same if they have one place, and only then. 0: there is none. */
typedef uint64_t ec_place;
static inline ec_place ec_zone_place(const ec_instance *in) {
	ec_place p; /* one load: zone_off, zone_len, and what follows, which is cut off */
	__builtin_memcpy(&p, &in->zone_off, sizeof p);
	return p & 0xffffffffffffull;
}

/* A value of metadata; key is its place in the manifest's needs.meta. */
static inline ec_string ec_meta(const ec_instance *in, uint32_t key) {
	if (in->meta_off == 0) return (ec_string){0, 0};
	const uint32_t *slot = (const uint32_t *)(ec_memory + in->meta_off) + 2 * key;
	return ec_text(slot[0], slot[1]);
}
/* An attribute of the request; i is its place in the manifest's needs: headers,
 * then query, then attrs. */
static inline const uint32_t *ec_slot(uint32_t i) { return (const uint32_t *)(ec_memory + ec_call()->attributes_off) + 2 * i; }
static inline ec_string ec_attribute(uint32_t i) {
	if (i >= ec_call()->attributes || ec_slot(i)[1] == 0xfffffffeu) return (ec_string){0, 0};
	return ec_text(ec_slot(i)[0], ec_slot(i)[1]);
}
static inline ec_place ec_attribute_place(uint32_t i) {
	ec_string s = ec_attribute(i);
	return s.text ? (uint64_t)s.length << 32 | (uint32_t)((const unsigned char *)s.text - ec_memory) : 0;
}
/* Whether an attribute is there that is a number, one of attrs with #hash; then
 * *value is it. */
static inline int ec_number(uint32_t i, uint32_t *value) {
	if (i >= ec_call()->attributes || ec_slot(i)[1] != 0xfffffffeu) return 0;
	*value = ec_slot(i)[0];
	return 1;
}

/* Verdicts. Those that are the same for the same record and attributes are
 * EC_CACHEABLE: the host remembers them. EC_FINAL ends the chain of filters. */
#define EC_CACHEABLE (1ull << 8)
#define EC_FINAL (2ull << 8)
#define EC_PASS 0ull
static inline unsigned char *ec_out(void) { return ec_memory + ec_call()->out_off; }
static inline uint64_t ec_keep32(uint32_t mask) { return 1 | (uint64_t)mask << 32; }         /* of at most 32 */
static inline uint64_t ec_keep(uint32_t bytes) { return 2 | (uint64_t)bytes << 32; }         /* a bitmap in ec_out */
static inline uint64_t ec_order(uint32_t count) { return 3 | (uint64_t)count << 32; }        /* uint16 in ec_out */
/* A set of instances, in ec_out. */
static inline void ec_keep_clear(void) {
	uint32_t *out = (uint32_t *)ec_out(), n = ec_count();
	for (uint32_t i = 0; i <= n / 32; i++) out[i] = 0;
}
static inline void ec_keep_add(uint32_t i) { ((uint32_t *)ec_out())[i / 32] |= 1u << i % 32; }
/* Has the set be the instances of which `is` is true; `with` is what it needs to
 * know. A filter's loop costs more than what is in it: here some are looked at in
 * each round. */
typedef int ec_condition(const ec_instance *in, const void *with);
static inline EC_INLINE uint32_t ec_bits(const unsigned char *row, uint32_t n, ec_condition *is, const void *with) {
	uint32_t bits = 0, stride = ec_call()->stride;
	for (uint32_t k = 0; k < n; k++) bits |= (uint32_t)(is((const ec_instance *)(row + k * stride), with) != 0) << k;
	return bits;
}
static inline EC_INLINE void ec_keep_where(ec_condition *is, const void *with) {
	const unsigned char *row = (const unsigned char *)ec_at(0);
	uint32_t *out = (uint32_t *)ec_out(), n = ec_count(), stride = ec_call()->stride;
	for (uint32_t left = n, word = 0;; left -= 32, word = 0) {
		uint32_t i = 0, some = left < 32 ? left : 32;
		for (; i + 8 <= some; i += 8, row += 8 * stride) word |= ec_bits(row, 8, is, with) << i;
		for (; i < some; i++, row += stride) word |= ec_bits(row, 1, is, with) << i;
		*out++ = word;
		if (left < 32) break;
	}
}
static inline uint32_t ec_keep_count(void) {
	uint32_t n = 0;
	for (uint32_t i = 0; i <= ec_count() / 32; i++) n += (uint32_t)__builtin_popcount(((uint32_t *)ec_out())[i]);
	return n;
}
/* Keeps those of the set, in their order. */
static inline uint64_t ec_keep_verdict(void) {
	return ec_count() <= 32 ? ec_keep32(*(uint32_t *)ec_out()) : ec_keep((ec_count() + 7) / 8);
}
/* Has those of the set first and the others behind them; none is dropped. */
static inline uint64_t ec_keep_first(void) { return ec_keep_verdict() | 4 << 8; }
/* Refuses the request, with an HTTP status from 400 to 599 and a reason of 1 KiB at
 * most. */
static inline uint64_t ec_deny(uint16_t status, const char *reason, uint32_t length) {
	if (length > 1024) length = 1024;
	for (uint32_t i = 0; i < length; i++) ec_out()[i] = (unsigned char)reason[i];
	return 5 | (uint64_t)status << 16 | (uint64_t)length << 32;
}
#define EC_DENY(status, literal) ec_deny(status, literal, sizeof(literal) - 1)
/* Says that the filter could not decide; code is its own, ec_error says why. The
 * host then does what the filter's on_failure says. */
static inline uint64_t ec_fail(uint16_t code) { return 255 | (uint64_t)code << 16; }

EC_EXPORT("ec_init") int32_t ec_export_init(void) { return ec_start(); }
EC_EXPORT("ec_arena") uint32_t ec_export_arena(uint32_t least) { return least <= sizeof ec_memory ? (uint32_t)(uintptr_t)ec_memory : 0; }
EC_EXPORT("ec_filter") uint64_t ec_export_filter(uint32_t length) { (void)length; return ec_decide(); }

#endif /* EC_ADAPTER */
#endif
