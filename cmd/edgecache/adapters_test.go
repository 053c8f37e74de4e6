package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/edgecache/edgecache/registry"
)

const echoModule = "../../plugins/testdata/adapter/echo.wasm"

// A counted registry is one that the echo adapter asks: of one service, with a
// version.
type countedRegistry struct {
	url            string
	asked, whole   atomic.Int64 // lookups; those without a version
	polled, listed atomic.Int64

	mu sync.Mutex
	id string // of web's instance
}

func newCountedRegistry(t *testing.T) *countedRegistry {
	t.Helper()
	c := &countedRegistry{id: "one"}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	c.url = s.URL
	return c
}

func (c *countedRegistry) set(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.id = id
}

func (c *countedRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	record := fmt.Sprintf(`{"instances":[{"id":%q,"address":"10.0.0.1","port":80}]}`, c.id)
	switch {
	case r.URL.Path == "/poll":
		c.polled.Add(1)
		fmt.Fprintf(w, "U web %s\nC 1\nW 100\n", record)
		return
	case r.URL.Path == "/names":
		c.listed.Add(1)
		fmt.Fprintln(w, "web")
		return
	case !strings.HasSuffix(r.URL.Path, "/web"):
		http.NotFound(w, r)
		return
	}
	c.asked.Add(1)
	if r.Header.Get("If-None-Match") == c.id {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	c.whole.Add(1)
	w.Header().Set("ETag", c.id)
	fmt.Fprint(w, record)
}

// echoWithout writes the echo adapter's module without some of its exports.
func echoWithout(t *testing.T, path string, exports ...string) {
	t.Helper()
	module, err := os.ReadFile(echoModule)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range exports {
		module = bytes.ReplaceAll(module, []byte(name), []byte("ex"+name[2:]))
	}
	writeFile(t, path+".new", string(module))
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// withAdapter configures a registry of the module at a path, which it returns, as
// well as the configuration's.
func withAdapter(t *testing.T, url, keys string) (config, module string) {
	t.Helper()
	manifest, err := os.ReadFile(strings.Replace(echoModule, ".wasm", ".yaml", 1))
	if err != nil {
		t.Fatal(err)
	}
	config = files(t, "edgecache.yaml", twoPorts+fmt.Sprintf(
		"registries:\n  - {name: echo, type: wasm, plugin: DIR/echo.wasm, config: {url: %q}, allow: [%q], ttl: 1h, jitter: 0%%, verify: 0s%s}\n", url, url, keys), "echo.yaml", string(manifest))
	return config, filepath.Join(filepath.Dir(config), "echo.wasm")
}

// web looks the service up and returns its answer, and whether it is stale.
func (s *served) web() (id string, stale bool) {
	s.t.Helper()
	status, body := s.request("GET", s.data+"/v1/services/web")
	var a struct {
		Stale     bool
		Instances []struct{ ID string }
	}
	if err := json.Unmarshal([]byte(body), &a); err != nil || status != 200 || len(a.Instances) != 1 {
		s.t.Fatalf("%d %s: %v", status, body, err)
	}
	return a.Instances[0].ID, a.Stale
}

func (s *served) plugin() registry.PluginStatus {
	s.t.Helper()
	_, body := s.request("GET", s.base+"/v1/plugins")
	var list struct{ Plugins []registry.PluginStatus }
	if err := json.Unmarshal([]byte(body), &list); err != nil || len(list.Plugins) != 1 {
		s.t.Fatalf("%s: %v", body, err)
	}
	return list.Plugins[0]
}

func (s *served) reload(path string) {
	s.t.Helper()
	if status, body := s.request("POST", s.base+path); status != 200 {
		s.t.Fatalf("%s: %d %s", path, status, body)
	}
}

// What another module said is asked for anew, whole; the same module changes
// nothing.
func TestReloadingAnAdapterAsksAnew(t *testing.T) {
	c := newCountedRegistry(t)
	config, module := withAdapter(t, c.url, ", watch: false")
	echoWithout(t, module)
	s := startServe(t, "--config", config)
	if id, stale := s.web(); id != "one" || stale {
		t.Errorf("%s, stale %t", id, stale)
	}
	s.reload("/v1/plugins/echo/reload")
	if id, stale := s.web(); id != "one" || stale || c.asked.Load() != 1 || s.plugin().Generation != 1 {
		t.Errorf("the same module: %s, stale %t, asked %d times, %+v", id, stale, c.asked.Load(), s.plugin())
	}
	echoWithout(t, module, "ec_list")
	s.reload("/v1/plugins/echo/reload")
	if id, _ := s.web(); id != "one" {
		t.Errorf("%s", id)
	}
	waitUntil(t, "asked anew", func() bool { _, stale := s.web(); return !stale })
	if c.whole.Load() != 2 { // a lookup that saw the old answer may ask once more, with the version
		t.Errorf("asked for all of it %d times", c.whole.Load())
	}
	if p := s.plugin(); p.Generation != 2 || p.State != "ok" {
		t.Errorf("%+v", p)
	}
	if err := os.WriteFile(module, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, body := s.request("POST", s.base+"/v1/plugins/echo/reload"); status != 422 || !strings.Contains(body, "not a WebAssembly module") {
		t.Errorf("%d %s", status, body)
	}
	if id, stale := s.web(); id != "one" || stale || c.whole.Load() != 2 {
		t.Errorf("a refused module: %s, stale %t, asked %d times", id, stale, c.asked.Load())
	}
	s.end(0)
}

// A module that begins to list and poll is listed and followed, and one that no
// longer does is not.
func TestReloadingAnAdapterSeesWhatItCanDo(t *testing.T) {
	c := newCountedRegistry(t)
	config, module := withAdapter(t, c.url, ", poll: 100ms")
	echoWithout(t, module, "ec_list", "ec_poll")
	s := startServe(t, "--config", config)
	s.web()
	if c.polled.Load() != 0 {
		t.Error("it polls")
	}
	listed := func() bool {
		_, body := s.request("GET", s.data+"/v1/services")
		return strings.Contains(body, `"web"`) && c.listed.Load() > 0
	}
	if listed() {
		t.Error("it lists")
	}
	echoWithout(t, module)
	s.reload("/v1/plugins/echo/reload")
	waitUntil(t, "polled", func() bool { return c.polled.Load() > 0 })
	waitUntil(t, "fresh", func() bool { _, stale := s.web(); return !stale })
	waitUntil(t, "listed", listed)
	c.set("two")
	waitUntil(t, "what the poll told", func() bool { id, stale := s.web(); return id == "two" && !stale })
	asked := c.asked.Load()
	echoWithout(t, module, "ec_poll")
	s.reload("/v1/plugins/echo/reload")
	waitUntil(t, "asked", func() bool { _, stale := s.web(); return !stale && c.asked.Load() > asked })
	polled := c.polled.Load()
	c.set("three")
	s.reload("/v1/config/reload")
	if id, _ := s.web(); id != "two" || c.polled.Load() != polled {
		t.Errorf("%s, polled %d times more", id, c.polled.Load()-polled)
	}
	s.end(0)
}

// Of a configuration that is read again, an adapter that did not change runs on.
func TestAConfigurationReadAgainKeepsAdapters(t *testing.T) {
	c := newCountedRegistry(t)
	config, module := withAdapter(t, c.url, ", poll: 100ms, pool: 4")
	echoWithout(t, module)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	s := startServe(t, "--config", config)
	s.web()
	change := func(old, next string) {
		t.Helper()
		changed := bytes.Replace(text, []byte(old), []byte(next), 1)
		if bytes.Equal(changed, text) {
			t.Fatalf("nothing is changed by %s", next)
		}
		writeFile(t, config, string(changed))
		s.reload("/v1/config/reload")
	}
	waitUntil(t, "polled", func() bool { return c.polled.Load() > 2 })
	before := s.plugin()
	s.reload("/v1/config/reload")
	change("ttl: 1h", "ttl: 2h, rate: 7")
	if p := s.plugin(); p.Calls < before.Calls || p.Generation != 1 {
		t.Errorf("%+v, before %+v", p, before)
	}
	polled := c.polled.Load()
	waitUntil(t, "polled on", func() bool { return c.polled.Load() > polled+2 })
	if id, stale := s.web(); id != "one" || stale {
		t.Errorf("%s, stale %t", id, stale)
	}
	s.end(0)
}

func TestCheckReadsAuthoritiesOfAdapters(t *testing.T) {
	config := files(t, "edgecache.yaml", "registries:\n"+
		"  - {name: a, type: wasm, plugin: x.wasm, tls: {ca: DIR/text.pem}}\n"+
		"  - {name: b, type: wasm, plugin: x.wasm, tls: {ca: DIR/none.pem, cert: DIR/none.pem}}\n"+
		"  - {name: c, type: wasm, plugin: x.wasm, allow: [\"https://a.test\", \"http://0x7f.1:80\"]}\n", "text.pem", "no PEM")
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"check", "--config", config}, io.Discard, &errs); code != exitFailed {
		t.Errorf("exit %d, want %d", code, exitFailed)
	}
	for _, want := range []string{
		":2:53: registries[0].tls.ca: ", "text.pem holds no PEM certificate", ":3:53: registries[1].tls.ca: ", "no such file or directory",
		"registries[1].tls.cert: unknown key; known here: ca", `registries[2].allow[1]: "http://0x7f.1:80": an address in its usual form, which is 127.0.0.1, expected`,
	} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("%s\ndoes not have %s", errs.String(), want)
		}
	}
}
