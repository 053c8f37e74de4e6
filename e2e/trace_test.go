package e2e_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A receiver is an OTLP/HTTP endpoint that keeps the spans it gets, by name.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex // protects spans
	spans map[string][]*tracepb.Span
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{spans: map[string][]*tracepb.Span{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		var export collector.ExportTraceServiceRequest
		if err != nil || req.URL.Path != "/v1/traces" || proto.Unmarshal(body, &export) != nil {
			http.Error(w, "unreadable", http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, resource := range export.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				for _, span := range scope.Spans {
					r.spans[span.Name] = append(r.spans[span.Name], span)
				}
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func TestALookupIsOneTraceDownToTheRegistry(t *testing.T) {
	t.Parallel()
	otlp := newReceiver(t)
	u := newUpstream(t)
	u.set("web", "web-1")
	var mu sync.Mutex // protects seen
	seen := ""
	u.setFault(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = r.Header.Get("Traceparent")
		mu.Unlock()
		u.answer(w, r)
	})
	n := start(t, loopback+fmt.Sprintf("tracing: {endpoint: %q, sample: 100%%}\n", otlp.URL)+
		`registries: [{name: catalog, type: httpjson, address: "`+u.URL+`", path: "/s/{name}"}]
`)
	for range 2 { // a miss and a hit
		if a := n.get("/v1/services/web"); a.status != 200 {
			t.Fatal(a)
		}
	}
	n.stop() // sends what is left

	otlp.mu.Lock()
	defer otlp.mu.Unlock()
	lookups, fills, calls := otlp.spans["lookup"], otlp.spans["fill"], otlp.spans["upstream"]
	if len(lookups) != 2 || len(fills) != 1 || len(calls) != 1 {
		t.Fatalf("%d lookups, %d fills and %d calls; want 2, 1 and 1", len(lookups), len(fills), len(calls))
	}
	id := string(fills[0].TraceId)
	if string(lookups[0].TraceId) != id {
		lookups[0], lookups[1] = lookups[1], lookups[0]
	}
	if string(lookups[0].TraceId) != id || string(calls[0].TraceId) != id || string(lookups[1].TraceId) == id {
		t.Errorf("traces: lookups %x and %x, fill %x, call %x; want the miss's three as one", lookups[0].TraceId, lookups[1].TraceId, fills[0].TraceId, calls[0].TraceId)
	}
	if string(fills[0].ParentSpanId) != string(lookups[0].SpanId) || string(calls[0].ParentSpanId) != string(fills[0].SpanId) {
		t.Error("they do not stand one below the other")
	}
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(seen, hex.EncodeToString(fills[0].TraceId)) {
		t.Errorf("the registry was told of trace %q, want %x", seen, fills[0].TraceId)
	}
}
