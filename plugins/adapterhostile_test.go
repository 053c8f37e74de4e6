package plugins_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
)

// empty answers all requests with a record without instances.
func empty(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }

// openBeside opens two adapters of one host; the second is to notice nothing of
// what becomes of the first.
func openBeside(t *testing.T, o plugins.AdapterOptions) (a, beside *plugins.Adapter) {
	t.Helper()
	h := adapterHost(t, plugins.HostOptions{})
	t.Cleanup(h.Close)
	other := echoOptions(o.Config["url"].(string))
	other.Name, other.Pool = "beside", 1
	list := []*plugins.Adapter{}
	for _, o := range [...]plugins.AdapterOptions{o, other} {
		a, err := h.OpenAdapter(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = a.Close() })
		list = append(list, a)
	}
	return list[0], list[1]
}

// Guests that break a call: each its own failure, and a fresh instance where the
// old one cannot be trusted.
func TestHowAdaptersFailAndWhatTheirAuthorReads(t *testing.T) {
	o := echoOptions(serve(t, empty))
	o.Pool = 1
	o.Manifest = manifest(t, "http: [\"*\"]\nkv: true\nlimits: {fuel: 20000000}\n")
	a, beside := openBeside(t, o)
	for n, row := range [...]struct {
		name, kind, text string
		replaced         bool
	}{
		{"x-spin", "fuel", "out of fuel: 20", true},
		{"x-spin-slow", "fuel", "used of 20000000; limits.fuel of the manifest raises it, to 2000000000 at most", true},
		{"x-work:90000000", "fuel", "used of 20000000", true},
		{"x-recurse", "trap", "trap: ", true},
		{"x-trap", "trap", "trap: unreachable", true},
		{"x-oob", "trap", "the guest passed 100 bytes at 4294967280, beyond its memory", true},
		{"x-oob-read", "trap", "the guest passed 100 bytes at 4294967280, beyond its memory", true},
		{"x-oob-head", "trap", "the guest passed 100 bytes at 4294967280, beyond its memory", true},
		{"x-exit-code", "output", "it returned 42, which is no code", false},
		{"x-code:11", "output", "it returned -11, which is no code", false},
		{"x-code:9", "guest", "RATE_LIMITED: error_set was not called", false},
		{"x-unset", "output", "empty; the JSON form of a record expected", false},
		{"x-big", "output", "output 0 has 4194305 bytes, at most 4194304 expected", false},
		{"x-lines:1", "output", `name 0, "": name is empty`, false},
		{"x-leak:10", "guest", "TOO_LARGE: requests made: 4", false},
		{"x-many:300", "guest", "RATE_LIMITED: requests made: 16", false},
		{"x-closed", "guest", "CLOSED: error_set was not called", false},
		{"x-emit", "guest", "INVALID: ", false},
		{"x-output", "guest", "INVALID: ", false},
		{"x-long-head", "guest", "TOO_LARGE: http_send: at most 64 KiB of head and 1 MiB of body expected", false},
		{"x-long-body", "guest", "TOO_LARGE: http_send: at most 64 KiB of head and 1 MiB of body expected", false},
		{"x-flood:65536", "guest", "TOO_LARGE: values kept: 15", false},
		{"x-flood:65537", "guest", "TOO_LARGE: values kept: 0", false},
		{"x-say:a\nb\x1b[31m\xff" + strings.Repeat("c", 5000), "guest", "INTERNAL: a b [31m\ufffdccc", false},
	} {
		if calls := pairOf(t, a, "x-held", "calls"); calls != "1" {
			t.Errorf("%s: calls %s before", row.name, calls)
		}
		fails(t, a, row.name, row.kind, row.text)
		want := "2"
		if row.replaced {
			want = "1"
		}
		if calls := pairOf(t, a, "x-held", "calls"); calls != want {
			t.Errorf("%s: calls %s, want %s", row.name, calls, want)
		}
		fails(t, a, "x-trap", "trap", "trap") // a fresh one for the next row
		if calls := pairOf(t, beside, "x-held", "calls"); calls != strconv.Itoa(n+1) {
			t.Errorf("%s: beside it calls %s", row.name, calls)
		}
	}
	if _, err := a.Lookup(t.Context(), "x-code:1", nil); !errors.Is(err, registry.ErrNotFound) {
		t.Error(err)
	}
	if s := beside.Status(); len(s.Failures) > 0 || s.Instances != 1 {
		t.Errorf("beside: status %+v", s)
	}
}

// Without the import that gives more fuel, a guest must call the host often.
func TestASpinWithoutCallsOfTheHost(t *testing.T) {
	o := echoOptions(serve(t, empty))
	o.Plugin, o.Pool = "testdata/adapter/bare.wasm", 1
	a, beside := openBeside(t, o)
	up, err := a.Lookup(t.Context(), "x-spin", nil)
	if f, ok := errors.AsType[*plugins.Failure](err); !ok || f.Kind != "fuel" || !strings.Contains(err.Error(),
		"registry echo: plugin bare, ec_lookup: out of fuel: more than 200000 units between two calls of the host; a module that imports edgecache_v1.fuel_left gets more by itself") {
		t.Errorf("%v, %v", up, err)
	}
	for range 2 {
		if _, err := a.Lookup(t.Context(), "x-trap", nil); err == nil || !strings.Contains(err.Error(), "trap: unreachable") {
			t.Error(err)
		}
		if _, err := a.Lookup(t.Context(), "web", nil); err != nil {
			t.Error(err)
		}
	}
	pairOf(t, beside, "x-held", "calls")
}

// Work beyond a slice of fuel goes on unnoticed.
func TestAdaptersWorkInSlices(t *testing.T) {
	a := openEcho(t, echoOptions(serve(t, empty)), plugins.HostOptions{})
	pairOf(t, a, "x-work:3000000", "fuel")
}

// What a guest does never holds up the collector of the process.
func TestCollectionsBesideASpin(t *testing.T) {
	for _, name := range [...]string{"x-spin", "x-spin-slow", "x-log"} {
		o := echoOptions(serve(t, empty))
		o.Manifest = manifest(t, "http: [\"*\"]\nkv: true\nlimits: {fuel: 2000000000}\n")
		a, _ := openBeside(t, o)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ctx.Err() == nil {
				_, _ = a.Lookup(ctx, name, nil)
			}
		}()
		for a.Status().Calls == 0 {
			runtime.Gosched()
		}
		within := false // two collections began and ended within one call, which has few slices if they are long
		for n := 0; n < 100 && !within; n++ {
			before := a.Status().Calls
			runtime.GC()
			runtime.GC()
			within = a.Status().Calls == before
		}
		if !within && name != "x-log" { // whose calls are short
			t.Errorf("%s: collections wait for it: %+v", name, a.Status())
		}
		cancel()
		<-done
		pairOf(t, a, "x-held", "calls")
	}
}

// A call ends with its time, whatever the guest does: waits, or spins.
func TestCallsEndWithTheirTime(t *testing.T) {
	o := echoOptions(serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	o.Pool, o.Timeout = 1, 50*time.Millisecond
	o.Manifest = manifest(t, "http: [\"*\"]\nkv: true\nlimits: {fuel: 2000000000}\n")
	a, beside := openBeside(t, o)
	for _, row := range [...]struct{ name, kind, text string }{
		{"web", "guest", "TIMEOUT: GET http://127.0.0.1:"},
		{"x-fetch:/web", "guest", "TIMEOUT: GET http://127.0.0.1:"},
		{"x-slow:/web", "guest", "TIMEOUT: GET http://127.0.0.1:"},
		{"x-spin", "deadline", "its time is over: context deadline exceeded"},
		{"x-spin-slow", "deadline", "its time is over: context deadline exceeded"},
	} {
		if up := fails(t, a, row.name, row.kind, row.text); !up.Timeout {
			t.Errorf("%s: %+v, a timeout expected", row.name, up)
		}
	}
	if ms := pairOf(t, a, "x-deadline", "deadline"); len(ms) > 2 {
		t.Errorf("deadline_ms %s", ms)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	failed := a.Status().Failures["guest"]
	_, err := beside.Lookup(ctx, "web", nil) // its own timeout is longer
	if up, ok := errors.AsType[*registry.UpstreamError](err); !ok || !up.Harmless || up.Timeout || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if s := beside.Status(); len(s.Failures) > 0 || a.Status().Failures["guest"] != failed {
		t.Errorf("what was given up was counted: %+v", s)
	}
	fails(t, a, "x-slow:/web", "guest", "TIMEOUT")
}

// A request's own timeout is one of the request, and not of the call.
func TestRequestsHaveATimeoutOfTheirOwn(t *testing.T) {
	a := openEcho(t, echoOptions(serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
		}
		if r.URL.Path != "/well" {
			<-r.Context().Done()
		}
	})), plugins.HostOptions{})
	fails(t, a, "x-slow:/head", "guest", "TIMEOUT: GET http://127.0.0.1:")
	fails(t, a, "x-slow:/body", "guest", "TIMEOUT: the answer's body: context deadline exceeded")
	if n := pairOf(t, a, "x-slow:/well", "length"); n != "0" {
		t.Errorf("length %s", n)
	}
}

// ec_init has no requests, and a budget.
func TestWhatAdaptersDoAtFirst(t *testing.T) {
	h := adapterHost(t, plugins.HostOptions{})
	defer h.Close()
	for _, plugin := range [...]string{"echo", "bare"} {
		for init, want := range map[string]string{
			"send": "", "keep:a=1": "", "work:3000000": "",
			"spin":      "ec_init: out of fuel: 200",
			"spin-slow": "ec_init: out of fuel: 200",
			"trap":      "ec_init: trap: unreachable",
			"say:no":    "ec_init: it returned -7: no",
			"code:2":    "ec_init: it returned -2: error_set was not called",
		} {
			o := echoOptions(serve(t, empty))
			o.Plugin = "testdata/adapter/" + plugin + ".wasm"
			o.Config["init"] = init
			a, err := h.OpenAdapter(o)
			if err == nil {
				_ = a.Close()
			}
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s, %s: %v\nwant %s", plugin, init, err, want)
			}
		}
	}
}

func TestLogFloodsAreCut(t *testing.T) {
	a := openEcho(t, echoOptions(serve(t, empty)), plugins.HostOptions{})
	pairOf(t, a, "x-log", "done")
	if s := a.Status(); s.LogDropped < 9000 {
		t.Errorf("status %+v", s)
	}
}
