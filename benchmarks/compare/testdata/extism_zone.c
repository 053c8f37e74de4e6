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

/* Where a text lies, which for a zone of the record is the text: 32 bits of offset,
 * 16 of length. */
static uint64_t place(uint32_t at) { return *(uint64_t *)(frame.bytes + at) & 0xffffffffffff; }

__attribute__((export_name("filter"))) int32_t filter(void) {
	uint64_t length = input_length();
	if (length > sizeof frame.bytes) return 1;
	for (uint64_t at = 0; at + 8 <= length; at += 8) frame.words[at / 8] = input_load_u64(at);
	uint32_t n = u32(24), row = u32(28), stride = u16(32), slots = u32(36);
	uint64_t mask = 0, zone = place(slots);
	n = n < 64 ? n : 64;
#pragma clang loop unroll_count(8)
	for (uint32_t i = 0; i < n; i++) mask |= (uint64_t)(place(row + i * stride + 32) == zone) << i;
	uint64_t at = host_alloc(8);
	store_u64(at, mask);
	output_set(at, 8);
	return 0;
}
