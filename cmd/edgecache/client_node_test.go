package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgecache/edgecache/client"
	"go.uber.org/goleak"
)

const twoServices = `services:
  - name: web
    tags: [frontend]
    instances:
      - {id: web-1, address: 10.0.0.1, port: 8080, health: passing, zone: eu-1a, version: 1.4.2}
      - {id: web-2, address: 10.0.0.2, port: 8080, health: critical, zone: eu-1b, version: 1.4.2}
  - name: team/api
    instances:
      - {id: api-1, address: "fd00::1", port: 443, zone: eu-1a}
`

// nodeText is the configuration of a node over a services file.
const nodeText = `
node: {name: test, data_dir: %s}
http: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
log: {level: error}
cache: {empty: {confirm: 1, grace: 0s}}
registries: [{name: files, type: file, path: %s, warm: all}]
`

// realNode runs a node over a services file and returns the URL of its admin
// port and the file's path.
func realNode(t *testing.T) (admin, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "services.yaml")
	writeFile(t, path, twoServices)
	return runNode(t, fmt.Sprintf(nodeText, t.TempDir(), path), nil), path
}

// runNode runs a node until the test ends and returns the URL of its admin
// port; change (nil: none) edits the configuration.
func runNode(t *testing.T, text string, change func(*Config)) (admin string) {
	t.Helper()
	checkLeaks := leaks(t)
	cfg, _, err := configSource{}.parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(cfg)
	}
	n, err := newNode(cfg, configSource{}, newLogHandler(io.Discard, cfg.Log))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.close(); err != nil {
			t.Errorf("close: %v", err)
		}
		checkLeaks()
	})
	if err := n.open(); err != nil {
		t.Fatal(err)
	}
	return "http://" + n.server.AdminAddr()
}

// leaks returns a function that fails the test if goroutines are left that do
// not run now. fasthttp has one clock for the process, which never ends, and a
// probe of memberlist that is under way ends by itself within seconds.
func leaks(t *testing.T) func() {
	before := goleak.IgnoreCurrent()
	return func() {
		t.Helper()
		if os.Getenv(mayLeak) != "" {
			return
		}
		goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
			goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"))
	}
}

// writeFile replaces a file in one step, as editors do.
func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// eventually calls look until it returns "" or the test's patience ends.
func eventually(t *testing.T, look func() string) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for {
		wrong := look()
		if wrong == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(wrong)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func TestCommandsAgainstARealNode(t *testing.T) {
	admin, _ := realNode(t)
	eventually(t, func() string {
		if code, out, errs := command(t, admin, "list"); code != 0 || !strings.Contains(out, "web") {
			return fmt.Sprintf("list = %d\n%s%s", code, out, errs)
		}
		return ""
	})
	for _, tc := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"get", "web"}, 0, []string{"web  service of files, 1 instance, age ", "web-1  10.0.0.1:8080  passing  eu-1a  1.4.2"}},
		{[]string{"get", "web", "--health", "any"}, 0, []string{"2 instances", "critical"}},
		{[]string{"get", "web", "--zone", "eu-1b"}, 0, []string{"0 instances"}},
		{[]string{"get", "web", "--health", "any", "--filter", `zone == "eu-1b"`, "--view", "addresses"}, 0, []string{"10.0.0.2:8080"}},
		{[]string{"get", "team/api", "--registry", "files", "-o", "json"}, 0, []string{`"id": "api-1"`, `"age_ms": `}},
		{[]string{"get", "web", "--max-age", "0s"}, 0, []string{"web-1"}},
		{[]string{"get", "absent"}, 3, []string{"404 not-found"}},
		{[]string{"get", "web", "--registry", "none"}, 3, []string{"no-such-registry"}},
		{[]string{"get", "web", "--filter", `zone <`}, 1, []string{"400 bad-request"}},
		{[]string{"list", "--prefix", "team/"}, 0, []string{"team/api  files     service\n"}},
		{[]string{"list", "-o", "json"}, 0, []string{`"name": "web"`, `"complete": true`}},
		{[]string{"invalidate", "web", "--wait", "all"}, 0, []string{"confirmed by 1 of 1 member"}},
		{[]string{"invalidate", "--tag", "frontend", "--mode", "soft", "-o", "json"}, 0, []string{`"confirmed": [`, `"done": true`}},
		{[]string{"invalidate", "--all", "--registry", "none"}, 1, []string{"400 bad-request", "none"}},
		{[]string{"refresh", "--all"}, 0, []string{"web", "unchanged", "services in "}},
		{[]string{"refresh", "web", "-o", "json"}, 0, []string{`"result": "unchanged"`}},
		{[]string{"members"}, 0, []string{"test  alive"}},
		{[]string{"status"}, 0, []string{"test  edgecache ", "ready, up ", "files", "closed"}},
		{[]string{"status", "-o", "json"}, 0, []string{`"node": "test"`, `"registries": [`}},
		{[]string{"top", "--once", "--interval", "100ms"}, 0, []string{"per second: ", "web", "memory"}},
	} {
		code, out, errs := command(t, admin, tc.args...)
		if code != tc.code {
			t.Errorf("%q = %d, want %d\n%s%s", tc.args, code, tc.code, out, errs)
		}
		for _, want := range tc.want {
			if !strings.Contains(out+errs, want) {
				t.Errorf("%q does not say %q:\n%s%s", tc.args, want, out, errs)
			}
		}
	}
}

func TestWatchSeesAFileChange(t *testing.T) {
	admin, path := realNode(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out := &cancelAt{text: "+web-3", cancel: cancel}
	changed := make(chan struct{})
	out.on = map[string]func(){"changes follow": func() {
		writeFile(t, path, strings.ReplaceAll(twoServices, "web-1", "web-3"))
		close(changed)
	}}
	if code := run(ctx, []string{"watch", "--prefix", "", "--address", admin}, out, io.Discard); code != 0 {
		t.Errorf("watch = %d", code)
	}
	select {
	case <-changed:
	default:
		t.Error("the list was never complete")
	}
	for _, want := range []string{"reset", "upsert       team/api", "upsert       web", "2 services, changes follow", "+web-3, -web-1"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("watch does not say %q:\n%s", want, out.String())
		}
	}
}

func TestGetWaitsForAServiceToAppear(t *testing.T) {
	admin, path := realNode(t)
	eventually(t, func() string { // a 404 has an index once it is known to be one
		if code, _, errs := command(t, admin, "get", "later"); code != 3 {
			return "get later: " + errs
		}
		return ""
	})
	type result struct {
		code      int
		out, errs string
	}
	done := make(chan result, 1)
	go func() {
		code, out, errs := command(t, admin, "get", "later", "--wait", "20s", "-o", "json")
		done <- result{code, out, errs}
	}()
	writeFile(t, path, twoServices+"  - name: later\n    instances: [{id: later-1, address: 10.0.0.9, port: 1}]\n")
	r := <-done
	var got struct{ Name string }
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.code != 0 || got.Name != "later" {
		t.Errorf("get --wait = %d\n%s%s", r.code, r.out, r.errs)
	}
}

func TestTheClientAgainstARealNode(t *testing.T) {
	admin, path := realNode(t)
	c, err := client.New(client.Options{Address: admin})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := t.Context()
	eventually(t, func() string {
		if r, err := c.Ready(ctx); err != nil || !r.Ready {
			return fmt.Sprintf("Ready = %+v, %v", r, err)
		}
		return ""
	})
	web, err := c.Lookup(ctx, "web", client.Query{})
	if err != nil || web.Index == 0 || web.Freshness.ETag == "" || web.Freshness.CacheStatus == "" || web.Freshness.Registry != "files" {
		t.Fatalf("Lookup = %+v, %v", web, err)
	}
	if same, err := c.Lookup(ctx, "web", client.Query{ETag: web.Freshness.ETag}); err != nil || !same.Freshness.NotModified || same.Index != web.Index {
		t.Errorf("Lookup with the ETag = %+v, %v, want NotModified", same, err)
	}
	batch, err := c.Batch(ctx, []client.Key{{Name: "web"}, {Name: "absent"}, {Name: "team/api", Registry: "files"}},
		client.Query{Health: "any", Tags: nil, Zone: "eu-1a", MaxAge: time.Hour, Filter: `version != "9"`})
	if err != nil || len(batch) != 3 || batch[0].Err != nil || len(batch[0].Service.Instances) != 1 || batch[1].Err == nil || batch[2].Err != nil {
		t.Errorf("Batch = %+v, %v", batch, err)
	}
	if _, err := c.Batch(ctx, []client.Key{{Name: "web"}}, client.Query{Tags: []string{"a", "b"}}); err != nil {
		t.Errorf("Batch with tags: %v", err)
	}
	if _, err := c.Report(ctx); err != nil {
		t.Errorf("Report: %v", err)
	}
	done, err := c.Invalidate(ctx, client.Selectors{Services: client.Names("web")}, client.InvalidateOptions{})
	if err != nil || !done.Done {
		t.Fatalf("Invalidate = %+v, %v", done, err)
	}
	if later, err := c.Invalidation(ctx, done.ID); err != nil || later.ID != done.ID || !later.Done {
		t.Errorf("Invalidation = %+v, %v", later, err)
	}
	if same, err := c.Wait(ctx, "web", client.Query{}, web.Index, 50*time.Millisecond); err != nil || same.Index != web.Index {
		t.Errorf("Wait without a change = %+v, %v", same, err)
	}
	writeFile(t, path, strings.ReplaceAll(twoServices, "web-1", "web-7"))
	if next, err := c.Wait(ctx, "web", client.Query{}, web.Index, 10*time.Second); err != nil || next.Index == web.Index || next.Instances[0].ID != "web-7" {
		t.Errorf("Wait over a change = %+v, %v", next, err)
	}
}
