package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	zoneModule   = "../../wasm-examples/zone-affinity/c/zone.wasm"
	zoneManifest = "../../wasm-examples/zone-affinity/zone.yaml"
)

// zonesFile is a registry of one service in two zones.
const zonesFile = `services:
  - name: web
    instances:
      - {id: w1, address: 10.0.0.1, port: 80, zone: eu-1a}
      - {id: w2, address: 10.0.0.2, port: 80, zone: eu-1b}
      - {id: w3, address: 10.0.0.3, port: 80, zone: eu-1a}
`

func zoneFilter(strict bool) string {
	return fmt.Sprintf("{name: zone, plugin: %s, manifest: %s, config: {strict: %t}}", zoneModule, zoneManifest, strict)
}

// brokenFilter is one of the guests that mean harm.
func brokenFilter(name, guest, onFailure string) string {
	return fmt.Sprintf("{name: %s, plugin: ../../plugins/testdata/hostile/%s.wasm, manifest: ../../plugins/testdata/hostile/hostile.yaml, may: [drop, reorder, deny], on_failure: %s}",
		name, guest, onFailure)
}

func withFilters(t *testing.T, filters ...string) (config string) {
	t.Helper()
	return files(t, "edgecache.yaml", twoPorts+"registries: [{name: files, type: file, path: DIR/zones.yaml, warm: all}]\nfilters: ["+strings.Join(filters, ", ")+"]\n", "zones.yaml", zonesFile)
}

// lookupIn asks for web from a zone.
func lookupIn(t *testing.T, s *served, zone string) (status int, h http.Header, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.data+"/v1/services/web?view=addresses", nil)
	if err != nil {
		t.Fatal(err)
	}
	if zone != "" {
		req.Header.Set("Edgecache-Zone", zone)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

func waitForWeb(t *testing.T, s *served) {
	t.Helper()
	waitUntil(t, "web is known", func() bool { status, _, _ := lookupIn(t, s, ""); return status != 404 })
}

func TestAFilterShapesAnswersAndIsSeen(t *testing.T) {
	s := startServe(t, "--config", withFilters(t, zoneFilter(true)))
	waitForWeb(t, s)
	status, h, body := lookupIn(t, s, "eu-1a")
	if status != 200 || body != "10.0.0.1:80\n10.0.0.3:80\n" {
		t.Errorf("from eu-1a: %d %q", status, body)
	}
	if h.Get("Edgecache-Filter") != "zone=applied" || h.Get("Vary") != "edgecache-zone" || !strings.Contains(h.Get("Cache-Control"), "private") {
		t.Errorf("headers %v", h)
	}
	if _, other, body := lookupIn(t, s, "eu-1b"); body != "10.0.0.2:80\n" || other.Get("ETag") == h.Get("ETag") {
		t.Errorf("from eu-1b: %q, ETag %q and %q", body, other.Get("ETag"), h.Get("ETag"))
	}
	if _, body := s.request("GET", s.base+"/v1/plugins"); !strings.Contains(body, `"plugin":"zone 1.0.0"`) {
		t.Errorf("plugins: %s", body)
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"status", "--address", s.base}, &out, io.Discard); code != 0 || !strings.Contains(out.String(), "zone    filter  zone 1.0.0") {
		t.Errorf("status: %s", out.String())
	}
	s.end(0)
}

func TestAFilterThatFailsIsSkippedOrTheAnswer(t *testing.T) {
	s := startServe(t, "--config", withFilters(t, brokenFilter("broken", "loop", "open"), zoneFilter(true)))
	waitForWeb(t, s)
	status, h, body := lookupIn(t, s, "eu-1b")
	if status != 200 || body != "10.0.0.2:80\n" || h.Get("Edgecache-Filter") != "broken=skipped, zone=applied" {
		t.Errorf("open: %d %q %q", status, body, h.Get("Edgecache-Filter"))
	}
	s.end(0)
	s = startServe(t, "--config", withFilters(t, brokenFilter("broken", "loop", "closed")))
	waitUntil(t, "web is known", func() bool { status, _, _ := lookupIn(t, s, ""); return status == 503 })
	if status, _, body := lookupIn(t, s, ""); status != 503 || !strings.Contains(body, "filter-failed") {
		t.Errorf("closed: %d %s", status, body)
	}
	s.end(0)
	s = startServe(t, "--config", withFilters(t, brokenFilter("door", "verdict-deny", "closed")))
	waitUntil(t, "web is known", func() bool { status, _, _ := lookupIn(t, s, ""); return status == 403 })
	s.end(0)
}

func TestFiltersChangeUnderLoadWithoutAFailedRequest(t *testing.T) {
	config := withFilters(t, zoneFilter(true))
	s := startServe(t, "--config", config)
	waitForWeb(t, s)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var stop atomic.Bool
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				status, h, body := lookupIn(t, s, "eu-1a")
				strict, all := "10.0.0.1:80\n10.0.0.3:80\n", "10.0.0.1:80\n10.0.0.3:80\n10.0.0.2:80\n"
				if status != 200 || h.Get("Edgecache-Filter") != "zone=applied" || body != strict && body != all {
					t.Errorf("%d %q %q", status, h.Get("Edgecache-Filter"), body)
					return
				}
			}
		})
	}
	for n := range 10 {
		next := bytes.Replace(text, []byte("strict: true"), fmt.Appendf(nil, "strict: %t", n%2 == 1), 1)
		if err := os.WriteFile(config, next, 0o600); err != nil {
			t.Fatal(err)
		}
		if status, body := s.request("POST", s.base+"/v1/config/reload"); status != 200 {
			t.Errorf("reload: %d %s", status, body)
		}
	}
	stop.Store(true)
	wg.Wait()
	s.end(0)
}

func TestAModuleThatIsReplacedByABrokenOneRunsOn(t *testing.T) {
	dir := t.TempDir()
	module := filepath.Join(dir, "zone.wasm")
	put := func(from, to string) {
		t.Helper()
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(zoneModule, module)
	put(zoneManifest, filepath.Join(dir, "zone.yaml"))
	s := startServe(t, "--config", withFilters(t, fmt.Sprintf("{name: zone, plugin: %q, config: {strict: true}}", module)))
	waitForWeb(t, s)
	put("../../plugins/testdata/hostile/nofilter.wasm", module)
	for _, path := range []string{"/v1/plugins/zone/reload", "/v1/config/reload"} {
		if status, body := s.request("POST", s.base+path); status != 422 || !strings.Contains(body, "export ec_filter (i32)") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if _, body := s.request("GET", s.base+"/v1/plugins"); !strings.Contains(body, `"state":"failed"`) || !strings.Contains(body, "ec_filter") {
		t.Errorf("plugins: %s", body)
	}
	if _, _, body := lookupIn(t, s, "eu-1b"); body != "10.0.0.2:80\n" {
		t.Errorf("the old generation answers %q", body)
	}
	put("../../plugins/testdata/hostile/scribble.wasm", module)
	put("../../plugins/testdata/hostile/hostile.yaml", filepath.Join(dir, "zone.yaml"))
	if status, body := s.request("POST", s.base+"/v1/plugins/zone/reload"); status != 422 || !strings.Contains(body, "may: deny") {
		t.Errorf("a manifest that wants more than is granted: %d %s", status, body)
	}
	s.end(0)
}

func TestMistakesInFilters(t *testing.T) {
	for what, want := range map[string]string{
		"{name: zone}":                                               "filters[0].plugin: the path of a .wasm file expected",
		"{name: Zone, plugin: x.wasm}":                               `filters[0].name: "Zone": 1 to 63 of a-z 0-9 . - expected`,
		"{name: a, plugin: x.wasm, may: [deny]}":                     "a filter that may deny needs a word on what is answered while it fails",
		"{name: a, plugin: x.wasm, may: [fly]}":                      `may: "fly": some of drop, reorder, deny expected`,
		"{name: a, plugin: x.wasm}, {name: a, plugin: x.wasm}":       `filters[1].name: "a" is taken by an earlier filter`,
		"{name: a, plugin: nowhere.wasm}":                            "filter a: stat nowhere.wasm: no such file or directory",
		"{name: a, plugin: x.wasm, plugn: y}":                        "unknown key; did you mean plugin?",
		"{name: a, plugin: x.wasm, on_failure: maybe, pool: 100000}": `on_failure: "maybe": open or closed expected`,
	} {
		var errs bytes.Buffer
		code := run(context.Background(), []string{"check", "--config", withFilters(t, what)}, io.Discard, &errs)
		if code == 0 || !strings.Contains(errs.String(), want) {
			t.Errorf("%s: %d\n%s\nwant %s", what, code, errs.String(), want)
		}
	}
}

// Filters decide in batches and watches as in lookups.
func TestFiltersApplyToBatchesAndWatches(t *testing.T) {
	ask := func(s *served, method, url, body string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Edgecache-Zone", "eu-1b")
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var text []byte
		for buf := make([]byte, 4096); !strings.Contains(string(text), "event: synced"); {
			n, err := resp.Body.Read(buf)
			text = append(text, buf[:n]...)
			if err != nil {
				break
			}
		}
		return string(text)
	}
	s := startServe(t, "--config", withFilters(t, zoneFilter(true)))
	waitForWeb(t, s)
	for what, body := range map[string]string{
		"batch": ask(s, "POST", s.data+"/v1/lookup", `{"services":[{"name":"web"},{"name":"none"}]}`),
		"watch": ask(s, "GET", s.data+"/v1/watch?service=web", ""),
	} {
		if !strings.Contains(body, `"id":"w2"`) || strings.Contains(body, `"id":"w1"`) {
			t.Errorf("%s: %s\nwant w2 alone", what, body)
		}
	}
	s.end(0)
	s = startServe(t, "--config", withFilters(t, brokenFilter("door", "verdict-deny", "closed")))
	waitUntil(t, "web is known", func() bool { status, _, _ := lookupIn(t, s, ""); return status == 403 })
	if body := ask(s, "POST", s.data+"/v1/lookup", `{"services":[{"name":"web"}]}`); !strings.Contains(body, `"status":403`) || strings.Contains(body, `"id":"w1"`) {
		t.Errorf("batch: %s", body)
	}
	if body := ask(s, "GET", s.data+"/v1/watch?service=web", ""); !strings.Contains(body, "event: unavailable") || strings.Contains(body, `"id":"w1"`) {
		t.Errorf("watch: %s", body)
	}
	s.end(0)
}

// A parameter that a filter reads is one of the request's, and others are not.
func TestAFilterReadsAParameter(t *testing.T) {
	const example = "../../wasm-examples/semver/"
	config := files(t, "edgecache.yaml", twoPorts+"registries: [{name: files, type: file, path: DIR/versions.yaml, warm: all}]\n"+
		"filters: [{name: semver, plugin: "+example+"rust/semver.wasm, manifest: "+example+"semver.yaml, may: [drop, reorder, deny], on_failure: closed}]\n",
		"versions.yaml", "services: [{name: web, instances: [{id: w1, address: 10.0.0.1, port: 80, version: 1.2.0}, {id: w2, address: 10.0.0.2, port: 80, version: 2.0.0}]}]\n")
	s := startServe(t, "--config", config)
	waitForWeb(t, s)
	for url, want := range map[string]string{
		"/v1/services/web?view=addresses&v=^1.1": "10.0.0.1:80\n",
		"/v1/services/web?view=addresses&v=2":    "10.0.0.2:80\n",
		"/v1/services/web?view=addresses":        "10.0.0.1:80\n10.0.0.2:80\n",
		"/v1/services/web?v=newest":              `"title":"Denied by a filter","status":400`,
		"/v1/services/web?v=1&v=2":               "v is given more than once",
		"/v1/services/web?w=1":                   `unknown parameter \"w\"`,
		"/v1/services?v=1":                       `unknown parameter \"v\"`,
		"/v1/watch?service=web&v=^2":             `"id":"w2"`,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.data+url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body := make([]byte, 4096)
		n, _ := io.ReadAtLeast(resp.Body, body, len(want))
		for ; !strings.Contains(string(body[:n]), want); n++ {
			if _, err := io.ReadFull(resp.Body, body[n:n+1]); err != nil {
				break
			}
		}
		if !strings.Contains(string(body[:n]), want) {
			t.Errorf("%s: %s, want %s", url, body[:n], want)
		}
		resp.Body.Close()
		cancel()
	}
	if status, body := s.request("POST", s.data+"/v1/lookup?v=^2"); status != 400 || !strings.Contains(body, "body: ") { // the parameter is taken, the body is missing
		t.Errorf("batch: %d %s", status, body)
	}
	s.end(0)
}
