/* skydns-etcd: services that are kept in etcd as SkyDNS lays them out.
 *
 * Configuration: url, of etcd's HTTP gateway, such as http://10.0.0.5:2379; prefix of
 * the keys, /skydns; token, for the header Authorization; poll_ms, how often it looks
 * for changes, 5000. */
#include "edgecache_adapter.h"

#include "etcd.h"
#include "service.h"

#define LIST_PAGE 4000   /* keys, without values */
#define MOST_CHANGED 100 /* names that a poll reads one by one */

static int64_t poll_ms;

static int32_t start(void) {
	ec_buffer b = {0};
	ec_string url = ec_config_at("/url"), prefix = ec_config_at("/prefix"), every = ec_config_at("/poll_ms");
	while (url.length && url.text[url.length - 1] == '/') url.length--;
	if (!ec_begins(url, EC_S("http://")) && !ec_begins(url, EC_S("https://")))
		return ec_failed(EC_INVALID, "url: that of etcd expected, such as http://10.0.0.5:2379");
	ec_format(&b, "%.*s/v3/kv/range", EC_P(url));
	etcd_url = ec_text(&b);
	if (!prefix.text) prefix = EC_S("/skydns");
	while (prefix.length && prefix.text[prefix.length - 1] == '/') prefix.length--;
	b = (ec_buffer){0};
	ec_format(&b, "%.*s/", EC_P(prefix));
	skydns_prefix = ec_text(&b);
	etcd_token = ec_config_at("/token");
	poll_ms = 5000;
	if (every.text && (!ec_digits(every, &poll_ms) || poll_ms < 100 || poll_ms > 60000))
		return ec_failed(EC_INVALID, "poll_ms: a whole number from 100 to 60000 expected");
	return 0;
}

/* A state of the keys below a directory: when the last one of them changed, how many
 * there are, and in which etcd. Whatever happens to a key makes it another. */
typedef struct { int64_t changed, count; ec_string cluster; } state;

static ec_string state_text(state s) {
	ec_buffer b = {0};
	ec_format(&b, "%lld.%lld.%.*s", (long long)s.changed, (long long)s.count, EC_P(s.cluster));
	return ec_text(&b);
}

static int read_state(ec_string text, state *s) {
	int32_t first = ec_find(text, '.'), second = first < 0 ? -1 : ec_find(ec_from(text, (uint32_t)first + 1), '.');
	if (second < 0) return 0;
	s->cluster = ec_from(text, (uint32_t)(first + second + 2));
	return ec_digits((ec_string){text.text, (uint32_t)first}, &s->changed) && ec_digits((ec_string){text.text + first + 1, (uint32_t)second}, &s->count);
}

/* Whether the keys of a range are still in a state; or a code. One small answer. */
static int32_t same(etcd_range r, state held) {
	etcd_answer a;
	ec_json_item none = {0};
	r.min_changed = held.changed + 1, r.limit = 1, r.keys_only = 1;
	int32_t code = etcd_ask(&r, &a);
	return code ? code : ec_same(a.cluster, held.cluster) && a.revision >= held.changed && a.count == held.count && !ec_json_next(a.keys, &none);
}

/* Reads the instances right below a directory, by pages. What is further down has
 * names of its own: if a page ends there, the rest of it is stepped over. */
static int32_t read_service(etcd_range r, service *s, state *now) {
	etcd_answer a;
	ec_string directory = r.from;
	r.limit = ETCD_PAGE;
	do {
		int32_t code = etcd_ask(&r, &a);
		if (code) return code;
		if (!r.revision) now->count = a.count, now->cluster = a.cluster;
		ec_json_item at = {0};
		etcd_key k = {0};
		ec_string rest = {0, 0};
		while ((code = etcd_next(&a, &at, &k)) > 0) {
			if (!ec_begins(k.key, directory)) return ec_failed(EC_INVALID, "%.*s: kvs[%u].key: one below %.*s expected", EC_P(etcd_url), at.index, EC_P(directory));
			rest = ec_from(k.key, directory.length);
			if (k.changed > now->changed) now->changed = k.changed;
			if (ec_find(rest, '/') < 0 && label(rest, 1)) add_key(s, k.key, rest, k.value);
		}
		if (code) return code;
		int32_t slash = ec_find(rest, '/');
		if (slash >= 0) k.key.length = directory.length + (uint32_t)slash;
		etcd_go_on(&r, &a, k.key, slash >= 0 ? '/' + 1 : 0);
	} while (a.more && s->record.count <= MOST_INSTANCES);
	return 0;
}

static int32_t lookup(ec_string name, ec_string held) {
	state was, now = {0};
	service s = {.record = ec_record_of(name)};
	ec_string directory = directory_of(name);
	if (!directory.text) return EC_NOT_FOUND;
	etcd_range range = etcd_below(directory);
	int32_t code = etcd_begin();
	if (code) return code;
	if (held.text && read_state(held, &was) && (code = same(range, was))) return code < 0 ? code : EC_NOT_MODIFIED;
	code = read_service(range, &s, &now);
	if (!code && s.keys == 0) return EC_NOT_FOUND;
	if (!code) code = complete(&s);
	return code ? code : ec_found(&s.record, state_text(now));
}

/* The cursor is the revision that the first page was of, and the next key. */
static int32_t list(ec_string cursor) {
	etcd_answer a;
	etcd_key k;
	ec_string directory, id, last = {0, 0}, name;
	ec_buffer next = {0};
	etcd_range r = etcd_below(skydns_prefix);
	r.limit = LIST_PAGE, r.keys_only = 1;
	int32_t code = etcd_begin();
	if (code) return code;
	if (cursor.text) {
		int32_t dot = ec_find(cursor, '.'), n = dot < 0 ? -1 : ec_base64(ec_from(cursor, (uint32_t)dot + 1), (char *)cursor.text + dot + 1);
		if (n < 0 || !ec_digits((ec_string){cursor.text, (uint32_t)dot}, &r.revision)) return ec_failed(EC_INVALID, "cursor: one of a list expected");
		r.from = (ec_string){cursor.text + dot + 1, (uint32_t)n};
	}
	if ((code = etcd_ask(&r, &a))) return code;
	ec_json_item at = {0};
	while ((code = etcd_next(&a, &at, &k)) > 0) {
		if (!split(k.key, &directory, &id) || ec_same(directory, last)) continue;
		last = directory, name = name_of(directory);
		if (name.text && (code = ec_list_name(name))) return code;
	}
	if (code || !a.more) return code;
	etcd_go_on(&r, &a, k.key, 0);
	ec_format(&next, "%lld.", (long long)r.revision);
	ec_add_base64(&next, r.from);
	return ec_list_next(ec_text(&next));
}

/* A name whose keys are being read. Keys come in order, so that those of a name come
 * together but for those further down: the names on the way to a key are all open. */
typedef struct group {
	service service;
	ec_string directory;
	struct group *outer;
} group;

/* Emits a name. What has too many instances is left out, as lookups of it fail. One
 * whose values cannot be used is there, and if all that there is is told it has to be
 * named: without instances. Else what was told before stays. */
static int32_t emit_service(service *s, int whole) {
	unsigned char *mark = ec_mark();
	int32_t code = complete(s);
	if (code == EC_INVALID && whole) code = 0;
	else if (code) ec_log(EC_ERROR, "%.*s: not told, see what a lookup says", EC_P(s->record.name));
	code = code ? 0 : ec_poll_upsert(&s->record);
	ec_release(mark);
	return code;
}

/* Adds a key to the groups that are open, which it may end; the memory of those that
 * ended is free once none is open. */
static int32_t group_key(group **open, const etcd_key *k, unsigned char *mark) {
	ec_string directory, id, name;
	int32_t code = 0;
	if (!split(k->key, &directory, &id)) return 0;
	for (; *open && !ec_begins(directory, (*open)->directory); *open = (*open)->outer)
		if ((code = emit_service(&(*open)->service, 1))) return code;
	if (!*open) ec_release(mark);
	if (!*open || !ec_same((*open)->directory, directory)) {
		group *g = ec_alloc(sizeof(group));
		ec_string own = ec_copy(directory);
		if (!(name = name_of(directory)).text) return 0;
		if (!g || !own.text) return ec_failed(EC_TOO_LARGE, "no memory for %.*s", EC_P(name));
		*g = (group){.service = {.record = ec_record_of(name)}, .directory = own, .outer = *open};
		*open = g;
	}
	add_key(&(*open)->service, k->key, id, k->value);
	return 0;
}

/* Emits a record for each name that there is. */
static int32_t everything(etcd_range r, state *now) {
	etcd_answer a;
	etcd_key k;
	group *open = 0;
	unsigned char *mark = 0;
	int32_t code;
	r.limit = ETCD_PAGE;
	do {
		if ((code = etcd_ask(&r, &a))) return code;
		if (!r.revision) *now = (state){a.revision, a.count, a.cluster}, mark = ec_mark();
		ec_json_item at = {0};
		while ((code = etcd_next(&a, &at, &k)) > 0)
			if ((code = group_key(&open, &k, mark))) return code;
		if (code) return code;
		if (a.more) etcd_go_on(&r, &a, k.key, 0);
	} while (a.more);
	for (; open && !code; open = open->outer) code = emit_service(&open->service, 1);
	return code;
}

/* Reads a name that changed, and emits what is there now. */
static int32_t emit_changed(ec_string name) {
	unsigned char *mark = ec_mark();
	state now = {0};
	service s = {.record = ec_record_of(name)};
	ec_string directory = directory_of(name);
	if (!directory.text) return ec_failed(EC_TOO_LARGE, "no memory for %.*s", EC_P(name));
	int32_t code = read_service(etcd_below(directory), &s, &now);
	if (!code) code = s.keys ? emit_service(&s, 0) : ec_poll_delete(name);
	ec_release(mark);
	return code;
}

/* Emits the names whose keys changed since a state, and makes it the present one. 1:
 * keys are gone, or too many changed, and nothing was emitted. */
static int32_t changes(etcd_range r, state *was) {
	etcd_answer a;
	etcd_key k;
	ec_string directory, id, last = {0, 0}, name;
	ec_buffer names = {0};
	int64_t created = 0, changed = 0;
	r.min_changed = was->changed + 1, r.limit = ETCD_PAGE, r.keys_only = 1;
	int32_t code = etcd_ask(&r, &a);
	if (code) return code;
	if (!ec_same(a.cluster, was->cluster) || a.revision < was->changed || a.more) return 1;
	ec_json_item at = {0};
	while ((code = etcd_next(&a, &at, &k)) > 0) {
		created += k.created > was->changed;
		if (!split(k.key, &directory, &id) || ec_same(directory, last)) continue;
		last = directory, name = name_of(directory);
		if (name.text) ec_add(&names, name), ec_add_byte(&names, '/'), changed++;
	}
	if (code) return code;
	if (was->count + created != a.count || changed > MOST_CHANGED || names.full) return 1;
	*was = (state){a.revision, a.count, a.cluster};
	for (ec_string left = ec_text(&names); left.length && !code; left = ec_from(left, name.length + 1)) {
		name = (ec_string){left.text, (uint32_t)ec_find(left, '/')};
		code = emit_changed(name);
	}
	return code;
}

/* The cursor is the state of all keys. What was put since is in one answer; that keys
 * are gone shows in how many there are, and then everything is read. */
static int32_t poll(ec_string cursor) {
	state now = {0};
	etcd_range all = etcd_below(skydns_prefix);
	int32_t code = etcd_begin();
	if (code) return code;
	if (cursor.text) {
		code = read_state(cursor, &now) ? changes(all, &now) : 1;
		if (code < 0) return code;
		if (code) code = ec_poll_again();
		else return (code = ec_poll_next(state_text(now))) ? code : (int32_t)poll_ms;
	}
	if (!code) code = everything(all, &now);
	if (!code) code = ec_poll_next(state_text(now));
	return code ? code : (int32_t)poll_ms;
}

EC_ADAPTER(start, lookup)
EC_ADAPTER_LIST(list)
EC_ADAPTER_POLL(poll)
