package plugins_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
)

// switched makes one module of a path another one, in one step.
func switched(t *testing.T, path, name string) {
	t.Helper()
	b, err := os.ReadFile("testdata/adapter/" + name + ".wasm")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// Reloads under load: no lookup fails, and a watch ends and sees everything again.
func TestAdaptersReloadUnderLoad(t *testing.T) {
	s := newEchoServer(t)
	defer s.stop()
	s.put("web", registry.Instance{ID: "a", Endpoints: []registry.Endpoint{{Address: "10.0.0.1", Port: 80}}})
	h := adapterHost(t, plugins.HostOptions{})
	defer h.Close()
	o := echoOptions(s.url())
	o.Plugin = copied(t, "echo")
	a, err := h.OpenAdapter(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if rec, err := a.Lookup(t.Context(), "web", nil); err != nil || len(rec.Instances) != 1 {
					t.Errorf("%+v, %v", rec, err)
					return
				}
			}
		})
	}
	seen := make(chan registry.EventKind, 1)
	ended := make(chan error, 100)
	wg.Go(func() {
		for ctx.Err() == nil {
			ended <- a.Watch(ctx, registry.Revision{}, nil, func(e registry.Event) {
				if e.Kind != registry.EventAlive {
					select {
					case seen <- e.Kind:
					case <-ctx.Done():
					}
				}
			})
		}
	})
	expect := func() {
		t.Helper()
		for _, want := range [...]registry.EventKind{registry.EventUpsert, registry.EventSynced} {
			select {
			case kind := <-seen:
				if kind != want {
					t.Errorf("event of kind %d, want %d", kind, want)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("the watch tells nothing")
			}
		}
	}
	expect()
	for n, name := range [...]string{"bare", "bare", "echo", "bare", "echo"} {
		switched(t, o.Plugin, name)
		before := a.Status()
		if err := h.Reload("echo"); err != nil {
			t.Fatal(err)
		}
		if s := a.Status(); n == 1 && s.Generation != before.Generation || n != 1 && s.Generation != before.Generation+1 {
			t.Errorf("reload %d: generation %d, %d before", n, s.Generation, before.Generation)
		}
		if n != 1 { // the same module changes nothing
			expect()
			if up, ok := errors.AsType[*registry.UpstreamError](<-ended); !ok || !up.Harmless || !strings.Contains(up.Error(), "another generation of the plugin has taken over") {
				t.Errorf("the watch ended with %v", up)
			}
		}
	}
	if err := os.WriteFile(o.Plugin, []byte("no module"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := a.Status()
	if err := h.Reload("echo"); err == nil || !strings.Contains(err.Error(), "not a WebAssembly module") {
		t.Errorf("%v", err)
	}
	if s := a.Status(); s.State != "failed" || !strings.Contains(s.Error, "not a WebAssembly module") || s.Generation != before.Generation || s.SHA256 != before.SHA256 {
		t.Errorf("status %+v", s)
	}
	if _, err := a.Lookup(t.Context(), "web", nil); err != nil {
		t.Error(err)
	}
	switched(t, o.Plugin, "echo")
	if err := h.Reload("echo"); err != nil || a.Status().State != "ok" {
		t.Errorf("%v, status %+v", err, a.Status())
	}
	cancel()
	wg.Wait()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if s := a.Status(); len(s.Failures) > 0 {
		t.Errorf("status %+v", s)
	}
}

// A lookup that hangs holds up neither a reload nor the status, and ends well.
func TestAReloadBesideALookupThatHangs(t *testing.T) {
	arrived, answer := make(chan struct{}), make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/s/slow" {
			arrived <- struct{}{}
			<-answer
		}
		empty(w, r)
	})
	h := adapterHost(t, plugins.HostOptions{})
	defer h.Close()
	o := echoOptions(url)
	o.Plugin, o.Timeout = copied(t, "echo"), 0
	a, err := h.OpenAdapter(o)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := a.Lookup(context.Background(), "slow", nil)
		done <- err
	}()
	<-arrived
	switched(t, o.Plugin, "bare")
	if err := h.Reload("echo"); err != nil || a.Status().Generation != 2 {
		t.Errorf("%v, status %+v", err, a.Status())
	}
	if _, err := a.Lookup(t.Context(), "web", nil); err != nil {
		t.Error(err)
	}
	close(answer)
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	default: // it returns right after
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	_, err = a.Lookup(t.Context(), "web", nil)
	if err == nil || !strings.Contains(err.Error(), "the adapter was closed") {
		t.Errorf("%v", err)
	}
	if err := a.Watch(t.Context(), registry.Revision{}, nil, func(registry.Event) {}); err == nil || !strings.Contains(err.Error(), "the adapter was closed") {
		t.Errorf("%v", err)
	}
	if err := h.Reload("echo"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// A pool of four: a hundred lookups wait for each other.
func TestLookupsWaitForAnInstance(t *testing.T) {
	var now, most atomic.Int64
	all := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if n == 4 {
			select {
			case <-all:
			default:
				close(all)
			}
		}
		if strings.HasPrefix(r.URL.Path, "/s/hang") {
			<-r.Context().Done()
			return
		}
		select {
		case <-all: // as many as there may be have come
		case <-r.Context().Done():
		}
		empty(w, r)
	})
	o := echoOptions(url)
	o.Pool, o.Timeout = 4, 20*time.Second
	a := openEcho(t, o, plugins.HostOptions{})
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := a.Lookup(t.Context(), "web", nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if most.Load() != 4 || a.Status().Instances > 4 {
		t.Errorf("%d at once, status %+v", most.Load(), a.Status())
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 4 {
		wg.Go(func() { _, _ = a.Lookup(ctx, "hang", nil) })
	}
	for until := time.Now().Add(20 * time.Second); now.Load() < 4; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("not all four work")
		}
	}
	short, end := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer end()
	_, err := a.Lookup(short, "web", nil)
	up, ok := errors.AsType[*registry.UpstreamError](err)
	if !ok || !up.Timeout || !strings.Contains(err.Error(), "registry echo: plugin echo, ec_lookup: all its 4 instances are busy: context deadline exceeded") {
		t.Errorf("%v", err)
	}
	if s := a.Status(); s.Failures["busy"] != 1 {
		t.Errorf("status %+v", s)
	}
	cancel()
	wg.Wait()
}
