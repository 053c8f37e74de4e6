package httpjson_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/httpjson"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A server is an HTTP/JSON registry in the hands of a test.
type server struct {
	t    testing.TB
	list func(map[string][]registry.Instance) any // renders the list
	one  func(name string, instances []registry.Instance) any
	etag bool
	addr string

	mu       sync.Mutex // protects the fields below
	services map[string][]registry.Instance
	old      map[string][]registry.Instance // before the last change
	rewound  bool
	mode     string // "", garble, truncate, hang
	unhang   chan struct{}
	calls    int
	http     *httptest.Server
}

func newServer(t testing.TB) *server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, services: map[string][]registry.Instance{}, addr: l.Addr().String()}
	s.start(l)
	return s
}

func (s *server) url() string { return "http://" + s.addr }

func (s *server) start(l net.Listener) {
	s.unhang = make(chan struct{})
	s.http = &httptest.Server{Listener: l, Config: &http.Server{Handler: s}}
	s.http.Start()
}

// stop refuses connections from now on.
func (s *server) stop() {
	close(s.unhang)
	s.http.CloseClientConnections()
	s.http.Close()
}

// restart listens on the same port again.
func (s *server) restart() {
	for range 100 {
		if l, err := net.Listen("tcp", s.addr); err == nil {
			s.start(l)
			return
		}
	}
	s.t.Fatalf("%s cannot be listened on again", s.addr)
}

func (s *server) put(name string, instances ...registry.Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.old, s.rewound = maps.Clone(s.services), false
	s.services[name] = instances
}

func (s *server) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.old, s.rewound = maps.Clone(s.services), false
	delete(s.services, name)
}

func (s *server) rewind() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rewound = true
}

func (s *server) set(mode string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = mode
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.calls++
	mode, services, unhang := s.mode, maps.Clone(s.services), s.unhang
	if s.rewound {
		services = s.old
	}
	s.mu.Unlock()
	if mode == "hang" {
		select {
		case <-unhang:
		case <-r.Context().Done():
		}
		return
	}
	var body any
	if r.URL.Path == "/list" {
		body = s.list(services)
	} else {
		name, _ := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), "/one/"))
		instances, ok := services[name]
		if !ok && mode == "" {
			http.NotFound(w, r)
			return
		}
		body = s.one(name, instances)
	}
	data, err := json.Marshal(body)
	if err != nil {
		s.t.Errorf("marshal: %v", err)
	}
	switch mode {
	case "garble":
		data = []byte("<html><body>It works!</body></html>")
	case "truncate":
		data = data[:len(data)/2]
	}
	sum := sha256.Sum256(data)
	if tag := `"` + hex.EncodeToString(sum[:8]) + `"`; s.etag && mode == "" {
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data) // the client may be gone
}

// nativeOne is one record in edgecache's own form.
func nativeOne(name string, instances []registry.Instance) any {
	list := []map[string]any{}
	for _, in := range instances {
		list = append(list, map[string]any{"id": in.ID, "address": in.Main().Address, "port": in.Main().Port, "health": in.Health.String()})
	}
	return map[string]any{"name": name, "instances": list}
}

func nativeList(services map[string][]registry.Instance) any {
	list := []any{}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		list = append(list, nativeOne(name, services[name]))
	}
	return map[string]any{"services": list}
}

// foreignOne is a form of somebody else.
func foreignOne(_ string, instances []registry.Instance) any {
	hosts := []map[string]any{}
	for _, in := range instances {
		hosts = append(hosts, map[string]any{
			"key": in.ID, "net": map[string]any{"ip": in.Main().Address, "ports": []any{in.Main().Port}}, "status": "UP",
		})
	}
	return map[string]any{"data": map[string]any{"hosts": hosts}}
}

func foreignList(services map[string][]registry.Instance) any {
	byName := map[string]any{}
	for name, instances := range services {
		byName[name] = foreignOne(name, instances)
	}
	return map[string]any{"result": map[string]any{"apps": byName}}
}

// foreign reads foreignOne and foreignList.
func foreign(o httpjson.Options) httpjson.Options {
	o.Instances = "/data/hosts"
	o.Fields = httpjson.Fields{ID: "/key", Address: "/net/ip", Port: "/net/ports/0", Health: "/status"}
	o.HealthValues = map[string]string{"UP": "passing", "*": "critical"}
	if o.List != "" {
		o.Items = "/result/apps"
	}
	return o
}

func open(t testing.TB, o httpjson.Options) *httpjson.Source {
	t.Helper()
	o.Name = "reg"
	s, err := httpjson.New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// answering starts a server that answers each path with a body; others are 404.
func answering(t testing.TB, bodies map[string]string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := bodies[r.URL.RequestURI()]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func lookup(t testing.TB, s *httpjson.Source, name string, have *registry.Record) (*registry.Record, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return s.Lookup(ctx, name, have)
}

func found(t testing.TB, s *httpjson.Source, name string) *registry.Record {
	t.Helper()
	rec, err := lookup(t, s, name, nil)
	if err != nil {
		t.Fatalf("Lookup(%q): %v", name, err)
	}
	return rec
}

// refusedAs checks that the lookup fails as an outage whose error has the words.
func refusedAs(t testing.TB, s *httpjson.Source, name string, words ...string) {
	t.Helper()
	rec, err := lookup(t, s, name, nil)
	var up *registry.UpstreamError
	if !errors.As(err, &up) || errors.Is(err, registry.ErrNotFound) || rec != nil || up.Registry != "reg" {
		t.Errorf("Lookup(%q) = %v, %v; want an UpstreamError", name, rec, err)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("Lookup(%q): got %q, want %q in it", name, err, word)
		}
	}
	if len(err.Error()) > 600 {
		t.Errorf("Lookup(%q): the error has %d bytes", name, len(err.Error()))
	}
}

func describe(in registry.Instance) string {
	e := in.Main()
	return fmt.Sprintf("%s %s:%d proto=%s tls=%t url=%s health=%s weight=%d version=%s region=%s zone=%s node=%s tags=%v meta=%v",
		in.ID, e.Address, e.Port, e.Protocol, e.TLS, e.URL, in.Health, in.Weight, in.Version, in.Region, in.Zone, in.Node, in.Tags, maps.Collect(in.Metadata.All()))
}

// targetGroups is the list as Prometheus' HTTP service discovery has it.
func targetGroups(services map[string][]registry.Instance) any {
	groups := []any{}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		targets := []string{}
		for _, in := range services[name] {
			targets = append(targets, fmt.Sprintf("%s:%d", in.Main().Address, in.Main().Port))
		}
		groups = append(groups, map[string]any{"targets": targets, "labels": map[string]string{"job": name}})
	}
	return groups
}
