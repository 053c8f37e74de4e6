package plugins_test

import (
	"errors"
	"maps"
	"os"
	"testing"
	"time"

	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
)

// What is opened again as it is runs on, with all that it holds; whoever closes
// it first ends nothing.
func TestAnAdapterThatDidNotChangeIsKept(t *testing.T) {
	h := adapterHost(t, plugins.HostOptions{})
	defer h.Close()
	o := echoOptions(serve(t, empty))
	o.Pool, o.Plugin, o.Manifest = 1, copied(t, "echo"), manifest(t, "http: [\"*\"]\n")
	o.Secrets = map[string]plugins.Secret{"KEY": {File: writing(t, "key", "one"), To: o.Allow}}
	o.TLS.CA = writing(t, "ca.pem", newAuthority(t).pem)
	open := func(o plugins.AdapterOptions) *plugins.Adapter {
		t.Helper()
		o.Config = maps.Clone(o.Config) // as what was read a second time
		a, err := h.OpenAdapter(o)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	closed := func(a *plugins.Adapter) {
		t.Helper()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
	first := open(o)
	pairOf(t, first, "x-held", "calls")
	for n, want := range [...]string{"2", "3"} {
		again := open(o)
		if calls := pairOf(t, again, "x-held", "calls"); calls != want || again.Status().Generation != 1 {
			t.Errorf("opened again %d times: calls %s, status %+v", n+1, calls, again.Status())
		}
		closed(again)
	}
	last := open(o)
	closed(first)
	if calls := pairOf(t, last, "x-held", "calls"); calls != "4" {
		t.Errorf("calls %s after the first was closed", calls)
	}

	for what, change := range map[string]func(*plugins.AdapterOptions){
		"config":    func(o *plugins.AdapterOptions) { o.Config["more"] = 1 },
		"allow":     func(o *plugins.AdapterOptions) { o.Allow = append(registry.Strings{"http://other.test"}, o.Allow...) },
		"secrets":   func(o *plugins.AdapterOptions) { o.Secrets = nil },
		"tls":       func(o *plugins.AdapterOptions) { o.TLS.CA = "" },
		"poll":      func(o *plugins.AdapterOptions) { o.Poll = time.Minute },
		"pool":      func(o *plugins.AdapterOptions) { o.Pool = 2 },
		"timeout":   func(o *plugins.AdapterOptions) { o.Timeout++ },
		"documents": func(o *plugins.AdapterOptions) { o.Documents = true },
		"name":      func(o *plugins.AdapterOptions) { o.Name = "other" },
		"manifest":  func(o *plugins.AdapterOptions) { o.Manifest = manifest(t, "http: [\"*\"]\n") },
		"the file of authorities": func(o *plugins.AdapterOptions) {
			overwrite(t, o.TLS.CA, newAuthority(t).pem)
		},
		"the manifest's text": func(o *plugins.AdapterOptions) {
			overwrite(t, o.Manifest, "name: echo\nkind: adapter\nabi: \"1.0\"\nhttp: [\"*\"]\nlimits: {fuel: 1000000}\n")
		},
		"the module": func(o *plugins.AdapterOptions) { switched(t, o.Plugin, "bare") },
	} {
		before := open(o)
		other := o
		other.Config = maps.Clone(o.Config)
		change(&other)
		changed := open(other)
		if changed == before {
			t.Errorf("%s: it is the same adapter", what)
		}
		pairOf(t, changed, "x-held", "calls")
		pairOf(t, before, "x-held", "calls")
		closed(changed)
		pairOf(t, before, "x-held", "calls")
		closed(before)
	}
	closed(last)
	if _, err := last.Lookup(t.Context(), "web", nil); err == nil {
		t.Error("the last one that was closed runs on")
	}
	if list := h.Status(); len(list) > 0 {
		t.Errorf("left: %+v", list)
	}
	closed(last)
	if err := h.Reload("echo"); !errors.Is(err, registry.ErrNotFound) {
		t.Error(err)
	}
}

func overwrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A module whose change was refused is well again once it is back.
func TestAModuleThatIsBackIsNoFailure(t *testing.T) {
	h := adapterHost(t, plugins.HostOptions{})
	defer h.Close()
	o := echoOptions(serve(t, empty))
	o.Plugin = copied(t, "echo")
	a, err := h.OpenAdapter(o)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	overwrite(t, o.Plugin, "no module")
	if err := h.Reload("echo"); err == nil || a.Status().State != "failed" {
		t.Errorf("%v, status %+v", err, a.Status())
	}
	if _, err := h.OpenAdapter(o); err == nil {
		t.Error("it is taken")
	}
	switched(t, o.Plugin, "echo")
	again, err := h.OpenAdapter(o)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if s := a.Status(); again != a || s.State != "ok" || s.Generation != 1 {
		t.Errorf("status %+v", s)
	}
}
