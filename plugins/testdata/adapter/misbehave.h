// What names that begin with x- have the guest do, instead of a lookup.

static volatile uint32_t sink;

static int32_t recurse(int32_t n) {
	volatile char frame[1024];
	frame[n & 1023] = (char)n;
	return n < 0 ? 0 : recurse(n + 1) + frame[n & 1023];
}

// send passes text on as a request's head, and fails with the status.
static int32_t send(const char *text, uint32_t length) {
	int64_t handle = http_send(text, length, 0, 0, 0);
	if (handle < 0)
		return (int32_t)handle;
	return says(TEXT("status "), http_status(handle), UNSUPPORTED);
}

// fetch gets a path, reads all of it and answers with the length.
static int32_t fetch(const char *path, uint32_t length, uint32_t timeout) {
	int64_t handle = get(path, length, 0, 0, 0, 0, timeout);
	if (handle < 0)
		return (int32_t)handle;
	int32_t n = receive(handle);
	return n < 0 ? n : answer_number(TEXT("length"), n);
}

// many sends requests, closed or not, up to the first that fails.
static int32_t many(int32_t count, int closes) {
	for (int32_t i = 0; i < count; i++) {
		int64_t handle = get(TEXT("/s/ok"), 0, 0, 0, 0, 0);
		if (handle < 0)
			return says(TEXT("requests made: "), i, (int32_t)handle);
		if (closes)
			http_close(handle);
	}
	return answer_number(TEXT("requests"), count);
}

// flood keeps values of a size under new keys until there is no room.
static int32_t flood(uint32_t size) {
	for (int32_t i = 0;; i++) {
		int32_t code = kv_set(scratch, put_number(scratch, 0, i), name, size, 0);
		if (code < 0)
			return says(TEXT("values kept: "), i, code);
	}
}

// keep sets key=value for a time.
static int32_t keep(const char *text, uint32_t length, uint32_t ttl) {
	uint32_t n = 0;
	while (n < length && text[n] != '=')
		n++;
	int32_t code = kv_set(text, n, text + n + 1, length - n - 1, ttl);
	return code < 0 ? code : answer(TEXT("kept"), text, n);
}

static int32_t kept(const char *key, uint32_t length) {
	int32_t n = kv_get(key, length, scratch, sizeof scratch);
	if (n < 0)
		return says(TEXT("kv_get: "), n, NOT_FOUND);
	return answer(TEXT("value"), scratch, (uint32_t)n);
}

// outputs sets output 1 to lines without a name, as often as said.
static int32_t lines(int32_t times) {
	for (uint32_t i = 0; i < PAGE; i++)
		scratch[i] = '\n';
	while (times-- > 0) {
		int32_t code = output_set(1, scratch, PAGE);
		if (code < 0)
			return code;
	}
	return 0;
}

#define IS(what) (length == sizeof what - 1 && begins(text, length, TEXT(what)))
#define HAS(what) (rest = begins(text, length, TEXT(what)), left = rest ? length - (sizeof what - 1) : 0, rest)

// misbehaveWith does what takes an argument; 2: none of it.
static int32_t misbehave_with(const char *text, uint32_t length) {
	const char *rest;
	uint32_t left;
	if (HAS("head:"))
		return send(rest, left);
	if (HAS("fetch:"))
		return fetch(rest, left, 0);
	if (HAS("slow:"))
		return fetch(rest, left, 50);
	if (HAS("many:"))
		return many(number(rest, left), 1);
	if (HAS("leak:"))
		return many(number(rest, left), 0);
	if (HAS("keep:"))
		return keep(rest, left, 0);
	if (HAS("brief:"))
		return keep(rest, left, 1);
	if (HAS("kept:"))
		return kept(rest, left);
	if (HAS("forget:"))
		return kv_del(rest, left) < 0 ? INTERNAL : answer(TEXT("forgot"), rest, left);
	if (HAS("flood:"))
		return flood((uint32_t)number(rest, left));
	if (HAS("lines:"))
		return lines(number(rest, left));
	if (HAS("code:"))
		return -number(rest, left);
	if (HAS("say:")) {
		error_set(rest, left);
		return INTERNAL;
	}
	if (HAS("work:")) {
		for (int32_t n = number(rest, left); n > 0; n--)
			sink++;
		return answer_number(TEXT("fuel"), fuel_left());
	}
	return 2;
}

static int32_t misbehave(const char *text, uint32_t length) {
	int32_t code = misbehave_with(text, length);
	if (code != 2)
		return code;
	if (IS("spin"))
		for (;;)
			sink++;
	if (IS("spin-slow"))
		for (;;)
			now_ms();
	if (IS("recurse"))
		return recurse(0);
	if (IS("log")) {
		for (int32_t i = 0; i < 10000; i++)
			host_log(2, TEXT("flood"));
		return answer(TEXT("done"), TEXT("log"));
	}
	if (IS("trap"))
		__builtin_trap();
	if (IS("exit-code"))
		return 42;
	if (IS("unset"))
		return 0;
	if (IS("grow")) {
		if (__builtin_wasm_memory_grow(0, 1) == (uint32_t)-1)
			return says(TEXT("pages: "), (int32_t)__builtin_wasm_memory_size(0), TOO_LARGE);
		return answer_number(TEXT("pages"), __builtin_wasm_memory_size(0));
	}
	if (IS("held"))
		return answer_number(TEXT("calls"), ++held);
	if (IS("big"))
		return output_set(0, 0, (4 << 20) + 1);
	if (IS("oob"))
		return output_set(0, (const char *)0xfffffff0, 100);
	if (IS("oob-read"))
		return http_read(get(TEXT("/s/ok"), 0, 0, 0, 0, 0), (char *)0xfffffff0, 100);
	if (IS("oob-head"))
		return (int32_t)http_send(scratch, 100, (const char *)0xfffffff0, 100, 0);
	if (IS("closed"))
		return http_read(7, scratch, 10);
	if (IS("not-bare"))
#ifdef BARE
		return INTERNAL;
#else
		return UNSUPPORTED;
#endif
	if (IS("long-head"))
		return (int32_t)http_send(head, PAGE + 1, 0, 0, 0);
	if (IS("long-body"))
		return (int32_t)http_send(head, 100, 0, (1 << 20) + 1, 0);
	if (IS("send")) // which ec_init may not
		return get(TEXT("/s/ok"), 0, 0, 0, 0, 0) < 0 ? 0 : INTERNAL;
	if (IS("emit"))
		return emit(0, TEXT("web"), TEXT("{}"));
	if (IS("output"))
		return output_set(9, 0, 0);
	if (IS("config")) {
		error_set(scratch, (uint32_t)config_get(0, 0, scratch, sizeof scratch));
		return INTERNAL;
	}
	if (IS("deadline"))
		return answer_number(TEXT("deadline"), deadline_ms());
	return says(TEXT("nothing known, of length "), (int32_t)length, INTERNAL);
}
