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

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

var modelSteps = flag.Int("model-steps", 4_000, "steps of the model test")

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
func TestModel(t *testing.T) {
	for _, watches := range []bool{false, true} {
		t.Run(fmt.Sprintf("watch=%t", watches), func(t *testing.T) {
			s := newSeed(t)
			synctest.Test(t, func(t *testing.T) { runModel(t, rand.New(rand.NewPCG(s, 3)), watches) })
		})
	}
}

const (
	modelTTL = 10 * time.Second
	modelSIE = 5 * time.Minute
)

func runModel(t *testing.T, rng *rand.Rand, watches bool) {
	m := &model{fake: registrytest.NewFake("r"), versions: map[string][]version{}}
	m.fake.Caps = registry.Capabilities{Watch: watches, Ordered: rng.IntN(2) == 0, Interval: 10 * time.Second, List: rng.IntN(2) == 0}
	r := watched("r", m.fake)
	c := open(t, func(o *cache.Options) {
		o.TTL, o.StaleWhileRevalidate, o.StaleIfError = modelTTL, 20*time.Second, modelSIE
		o.Verify = time.Duration(rng.IntN(2)) * 10 * time.Millisecond
		o.Idle = time.Minute
	}, r)
	names := []string{"a", "b", "c", "d/e"}
	last := map[string]seenAnswer{}
	hard := map[string]time.Time{}
	for step := range *modelSteps {
		name := names[rng.IntN(len(names))]
		switch rng.IntN(14) {
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
		default:
			began := time.Now()
			a, err := c.Lookup(context.Background(), query(name))
			if bad := m.check(name, a, err, began, hard[name]); bad != "" {
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
