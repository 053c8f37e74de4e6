package http

import (
	"bufio"
	"slices"
	"strings"
	"time"

	"github.com/edgecache/edgecache/registry"
)

const (
	maxWatched = 1000 // services that a watch may name
	pingEvery  = 15 * time.Second
	retryEvery = 2 * time.Second // names that could not be loaded are tried again
)

// watch answers GET /v1/watch with a stream of events. What the stream does is
// in stream.go.
func (s *Server) watch(c *call) error {
	if c.ctx.IsHead() {
		return badRequest("", "HEAD cannot watch; use GET")
	}
	if !c.ctx.Request.Header.IsHTTP11() {
		return badRequest("", "a stream has no length, so it needs HTTP/1.1")
	}
	to, err := s.watchQuery(c)
	if err != nil {
		return err
	}
	if err := s.enterWait(); err != nil {
		return err
	}
	to.Resume = string(c.ctx.Request.Header.Peek("Last-Event-Id"))
	w := &stream{
		server: s, to: to, query: c.query, attrs: c.fix(),
		sub: s.deps.Answerer.Engine.Subscribe(to), failed: map[string]bool{}, sent: map[string]told{},
	}
	w.query.Select.Tags = slices.Clone(w.query.Select.Tags)
	s.counters.watches.Add(1)
	h := &c.ctx.Response.Header
	h.SetContentType("text/event-stream")
	h.SetCanonical(headerCacheControl, asBytes("no-store"))
	h.Set("X-Accel-Buffering", "no")
	c.ctx.Response.ImmediateHeaderFlush = true
	s.wg.Add(1)
	c.ctx.SetBodyStreamWriter(func(out *bufio.Writer) {
		defer s.wg.Done()
		defer s.leaveWait()
		defer s.counters.watches.Add(-1)
		defer w.sub.Close()
		defer s.guardWorker()
		w.out = out
		w.run()
	})
	return nil
}

// watchQuery reads the parameters; nothing of it refers to the call.
func (s *Server) watchQuery(c *call) (registry.Subscribe, error) {
	var to registry.Subscribe
	if err := c.parse(&watchParameters); err != nil {
		return to, err
	}
	// The call's strings end with its handler, the stream's do not.
	for i := range c.params {
		c.params[i] = param{strings.Clone(c.params[i].key), strings.Clone(c.params[i].value)}
	}
	c.query = registry.Query{MaxAge: -1, Timeout: s.timeout, Select: registry.DefaultSelect}
	c.tags = nil
	for _, p := range c.params {
		switch p.key {
		case "service":
			if err := registry.CheckName(p.value); err != nil {
				return to, badRequest("service", "service: %v", err)
			}
			if !slices.Contains(to.Names, p.value) {
				to.Names = append(to.Names, p.value)
			}
		case "prefix":
			to.Prefix = &p.value
		case "registry":
			if names := s.deps.RegistryNames(); len(names) > 0 && !slices.Contains(names, p.value) {
				return to, noSuchRegistryFault.because("there is no registry %q; there are %s", p.value, strings.Join(names, ", "))
			}
			c.query.Registry = p.value
		default:
			if err := c.set(p.key, p.value); err != nil {
				return to, err
			}
		}
	}
	switch {
	case len(to.Names) == 0 && to.Prefix == nil:
		return to, badRequest("service", "nothing to watch: give service=, or prefix= (empty is all)")
	case len(to.Names) > maxWatched:
		return to, badRequest("service", "%d services, the most is %d; use prefix", len(to.Names), maxWatched)
	}
	to.Registry, to.Kind = c.query.Registry, c.query.Kind
	return to, s.probeList(&to)
}

// probeList fails like the list would if there is none to begin with.
func (s *Server) probeList(to *registry.Subscribe) error {
	if to.Prefix == nil {
		return nil
	}
	_, err := s.deps.Answerer.Engine.Names(s.base, &registry.NamesQuery{
		Registry: to.Registry, Prefix: *to.Prefix, Kind: to.Kind, Limit: 1,
	})
	return err
}
