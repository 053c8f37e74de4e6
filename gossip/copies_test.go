package gossip_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgecache/edgecache/gossip"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// mustOwn waits until all nodes agree that each of them may own keys.
func mustOwn(t *testing.T, all []*member) {
	t.Helper()
	for _, m := range all {
		eventually(t, m.name+" knows the owners", func() error {
			if n := gossip.Owners(m.node); n != len(all) {
				return fmt.Errorf("%d of %d", n, len(all))
			}
			if ready, streams := gossip.Ready(m.node); ready != len(all)-1 || streams != ready {
				return fmt.Errorf("%d of %d streams are in use", ready, streams)
			}
			return nil
		})
	}
}

func (m *member) get(name string) (registry.Answer, error) {
	return m.cache.Lookup(m.t.Context(), &registry.Query{Name: name, MaxAge: -1, Timeout: 10 * time.Second, Select: registry.DefaultSelect})
}

func instance(version int) registry.Instance {
	return registry.Instance{ID: strconv.Itoa(version), Endpoints: []registry.Endpoint{{Address: "10.0.0.1", Port: 80}}}
}

func TestTheClusterAsksOncePerName(t *testing.T) {
	t.Cleanup(gossip.AcceptWithin(time.Minute))
	all := cluster(t, "edge-1", "edge-2", "edge-3")
	mustOwn(t, all)
	fake := all[0].fake
	release := fake.Hold() // slower than a peer waits for an answer
	var wg sync.WaitGroup
	const names, callers = 16, 8
	for i := range names {
		fake.Put(fmt.Sprintf("name-%d", i), instance(i))
		for _, m := range all {
			for range callers {
				wg.Go(func() {
					a, err := m.get(fmt.Sprintf("name-%d", i))
					if err != nil || a.Stale || a.Record.Instances[0].ID != strconv.Itoa(i) {
						t.Errorf("%s: %+v, %v", m.name, a, err)
					}
				})
			}
		}
	}
	eventually(t, "the registry is asked for all names", func() error {
		for i := range names {
			if fake.Calls(fmt.Sprintf("name-%d", i)) == 0 {
				return fmt.Errorf("not for %d", i)
			}
		}
		return nil
	})
	release()
	wg.Wait()
	for i := range names {
		if n := fake.Calls(fmt.Sprintf("name-%d", i)); n != 1 {
			t.Errorf("name-%d: %d calls, want one", i, n)
		}
	}
}

func TestAnUnchangedAnswerAfterAnInvalidationIsAskedForOnce(t *testing.T) {
	t.Cleanup(gossip.AcceptWithin(time.Minute))
	all := cluster(t, "edge-1", "edge-2", "edge-3")
	mustOwn(t, all)
	for _, m := range all {
		if _, err := m.lookup(); err != nil {
			t.Fatal(err)
		}
	}
	calls := all[0].fake.Calls("web")
	if _, err := all[0].invalidate(registry.LevelAll, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if a, err := m.lookup(); err != nil || a.Stale || a.TTL > time.Second {
			t.Errorf("%s: %+v, %v; want a fresh answer that is asked for again soon", m.name, a, err)
		}
	}
	if n := all[0].fake.Calls("web") - calls; n != 1 {
		t.Errorf("%d calls, want one", n)
	}
}

func TestAPeersCopyAnswersWhileTheRegistryIsDown(t *testing.T) {
	all := cluster(t, "edge-1", "edge-2", "edge-3")
	mustOwn(t, all)
	fake := all[0].fake
	const names = 8
	for i := range names {
		name := fmt.Sprintf("name-%d", i)
		fake.Put(name, instance(i))
		if _, err := all[0].get(name); err != nil { // and its owner has it too
			t.Fatal(err)
		}
	}
	fake.SetError(errors.New("down"))
	for _, m := range all {
		for i := range names {
			a, err := m.get(fmt.Sprintf("name-%d", i))
			if err != nil || a.Record.Instances[0].ID != strconv.Itoa(i) {
				t.Errorf("%s, name-%d: %+v, %v", m.name, i, a, err)
			}
		}
		if _, err := m.get("nobody"); err == nil {
			t.Errorf("%s: an answer that nobody has", m.name)
		}
	}
}

// TestNoCopyIsOlderThanAnInvalidation changes, invalidates and reads on many
// nodes at once: who was told of a version by all never reads an older one.
func TestNoCopyIsOlderThanAnInvalidation(t *testing.T) {
	all := cluster(t, "edge-1", "edge-2", "edge-3")
	mustOwn(t, all)
	fake := all[0].fake
	const names, rounds = 4, 60
	var acknowledged [names]atomic.Int64
	var done atomic.Bool
	var readers, writers sync.WaitGroup
	var reads, copies atomic.Int64
	for i := range names {
		name := fmt.Sprintf("name-%d", i)
		fake.Put(name, instance(0))
		writers.Go(func() {
			for v := 1; v <= rounds; v++ {
				fake.Put(name, instance(v))
				m := all[rand.IntN(len(all))]
				inv := &registry.Invalidation{Mode: registry.Mode(1 + v%3), Selectors: []registry.Selector{{Key: registry.Key{Name: name}}}}
				if v%10 == 0 {
					inv.Selectors = []registry.Selector{{Prefix: "name-"}}
				}
				if err := m.cache.Invalidate(t.Context(), inv); err != nil {
					t.Error(err)
					return
				}
				if _, err := m.cache.Await(t.Context(), inv.ID(), registry.LevelAll); err != nil {
					t.Error(err)
					return
				}
				acknowledged[i].Store(int64(v))
			}
		})
		for _, m := range all {
			readers.Go(func() {
				for tick := time.NewTicker(time.Millisecond); !done.Load(); <-tick.C {
					least := acknowledged[i].Load()
					a, err := m.get(name)
					if err != nil || a.Stale {
						continue
					}
					reads.Add(1)
					if v, _ := strconv.ParseInt(a.Record.Instances[0].ID, 10, 64); v < least {
						t.Errorf("%s: %s version %d, after %d was confirmed by all", m.name, name, v, least)
						return
					}
				}
			})
		}
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()
	for _, m := range all {
		copies.Add(int64(m.cache.Stats().Copied))
	}
	if reads.Load() < 100 || copies.Load() < 20 {
		t.Errorf("%d reads and %d copies: too few to say anything", reads.Load(), copies.Load())
	}
	t.Logf("%d reads, %d copies, %d calls of the registry", reads.Load(), copies.Load(), fake.Calls(""))
}

func TestOneNodeWatchesForAll(t *testing.T) {
	t.Cleanup(gossip.AcceptWithin(time.Minute))
	fake := registrytest.NewFake("r")
	fake.Caps.WatchList = false // lists are followed by each node
	fake.Put("web", instance(0))
	var all []*member
	for i := range 3 {
		m := newMember(t, fmt.Sprintf("edge-%d", i+1), fake, func(o *gossip.Options) {
			if i > 0 {
				o.Join = []string{all[0].node.Address()}
			}
		})
		m.watch = true
		m.start()
		m.mustSync(true)
		all = append(all, m)
	}
	mustOwn(t, all)
	eventually(t, "one watch", func() error {
		if n := fake.Watches(); n != 1 {
			return fmt.Errorf("%d watches", n)
		}
		return nil
	})
	for _, m := range all {
		if _, err := m.lookup(); err != nil {
			t.Fatal(err)
		}
	}
	change := func(v int) {
		fake.Put("web", instance(v))
		for _, m := range all {
			eventually(t, m.name+" has the change", func() error {
				a, err := m.lookup()
				if err != nil || a.Record.Instances[0].ID != strconv.Itoa(v) || a.Stale {
					return fmt.Errorf("want %d: %+v, stale: %v, %v", v, a.Record, a.Stale, err)
				}
				return nil
			})
		}
	}
	change(1) // from here on the watch has ended its first list
	calls := fake.Calls("")
	for v := 2; v <= 6; v++ {
		change(v)
	}
	if n := fake.Calls(""); n != calls {
		t.Errorf("%d calls for changes that a watch saw", n-calls)
	}
}

func TestSamplesVerifyWhatPeersServe(t *testing.T) {
	all := cluster(t, "edge-1", "edge-2", "edge-3")
	mustOwn(t, all)
	for _, m := range all {
		if _, err := m.lookup(); err != nil {
			t.Fatal(err)
		}
	}
	all[0].fake.Put("web", instance(1)) // the same again would be on probation
	if _, err := all[0].invalidate(registry.LevelAll, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if _, err := m.lookup(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "two peers are asked", func() error {
		s := all[0].cache.Stats()
		if s.Violated != 0 {
			t.Fatalf("%d violations", s.Violated)
		}
		if s.Verified != 2 {
			return fmt.Errorf("%d verified", s.Verified)
		}
		return nil
	})
}
