package plugins_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
)

// keeping opens an adapter on a host whose values are in a directory; end closes
// both.
func keeping(t *testing.T, dir string, o plugins.AdapterOptions) (a *plugins.Adapter, end func()) {
	t.Helper()
	h := adapterHost(t, plugins.HostOptions{Values: dir})
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

func forgotten(t *testing.T, a *plugins.Adapter, key string) {
	t.Helper()
	if _, err := a.Lookup(t.Context(), "x-kept:"+key, nil); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("%s: %v, nothing expected", key, err)
	}
}

func TestWhatAdaptersKeep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "values")
	o := echoOptions("http://registry.test")
	a, end := keeping(t, dir, o)
	forgotten(t, a, "a")
	pairOf(t, a, "x-keep:a=one", "kept")
	pairOf(t, a, "x-keep:b=two", "kept")
	pairOf(t, a, "x-forget:b", "forgot")
	pairOf(t, a, "x-brief:c=three", "kept")
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) { // its time is a millisecond
		if _, err := a.Lookup(t.Context(), "x-kept:c", nil); errors.Is(err, registry.ErrNotFound) {
			break
		}
		if time.Now().After(until) {
			t.Fatal("what is over is kept")
		}
	}
	if s := a.Status(); s.Kept == 0 {
		t.Errorf("status %+v", s)
	}
	end()

	a, end = keeping(t, dir, o)
	if v := pairOf(t, a, "x-kept:a", "value"); v != "one" {
		t.Errorf("a is %q", v)
	}
	forgotten(t, a, "b")
	forgotten(t, a, "c")
	if s := a.Status(); s.Kept != 4 {
		t.Errorf("status %+v", s)
	}
	end()

	other := o
	other.Config = map[string]any{"url": "http://other.test"}
	a, end = keeping(t, dir, other)
	forgotten(t, a, "a")
	pairOf(t, a, "x-keep:a=other", "kept")
	end()
	a, end = keeping(t, dir, o) // its file is the other's now
	forgotten(t, a, "a")
	end()
}

// What is kept is of one module: another one on reload begins anew, and one that
// is refused takes nothing away.
func TestAReloadAndWhatIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "values")
	o := echoOptions("http://registry.test")
	o.Plugin = copied(t, "echo")
	o.Config["init"] = "not-bare"
	h := adapterHost(t, plugins.HostOptions{Values: dir})
	a, err := h.OpenAdapter(o)
	if err != nil {
		t.Fatal(err)
	}
	pairOf(t, a, "x-keep:a=one", "kept")
	if err := h.Reload("echo"); err != nil {
		t.Error(err)
	}
	pairOf(t, a, "x-kept:a", "value")
	switched(t, o.Plugin, "bare")
	if err := h.Reload("echo"); err == nil || !strings.Contains(err.Error(), "ec_init: it returned -7") {
		t.Errorf("%v", err)
	}
	pairOf(t, a, "x-kept:a", "value")
	pairOf(t, a, "x-keep:b=two", "kept")
	_ = a.Close()
	h.Close()

	o.Plugin = copied(t, "echo")
	a, end := keeping(t, dir, o)
	pairOf(t, a, "x-kept:b", "value")
	end()

	o.Config = map[string]any{"url": "http://registry.test"}
	h = adapterHost(t, plugins.HostOptions{Values: dir})
	if a, err = h.OpenAdapter(o); err != nil {
		t.Fatal(err)
	}
	pairOf(t, a, "x-keep:c=three", "kept")
	switched(t, o.Plugin, "bare")
	if err := h.Reload("echo"); err != nil {
		t.Error(err)
	}
	forgotten(t, a, "c")
	_ = a.Close()
	h.Close()
}

// copied returns the path of a copy of a module, with its manifest.
func copied(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	for _, ext := range [...]string{".wasm", ".yaml"} {
		b, err := os.ReadFile("testdata/adapter/" + name + ext)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "echo"+ext), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "echo.wasm")
}

func TestADamagedFileIsToldAndForgotten(t *testing.T) {
	for _, text := range [...]string{"", "{", "\x00\x01", `{"version":2}`, `{"version":1,"of":"x","values":[{"key":7}]}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "echo.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		h := adapterHost(t, plugins.HostOptions{Values: dir, Logger: lineLog(&said)})
		a, err := h.OpenAdapter(echoOptions("http://registry.test"))
		if err != nil {
			t.Fatal(err)
		}
		forgotten(t, a, "a")
		pairOf(t, a, "x-keep:a=one", "kept")
		_ = a.Close()
		h.Close()
		if !strings.Contains(said.String(), "what an adapter kept cannot be read, it begins anew") || !strings.Contains(said.String(), "echo.json") {
			t.Errorf("%q: it was not told: %s", text, said.String())
		}
		a, end := keeping(t, dir, echoOptions("http://registry.test"))
		pairOf(t, a, "x-kept:a", "value")
		end()
	}
}

func TestFloodsOfWhatIsKept(t *testing.T) {
	a, end := keeping(t, t.TempDir(), echoOptions("http://registry.test"))
	defer end()
	pairOf(t, a, "x-keep:a=one", "kept")
	for _, row := range [...]struct {
		flood string
		want  string
	}{{"65536", "values kept: 15"}, {"1", "values kept: 9999"}} {
		fails(t, a, "x-flood:"+row.flood, "guest", "TOO_LARGE: "+row.want)
		if s := a.Status(); s.Kept > 1<<20 {
			t.Errorf("status %+v", s)
		}
	}
	pairOf(t, a, "x-kept:a", "value")
	pairOf(t, a, "x-keep:a=two", "kept") // in place of the old one
	fails(t, a, "x-keep:z=three", "guest", "TOO_LARGE")
	fails(t, a, "x-keep:"+strings.Repeat("k", 257)+"=", "guest", "INVALID")
	fails(t, a, "x-keep:=v", "guest", "INVALID")
}

func TestKeepingIsAskedFor(t *testing.T) {
	o := echoOptions("http://registry.test")
	o.Manifest = manifest(t, "http: [\"*\"]\n")
	a, end := keeping(t, t.TempDir(), o)
	defer end()
	fails(t, a, "x-keep:a=one", "guest", "UNSUPPORTED")
}

func TestKeepingFromManyInstances(t *testing.T) {
	dir := t.TempDir()
	a, end := keeping(t, dir, echoOptions("http://registry.test"))
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 100 {
				for _, what := range [...]string{"keep:k%d=v", "kept:k%d", "forget:k%d", "keep:k%d=last"} {
					_, err := a.Lookup(t.Context(), "x-"+fmt.Sprintf(what, (i+n)%16), nil)
					if err != nil && !errors.Is(err, registry.ErrNotFound) {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	end()
	a, end = keeping(t, dir, echoOptions("http://registry.test"))
	defer end()
	if s := a.Status(); s.Kept == 0 || s.Kept > 16*(3+4) {
		t.Errorf("status %+v", s)
	}
}

// A secret goes where it is bound to, and the guest never has it.
func TestSecrets(t *testing.T) {
	const text = "hunter2-hunter2"
	var got string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") })
	var said strings.Builder
	o := echoOptions(server)
	o.Allow = append(o.Allow, "http://other.test")
	o.Secrets = map[string]plugins.Secret{
		"bound":   {File: writing(t, "bound", text+"\n"), To: registry.Strings{server}},
		"other":   {File: writing(t, "other", text), To: registry.Strings{"http://other.test"}},
		"absent":  {File: filepath.Join(t.TempDir(), "absent"), To: registry.Strings{server}},
		"unclean": {File: writing(t, "unclean", text+"\r\nHost: evil\n"+text), To: registry.Strings{server}},
	}
	o.Logger = lineLog(&said)
	a := openEcho(t, o, plugins.HostOptions{Logger: o.Logger})
	send := func(value, want string) {
		t.Helper()
		got = ""
		up := fails(t, a, "x-head:GET "+server+"/\nAuthorization: "+value, "guest", want)
		said.WriteString(up.Error())
	}
	send("Bearer ${secret.bound}, ${secret.bound}", "status 200")
	if want := "Bearer " + text + ", " + text; got != want {
		t.Errorf("sent %q", got)
	}
	for value, want := range map[string]string{
		"${secret.other}":   "DENIED: secret other is not for " + server,
		"${secret.none}":    `DENIED: there is no secret "none"`,
		"${secret.}":        `DENIED: there is no secret ""`,
		"${secret.absent}":  "DENIED: secret absent: open ",
		"${secret.unclean}": "secret unclean: ",
	} {
		if send(value, want); got != "" {
			t.Errorf("%s: sent %q", value, got)
		}
	}
	send("${secret.bound", "status 200")
	if got != "${secret.bound" {
		t.Errorf("sent %q", got)
	}
	up := fails(t, a, "x-config", "guest", "INTERNAL: {")
	if all := said.String() + up.Error() + fmt.Sprint(a.Status()); strings.Contains(all, text) {
		t.Errorf("the secret is told: %s", all)
	}
	if err := os.WriteFile(o.Secrets["bound"].File, []byte("renewed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if send("${secret.bound}", "status 200"); got != "renewed" {
		t.Errorf("sent %q", got)
	}
}
