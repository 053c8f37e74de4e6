package skydns_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

const every = 100 * time.Millisecond

// open runs the module as a registry that asks an etcd, at a URL, for keys below a
// prefix. token is a file; "": none.
func open(t testing.TB, e *etcd, url, prefix, token string) (*plugins.Adapter, func()) {
	t.Helper()
	h, err := plugins.NewHost(nil, plugins.HostOptions{Dir: filepath.Join(e.dir, "compiled")})
	if err != nil {
		t.Fatal(err)
	}
	o := plugins.AdapterDefaults()
	o.Name, o.Plugin, o.Manifest = "etcd", "c/skydns-etcd.wasm", "skydns-etcd.yaml"
	o.Config = map[string]any{"url": url, "prefix": prefix}
	o.Allow = registry.Strings{url}
	o.Poll, o.Timeout = every, 5*time.Second
	if token != "" {
		o.Config["token"] = "${secret.etcd}"
		o.Secrets = map[string]plugins.Secret{"etcd": {File: token}}
	}
	a, err := h.OpenAdapter(o)
	if err != nil {
		t.Fatal(err)
	}
	return a, func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		h.Close()
	}
}

// services writes into etcd what the suite puts.
type services struct {
	etcd   *etcd
	prefix string

	mu   sync.Mutex
	keys map[string][]string // by name
}

func (s *services) put(name string, instances ...registry.Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := s.prefix + "/" + name + "/"
	var ops []object
	var keys []string
	for _, in := range instances {
		keys = append(keys, path+in.ID)
		ops = append(ops, put(path+in.ID, object{"host": in.Main().Address, "port": in.Main().Port}))
	}
	if len(instances) == 0 {
		keys = append(keys, path+"note")
		ops = append(ops, put(path+"note", object{"text": "of TXT"}))
	}
	for _, key := range s.keys[name] {
		if !slices.Contains(keys, key) {
			ops = append(ops, remove(key))
		}
	}
	s.keys[name] = keys
	s.etcd.txn(ops...)
}

func (s *services) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ops []object
	for _, key := range s.keys[name] {
		ops = append(ops, remove(key))
	}
	delete(s.keys, name)
	s.etcd.txn(ops...)
}

func TestConformsWithARealEtcd(t *testing.T) {
	e := startEtcd(t)
	opened := 0
	registrytest.Run(t, registrytest.Harness{
		Alive: 2 * every,
		Open: func(t testing.TB) registrytest.Upstream {
			opened++
			p := newProxy(e)
			s := &services{etcd: e, prefix: fmt.Sprintf("/suite-%d", opened), keys: map[string][]string{}}
			a, end := open(t, e, p.server.URL, s.prefix, "")
			mode := func(m string) func() { return func() { p.mode.Store(m) } }
			return registrytest.Upstream{
				Source: a,
				Put:    s.put, PutEmpty: func(name string) { s.put(name) }, Remove: s.remove,
				Break: mode("break"), Garble: mode("garble"), Truncate: mode("truncate"), Hang: mode("hang"), Repair: mode(""),
				Reset: func(names ...string) {
					for _, name := range names {
						s.remove(name)
					}
					e.compact()
				},
				Close: func() {
					p.mode.Store("")
					end()
					p.close()
				},
			}
		},
	})
}

// A follower keeps what a watch shows.
type follower struct {
	mu      sync.Mutex
	records map[string]string // name to addresses
	synced  int
}

func follow(t *testing.T, a *plugins.Adapter) *follower {
	t.Helper()
	f := &follower{records: map[string]string{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = a.Watch(ctx, registry.Revision{}, nil, f.take) // it ends with ctx
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return f
}

func (f *follower) take(e registry.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch e.Kind {
	case registry.EventUpsert:
		f.records[e.Name] = addresses(e.Record)
	case registry.EventDelete:
		delete(f.records, e.Name)
	case registry.EventSynced:
		f.synced++
	}
}

func addresses(r *registry.Record) string {
	var list []string
	for _, in := range r.Instances {
		list = append(list, in.ID+"="+in.Main().Address)
	}
	return strings.Join(list, " ")
}

// shows waits until the follower has exactly this of a name; "": that it is gone.
func (f *follower) shows(t *testing.T, name, want string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s is %q", name, want), func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if got := f.records[name]; got != want {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
}

func TestAThousandKeysAreRead(t *testing.T) {
	e := startEtcd(t)
	for i := range 25 { // 2 500 keys: three pages, of lookups and of polls
		var ops []object
		for j := range 100 {
			ops = append(ops, put(fmt.Sprintf("/big/local/web/i-%04d", 100*i+j), object{"host": "10.0.0.1", "port": 1 + 100*i + j}))
		}
		e.txn(ops...)
	}
	e.txn(put("/big/local/web/i-0500/deep/x", object{"host": "10.9.9.9"}), put("/big/local/zoo/z", object{"host": "10.0.0.2"}))
	a, end := open(t, e, e.url, "/big", "")
	defer end()
	rec, err := a.Lookup(t.Context(), "web.local", nil)
	if err != nil || len(rec.Instances) != 2500 || rec.Instances[2499].ID != "i-2499" || rec.Instances[2499].Main().Port != 2500 {
		t.Fatalf("lookup: %v, %v", rec, err)
	}
	names, err := a.List(t.Context())
	slices.Sort(names)
	if want := []string{"deep.i-0500.web.local", "web.local", "zoo.local"}; err != nil || !slices.Equal(slices.Compact(names), want) {
		t.Fatalf("list: %q, %v; want %q", names, err, want)
	}
	if _, err := a.Lookup(t.Context(), "web.local", rec); !errors.Is(err, registry.ErrNotModified) {
		t.Fatalf("lookup of what is held: %v", err)
	}
	e.txn(remove("/big/local/web/i-0000"))
	now, err := a.Lookup(t.Context(), "web.local", rec)
	if err != nil || len(now.Instances) != 2499 {
		t.Fatalf("lookup after a key is gone: %v", err)
	}
	if _, err := a.Lookup(t.Context(), "local", nil); !errors.Is(err, registry.ErrNotFound) {
		t.Fatalf("lookup of a directory of names: %v", err)
	}
	f := follow(t, a)
	f.shows(t, "zoo.local", "z=10.0.0.2")
	f.shows(t, "deep.i-0500.web.local", "x=10.9.9.9")
	f.shows(t, "web.local", addresses(now))
}

func TestOneBadValueHidesNoOthers(t *testing.T) {
	e := startEtcd(t)
	e.txn(put("/bad/web/a", object{"host": "10.0.0.1"}), put("/bad/web/b", "nonsense"), put("/bad/db/a", object{"host": 7}))
	a, end := open(t, e, e.url, "/bad", "")
	defer end()
	f := follow(t, a)
	f.shows(t, "web", "a=10.0.0.1")
	if _, err := a.Lookup(t.Context(), "db", nil); err == nil || !strings.Contains(err.Error(), "host: a string expected") {
		t.Fatalf("lookup of what has no good value: %v", err)
	}
	e.txn(put("/bad/web/b", object{"host": "10.0.0.2"}), put("/bad/db/b", object{"host": "10.0.0.3"}))
	f.shows(t, "web", "a=10.0.0.1 b=10.0.0.2")
	f.shows(t, "db", "b=10.0.0.3")
	e.txn(put("/bad/db/b", "nonsense"), put("/bad/web/b", object{"host": "10.0.0.4"}))
	f.shows(t, "web", "a=10.0.0.1 b=10.0.0.4")
	f.shows(t, "db", "b=10.0.0.3") // what was there stays
	e.compact()
	e.txn(remove("/bad/web/b"), put("/bad/new/a", object{"host": "10.0.0.5"}))
	f.shows(t, "web", "a=10.0.0.1")
	f.shows(t, "new", "a=10.0.0.5")
	e.txn(put("/bad/new/b", object{"host": "10.0.0.6"}))
	f.shows(t, "new", "a=10.0.0.5 b=10.0.0.6")
	e.txn(remove("/bad/new/a"), remove("/bad/new/b"))
	f.shows(t, "new", "")
}

func TestATokenOpensEtcd(t *testing.T) {
	e := startEtcd(t)
	e.txn(put("/skydns/web/a", object{"host": "10.0.0.1"}))
	for _, step := range []struct {
		path string
		body object
	}{
		{"auth/user/add", object{"name": "root", "password": "secret"}}, {"auth/role/add", object{"name": "root"}},
		{"auth/user/grant", object{"user": "root", "role": "root"}}, {"auth/enable", object{}},
	} {
		if _, err := e.try(step.path, step.body); err != nil {
			t.Fatal(step.path, err)
		}
	}
	answer, err := e.try("auth/authenticate", object{"name": "root", "password": "secret"})
	if err != nil || answer.Token == "" {
		t.Fatal(answer, err)
	}
	file := filepath.Join(e.dir, "token")
	if err := os.WriteFile(file, []byte(answer.Token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, end := open(t, e, e.url, "/skydns", file)
	defer end()
	if rec, err := a.Lookup(t.Context(), "web", nil); err != nil || addresses(rec) != "a=10.0.0.1" {
		t.Errorf("with the token: %v, %v", rec, err)
	}
	b, end := open(t, e, e.url, "/skydns", "")
	defer end()
	if rec, err := b.Lookup(t.Context(), "web", nil); err == nil || errors.Is(err, registry.ErrNotFound) || !strings.Contains(err.Error(), "status 4") {
		t.Errorf("without it: %v, %v", rec, err)
	}
}
