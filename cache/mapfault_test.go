package cache_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
)

// count returns how often a key was put, confirmed and deleted.
func (s *mapStore) count(name string) (puts, confirms, deletes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := registry.Key{Registry: "r", Name: name}
	return s.puts[k], s.confirms[k], s.deletes[k]
}

// names returns the names kept of registry r.
func (s *mapStore) names() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for k := range s.kept {
		names = append(names, k.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// called returns how many calls of that kind began.
func (s *mapStore) called(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[what]
}

// stop holds the calls of that kind, before they do anything, until release.
func (s *mapStore) stop(what string) (release func()) { return s.stopAt(what, false) }

// stopDone is stop for calls that have done all but return.
func (s *mapStore) stopDone(what string) (release func()) { return s.stopAt(what, true) }

func (s *mapStore) stopAt(what string, done bool) (release func()) {
	gate := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = func(w string, _ registry.Key, do func()) {
		if w == what && !done {
			<-gate
		}
		do()
		if w == what && done {
			<-gate
		}
	}
	return sync.OnceFunc(func() {
		s.mu.Lock()
		s.hold = nil
		s.mu.Unlock()
		close(gate)
	})
}

// breakDown makes the calls of that kind fail; nil heals.
func (s *mapStore) breakDown(what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = func(w string) error {
		if w == what {
			return err
		}
		return nil
	}
}

// A steppedStore holds each call of a mapStore twice: before it is done and
// before it returns. A test decides which goes on.
type steppedStore struct {
	*mapStore
	mu   sync.Mutex // protects the fields below
	held []chan struct{}
	free bool // calls are held no more
}

func newSteppedStore() *steppedStore {
	s := &steppedStore{mapStore: newMapStore()}
	s.hold = func(_ string, _ registry.Key, do func()) {
		s.wait()
		do()
		s.wait()
	}
	return s
}

func (s *steppedStore) wait() {
	next := make(chan struct{})
	s.mu.Lock()
	if s.free {
		close(next)
	} else {
		s.held = append(s.held, next)
	}
	s.mu.Unlock()
	<-next
}

// release lets all calls go on, and those to come.
func (s *steppedStore) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = true
	for _, next := range s.held {
		close(next)
	}
	s.held = nil
}

// step lets a random call go on.
func (s *steppedStore) step(rng *rand.Rand) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.held) == 0 {
		return
	}
	i := rng.IntN(len(s.held))
	close(s.held[i])
	s.held = append(s.held[:i:i], s.held[i+1:]...)
}

func (s *steppedStore) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.held) == 0
}

// openOver opens a cache over a store; the test closes it.
func openOver(t testing.TB, s interface {
	cache.Store
	cache.Journal
	Clock() *registry.Clock
}, change func(*cache.Options), list ...cache.Registry) *cache.Cache {
	t.Helper()
	o := cache.Defaults()
	o.Jitter = 0
	o.Store, o.Journal, o.Clock = s, s, s.Clock()
	o.Registries = list
	if change != nil {
		change(&o)
	}
	c, err := cache.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Open(); err != nil {
		t.Fatal(err)
	}
	return c
}

func closeCache(t testing.TB, c *cache.Cache) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}
