package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/store"
)

// A policy is what a node under test is told of time. pace is by how much
// faster than minutes and seconds it lives.
type policy struct {
	ttl, sie time.Duration
	pace     time.Duration
}

var (
	usual = policy{ttl: 10 * time.Second, sie: 5 * time.Minute, pace: 1}
	// hasty is for tests that take real time.
	hasty = policy{ttl: 20 * time.Millisecond, sie: 5 * time.Minute, pace: 500}
)

func (p policy) set(o *cache.Options) {
	o.Jitter, o.TTL, o.StaleWhileRevalidate, o.StaleIfError = 0, p.ttl, 2*p.ttl, p.sie
	o.NegativeTTL /= p.pace
	o.Recheck.Min /= p.pace
	o.Recheck.Max /= p.pace
	o.Empty.Grace /= p.pace
}

// A node is a cache, over a store or alone.
type node struct {
	cache *cache.Cache
	store *store.Store // nil: alone

	stopped bool
}

// A setup says how a node is made.
type setup struct {
	fs     vfs.FS // nil: no store
	source *witness
	memory registry.Size
	verify time.Duration
	change func(*store.Options) // nil: none
}

func (u setup) start() (*node, error) {
	n := &node{}
	o := cache.Defaults()
	u.source.policy.set(&o)
	o.Verify, o.Memory = u.verify, u.memory
	o.Registries = []cache.Registry{{Name: "r", Type: "fake", Kind: registry.KindService, Source: u.source, Identity: "r"}}
	if u.fs != nil {
		so := options(u.fs)
		if u.change != nil {
			u.change(&so)
		}
		var err error
		if n.store, err = store.Open(so); err != nil {
			return nil, fmt.Errorf("store.Open: %w", err)
		}
		o.Store, o.Journal, o.Clock = n.store, n.store, n.store.Clock()
	}
	var err error
	if n.cache, err = cache.New(o); err != nil {
		return nil, fmt.Errorf("cache.New: %w", err)
	}
	if err := n.cache.Open(); err != nil {
		return nil, fmt.Errorf("cache.Open: %w", err)
	}
	return n, nil
}

// stop closes the node, once.
func (n *node) stop() error {
	if n.stopped {
		return nil
	}
	n.stopped = true
	err := n.cache.Close()
	if n.store != nil {
		err = errors.Join(err, n.store.Close())
	}
	return err
}

func (n *node) lookup(name string) (registry.Answer, error) {
	return n.cache.Lookup(context.Background(), &registry.Query{Name: name, MaxAge: -1, Timeout: 5 * time.Second, Select: registry.DefaultSelect})
}

// look looks a name up and checks the answer.
func (n *node) look(w *witness, name string) (a registry.Answer, bad string, err error) {
	began := time.Now()
	a, err = n.lookup(name)
	if bad = w.check(name, a, err, began); bad != "" {
		bad = fmt.Sprintf("Lookup(%s) = %s: %s", name, describeAnswer(a, err), bad)
	}
	return a, bad, err
}

// invalidate applies inv and notes whether it was acknowledged.
func (n *node) invalidate(w *witness, inv *registry.Invalidation) error {
	at := time.Now()
	err := n.cache.Invalidate(context.Background(), inv)
	if err == nil || errors.Is(err, registry.ErrNotDurable) {
		w.invalidated(inv, at, err == nil)
	}
	return err
}

// holds describes what the node has of a name, for people.
func (n *node) holds(name string) string {
	rows, _ := n.cache.Entries(registry.EntriesQuery{Prefix: name, Limit: 1})
	s := fmt.Sprintf("listed %+v, stats %+v", rows, n.cache.Stats())
	if n.store == nil {
		return s
	}
	e, err := n.store.Get(registry.Key{Registry: "r", Name: name})
	if e == nil {
		return s + fmt.Sprintf(", disk: nothing, %v", err)
	}
	return s + ", disk: " + describe(e)
}

// A deed is what happens to a registry and its nodes next.
type deed struct {
	kind  string // put, remove, outage, invalidate, wait or lookup
	name  string
	size  int
	inv   registry.Invalidation
	pause time.Duration
}

func (d *deed) String() string {
	switch d.kind {
	case "invalidate":
		return fmt.Sprintf("invalidate %s %+v", d.inv.Mode, d.inv.Selectors)
	case "wait":
		return "wait " + d.pause.String()
	case "outage":
		return "outage, or its end"
	}
	return d.kind + " " + d.name
}

// nextDeed makes a random deed; documents have up to size bytes.
func nextDeed(rng *rand.Rand, size int) *deed {
	d := &deed{kind: "lookup", name: pick(rng, names)}
	switch rng.IntN(20) {
	case 0, 1, 2:
		d.kind, d.size = "put", rng.IntN(size)
	case 3:
		d.kind = "remove"
	case 4:
		d.kind = "outage"
	case 5, 6, 7:
		d.kind, d.inv = "invalidate", anyInvalidation(rng)
	case 8, 9, 10:
		d.kind, d.pause = "wait", time.Duration(rng.IntN(5000))*time.Millisecond
	case 11:
		d.kind, d.pause = "wait", time.Duration(rng.IntN(90))*time.Second
	}
	return d
}

func anyInvalidation(rng *rand.Rand) registry.Invalidation {
	inv := registry.Invalidation{Mode: registry.ModeSoft + registry.Mode(rng.IntN(3))}
	for range 1 + rng.IntN(2)*rng.IntN(3) {
		s := registry.Selector{Key: registry.Key{Name: pick(rng, names)}}
		switch rng.IntN(9) {
		case 0:
			s = registry.Selector{Tag: pick(rng, []string{"even", "odd", "any"})}
		case 1:
			s = registry.Selector{Prefix: pick(rng, []string{"a", "b", "d/"})}
		case 2:
			s = registry.Selector{Key: registry.Key{Registry: "r"}}
		case 3:
			s = registry.Selector{All: true}
		}
		if !s.All && rng.IntN(2) == 0 {
			s.Key.Registry = "r"
		}
		inv.Selectors = append(inv.Selectors, s)
	}
	return inv
}

// befall does a deed to the registry; it reports false if it is the nodes'.
func (s *said) befall(d *deed) bool {
	switch d.kind {
	case "put":
		s.put(d.name, d.size)
	case "remove":
		s.remove(d.name)
	case "outage":
		s.setDown(!s.isDown())
	case "wait":
		time.Sleep(d.pause)
	default:
		return false
	}
	return true
}
