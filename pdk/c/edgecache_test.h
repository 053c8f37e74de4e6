/* edgecache_test.h: calls that tests of filters make up, of ABI 1.0. A test
 * includes its filter's source and then this, and is built for the machine it runs
 * on. Tests of adapters have edgecache_adapter_test.h. */
#ifndef EDGECACHE_TEST_H
#define EDGECACHE_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What ec_config finds at JSON pointers: pairs, and then a null. */
static const char **ec_test_config;
static char ec_test_said[4096]; /* by ec_error */
static char ec_test_logged[4096]; /* by ec_log: "3 text", a line each */

void ec_host_log(int32_t level, const char *text, uint32_t length) {
	size_t end = strlen(ec_test_logged);
	snprintf(ec_test_logged + end, sizeof ec_test_logged - end, "%d %.*s\n", level, (int)length, text);
	printf("log %d: %.*s\n", level, (int)length, text);
}

void ec_host_error_set(const char *text, uint32_t length) {
	snprintf(ec_test_said, sizeof ec_test_said, "%.*s", (int)length, text);
}

int32_t ec_host_config_get(const char *key, uint32_t key_length, char *buffer, uint32_t capacity) {
	for (const char **pair = ec_test_config; pair && *pair; pair += 2) {
		if (strlen(pair[0]) != key_length || memcmp(pair[0], key, key_length) != 0) continue;
		if (strlen(pair[1]) <= capacity) memcpy(buffer, pair[1], strlen(pair[1]));
		return (int32_t)strlen(pair[1]);
	}
	return -1;
}

/* Ends the test if two texts differ. */
static void ec_test_equal(const char *what, const char *got, const char *want) {
	if (strcmp(got, want) == 0) return;
	fprintf(stderr, "%s: got \"%s\", want \"%s\"\n", what, got, want);
	exit(1);
}

#ifndef EC_ADAPTER

#define EC_TEST_ROWS (64u + 32 * 8) /* where instances begin */
static uint32_t ec_test_end, ec_test_count;

/* Begins a call: the service's name, and how many instances will follow. */
static void ec_test_begin(const char *name, uint32_t instances) {
	memset(ec_memory, 0, sizeof ec_memory);
	ec_frame *f = (ec_frame *)ec_memory;
	f->magic = 0x31464345, f->header_size = f->attributes_off = 64, f->instances_off = EC_TEST_ROWS;
	f->stride = sizeof(ec_instance), f->out_off = EC_IN, f->out_cap = EC_OUT, f->name_len = (uint32_t)strlen(name);
	ec_test_count = instances;
	f->name_off = ec_test_end = EC_TEST_ROWS + instances * (uint32_t)sizeof(ec_instance);
	memcpy(ec_memory + ec_test_end, name, f->name_len);
	ec_test_end += f->name_len;
}

/* Adds a text, or finds where it is: equal ones lie at one place. */
static uint32_t ec_test_add(const char *text, uint32_t length) {
	uint32_t from = EC_TEST_ROWS + ec_test_count * (uint32_t)sizeof(ec_instance);
	for (; length > 0 && from + length <= ec_test_end; from++)
		if (memcmp(ec_memory + from, text, length) == 0) return from;
	if (ec_test_end + length > EC_IN) abort();
	memcpy(ec_memory + ec_test_end, text, length);
	ec_test_end += length;
	return ec_test_end - length;
}

static void ec_test_slot(uint32_t at, const char *text) {
	uint32_t *slot = (uint32_t *)(ec_memory + at);
	slot[1] = text ? (uint32_t)strlen(text) : 0;
	slot[0] = text ? ec_test_add(text, slot[1]) : 0xffffffffu;
}

/* The next attribute, in the order of the manifest's needs; null is absent. */
static void ec_test_attribute(const char *text) { ec_test_slot(64 + 8u * ((ec_frame *)ec_memory)->attributes++, text); }

static uint32_t ec_test_hash(const char *text) {
	uint32_t h = 2166136261u;
	for (; *text; text++) h = (h ^ (unsigned char)*text) * 16777619u;
	return h;
}

/* The next attribute, a number. */
static void ec_test_number(uint32_t n) {
	uint32_t *slot = (uint32_t *)(ec_memory + 64) + 2u * ((ec_frame *)ec_memory)->attributes++;
	slot[0] = n, slot[1] = 0xfffffffeu;
}

/* The next instance, with metadata in the order of needs.meta; null is absent. */
static void ec_test_instance(const char *id, const char *zone, uint32_t keys, const char **meta) {
	ec_frame *f = (ec_frame *)ec_memory;
	ec_instance *in = (ec_instance *)(ec_memory + EC_TEST_ROWS) + f->instances++;
	if (f->instances > ec_test_count) abort();
	in->id_off = ec_test_add(id, in->id_len = (uint16_t)strlen(id));
	in->zone_off = ec_test_add(zone, in->zone_len = (uint16_t)strlen(zone));
	in->zone_hash = ec_test_hash(zone), in->health = EC_PASSING, in->address_off = in->version_off = in->id_off;
	if (keys == 0) return;
	in->meta_off = ec_test_end = (ec_test_end + 3) & ~3u;
	ec_test_end += 8 * keys;
	for (uint32_t k = 0; k < keys; k++) ec_test_slot(in->meta_off + 8 * k, meta[k]);
}

/* What the filter decides about the call: "0 2 1" for instances that are kept, in
 * order, "deny 403 reason", or "fail 1 text". */
static const char *ec_test_decide(void) {
	static char text[16 << 10];
	uint64_t verdict = ec_decide();
	uint32_t n = ec_count(), arg = (uint32_t)(verdict >> 32), action = verdict & 0xff, code = verdict >> 16 & 0xffff;
	size_t end = 0;
	text[0] = 0;
	if (action == 5) snprintf(text, sizeof text, "deny %u %.*s", code, (int)arg, (char *)ec_out());
	if (action == 255) snprintf(text, sizeof text, "fail %u %s", code, ec_test_said);
	if (action == 3) n = arg;
	for (uint32_t rest = 0; rest <= (verdict >> 10 & 1) && action < 4; rest++) /* what a mask lacks, if that follows */
		for (uint32_t i = 0; i < n; i++) {
			uint32_t at = action == 3 ? ((uint16_t *)ec_out())[i] : i;
			if (action == 1 && (arg >> i & 1) == rest) continue;
			if (action == 2 && (uint32_t)(ec_out()[i / 8] >> i % 8 & 1) == rest) continue;
			end += (size_t)snprintf(text + end, sizeof text - end, end ? " %u" : "%u", at);
		}
	return text;
}

#endif /* EC_ADAPTER */
#endif
