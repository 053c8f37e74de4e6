package http

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A Server serves the data port and the admin port.
type Server struct {
	deps    Deps
	data    *port
	admin   *port
	exprs   *exprCache
	timeout time.Duration // of all fills of one request

	live      atomic.Pointer[live]
	calls     sync.Pool
	shards    []shard
	turn      atomic.Uint32
	counters  counters
	clients   clients
	profiling sync.Mutex   // one profile at a time
	clock     atomic.Int64 // coarse Unix ns, for write deadlines
	draining  atomic.Bool
	drained   chan struct{} // closed when draining begins: waiters and watches end

	base context.Context // of what requests start; ends at Close
	stop context.CancelFunc
	wg   sync.WaitGroup // accept loops, connections, housekeeping

	mu      sync.Mutex // protects the fields below
	options Options
	admins  AdminOptions
	conns   map[*conn]struct{}
	opened  bool
	closed  bool

	lastRead time.Time // set by Close before any connection expires
}

// New returns a server that does nothing until [Server.Open]. The options must
// be valid.
func New(o Options, a AdminOptions, d Deps) (*Server, error) {
	d = d.withDefaults()
	if err := errors.Join(d.validate(), prefixed("http", o.Validate()), prefixed("admin", a.Validate())); err != nil {
		return nil, err
	}
	s := &Server{
		deps: d, options: o, admins: a, exprs: newExprCache(), timeout: o.Timeout,
		shards: make([]shard, max(4, runtime.GOMAXPROCS(0))), drained: make(chan struct{}),
		conns: map[*conn]struct{}{},
	}
	s.clients.setup(o.Limits.RequestsPerSecond)
	s.calls.New = func() any { return &call{shard: &s.shards[int(s.turn.Add(1))%len(s.shards)]} }
	s.base, s.stop = context.WithCancel(context.Background())
	s.live.Store(newLive(o))
	s.data = newPort(s, "data", nativeRoutes)
	s.admin = newPort(s, "admin", append(append([]route(nil), nativeRoutes...), adminRoutes...))
	if err := s.configure(o, a); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// prefixed names the section that the mistakes of a Validate are in.
func prefixed(section string, err error) error {
	if err == nil {
		return nil
	}
	var all []error
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			all = append(all, fmt.Errorf("%s.%w", section, e))
		}
	}
	return errors.Join(all...)
}

// configure gives both ports what a reload may change.
func (s *Server) configure(o Options, a AdminOptions) error {
	gate := newBrowserGate(a.Hosts)
	s.admin.gate.Store(&gate)
	return errors.Join(s.data.tokens.replace(o.Tokens), s.admin.tokens.replace(a.Tokens))
}

// Open listens on both ports and serves until [Server.Close]. A port that is
// taken and a certificate that cannot be used are errors, and then nothing
// listens.
func (s *Server) Open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened {
		return errors.New("server is open already")
	}
	s.clock.Store(time.Now().UnixNano())
	if err := s.data.listen(s.options.Listen, s.options.TLS, s.options.Limits); err != nil {
		return fmt.Errorf("http.listen: %w", err)
	}
	if err := s.admin.listen(s.admins.Listen, s.admins.TLS, s.options.Limits); err != nil {
		return errors.Join(fmt.Errorf("admin.listen: %w", err), s.data.close())
	}
	s.opened = true
	s.wg.Go(s.housekeep)
	s.wg.Go(s.data.accept)
	s.wg.Go(s.admin.accept)
	return nil
}

// housekeep keeps the coarse clock and forgets clients that left.
func (s *Server) housekeep() {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-s.base.Done():
			return
		case now := <-tick.C:
			s.clock.Store(now.UnixNano())
			if n%20 == 0 {
				s.clients.sweep(now)
			}
		}
	}
}

// Addr returns the address the data port listens on, "" before Open.
func (s *Server) Addr() string { return s.data.addr() }

// AdminAddr returns the address the admin port listens on, "" before Open.
func (s *Server) AdminAddr() string { return s.admin.addr() }

// SetLive takes over from a reload: http.{tokens,cors,zones,trusted_proxies,
// limits,max_age}, admin.{tokens,hosts} and certificates, which are read again.
// On an error nothing changes. Limits of sizes and times hold for new
// connections.
func (s *Server) SetLive(o Options, a AdminOptions) error {
	if err := errors.Join(prefixed("http", o.Validate()), prefixed("admin", a.Validate())); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(s.data.reloadCertificate(), s.admin.reloadCertificate()); err != nil {
		return err
	}
	if err := s.configure(o, a); err != nil {
		return err
	}
	old := s.options.Limits
	s.options.Tokens, s.options.CORS, s.options.Zones = o.Tokens, o.CORS, o.Zones
	s.options.Limits, s.options.MaxAge, s.options.TrustedProxies = o.Limits, o.MaxAge, o.TrustedProxies
	s.admins.Tokens, s.admins.Hosts = a.Tokens, a.Hosts
	s.live.Store(newLive(s.options))
	if old != o.Limits {
		s.clients.setRate(o.Limits.RequestsPerSecond)
		s.data.setLimits(o.Limits)
		s.admin.setLimits(o.Limits)
	}
	return nil
}

// Drain makes the node unready for `drain`, or until ctx ends, while it goes
// on serving; then it ends waiters, watches and the listeners, lets requests
// finish for up to a second, and closes.
func (s *Server) Drain(ctx context.Context) error {
	s.mu.Lock()
	wait := s.options.Drain
	first := !s.draining.Swap(true)
	s.mu.Unlock()
	if first {
		s.deps.Logger.Info("draining", "for", wait)
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return s.Close()
}

// Close ends waiters and watches, stops listening, lets requests in flight
// finish for up to a second and waits until everything has ended.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.wg.Wait()
		return nil
	}
	s.closed = true
	s.lastRead = time.Now().Add(lastReads)
	s.draining.Store(true)
	close(s.drained)
	err := errors.Join(s.data.close(), s.admin.close())
	for c := range s.conns {
		c.expire()
	}
	s.mu.Unlock()

	grace := time.AfterFunc(time.Second, func() {
		s.stop() // flights that requests wait for end
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			_ = c.Conn.Close() // its owner closes it again and forgets it
		}
	})
	defer grace.Stop()
	s.closing()
	s.stop()
	s.wg.Wait()
	return err
}

// closing waits until no connection is left.
func (s *Server) closing() {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.counters.connections.Load() > 0 {
		<-tick.C
	}
}

// remember counts a connection. One that was accepted while the listener
// closed may still bring its request.
func (s *Server) remember(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
	s.counters.connections.Add(1)
	if s.closed {
		c.expire()
	}
}

func (s *Server) forget(c *conn) {
	s.clients.disconnect(c.client)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.conns[c]; ok {
		delete(s.conns, c)
		s.counters.connections.Add(-1)
	}
}
