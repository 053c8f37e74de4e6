package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// A fakeNode answers each "METHOD /path" with a status and a body.
type fakeNode struct {
	*httptest.Server
	mu    sync.Mutex // protects asked
	asked []string   // "METHOD /path?query body"
}

type fakeAnswer struct {
	status int
	body   string
}

func newFakeNode(t *testing.T, answers map[string]fakeAnswer) *fakeNode {
	t.Helper()
	f := &fakeNode{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		f.asked = append(f.asked, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
		f.mu.Unlock()
		a, ok := answers[r.Method+" "+r.URL.Path]
		if !ok {
			a = fakeAnswer{404, `{"type":"urn:edgecache:no-such-route","detail":"no such route"}`}
		}
		if a.status >= 400 {
			w.Header().Set("Content-Type", "application/problem+json")
		}
		if strings.HasPrefix(a.body, "event:") {
			w.Header().Set("Content-Type", "text/event-stream")
		}
		w.Header().Set("Cache-Status", "edgecache; hit; ttl=-180; detail=stale-if-error")
		w.WriteHeader(a.status)
		io.WriteString(w, a.body)
		if strings.HasPrefix(a.body, "event:") {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeNode) requests() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.asked, "\n")
}

// command runs one command line against a node.
func command(t *testing.T, address string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), append(args, "--address", address), &out, &errs)
	return code, out.String(), errs.String()
}

const staleWeb = `{"age_ms":180500,"stale":true,"name":"web","registry":"consul","kind":"service","index":42,"instances":[
 {"id":"web-1","address":"10.0.0.1","port":8080,"health":"passing","weight":1,"zone":"eu-1a","version":"1.4.2","tags":["a","b"]},
 {"id":"web-long-2","address":"fd00::1","port":80,"health":"warning","zone":"eu-1b","version":"1.4.2","tags":["\u001b[31mred"]}]}`

func TestGetPrintsAlignedColumns(t *testing.T) {
	node := newFakeNode(t, map[string]fakeAnswer{"GET /v1/registries/consul/services/web": {200, staleWeb}})
	code, out, errs := command(t, node.URL, "get", "web", "--registry", "consul", "--zone", "z", "--tag", "a", "--tag", "b,c", "--max-age", "0s")
	want := `web  service of consul, 2 instances, age stale 3m (stale-if-error), index 42
ID          ADDRESS        HEALTH   ZONE   VERSION  WEIGHT  TAGS
web-1       10.0.0.1:8080  passing  eu-1a  1.4.2    1       a,b
web-long-2  [fd00::1]:80   warning  eu-1b  1.4.2            ?[31mred
`
	if code != 0 || out != want || errs != "" {
		t.Errorf("get = %d\n%s%s\nwant\n%s", code, out, errs, want)
	}
	if got, want := node.requests(), "GET /v1/registries/consul/services/web?max_age=0s&tag=a&tag=b%2Cc&zone=z"; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
}

func TestGetAsJSONIsTheNodesForm(t *testing.T) {
	node := newFakeNode(t, map[string]fakeAnswer{"GET /v1/services/web": {200, staleWeb}})
	code, out, _ := command(t, node.URL, "get", "web", "--output", "json")
	var got, want any
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 {
		t.Fatalf("get = %d, %v\n%s", code, err, out)
	}
	json.Unmarshal([]byte(staleWeb), &want)
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	if !bytes.Equal(a, b) {
		t.Errorf("get -o json =\n%s\nwant\n%s", a, b)
	}
}

func TestGetDocumentIsByteForByte(t *testing.T) {
	document := "{ \"signed\" : true }\r\n"
	node := newFakeNode(t, map[string]fakeAnswer{"GET /v1/services/team/agent": {200, document}})
	code, out, _ := command(t, node.URL, "get", "team/agent", "--view", "document", "-o", "json")
	if code != 0 || out != document {
		t.Errorf("get --view document = %d %q, want %q", code, out, document)
	}
}

func TestExitCodesAndHints(t *testing.T) {
	problem := func(status int, kind string) fakeAnswer {
		return fakeAnswer{status, `{"type":"urn:edgecache:` + kind + `","title":"t","detail":"what was wrong"}`}
	}
	node := newFakeNode(t, map[string]fakeAnswer{
		"GET /v1/services/absent": problem(404, "not-found"),
		"GET /v1/services/down":   problem(502, "registry-failed"),
		"GET /v1/services/closed": problem(401, "unauthenticated"),
		"POST /v1/invalidate":     {202, `{"id":"a/1/2","members":2,"confirmed":["edge-1"],"pending":["edge-2"],"fenced":[]}`},
		"POST /v1/refresh":        {200, `{"id":"r","services":[{"name":"web","registry":"consul","result":"failed","error":"refused"}]}`},
	})
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"get", "absent"}, 3, "what was wrong (404 not-found)"},
		{[]string{"get", "down"}, 1, "what was wrong (502 registry-failed)"},
		{[]string{"get", "closed"}, 1, "--token-file"},
		{[]string{"get", "a//b"}, 1, "empty segment"},
		{[]string{"get", "web", "--view", "xml"}, 2, "record, document or addresses"},
		{[]string{"get"}, 2, "one NAME expected"},
		{[]string{"get", "web", "--output", "xml"}, 2, "table or json"},
		{[]string{"get", "web", "--wait", "soon"}, 2, "soon"},
		{[]string{"members", "x"}, 2, "x"},
		{[]string{"members"}, 1, "admin port"},
		{[]string{"watch"}, 2, "NAME"},
		{[]string{"invalidate"}, 2, "--all"},
		{[]string{"invalidate", "web", "--mode", "harsh"}, 2, "soft, verify or hard"},
		{[]string{"invalidate", "web", "--wait", "all"}, 4, "not confirmed in time by edge-2"},
		{[]string{"refresh", "web"}, 1, "1 of 1 service failed"},
		{[]string{"top", "--interval", "1ms"}, 2, "100ms"},
	} {
		code, _, errs := command(t, node.URL, tc.args...)
		if code != tc.code || !strings.Contains(errs, tc.want) || strings.Count(errs, "\n") > 2 {
			t.Errorf("%q = %d, %q; want %d with %q", tc.args, code, errs, tc.code, tc.want)
		}
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	if code, _, errs := command(t, closed.URL, "status"); code != 1 || !strings.Contains(errs, "is `edgecache serve` running") {
		t.Errorf("status of a node that is not there = %d, %q", code, errs)
	}
}

func TestAnUnknownCommandNamesTheNearest(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"srve"}, &out, &errs); code != 2 || !strings.Contains(errs.String(), "did you mean serve?") {
		t.Errorf("srve = %d, %q; want 2 and the nearest command", code, errs.String())
	}
}

func TestInvalidateSendsWhatTheFlagsSay(t *testing.T) {
	node := newFakeNode(t, map[string]fakeAnswer{
		"POST /v1/invalidate": {200, `{"id":"a/1/2","members":1,"confirmed":["edge-1"],"pending":[],"fenced":[],"elapsed_ms":3.2}`},
	})
	code, out, errs := command(t, node.URL, "invalidate", "web", "api/v1", "--tag", "t", "--prefix", "p", "--registry", "r", "--mode", "hard", "--wait", "quorum", "--timeout", "5s")
	if want := "a/1/2 confirmed by 1 of 1 member in 3.2ms\n"; code != 0 || out != want {
		t.Errorf("invalidate = %d, %q %q, want %q", code, out, errs, want)
	}
	want := `POST /v1/invalidate {"services":[{"name":"web"},{"name":"api/v1"}],"tags":["t"],"prefixes":["p"],"registry":"r","mode":"hard","wait":"quorum","timeout":"5s"}`
	if got := node.requests(); got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
}

func TestWatchPrintsChangesUntilInterrupted(t *testing.T) {
	events := "event: reset\n\nevent: upsert\ndata: " + strings.ReplaceAll(staleWeb, "\n", "") + "\n\nevent: synced\ndata: {\"index\":42}\nid: 1\n\n" +
		"event: upsert\ndata: " + strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(staleWeb, "\n", ""), "web-1", "web-3"), `"warning"`, `"passing"`) + "\nid: 2\n\n" +
		"event: delete\ndata: {\"name\":\"web\",\"registry\":\"consul\",\"index\":43}\nid: 3\n\n"
	node := newFakeNode(t, map[string]fakeAnswer{"GET /v1/watch": {200, events}, "GET /readyz": {200, `{"ready":true}`}})
	for _, tc := range []struct {
		output string
		want   []string
	}{
		{"table", []string{"upsert       web", "2 instances, stale 3m", "1 service, changes follow", "+web-3, ~web-long-2 passing, -web-1", "delete       web"}},
		{"json", []string{`{"event":"reset"}`, `"service":{"age_ms":180500,"stale":true,"name":"web"`, `{"event":"delete","id":"3","name":"web","registry":"consul","index":43}`}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		out := &cancelAt{text: "delete", cancel: cancel}
		code := run(ctx, []string{"watch", "web", "--address", node.URL, "-o", tc.output}, out, io.Discard)
		cancel()
		for _, want := range tc.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("watch -o %s has no %q:\n%s", tc.output, want, out.String())
			}
		}
		if code != 0 {
			t.Errorf("watch that was interrupted = %d, want 0", code)
		}
	}
}

// cancelAt is a writer that cancels once text was written. Before, it calls
// each function of on once its text was.
type cancelAt struct {
	bytes.Buffer
	text   string
	cancel context.CancelFunc
	on     map[string]func()
}

func (c *cancelAt) Write(p []byte) (int, error) {
	n, err := c.Buffer.Write(p)
	for text, do := range c.on {
		if strings.Contains(c.String(), text) {
			delete(c.on, text)
			do()
		}
	}
	if strings.Contains(c.String(), c.text) {
		c.cancel()
	}
	return n, err
}

func TestTopShowsOneFrame(t *testing.T) {
	node := newFakeNode(t, map[string]fakeAnswer{
		"GET /v1/status":     {200, `{"node":"edge-1","version":"1.0","uptime_ms":61000,"ready":true,"degraded":["registry consul down 12m"],"synced":true,"memory":{"entries":2,"bytes":3500,"limit":268435456},"lookups":{"hits":10}}`},
		"GET /v1/registries": {200, `{"registries":[{"name":"consul","type":"consul","kind":"service","state":"down","breaker":"open","watch":{"live":0},"services":2,"last_error":"connection\n refused","calls":7,"failures":5}]}`},
		"GET /v1/entries":    {200, `{"entries":[{"name":"cold","registry":"consul","state":"stale","tier":"memory","age_ms":9000,"ttl_ms":-4000,"bytes":900,"hits":1},{"name":"web","registry":"consul","state":"fresh","tier":"memory","age_ms":412,"ttl_ms":29000,"bytes":900,"hits":9}]}`},
	})
	code, out, errs := command(t, node.URL, "top", "--once", "--interval", "100ms")
	want := `edge-1  edgecache 1.0, ready, up 1m
degraded: registry consul down 12m
memory: 2 entries, 3.4KiB of 256MiB
lookups: 10 hits, 0 stale, 0 misses, 0 negative, 0 errors
per second: 0 hits, 0 stale, 0 misses, 0 negative, 0 errors

REGISTRY  TYPE    KIND     STATE  BREAKER  ENTRIES  WATCHES  CALLS  FAILURES  LAST ERROR
consul    consul  service  down   open     2        0        7      5         connection refused

NAME  REGISTRY  STATE  TIER    AGE    TTL  BYTES  HITS  HITS/S
web   consul    fresh  memory  412ms  29s  900B   9     0
cold  consul    stale  memory  9s     -4s  900B   1     0

`
	if code != 0 || out != want {
		t.Errorf("top --once = %d %s\n%s\nwant\n%s", code, errs, out, want)
	}
}

func TestListWalksThePagesAndSaysWhatIsMissing(t *testing.T) {
	node := newFakeNode(t, map[string]fakeAnswer{
		"GET /v1/services": {200, `{"services":[{"name":"web","registry":"consul","kind":"service"}],"index":1,"age_ms":1200,"stale":false,"complete":false}`},
	})
	code, out, errs := command(t, node.URL, "list", "--prefix", "w", "--kind", "service")
	if want := "NAME  REGISTRY  KIND\nweb   consul    service\n"; code != 0 || out != want {
		t.Errorf("list = %d\n%s\nwant\n%s", code, out, want)
	}
	if !strings.Contains(errs, "1 service, age 1.2s; not complete") {
		t.Errorf("list says %q", errs)
	}
	if got, want := node.requests(), "GET /v1/services?kind=service&limit=1000&prefix=w"; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
}

func TestDurationsAndSizesAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 850 * time.Microsecond: "850µs", 3299 * time.Microsecond: "3.2ms", 412 * time.Millisecond: "412ms", 999 * time.Millisecond: "999ms", 3*time.Second + 290*time.Millisecond: "3.2s", 4 * time.Second: "4s",
		42 * time.Second: "42s", 3*time.Minute + 59*time.Second: "3m", 5 * time.Hour: "5h", 50 * time.Hour: "2d", -4 * time.Second: "-4s",
	} {
		if got := short(d); got != want {
			t.Errorf("short(%s) = %s, want %s", d, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0B", 812: "812B", 3500: "3.4KiB", 256 << 20: "256MiB", 1 << 30: "1GiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("bytesText(%d) = %s, want %s", n, got, want)
		}
	}
}
