package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/consul/consultest"
)

// A process is a node that runs in a process of its own.
type process struct {
	*served
	cmd *exec.Cmd
}

// startProcess runs `serve` in a process until it is killed or the test ends.
func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{served: newServed(t), cmd: exec.Command(self, append([]string{"serve"}, args...)...)}
	p.cmd.Env = append(os.Environ(), asProgram+"=1")
	p.cmd.Stderr = p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	p.waitServing()
	return p
}

// kill ends the process at once, as kill -9 does.
func (p *process) kill() {
	if p.cmd.ProcessState != nil {
		return
	}
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Error(err)
	}
	if err := p.cmd.Wait(); err != nil && p.cmd.ProcessState == nil {
		p.t.Error(err)
	}
}

func (s *served) status() (out registry.NodeStatus) {
	s.t.Helper()
	status, body := s.request("GET", s.base+"/v1/status")
	if err := json.Unmarshal([]byte(body), &out); status != 200 || err != nil {
		s.t.Fatalf("status: %d %v\n%s", status, err, body)
	}
	return out
}

func (s *served) post(path, body string) (status int, answer string) {
	s.t.Helper()
	x := s.exchange(path, "", body)
	return x.Status, string(x.Body)
}

// outage returns a registry with the services web, api and mail, and the
// configuration of a node in front of it.
func outage(t *testing.T) (upstream *consultest.Server, config string) {
	t.Helper()
	upstream = consultest.New("127.0.0.1:0")
	for _, name := range []string{"web", "api", "mail"} {
		upstream.Put(consultest.Instance{ID: name + "-1", Name: name, Address: "10.0.0.1", Port: 80})
	}
	if err := upstream.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(upstream.Stop)
	return upstream, files(t, "edgecache.yaml", strings.Replace(twoPorts, "edge-1", "edge-1, data_dir: DIR/data", 1)+
		"cache: {recheck: {min: 100ms, max: 200ms}}\nregistries: [{name: consul, type: consul, address: \""+upstream.URL()+"\", timeout: 1s, retries: 0}]\n")
}

func TestAKilledNodeAnswersFromDiskWhileTheRegistryIsDown(t *testing.T) {
	upstream, config := outage(t)
	p := startProcess(t, "--config", config)
	for _, name := range []string{"web", "api", "mail"} {
		if status, body := p.request("GET", p.data+"/v1/services/"+name); status != 200 {
			t.Fatalf("%s: %d %s", name, status, body)
		}
	}
	waitUntil(t, "on disk", func() bool { return p.status().Store.Entries >= 3 })
	upstream.Stop()
	// An answer of 200 says that all before it is on disk, too.
	if status, body := p.post("/v1/invalidate", `{"services":[{"name":"api"}],"mode":"hard"}`); status != 200 {
		t.Fatalf("invalidate: %d %s", status, body)
	}
	p.kill()

	p = startProcess(t, "--config", config)
	code, out, errs := command(t, p.base, "get", "web", "--output", "json")
	var web struct {
		Stale     bool  `json:"stale"`
		AgeMS     int64 `json:"age_ms"`
		Instances []any `json:"instances"`
	}
	if err := json.Unmarshal([]byte(out), &web); err != nil || code != 0 || !web.Stale || web.AgeMS <= 0 || len(web.Instances) != 1 {
		t.Errorf("get web = %d %s%s, want it stale, with its age", code, out, errs)
	}
	if _, out, _ := command(t, p.base, "get", "web"); !strings.Contains(out, "disk") {
		t.Errorf("get web does not tell that it came from disk:\n%s", out)
	}
	if code, out, _ := command(t, p.base, "get", "api"); code != exitFailed {
		t.Errorf("get api, invalidated hard before the kill = %d\n%s", code, out)
	}
	if _, out, _ := command(t, p.base, "status"); !strings.Contains(out, "store: ok, ") || !strings.Contains(out, "1 invalidation in the journal") {
		t.Errorf("status:\n%s", out)
	}
	if err := upstream.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		_, body := p.request("GET", p.data+"/v1/services/web")
		if !strings.Contains(body, `"stale":false`) {
			return "the registry is back, and web still is " + body
		}
		return ""
	})
}

func TestADirectoryInUseIsToldApart(t *testing.T) {
	_, config := outage(t)
	startProcess(t, "--config", config)
	var stderr bytes.Buffer
	code := run(t.Context(), []string{"serve", "--config", config}, io.Discard, &stderr)
	if code != exitFailed || !strings.Contains(stderr.String(), "edgecache: node.data_dir: ") || !strings.Contains(stderr.String(), "another process") {
		t.Errorf("a second node on the same directory = %d:\n%s", code, stderr.String())
	}
	if code := run(t.Context(), []string{"check", "--config", config}, io.Discard, &stderr); code != 0 {
		t.Errorf("check beside a running node = %d:\n%s", code, stderr.String())
	}
}

func TestABrokenStoreDoesNotStopTheStart(t *testing.T) {
	upstream, config := outage(t)
	s := startServe(t, "--config", config, "--set", "node.data_dir="+filepath.Join(filepath.Dir(config), "data"))
	if status, body := s.request("GET", s.data+"/v1/services/web"); status != 200 {
		t.Fatalf("web: %d %s", status, body)
	}
	s.end(0)
	manifests, err := filepath.Glob(filepath.Join(filepath.Dir(config), "data", "store-000001", "MANIFEST-*"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("no MANIFEST: %v", err)
	}
	for _, path := range manifests {
		if err := os.WriteFile(path, bytes.Repeat([]byte{7}, 100), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = startServe(t, "--config", config, "--set", "node.data_dir="+filepath.Join(filepath.Dir(config), "data"))
	if got := s.status().Store; got == nil || got.State != "ok" {
		t.Errorf("store = %+v, want a fresh one", got)
	}
	if status, body := s.request("GET", s.data+"/v1/services/web"); status != 200 {
		t.Errorf("web: %d %s", status, body)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(config), "data", "store-000001.broken")); err != nil {
		t.Error(err)
	}
	upstream.Stop()
	s.end(0)
}

func TestANodeWithoutADiskSaysSo(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	config := files(t, "edgecache.yaml", twoPorts+"registries: []\n")
	s := startServe(t, "--config", config, "--set", "node.data_dir=")
	if !strings.Contains(s.log.String(), "no disk: node.data_dir is empty") {
		t.Errorf("the log does not say so:\n%s", s.log)
	}
	if got := s.status().Store; got != nil {
		t.Errorf("store = %+v, want none", got)
	}
	if status, body := s.post("/v1/invalidate", `{"all":true}`); status != 200 {
		t.Errorf("invalidate: %d %s", status, body)
	}
	if strings.Contains(s.log.String(), "durable=") {
		t.Errorf("it claims to be durable:\n%s", s.log)
	}
	if _, body := s.request("GET", s.base+"/metrics"); strings.Contains(body, "edgecache_store_") {
		t.Error("it has metrics of a store")
	}
	s.end(0)
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it wrote %v, %v", left, err)
	}
}

func TestCheckLooksAtTheDataDirectory(t *testing.T) {
	config := files(t, "edgecache.yaml", "registries: []\n", "file", "")
	dir := filepath.Dir(config)
	for _, path := range []string{filepath.Join(dir, "file"), filepath.Join(dir, "file", "below", "it")} {
		if code, errs := checkDataDir(t, config, path); code != exitFailed || !strings.Contains(errs, "node.data_dir: "+filepath.Join(dir, "file")+" is a file, a directory expected") {
			t.Errorf("check of %s = %d:\n%s", path, code, errs)
		}
	}
	if code, errs := checkDataDir(t, config, filepath.Join(dir, "new", "one")); code != 0 || strings.Contains(errs, "data_dir") {
		t.Errorf("check of a directory to be made = %d:\n%s", code, errs)
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("check made the directory: %v", err)
	}
}

func TestCheckWarnsOfADataDirectoryThatItsUserMayNotWrite(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write anywhere: the warning cannot be tried")
	}
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o500); err != nil {
		t.Fatal(err)
	}
	code, errs := checkDataDir(t, files(t, "edgecache.yaml", "registries: []\n"), filepath.Join(closed, "data"))
	if code != 0 || !strings.Contains(errs, "warning: node.data_dir: "+closed+" cannot be written by this user") {
		t.Errorf("check of a directory that may not be written = %d:\n%s", code, errs)
	}
}

func checkDataDir(t *testing.T, config, dataDir string) (code int, stderr string) {
	t.Helper()
	var errs bytes.Buffer
	code = run(t.Context(), []string{"check", "--config", config, "--set", "node.data_dir=" + dataDir}, io.Discard, &errs)
	return code, errs.String()
}

func TestStatusShowsTheStore(t *testing.T) {
	for _, tc := range []struct{ degraded, store, want string }{
		{`[]`, `{"state":"ok","bytes":3500,"limit":4294967296,"entries":1,"journal":12}`, "store: ok, 1 entry, 3.4KiB of 4GiB, 12 invalidations in the journal\n"},
		{`["registry consul down"]`, `{"state":"dead","bytes":0,"limit":4294967296,"entries":0,"journal":1,"error":"fsync: \u001b[31minput/output error"}`,
			"store: dead, 0 entries, 0B of 4GiB, 1 invalidation in the journal\nstore error: fsync: ?[31minput/output error\n"},
		{`["store full: no space left"]`, `{"state":"full","bytes":4294967296,"limit":4294967296,"entries":7,"journal":1,"error":"no space left"}`,
			"store: full, 7 entries, 4GiB of 4GiB, 1 invalidation in the journal\n"},
	} {
		node := newFakeNode(t, map[string]fakeAnswer{
			"GET /v1/status": {200, `{"node":"edge-1","version":"1.0","uptime_ms":61000,"ready":true,"degraded":` + tc.degraded + `,"synced":true,` +
				`"memory":{"entries":2,"bytes":3500,"limit":268435456},"store":` + tc.store + `,"lookups":{"hits":10}}`},
			"GET /v1/registries": {200, `{"registries":[]}`}, "GET /v1/plugins": {200, `{"plugins":[]}`}, "GET /v1/entries": {200, `{"entries":[]}`},
		})
		want := "memory: 2 entries, 3.4KiB of 256MiB\n" + tc.want + "lookups: 10 hits"
		for _, args := range [][]string{{"status"}, {"top", "--once", "--interval", "100ms"}} {
			if code, out, errs := command(t, node.URL, args...); code != 0 || !strings.Contains(out, want) {
				t.Errorf("%q = %d %s\n%s\nwant in it\n%s", args, code, errs, out, want)
			}
		}
	}
}
