/* The zone filter as an Extism plugin: its input is the frame of
 * docs/plugin-abi.md, its output a bit for each of at most 64 instances. */
#include <stdint.h>

#define IMPORT(name) __attribute__((import_module("extism:host/env"), import_name(name)))
IMPORT("input_length") uint64_t input_length(void);
IMPORT("input_load_u64") uint64_t input_load_u64(uint64_t at);
IMPORT("alloc") uint64_t host_alloc(uint64_t n);
IMPORT("store_u64") void store_u64(uint64_t at, uint64_t value);
IMPORT("output_set") void output_set(uint64_t at, uint64_t n);

static union { uint64_t words[2048]; unsigned char bytes[16384]; } frame;

static uint32_t u32(uint32_t at) { return *(uint32_t *)(frame.bytes + at); }
static uint16_t u16(uint32_t at) { return *(uint16_t *)(frame.bytes + at); }

static int near(uint32_t row, uint32_t hash, uint32_t zone, uint32_t length) {
	if (u32(row + 8) != hash || u16(row + 36) != length) return 0;
	for (uint32_t i = 0; i < length; i++)
		if (frame.bytes[u32(row + 32) + i] != frame.bytes[zone + i]) return 0;
	return 1;
}

__attribute__((export_name("filter"))) int32_t filter(void) {
	uint64_t length = input_length();
	if (length > sizeof frame.bytes) return 1;
	for (uint64_t at = 0; at + 8 <= length; at += 8) frame.words[at / 8] = input_load_u64(at);
	uint32_t n = u32(24), row = u32(28), stride = u16(32), slots = u32(36);
	uint64_t mask = 0;
	for (uint32_t i = 0; i < n && i < 64; i++)
		if (near(row + i * stride, u32(slots), u32(slots + 8), u32(slots + 12))) mask |= 1ull << i;
	uint64_t at = host_alloc(8);
	store_u64(at, mask);
	output_set(at, 8);
	return 0;
}
