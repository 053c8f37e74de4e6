package main

import (
	"encoding/hex"
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

// A receiver is an OTLP/HTTP endpoint that keeps what it gets.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex // protects spans
	spans map[string]*tracepb.Span
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{spans: map[string]*tracepb.Span{}}
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
					r.spans[span.Name] = span
				}
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func TestALookupIsTracedDownToTheRegistry(t *testing.T) {
	otlp := newReceiver(t)
	var mu sync.Mutex // protects traceparent
	traceparent := ""
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		traceparent = r.Header.Get("Traceparent")
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"name":"web","instances":[{"id":"web-1","address":"10.0.0.1","port":80}]}`)
	}))
	t.Cleanup(upstream.Close)
	config := files(t, "edgecache.yaml", twoPorts+"tracing: {endpoint: \""+otlp.URL+"\", sample: 100%}\n"+
		"registries: [{name: catalog, type: httpjson, address: \""+upstream.URL+"\", path: \"/s/{name}\"}]\n")
	s := startServe(t, "--config", config)
	if status, body := s.request("GET", s.data+"/v1/services/web"); status != 200 {
		t.Fatalf("lookup: %d %s", status, body)
	}
	s.end(0) // sends what is left

	otlp.mu.Lock()
	defer otlp.mu.Unlock()
	lookup, fill, up := otlp.spans["lookup"], otlp.spans["fill"], otlp.spans["upstream"]
	if lookup == nil || fill == nil || up == nil {
		t.Fatalf("spans = %v, want lookup, fill and upstream", otlp.spans)
	}
	if string(fill.ParentSpanId) != string(lookup.SpanId) || string(up.ParentSpanId) != string(fill.SpanId) ||
		string(up.TraceId) != string(lookup.TraceId) {
		t.Errorf("not one chain: lookup %x, fill %x below %x, upstream below %x", lookup.SpanId, fill.SpanId, fill.ParentSpanId, up.ParentSpanId)
	}
	mu.Lock()
	defer mu.Unlock()
	if parts := strings.Split(traceparent, "-"); len(parts) != 4 || parts[1] != hex.EncodeToString(lookup.TraceId) {
		t.Errorf("the registry saw traceparent %q, want trace %x", traceparent, lookup.TraceId)
	}
}

func TestWithoutAnEndpointThereIsNoTracing(t *testing.T) {
	tr, err := newTracing(tracingOptions{Sample: 1}, "edge-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if tr.trace != nil || tr.inject != nil {
		t.Error("trace or inject is set")
	}
	tr.close()
}

func TestANodeEndsWellWithoutItsReceiver(t *testing.T) {
	config := files(t, "edgecache.yaml", twoPorts+"tracing: {endpoint: \"http://127.0.0.1:1\", sample: 100%}\n"+
		"registries: [{name: files, type: file, path: DIR/web.yaml}]\n", "web.yaml", webFile)
	s := startServe(t, "--config", config)
	if status, body := s.request("GET", s.data+"/v1/services/web"); status != 200 {
		t.Errorf("lookup: %d %s", status, body)
	}
	s.end(0)
	if !strings.Contains(s.log.String(), "spans not sent") {
		t.Errorf("the log does not tell of lost spans:\n%s", s.log)
	}
}
