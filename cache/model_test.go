package cache_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
	"github.com/edgecache/edgecache/store"
)

var modelSteps = flag.Int("model-steps", 2_500, "steps of the model test")

// A model is what a test knows of one registry: each name's contents with the
// times at which they held, and the invalidations applied.
type model struct {
	fake     *registrytest.Fake
	versions map[string][]version // oldest first; the last one holds now
	next     int
	down     bool
}

type version struct {
	id    string // "": absent
	since time.Time
	until time.Time // zero: still
}

func (m *model) current(name string) version {
	if v := m.versions[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return version{}
}

func (m *model) change(name, id string, now time.Time) {
	v := m.versions[name]
	if len(v) > 0 {
		v[len(v)-1].until = now
	} else {
		v = []version{{until: now}}
	}
	m.versions[name] = append(v, version{id: id, since: now})
}

// heldSince reports whether the registry said id of the name at some moment
// not before since.
func (m *model) heldSince(name, id string, since time.Time) bool {
	if len(m.versions[name]) == 0 {
		return id == ""
	}
	for _, v := range m.versions[name] {
		if v.id == id && (v.until.IsZero() || !v.until.Before(since)) {
			return true
		}
	}
	return false
}

// TestModel runs lookups, changes, outages and invalidations at random and
// holds each answer against what the registry really said: an answer's age is
// true, its bound holds, fresh means fresh, absence is not made up, and the
// index rises exactly with changes.
//
// The same happens to a cache in memory only, to one with a disk, and to one
// that is closed or killed now and then and opened again over what is left.
func TestModel(t *testing.T) {
	s := newSeed(t)
	for _, watches := range []bool{false, true} {
		for _, kind := range []string{"memory", "disk", "restarts"} {
			t.Run(fmt.Sprintf("watch=%t/%s", watches, kind), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { runModel(t, rand.New(rand.NewPCG(s, 3)), watches, kind) })
			})
		}
	}
}

// A modelNode is a cache, with a disk or without, that can be opened again over
// what it left.
type modelNode struct {
	t      *testing.T
	change func(*cache.Options)
	list   []cache.Registry
	fs     *vfs.MemFS // nil: no disk
	store  *store.Store
	*cache.Cache
	opened time.Time
}

func (n *modelNode) open() {
	o := cache.Defaults()
	o.Jitter = 0
	o.Registries = n.list
	n.change(&o)
	var err error
	if n.fs != nil {
		so := store.Defaults()
		so.Dir, so.FS = "/data", n.fs
		if n.store, err = store.Open(so); err != nil {
			n.t.Fatal(err)
		}
		o.Store, o.Journal, o.Clock = n.store, n.store, n.store.Clock()
	}
	if n.Cache, err = cache.New(o); err != nil {
		n.t.Fatal(err)
	}
	n.opened = time.Now()
	if err := n.Cache.Open(); err != nil {
		n.t.Fatal(err)
	}
}

func (n *modelNode) close() {
	closeCache(n.t, n.Cache)
	if n.store != nil {
		if err := n.store.Close(); err != nil {
			n.t.Errorf("close of the store: %v", err)
		}
	}
}

// kill opens the node over what a crash left of the disk.
func (n *modelNode) kill(rng *rand.Rand) {
	left := n.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
	n.close()
	n.fs = left
	n.open()
}

const (
	modelTTL = 10 * time.Second
	modelSIE = 5 * time.Minute
)

func runModel(t *testing.T, rng *rand.Rand, watches bool, kind string) {
	m := &model{fake: registrytest.NewFake("r"), versions: map[string][]version{}}
	m.fake.Caps = registry.Capabilities{Watch: watches, Ordered: rng.IntN(2) == 0, Interval: 10 * time.Second, List: rng.IntN(2) == 0}
	r := watched("r", m.fake)
	r.WarmWatched = rng.IntN(2) == 0
	verify := time.Duration(rng.IntN(2)) * 10 * time.Millisecond
	c := &modelNode{t: t, list: []cache.Registry{r}, change: func(o *cache.Options) {
		o.TTL, o.StaleWhileRevalidate, o.StaleIfError = modelTTL, 20*time.Second, modelSIE
		o.Verify, o.Idle = verify, time.Minute
	}}
	if kind != "memory" {
		c.fs = vfs.NewCrashableMem()
	}
	c.open()
	defer func() { c.close() }()
	accidents := rand.New(rand.NewPCG(rng.Uint64(), 0)) // which no other kind has
	names := []string{"a", "b", "c", "d/e"}
	last := map[string]seenAnswer{}
	hard := map[string]time.Time{}
	for step := range *modelSteps {
		name := names[rng.IntN(len(names))]
		switch rng.IntN(16) {
		case 0, 1:
			m.next++
			id := fmt.Sprint("v", m.next)
			m.change(name, id, time.Now())
			m.fake.Put(name, instance(id))
		case 2:
			if m.current(name).id != "" {
				m.change(name, "", time.Now())
				m.fake.Remove(name)
			}
		case 3:
			if m.down = !m.down && rng.IntN(3) == 0; m.down {
				m.fake.SetError(errors.New("down"))
			} else {
				m.fake.SetError(nil)
			}
		case 4:
			mode := registry.ModeSoft + registry.Mode(rng.IntN(3))
			sel := []registry.Selector{{Key: registry.Key{Name: name}}, {Prefix: name[:1]}, {Key: registry.Key{Registry: "r"}}}[rng.IntN(3)]
			if err := c.Invalidate(t.Context(), &registry.Invalidation{Mode: mode, Selectors: []registry.Selector{sel}}); err != nil {
				t.Fatal(err)
			}
			for _, n := range names {
				if mode == registry.ModeHard && sel.Covers(registry.Key{Registry: "r", Name: n}, nil) {
					hard[n] = time.Now()
				}
			}
		case 5, 6, 7:
			time.Sleep(time.Duration(rng.IntN(4000)) * time.Millisecond)
		case 8:
			time.Sleep(time.Duration(rng.IntN(60)) * time.Second)
		case 9:
			if kind != "memory" {
				cache.Squeeze(c.Cache)
			}
		case 10:
			switch {
			case kind != "restarts":
			case accidents.IntN(2) == 0:
				c.close()
				c.open()
			default:
				c.kill(accidents)
				clear(last) // what was not synced is lost
			}
		default:
			began := time.Now()
			a, err := c.Lookup(context.Background(), query(name))
			bad := m.check(name, a, err, began, hard[name])
			if err == nil && !a.Stale && time.Now().Add(-a.Age).Before(c.opened) {
				bad = "fresh, but nothing confirmed it since the restart"
			}
			if bad != "" {
				t.Fatalf("step %d: Lookup(%s) = %s: %s", step, name, describe(a, err), bad)
			}
			if bad := last[name].next(a, err); bad != "" {
				t.Fatalf("step %d: Lookup(%s) = %s: %s", step, name, describe(a, err), bad)
			}
			if err == nil || errors.Is(err, registry.ErrNotFound) {
				last[name] = seenAnswer{ids(a), a.Index}
			}
		}
		// A watch is heard before the next step.
		synctest.Wait()
	}
}

// check returns what is wrong with an answer, "" if nothing is.
func (m *model) check(name string, a registry.Answer, err error, began, hard time.Time) string {
	now := time.Now()
	switch {
	case errors.Is(err, registry.ErrNotFound):
		if !m.heldSince(name, "", began.Add(-a.Age)) {
			return "the name existed all the time since it was confirmed absent"
		}
	case err != nil:
		if !m.down && m.fake.Calls(name) > 0 && errors.Is(err, registry.ErrNotReady) {
			return "not a lookup's error"
		}
	default:
		confirmed := now.Add(-a.Age)
		id := ids(a)
		switch {
		case !m.heldSince(name, id, confirmed):
			return fmt.Sprintf("the registry did not say so within the last %s", a.Age)
		case a.Age > modelSIE:
			return "older than the bound"
		case !a.Stale && a.Age > modelTTL && m.fake.Watches() == 0:
			return "older than its TTL, unwatched and yet fresh"
		case !hard.IsZero() && !m.heldSince(name, id, hard):
			return "older than a hard invalidation"
		}
	}
	return ""
}

// A seenAnswer is the last answer of a name.
type seenAnswer struct {
	id    string
	index uint64
}

func (s seenAnswer) next(a registry.Answer, err error) string {
	if err != nil && !errors.Is(err, registry.ErrNotFound) || s.index == 0 {
		return ""
	}
	switch {
	case a.Index < s.index:
		return fmt.Sprintf("the index fell from %d", s.index)
	case a.Index == s.index && ids(a) != s.id:
		return "the content changed under the same index"
	}
	return ""
}
