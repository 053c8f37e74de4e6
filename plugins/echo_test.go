package plugins_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
)

// An echoServer is the registry of testdata/adapter/echo.c, in memory.
type echoServer struct {
	t       testing.TB
	address string
	server  *httptest.Server // nil: it is down

	mu      sync.Mutex // protects the fields below
	mode    string     // garble, truncate, hang
	hung    chan struct{}
	epoch   int
	records map[string][]byte
	changed []string // names, the newest last: the n-th change made version n
}

func newEchoServer(t testing.TB) *echoServer {
	s := &echoServer{t: t, address: "127.0.0.1:0", records: map[string][]byte{}}
	s.start()
	return s
}

// start listens, again where it did before.
func (s *echoServer) start() {
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.address = listener.Addr().String()
	s.server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: s}}
	s.server.Start()
}

func (s *echoServer) stop() {
	s.set("")
	if s.server != nil {
		s.server.CloseClientConnections()
		s.server.Close()
		s.server = nil
	}
}

func (s *echoServer) set(mode string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hung != nil {
		close(s.hung)
		s.hung = nil
	}
	if s.mode = mode; mode == "hang" {
		s.hung = make(chan struct{})
	}
}

func (s *echoServer) put(name string, instances ...registry.Instance) {
	list := make([]map[string]any, len(instances))
	for i, in := range instances {
		list[i] = map[string]any{"id": in.ID, "address": in.Main().Address, "port": in.Main().Port, "health": "passing"}
	}
	text, err := json.Marshal(map[string]any{"name": name, "instances": list})
	if err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[name] = text
	s.changed = append(s.changed, name)
}

func (s *echoServer) remove(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		delete(s.records, name)
		s.changed = append(s.changed, name)
	}
}

// reset forgets what changed, and some names.
func (s *echoServer) reset(remove ...string) {
	s.remove(remove...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	s.changed = nil
}

func (s *echoServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	mode, hung := s.mode, s.hung
	status, text := s.answerLocked(w.Header(), r)
	s.mu.Unlock()
	switch mode {
	case "hang":
		select {
		case <-hung:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	case "garble":
		_, _ = w.Write([]byte("<p>garbage\x00\xff"))
	case "truncate":
		text = append(text, strings.Repeat(" ", 100)...)
		w.Header().Set("Content-Length", strconv.Itoa(2*len(text)))
		_, _ = w.Write(text)
		panic(http.ErrAbortHandler)
	default:
		w.WriteHeader(status)
		_, _ = w.Write(text)
	}
}

func (s *echoServer) answerLocked(h http.Header, r *http.Request) (int, []byte) {
	name, one := strings.CutPrefix(r.URL.Path, "/s/")
	switch {
	case one && s.records[name] == nil:
		return http.StatusNotFound, nil
	case one:
		tag := fmt.Sprintf(`"%d-%d"`, s.epoch, 1+lastIndex(s.changed, name))
		if r.Header.Get("If-None-Match") == tag {
			return http.StatusNotModified, nil
		}
		h.Set("ETag", tag)
		return http.StatusOK, s.records[name]
	case r.URL.Path == "/names":
		return http.StatusOK, s.pageLocked(h, r.FormValue("after"))
	case r.URL.Path == "/poll":
		return http.StatusOK, s.changesLocked(r.FormValue("from"))
	}
	return http.StatusNotFound, nil
}

func lastIndex(list []string, name string) int {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i] == name {
			return i
		}
	}
	return -1
}

// pageLocked answers two names and what the next page begins after.
func (s *echoServer) pageLocked(h http.Header, after string) []byte {
	var page []string
	for _, name := range slices.Sorted(maps.Keys(s.records)) {
		if name <= after {
			continue
		}
		if len(page) == 2 {
			h.Set("X-Next", page[1])
			break
		}
		page = append(page, name)
	}
	return []byte(strings.Join(page, "\n"))
}

func (s *echoServer) changesLocked(from string) []byte {
	var text strings.Builder
	epoch, at, _ := strings.Cut(from, ".")
	since, _ := strconv.Atoi(at)
	names := slices.Sorted(maps.Keys(s.records))
	switch {
	case from == "":
	case epoch != strconv.Itoa(s.epoch):
		text.WriteString("A\n")
	default:
		names = s.changed[since:]
	}
	for i, name := range names {
		switch rec := s.records[name]; {
		case rec == nil:
			fmt.Fprintf(&text, "D %s\n", name)
		case from != "" && i%2 == 1:
			fmt.Fprintf(&text, "I %s\n", name)
		default:
			fmt.Fprintf(&text, "U %s %s\n", name, rec)
		}
	}
	fmt.Fprintf(&text, "C %d.%d\nW 20\n", s.epoch, len(s.changed))
	return []byte(text.String())
}

func (s *echoServer) url() string { return "http://" + s.address }

// echoOptions are those of a guest that asks a registry.
func echoOptions(url string) plugins.AdapterOptions {
	o := plugins.AdapterDefaults()
	o.Name, o.Plugin = "echo", filepath.Join("testdata", "adapter", "echo.wasm")
	o.Config = map[string]any{"url": url}
	o.Allow = registry.Strings{url}
	o.Poll = 100 * time.Millisecond
	o.Timeout = 30 * time.Second
	return o
}

// adapterHost returns a host without filters, which the caller closes.
func adapterHost(t testing.TB, o plugins.HostOptions) *plugins.Host {
	t.Helper()
	h, err := plugins.NewHost(nil, o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}
