package gossip_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/gossip"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
	"github.com/edgecache/edgecache/store"
)

// A probe that is under way when a node closes ends by itself within seconds.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"))
}

// A member is a node of a test's cluster: a real store, a real cache, real
// streams.
type member struct {
	t       testing.TB
	name    string
	dir     string
	options gossip.Options
	fake    *registrytest.Fake
	watch   bool // changes of the registry

	store *store.Store
	cache *cache.Cache
	node  *gossip.Node
}

func newMember(t testing.TB, name string, fake *registrytest.Fake, change func(*gossip.Options)) *member {
	o := gossip.Defaults()
	o.PeerListen, o.Listen, o.Name, o.ReadyAfter = "127.0.0.1:0", "127.0.0.1:0", name, time.Minute
	if change != nil {
		change(&o)
	}
	return &member{t: t, name: name, dir: filepath.Join(t.TempDir(), name), options: o, fake: fake}
}

func (m *member) start() {
	m.t.Helper()
	so := store.Defaults()
	so.Dir, so.MaxBytes = m.dir, 64<<20
	var err error
	if m.store, err = store.Open(so); err != nil {
		m.t.Fatal(err)
	}
	o := m.options
	o.Log = m.store
	if m.node, err = gossip.New(o); err != nil {
		m.t.Fatal(err)
	}
	co := cache.Defaults()
	co.Node, co.Store, co.Journal, co.Clock, co.Cluster = m.name, m.store, m.store, m.store.Clock(), m.node
	co.Registries = []cache.Registry{{Name: "r", Type: "fake", Kind: registry.KindService, Source: m.fake, Identity: "r", Watch: m.watch}}
	if m.cache, err = cache.New(co); err != nil {
		m.t.Fatal(err)
	}
	if err := m.cache.Open(); err != nil {
		m.t.Fatal(err)
	}
	if err := m.node.Open(m.cache); err != nil {
		m.t.Fatal(err)
	}
	m.options.PeerListen = m.node.Address() // again the same after a restart
	m.t.Cleanup(m.stop)
}

func (m *member) stop() {
	if m.node == nil {
		return
	}
	if err := errors.Join(m.node.Close(), m.cache.Close(), m.store.Close()); err != nil {
		m.t.Errorf("%s: %v", m.name, err)
	}
	m.node = nil
}

func (m *member) lookup() (registry.Answer, error) {
	return m.cache.Lookup(m.t.Context(), &registry.Query{Name: "web", MaxAge: -1, Timeout: 5 * time.Second, Select: registry.DefaultSelect})
}

// invalidate waits for a level and returns who confirmed.
func (m *member) invalidate(level registry.Level, limit time.Duration) (registry.Confirmation, error) {
	m.t.Helper()
	inv := &registry.Invalidation{Mode: registry.ModeVerify, Selectors: []registry.Selector{{Key: registry.Key{Name: "web"}}}}
	if err := m.cache.Invalidate(m.t.Context(), inv); err != nil {
		m.t.Fatalf("%s: %v", m.name, err)
	}
	ctx, cancel := context.WithTimeout(m.t.Context(), limit)
	defer cancel()
	return m.cache.Await(ctx, inv.ID(), level)
}

func eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	end := time.Now().Add(20 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (m *member) mustSync(want bool) {
	m.t.Helper()
	eventually(m.t, fmt.Sprintf("%s: synced %t", m.name, want), func() error {
		if m.node.Synced() != want {
			return errors.New("not yet")
		}
		return nil
	})
}

// cluster starts nodes of which all but the first join by it.
func cluster(t testing.TB, names ...string) []*member {
	t.Helper()
	return clusterWith(t, func(*gossip.Options) {}, names...)
}

// clusterWith is cluster with other options.
func clusterWith(t testing.TB, change func(*gossip.Options), names ...string) []*member {
	t.Helper()
	fake := registrytest.NewFake("r")
	fake.Put("web", registry.Instance{ID: "a", Endpoints: []registry.Endpoint{{Address: "10.0.0.1", Port: 80}}})
	var all []*member
	for i, name := range names {
		m := newMember(t, name, fake, func(o *gossip.Options) {
			change(o)
			if i > 0 {
				o.Join = []string{all[0].node.Address()}
			}
		})
		m.start()
		m.mustSync(true)
		all = append(all, m)
	}
	for _, m := range all {
		eventually(t, m.name+" knows all", func() error {
			if list := m.node.Members(t.Context()); len(list) != len(names) {
				return fmt.Errorf("members %v", list)
			}
			return nil
		})
		m.mustSync(true)
	}
	return all
}

func TestAnInvalidationReachesEveryMember(t *testing.T) {
	all := cluster(t, "edge-1", "edge-2", "edge-3")
	for _, m := range all {
		if a, err := m.lookup(); err != nil || a.Stale {
			t.Fatalf("%s: %+v, %v", m.name, a, err)
		}
	}
	fake := all[0].fake
	fake.Put("web", registry.Instance{ID: "b", Endpoints: []registry.Endpoint{{Address: "10.0.0.2", Port: 80}}})
	conf, err := all[1].invalidate(registry.LevelAll, 10*time.Second)
	if err != nil || len(conf.Confirmed) != 3 || len(conf.Pending)+len(conf.Fenced) != 0 {
		t.Fatalf("%+v, %v; want three that confirmed", conf, err)
	}
	for _, m := range all {
		a, err := m.lookup()
		if err != nil || a.Record.Instances[0].ID != "b" {
			t.Errorf("%s: %+v, %v; want what the registry says since", m.name, a.Record, err)
		}
	}
}

func TestADeadMemberIsFencedAndCatchesUp(t *testing.T) {
	all := cluster(t, "edge-1", "edge-2", "edge-3")
	dead := all[2]
	dead.stop()
	conf, err := all[0].invalidate(registry.LevelQuorum, 10*time.Second)
	if err != nil || !slices.Contains(conf.Pending, "edge-3") || len(conf.Confirmed) != 2 {
		t.Fatalf("quorum: %+v, %v", conf, err)
	}
	conf, err = all[0].invalidate(registry.LevelAll, 20*time.Second)
	if err != nil || !slices.Equal(conf.Fenced, []string{"edge-3"}) {
		t.Fatalf("all: %+v, %v; want edge-3 fenced", conf, err)
	}
	dead.start()
	dead.mustSync(true)
	eventually(t, "edge-3 lacks nothing", func() error {
		for _, m := range all[0].node.Members(t.Context()) {
			if m.State != "alive" || m.Lag != 0 {
				return fmt.Errorf("%+v", m)
			}
		}
		return nil
	})
	if conf, err := all[0].invalidate(registry.LevelAll, 10*time.Second); err != nil || len(conf.Confirmed) != 3 {
		t.Errorf("%+v, %v", conf, err)
	}
}

func TestOfTwoTheSurvivorIsUnsyncedUntilTheOtherIsForgotten(t *testing.T) {
	all := cluster(t, "edge-1", "edge-2")
	survivor := all[0]
	if _, err := survivor.lookup(); err != nil {
		t.Fatal(err)
	}
	all[1].stop()
	survivor.mustSync(false)
	a, err := survivor.lookup()
	if err != nil || !a.Stale || a.Details&registry.DetailUnsynced == 0 {
		t.Errorf("unsynced: %+v, %v; want a stale answer that says so", a, err)
	}
	if err := survivor.node.Forget(t.Context(), "edge-9"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("forget of nobody: %v", err)
	}
	if err := survivor.node.Forget(t.Context(), "edge-1"); err == nil {
		t.Error("forgot itself")
	}
	if err := survivor.node.Forget(t.Context(), "edge-2"); err != nil {
		t.Fatal(err)
	}
	survivor.mustSync(true)
	if a, err := survivor.lookup(); err != nil || a.Stale {
		t.Errorf("synced again: %+v, %v", a, err)
	}
	all[1].start() // it enters anew
	all[1].mustSync(true)
	survivor.mustSync(true)
}

func TestALeavingMemberIsNotWaitedFor(t *testing.T) {
	all := cluster(t, "edge-1", "edge-2", "edge-3")
	if !all[2].node.Leave(t.Context()) {
		t.Fatal("leave: still a member")
	}
	all[2].stop()
	conf, err := all[0].invalidate(registry.LevelAll, 3*time.Second)
	if err != nil || conf.Members != 2 || len(conf.Confirmed) != 2 {
		t.Errorf("%+v, %v; want two members", conf, err)
	}
}

func TestASilentMemberIsForgottenInTime(t *testing.T) {
	all := clusterWith(t, func(o *gossip.Options) { o.Forget = 10 * time.Second }, "edge-1", "edge-2", "edge-3")
	all[2].stop()
	eventually(t, "edge-3 is forgotten", func() error {
		for _, m := range all[0].node.Members(t.Context()) {
			if m.Name == "edge-3" && m.State != "left" {
				return errors.New(m.State)
			}
		}
		return nil
	})
	// At first it is waited for still, for all that the others know it lives on.
	eventually(t, "edge-3 is waited for no more", func() error {
		conf, err := all[0].invalidate(registry.LevelAll, 10*time.Second)
		if err != nil || len(conf.Confirmed) != 2 {
			t.Fatalf("%+v, %v; want the two that are left", conf, err)
		}
		if len(conf.Fenced) > 0 {
			return fmt.Errorf("fenced: %q", conf.Fenced)
		}
		return nil
	})
}
