package http_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/edgecache/edgecache/http"
	"github.com/edgecache/edgecache/registry"
)

// A sse is one event as a client reads it.
type sse struct{ kind, id, data string }

func (e sse) name(t *testing.T) string {
	t.Helper()
	var v struct{ Name string }
	if err := json.Unmarshal([]byte(e.data), &v); err != nil {
		t.Fatalf("event %+v: %v", e, err)
	}
	return v.Name
}

// A follower reads a watch.
type follower struct {
	*wire
	t     *testing.T
	lines *bufio.Reader
}

func follow(t *testing.T, addr, target string, lines ...string) *follower {
	t.Helper()
	w := dial(t, addr)
	raw := "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n"
	for _, l := range lines {
		raw += l + "\r\n"
	}
	w.send(t, raw+"\r\n")
	r, err := w.head()
	if err != nil || r.status != 200 || r.header["content-type"] != "text/event-stream" {
		t.Fatalf("watch: %d %v %v", r.status, r.header, err)
	}
	return &follower{w, t, bufio.NewReader(&chunks{r: w.r})}
}

// chunks reads a chunked body.
type chunks struct {
	r    *bufio.Reader
	left int64
}

func (c *chunks) Read(b []byte) (int, error) {
	if c.left == 0 {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		if c.left, err = strconv.ParseInt(strings.TrimSpace(line), 16, 32); err != nil || c.left == 0 {
			return 0, errors.Join(err, io.EOF)
		}
	}
	n, err := c.r.Read(b[:min(int64(len(b)), c.left)])
	if c.left -= int64(n); c.left == 0 && err == nil {
		_, err = c.r.Discard(2)
	}
	return n, err
}

// next returns the next event; comments and retry are passed over.
func (f *follower) next() sse {
	f.t.Helper()
	var e sse
	for {
		line, err := f.lines.ReadString('\n')
		if err != nil {
			f.t.Fatalf("watch ended: %v", err)
		}
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch key {
		case "event":
			e.kind = value
		case "id":
			e.id = value
		case "data":
			e.data = value
		case "":
			if e.kind != "" {
				return e
			}
		}
	}
}

// expect reads events and compares kind and name.
func (f *follower) expect(want ...string) (last sse) {
	f.t.Helper()
	for _, w := range want {
		kind, name, _ := strings.Cut(w, " ")
		last = f.next()
		if last.kind != kind || name != "" && last.name(f.t) != name {
			f.t.Fatalf("event %+v, want %s", last, w)
		}
	}
	return last
}

func TestWatchListsAndThenFollows(t *testing.T) {
	e := newMemoryEngine()
	e.set("web", "a")
	e.set("db", "a")
	e.set("p-1", "a")
	e.fail("bad", errUpstream)
	s := serve(t, e, nil)
	f := follow(t, s.Addr(), "/v1/watch?service=web&service=none&service=bad&prefix=p-")
	for _, want := range []string{"reset", "upsert web", "delete none", "unavailable bad", "upsert p-1"} {
		if got := f.expect(want); got.id != "" {
			t.Errorf("event %+v has an id inside the list", got)
		}
	}
	synced := f.expect("synced")
	var index struct{ Index uint64 }
	if err := json.Unmarshal([]byte(synced.data), &index); err != nil || index.Index == 0 || synced.id == "" {
		t.Errorf("synced %+v: an id and an index expected", synced)
	}
	e.set("web", "a", "b")
	if got := f.expect("upsert web"); got.id == "" || !strings.Contains(got.data, `"web-1"`) {
		t.Errorf("event %+v: an id and the second instance expected", got)
	}
	e.set("db", "b") // not watched
	e.set("p-2", "a")
	f.expect("upsert p-2")
	e.remove("p-2")
	f.expect("delete p-2")
	e.set("none", "a")
	f.expect("upsert none")
	e.resetAll()
	f.expect("reset", "upsert web", "upsert none")
	f.Close()
	eventually(t, "the subscription is closed", func() bool { e.set("web", "c"); return e.subscriptions() == 0 })
	eventually(t, "nobody waits", func() bool { return s.Stats().Waiters == 0 && s.Stats().Watches == 0 })
}

func TestWatchDeletesWhatParametersHide(t *testing.T) {
	e := newMemoryEngine()
	e.set("web", "a")
	e.set("empty")
	s := serve(t, e, nil)
	f := follow(t, s.Addr(), "/v1/watch?prefix=&zone=a&service=web")
	f.expect("reset", "upsert web", "upsert empty", "synced")
	e.set("web", "b")
	f.expect("delete web")
	e.set("web", "b", "a")
	if got := f.expect("upsert web"); strings.Contains(got.data, `"zone":"b"`) {
		t.Errorf("event %+v shows what zone=a hides", got)
	}
}

func TestWatchResumes(t *testing.T) {
	e := newMemoryEngine()
	for _, n := range []string{"a", "b", "c"} {
		e.set(n, "z")
	}
	s := serve(t, e, nil)
	f := follow(t, s.Addr(), "/v1/watch?prefix=")
	synced := f.expect("reset", "upsert a", "upsert b", "upsert c", "synced")
	f.Close()
	e.set("a", "y")
	e.remove("c")
	f = follow(t, s.Addr(), "/v1/watch?prefix=", "Last-Event-ID: "+synced.id)
	first := f.expect("upsert a")
	last := f.expect("delete c")
	if first.id != "" || last.id == "" {
		t.Errorf("ids %q, %q: of a batch only the last has one", first.id, last.id)
	}
	f.Close()
	f = follow(t, s.Addr(), "/v1/watch?prefix=", "Last-Event-ID: elsewhere-77")
	f.expect("reset", "upsert a", "upsert b", "synced")
}

// A reader that is cut off anywhere inside its first list has seen no id, so
// it is given the whole list again.
func TestWatchCutInsideTheListLosesNothing(t *testing.T) {
	e := newMemoryEngine()
	for i := range 100 {
		e.set("s-"+strconv.Itoa(i), "z")
	}
	s := serve(t, e, nil)
	for cut := range 5 {
		f := follow(t, s.Addr(), "/v1/watch?prefix=s-")
		for range 1 + cut*20 {
			if got := f.next(); got.id != "" {
				t.Fatalf("event %+v has an id inside the list", got)
			}
		}
		f.Close()
	}
	f := follow(t, s.Addr(), "/v1/watch?prefix=s-")
	seen := map[string]bool{}
	for got := f.expect("reset"); got.kind != "synced"; got = f.next() {
		if got.kind == "upsert" {
			seen[got.name(t)] = true
		}
	}
	if len(seen) != 100 {
		t.Errorf("%d services in the list, want 100", len(seen))
	}
}

func TestWatchSlowReaderGetsTheNewestState(t *testing.T) {
	e := newMemoryEngine()
	e.set("web", "z")
	s := serve(t, e, nil)
	f := follow(t, s.Addr(), "/v1/watch?service=web")
	f.expect("reset", "upsert web", "synced")
	many := make([]string, 0, 500)
	for i := range 500 { // each event is large, and there are far more than sockets and pipes hold
		many = append(many, "zone-"+strconv.Itoa(i))
	}
	for range 400 {
		e.set("web", many...)
	}
	e.set("web", "last")
	events := 0
	for !strings.Contains(f.expect("upsert web").data, `"last"`) {
		events++
	}
	if events > 300 {
		t.Errorf("%d events before the newest: the reader was owed events, not names", events)
	}
}

func TestUnavailableBecomesUpsert(t *testing.T) {
	e := newMemoryEngine()
	e.fail("web", errUpstream)
	s := serve(t, e, nil)
	f := follow(t, s.Addr(), "/v1/watch?service=web")
	f.expect("reset")
	if got := f.expect("unavailable web"); !strings.Contains(got.data, `"type":"urn:edgecache:registry-failed"`) {
		t.Errorf("event %+v, want a problem", got)
	}
	f.expect("synced")
	e.mu.Lock()
	delete(e.failing, "web") // no change is announced
	e.mu.Unlock()
	f.expect("delete web")
}

func TestWatchRefusesBadRequests(t *testing.T) {
	e := newMemoryEngine()
	s := serve(t, e, func(o *http.Options, _ *http.Deps) { o.Limits.Waiters = 1 })
	for _, target := range []string{"", "?registry=file", "?service=", "?service=a//b", "?prefix=&index=1", "?prefix=a&prefix=b", "?service=a&view=record"} {
		if r := get(t, s.Addr(), "/v1/watch"+target); r.status != 400 {
			t.Errorf("%s: %d %s, want 400", target, r.status, r.body)
		}
	}
	if r := get(t, s.Addr(), "/v1/watch?prefix=&registry=none"); r.status != 404 {
		t.Errorf("unknown registry: %d, want 404", r.status)
	}
	if r := ask(t, s.Addr(), "HEAD", "/v1/watch?prefix=", ""); r.status != 400 {
		t.Errorf("HEAD: %d, want 400", r.status)
	}
	f := follow(t, s.Addr(), "/v1/watch?prefix=")
	f.expect("reset", "synced")
	r := get(t, s.Addr(), "/v1/watch?prefix=")
	if r.status != 429 || r.header["retry-after"] == "" || r.json(t)["type"] != "urn:edgecache:rate-limited" {
		t.Errorf("second watch: %d %s, want 429", r.status, r.body)
	}
}

func TestBlockingLookup(t *testing.T) {
	e := newMemoryEngine()
	e.set("web", "a")
	s := serve(t, e, nil)
	index := get(t, s.Addr(), "/v1/services/web").header["edgecache-index"]
	if r := get(t, s.Addr(), "/v1/services/web?index=1&wait=1m"); r.status != 200 {
		t.Errorf("another index: %d, want an answer at once", r.status)
	}
	if r := get(t, s.Addr(), "/v1/services/web?index="+index+"&wait=10ms"); r.status != 200 || r.header["edgecache-index"] != index {
		t.Errorf("after wait: %d index %s, want the same index %s", r.status, r.header["edgecache-index"], index)
	}
	for name, change := range map[string]func(string){
		"web":  func(name string) { e.set(name, "b") },
		"none": func(name string) { e.set(name, "a") },
	} {
		before := get(t, s.Addr(), "/v1/services/"+name)
		done := make(chan reply)
		go func() {
			done <- get(t, s.Addr(), "/v1/services/"+name+"?index="+before.header["edgecache-index"]+"&wait=1m")
		}()
		eventually(t, "the lookup waits", func() bool { return e.subscriptions() == 1 })
		change(name)
		if r := <-done; r.status != 200 || r.header["edgecache-index"] == before.header["edgecache-index"] {
			t.Errorf("%s: %d index %s, want 200 and a new index", name, r.status, r.header["edgecache-index"])
		}
	}
	if r := ask(t, s.Addr(), "HEAD", "/v1/services/web?index=1&wait=1s", ""); r.status != 400 {
		t.Errorf("HEAD with wait: %d, want 400", r.status)
	}
}

func TestBlockingList(t *testing.T) {
	e := newMemoryEngine()
	e.set("web", "a")
	s := serve(t, e, nil)
	before := get(t, s.Addr(), "/v1/services")
	done := make(chan reply)
	go func() { done <- get(t, s.Addr(), "/v1/services?wait=1m&index="+before.header["edgecache-index"]) }()
	eventually(t, "the list waits", func() bool { return e.subscriptions() == 1 })
	e.set("web", "b") // no change of the list
	e.set("db", "a")
	if r := <-done; !strings.Contains(r.body, `"db"`) {
		t.Errorf("list %s, want db in it", r.body)
	}
}

func TestTooManyWaitersAreRefused(t *testing.T) {
	e := newMemoryEngine()
	e.set("web", "a")
	s := serve(t, e, func(o *http.Options, _ *http.Deps) { o.Limits.Waiters = 1 })
	index := get(t, s.Addr(), "/v1/services/web").header["edgecache-index"]
	done := make(chan reply)
	go func() { done <- get(t, s.Addr(), "/v1/services/web?wait=1m&index="+index) }()
	eventually(t, "one waits", func() bool { return s.Stats().Waiters == 1 })
	if r := get(t, s.Addr(), "/v1/services/web?wait=1m&index="+index); r.status != 429 || r.header["retry-after"] == "" {
		t.Errorf("second: %d %v, want 429 with Retry-After", r.status, r.header)
	}
	start := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if r := <-done; r.status != 200 || r.header["connection"] != "close" {
		t.Errorf("at close: %d %v, want the waiter answered", r.status, r.header)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("closing took %s", took)
	}
	if s.Stats().Waiters != 0 {
		t.Error("a waiter is left")
	}
}

var _ registry.Subscription = (*memorySub)(nil)
