// Package consul answers lookups from a Consul cluster over its HTTP API.
//
// A lookup is one /v1/health/service read. A watch is one blocking query per
// name; the list of names is followed by a blocking query on the catalog.
//
// # Absence
//
// Consul has no services without instances and answers [] for a name that it
// does not know: [] is [registry.ErrNotFound]. It is believed only from a
// server that has a leader and did not filter the answer by ACL; anything else
// is an outage. With Options.Tags a service may exist without an instance that
// has them: on [] the catalog is asked, and a service that it lists is a record
// without instances. Options.NodeMeta narrows the registry as a whole instead,
// names and instances alike.
//
// Consul cannot tell a deregistration from a catalog that was lost. A failed
// node or check keeps its instances listed, as critical, so an instance goes
// only by being deregistered (by itself, by an operator, by
// deregister_critical_service_after, or 72 h after its node failed). A watch
// therefore calls a delete deliberate when the service was there, the index
// moved forward since, and the server has a leader; an empty answer after the
// index went back is never deliberate.
//
// # Old answers
//
// Reads are stale by default: any server answers. An answer whose index is
// below the one known, or whose server has no leader or has not heard of it
// for 2 s, is not used: the leader is asked (consistent). If the leader too
// gives a lower index, Consul was restored or begun anew: that begins a new
// [registry.Revision] epoch. (A query that blocks above a restored index is
// answered only at the end of its wait: a reset between two queries is noticed
// after at most 55 s.) Without a leader such an answer is an error,
// except for the callers of a lookup that has nothing better
// (Freshness.NoStore). Lookups under [registry.ReadThrough] ask the leader at
// once.
package consul

import (
	"net/http"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/fetch"
)

// A Source answers lookups from Consul. It is safe for concurrent use.
type Source struct {
	options  Options
	client   *fetch.Client
	clock    *registry.Clock
	identity string
	epoch    atomic.Uint64 // of new revisions
	token    atomic.Pointer[string]
	all      *rate.Limiter // of all watches together

	blocking, calls slots
	watching        atomic.Int64 // blocking queries wanted

	mu     sync.Mutex                   // protects broken
	broken map[string]registry.Revision // what watches that ended with an error had seen
}

var (
	_ registry.Source      = (*Source)(nil)
	_ registry.Lister      = (*Source)(nil)
	_ registry.Watcher     = (*Source)(nil)
	_ registry.ListWatcher = (*Source)(nil)
)

// New returns a source, or an error that names all mistakes in o. It connects
// to nothing.
func New(o Options) (*Source, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	token, err := o.token()
	if err != nil {
		return nil, err
	}
	s := &Source{
		options: o, clock: registry.NewClock(nil, 0), identity: o.identity(token),
		all: rate.NewLimiter(rate.Inf, 0), broken: map[string]registry.Revision{},
	}
	if o.Rate > 0 {
		s.all = rate.NewLimiter(rate.Limit(o.Rate), max(1, int(o.Rate)))
	}
	s.token.Store(&token)
	fo := o.fetch()
	s.blocking, s.calls, fo.MaxConns = makeSlots(&o)
	fo.Header = s.authorize
	s.client, err = fetch.New(fo)
	return s, err
}

// Can returns what the source can do.
func (s *Source) Can() registry.Capabilities {
	return registry.Capabilities{List: true, Watch: true, WatchList: true, Ordered: true}
}

// Identity changes when address, credentials, selection or mapping change:
// records made under another identity are to be verified.
func (s *Source) Identity() string { return s.identity }

// Close closes idle connections. Calls that run go on until their contexts end.
func (s *Source) Close() error {
	s.client.Close()
	return nil
}

// authorize adds the token. A token file that cannot be read leaves the last
// token in use: the file may be in the middle of being renewed.
func (s *Source) authorize(h http.Header) {
	last := s.token.Load()
	if s.options.TokenFile != "" {
		token, err := s.options.token()
		switch {
		case err != nil:
			s.options.Logger.Warn("consul token not renewed", "registry", s.options.Name, "error", err)
		case token != *last:
			s.options.Logger.Info("consul token renewed", "registry", s.options.Name)
			s.token.Store(&token)
			last = &token
		}
	}
	if *last != "" {
		h.Set("X-Consul-Token", *last)
	}
}

// adopt takes over the epoch of a revision made before this source was.
func (s *Source) adopt(r registry.Revision) {
	for {
		e := s.epoch.Load()
		if r.Epoch <= e {
			return
		}
		s.clock.Observe(r.Epoch)
		if s.epoch.CompareAndSwap(e, r.Epoch) {
			return
		}
	}
}

// reset begins a new epoch after the index went back in epoch old, unless
// somebody else did so meanwhile, and returns the current one.
func (s *Source) reset(old uint64) uint64 {
	next := s.clock.Next(0)
	if s.epoch.CompareAndSwap(old, next) {
		s.options.Logger.Warn("consul index went back: restored or begun anew", "registry", s.options.Name)
		return next
	}
	return s.epoch.Load()
}
