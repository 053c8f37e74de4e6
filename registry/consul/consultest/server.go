// Package consultest is a small Consul catalog in memory with the reads of
// Consul's HTTP API that edgecache and its kin use, blocking queries included,
// and the agent's register, deregister and check updates. It serves tests and
// demonstrations; it has no raft, ACL, KV or Connect.
package consultest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// Datacenter is the one that the server is in; LocalNode the node of its agent.
const (
	Datacenter = "dc1"
	LocalNode  = "node-1"
)

// A Fault stands between requests and the catalog: it may delay, answer
// itself or change the answer of next.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// A Server is one Consul agent and server. All methods are safe for concurrent
// use, but Start and Stop with each other.
type Server struct {
	catalog *catalog
	mux     *http.ServeMux
	fault   atomic.Pointer[Fault]
	calls   atomic.Int64
	waiting atomic.Int64

	addr    string // as given, and once started as bound
	server  *http.Server
	stop    context.CancelFunc
	serving sync.WaitGroup

	mu      sync.Mutex // protects the fields below
	idle    *sync.Cond // active became 0
	active  int        // requests in hand
	stopped bool
}

// New returns a server for addr, host:port; port 0 is chosen by the first
// Start and kept. Nothing is bound before Start.
func New(addr string) *Server {
	s := &Server{catalog: newCatalog(), mux: http.NewServeMux(), addr: addr}
	s.idle = sync.NewCond(&s.mu)
	s.routes()
	return s
}

// Start binds the address and serves. After Stop it returns on the same
// address with the same catalog.
func (s *Server) Start() error {
	if s.server != nil {
		return errors.New("consultest: already started")
	}
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	s.addr = l.Addr().String()
	s.mu.Lock()
	s.stopped = false
	s.mu.Unlock()
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.server = &http.Server{Handler: s, BaseContext: func(net.Listener) context.Context { return ctx }}
	s.serving.Go(func() { _ = s.server.Serve(l) }) // ends with Stop
	return nil
}

// Stop cuts all connections, as a kill does, and waits for what runs. The
// catalog stays.
func (s *Server) Stop() {
	if s.server == nil {
		return
	}
	s.stop()
	_ = s.server.Close() // the listener may be closed already
	s.serving.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	for s.active > 0 {
		s.idle.Wait()
	}
	s.server = nil
}

// URL returns the base URL; its port is known once started.
func (s *Server) URL() string { return "http://" + s.addr }

// SetFault puts f before every request from now on, nil takes it away.
// Requests that already wait are not touched.
func (s *Server) SetFault(f Fault) {
	if f == nil {
		s.fault.Store(nil)
		return
	}
	s.fault.Store(&f)
}

// Calls returns the number of requests so far; Waiting that of those held back
// in a blocking query now.
func (s *Server) Calls() int64   { return s.calls.Load() }
func (s *Server) Waiting() int64 { return s.waiting.Load() }

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.begin()
	defer s.end()
	s.calls.Add(1)
	if f := s.fault.Load(); f != nil {
		(*f)(w, r, s.mux)
		return
	}
	s.mux.ServeHTTP(w, r)
}

func (s *Server) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		panic(http.ErrAbortHandler) // on a connection that Stop is cutting
	}
	s.active++
}

func (s *Server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active--; s.active == 0 {
		s.idle.Broadcast()
	}
}

// tail returns what the path has after the prefix; Consul takes slashes in
// names as they come.
func tail(r *http.Request, prefix string) string { return strings.TrimPrefix(r.URL.Path, prefix) }
