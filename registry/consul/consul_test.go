package consul_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/consul"
	"github.com/edgecache/edgecache/registry/consul/consultest"
	"github.com/edgecache/edgecache/registry/registrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deadline is how long anything may take; only a failure waits for it.
const deadline = 10 * time.Second

func startServer(t testing.TB) *consultest.Server {
	t.Helper()
	s := consultest.New("127.0.0.1:0")
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func open(t testing.TB, o consul.Options) *consul.Source {
	t.Helper()
	src, err := consul.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	return src
}

func to(s *consultest.Server) consul.Options {
	return consul.Options{Name: "consul", Address: registry.Strings{s.URL()}, Timeout: deadline}
}

// instances turns what the suite puts into Consul's form.
func instances(name string, list []registry.Instance) []consultest.Instance {
	var out []consultest.Instance
	for _, in := range list {
		e := in.Main()
		out = append(out, consultest.Instance{ID: in.ID, Name: name, Node: "node-" + name, Address: e.Address, Port: e.Port})
	}
	return out
}

// memory drives a consultest server for the suite.
type memory struct{ *consultest.Server }

func (m memory) put(name string, list ...registry.Instance) {
	var keep []string
	for _, in := range list {
		keep = append(keep, in.ID)
	}
	m.Put(instances(name, list)...)
	m.RemoveWhere(func(in consultest.Instance) bool { return in.Name == name && !slices.Contains(keep, in.ID) })
}

func TestConformsOverServerInMemory(t *testing.T) {
	for _, documents := range []bool{false, true} {
		t.Run(fmt.Sprintf("documents=%t", documents), func(t *testing.T) {
			registrytest.Run(t, registrytest.Harness{Alive: time.Second, Open: func(t testing.TB) registrytest.Upstream {
				return openMemory(t, documents)
			}})
		})
	}
}

func openMemory(t testing.TB, documents bool) registrytest.Upstream {
	m := memory{consultest.New("127.0.0.1:0")}
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	o := to(m.Server)
	o.Documents, o.Wait = documents, 500*time.Millisecond
	src, err := consul.New(o)
	if err != nil {
		t.Fatal(err)
	}
	lag := m.Lagging()
	return registrytest.Upstream{
		Source: src,
		Put: func(name string, list ...registry.Instance) {
			m.SetFault(nil)
			lag = m.Lagging() // the state before this Put
			m.put(name, list...)
		},
		Remove:   func(name string) { m.RemoveService(name) },
		Break:    m.Stop,
		Garble:   func() { m.SetFault(consultest.Garbage("<!doctype html><p>Sign in")) },
		Truncate: func() { m.SetFault(consultest.Truncate()) },
		Hang:     func() { m.SetFault(consultest.Hang()) },
		Repair: func() {
			m.SetFault(nil)
			m.Stop() // ends what hangs
			if err := m.Start(); err != nil {
				t.Error(err)
			}
		},
		Reset:  func(remove ...string) { m.Reset(remove...) },
		Rewind: func() { m.SetFault(lag) },
		Close:  func() { _ = src.Close(); m.Stop() },
	}
}

// A recorder keeps the events of one watch.
type recorder struct {
	t      testing.TB
	stop   context.CancelFunc
	ended  chan error
	mu     sync.Mutex // protects events
	events []registry.Event
}

func watch(t testing.TB, src *consul.Source, from registry.Revision, names ...string) *recorder {
	ctx, stop := context.WithCancel(context.Background())
	r := &recorder{t: t, stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- src.Watch(ctx, from, names, r.emit) }()
	t.Cleanup(stop)
	return r
}

func (r *recorder) emit(e registry.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// close ends the watch and waits for it.
func (r *recorder) close() {
	r.stop()
	select {
	case <-r.ended:
	case <-time.After(deadline):
		r.t.Fatal("Watch does not end with its context")
	}
}

// await waits until ok accepts the events so far, and returns them.
func (r *recorder) await(what string, ok func([]registry.Event) bool) []registry.Event {
	r.t.Helper()
	for end := time.Now().Add(3 * deadline); ; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		events := slices.Clone(r.events)
		r.mu.Unlock()
		if ok(events) {
			return events
		}
		if time.Now().After(end) {
			r.t.Fatalf("%s: not seen; events: %s", what, describe(events))
		}
	}
}

// kinds waits until the watch has emitted these kinds, signs of life aside.
func (r *recorder) kinds(want ...registry.EventKind) []registry.Event {
	r.t.Helper()
	var events []registry.Event
	r.await(fmt.Sprint("kinds ", want), func(all []registry.Event) bool {
		events = slices.DeleteFunc(all, func(e registry.Event) bool { return e.Kind == registry.EventAlive })
		return len(events) >= len(want)
	})
	for i, e := range events {
		if i >= len(want) || e.Kind != want[i] {
			r.t.Fatalf("kinds %v expected, found %s", want, describe(events))
		}
	}
	return events
}

func describe(events []registry.Event) string {
	var s []string
	for _, e := range events {
		rev := e.Revision
		if e.Record != nil {
			rev = e.Record.Revision
		}
		s = append(s, fmt.Sprintf("{%d %s %d.%d}", e.Kind, e.Name, rev.Epoch, rev.Order))
	}
	return strings.Join(s, " ")
}

func lookup(t testing.TB, src registry.Source, name string, have *registry.Record) (*registry.Record, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	return src.Lookup(ctx, name, have)
}

func mustLookup(t testing.TB, src registry.Source, name string) *registry.Record {
	t.Helper()
	rec, err := lookup(t, src, name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// fails checks that err is an UpstreamError that holds the text and does not
// speak of absence.
func fails(t testing.TB, err error, text string) *registry.UpstreamError {
	t.Helper()
	var up *registry.UpstreamError
	if !errors.As(err, &up) || errors.Is(err, registry.ErrNotFound) {
		t.Fatalf("an UpstreamError expected, found %T: %v", err, err)
	}
	if !strings.Contains(err.Error(), text) {
		t.Fatalf("error with %q expected, found %q", text, err)
	}
	return up
}
