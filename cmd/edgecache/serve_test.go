package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	twoPorts = "node: {name: edge-1}\nhttp: {listen: \"127.0.0.1:0\", drain: 0s}\nadmin: {listen: \"127.0.0.1:0\"}\n"
	webFile  = "services:\n  - {name: web, instances: [{id: web-1, address: 10.0.0.1, port: 80}]}\n"
)

// A served is a node that `serve` runs.
type served struct {
	t          *testing.T
	http       *http.Client
	log        *logBuffer
	data, base string // URLs of the data and the admin port
	stop       context.CancelFunc
	exit       chan int
}

// logBuffer is a buffer that may be read while it is written.
type logBuffer struct {
	mu sync.Mutex // protects b
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var servingLine = regexp.MustCompile(`msg=serving .*http=(\S+) admin=(\S+)`)

// startServe runs `serve` until the test ends. Its data is in a directory of
// the test's, unless it runs without a configuration.
func startServe(t *testing.T, args ...string) *served {
	t.Helper()
	if len(args) > 0 && args[0] == "--config" {
		args = append([]string{"--set", "node.data_dir=" + t.TempDir()}, args...) // a later one wins
	}
	ctx, stop := context.WithCancel(context.Background())
	s := newServed(t)
	s.stop = stop
	go func() { s.exit <- run(ctx, append([]string{"serve"}, args...), io.Discard, s.log) }()
	t.Cleanup(func() { s.end(0) })
	s.waitServing()
	return s
}

func newServed(t *testing.T) *served {
	return &served{
		t: t, log: &logBuffer{}, exit: make(chan int, 1),
		http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second},
	}
}

func (s *served) waitServing() {
	s.t.Helper()
	defer func() {
		if s.t.Failed() {
			s.t.Logf("its log:\n%s", s.log)
		}
	}()
	waitUntil(s.t, "serving", func() bool {
		found := servingLine.FindStringSubmatch(s.log.String())
		if found != nil {
			s.data, s.base = "http://"+found[1], "http://"+found[2]
		}
		return found != nil
	})
}

// end stops the node and checks its exit code.
func (s *served) end(want int) {
	s.t.Helper()
	s.stop()
	select {
	case code := <-s.exit:
		if code != want {
			s.t.Errorf("serve returned %d, want %d; log:\n%s", code, want, s.log)
		}
		s.exit <- code
	case <-time.After(20 * time.Second):
		s.t.Fatalf("serve did not end; log:\n%s", s.log)
	}
}

func (s *served) request(method, url string) (status int, body string) {
	s.t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := s.http.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// waitUntil waits until ok.
func waitUntil(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not %s in time", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// files writes files into a new directory and returns the first one's path.
func files(t *testing.T, nameAndText ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(nameAndText); i += 2 {
		writeFile(t, filepath.Join(dir, nameAndText[i]), strings.ReplaceAll(nameAndText[i+1], "DIR", dir))
	}
	return filepath.Join(dir, nameAndText[0])
}

func TestServeAnswersLookupsAndDrains(t *testing.T) {
	config := files(t, "edgecache.yaml", twoPorts+"registries: [{name: files, type: file, path: DIR/web.yaml}]\n", "web.yaml", webFile)
	s := startServe(t, "--config", config, "--set", "http.drain=400ms")
	if status, body := s.request("GET", s.data+"/v1/services/web"); status != 200 || !strings.Contains(body, `"web-1"`) {
		t.Errorf("lookup: %d %s", status, body)
	}
	waitUntil(t, "ready", func() bool { status, _ := s.request("GET", s.data+"/readyz"); return status == 200 })
	s.stop()
	waitUntil(t, "unready while draining", func() bool { status, _ := s.request("GET", s.data+"/readyz"); return status == 503 })
	if status, _ := s.request("GET", s.data+"/v1/services/web"); status != 200 {
		t.Errorf("lookup while draining: %d, want 200", status)
	}
	s.end(0)
	if status, body := s.request("GET", s.data+"/readyz"); status != 0 {
		t.Errorf("still answers after the end: %d %s", status, body)
	}
}

func TestServeWithoutConfigurationServesTheSample(t *testing.T) {
	t.Chdir(t.TempDir())
	s := startServe(t, "--set", "http.listen=127.0.0.1:0", "--set", "admin.listen=127.0.0.1:0", "--set", "http.drain=0s")
	if status, body := s.request("GET", s.data+"/v1/services/example"); status != 200 || !strings.Contains(body, "example-2") {
		t.Errorf("lookup: %d %s", status, body)
	}
	if text, err := os.ReadFile("services.yaml"); err != nil || !bytes.Equal(text, servicesSample) {
		t.Errorf("services.yaml: %v\n%s", err, text)
	}
	if !strings.Contains(s.log.String(), "a sample written just now") {
		t.Errorf("the log does not tell of the sample:\n%s", s.log)
	}
	if info, err := os.Stat("data"); err != nil || !info.IsDir() {
		t.Errorf("the default of node.data_dir is not in use: %v", err)
	}
	s.end(0)
}

func TestServeStartsWithoutAServicesFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Symlink("nowhere/services.yaml", "services.yaml"); err != nil { // cannot be created, not even by root
		t.Fatal(err)
	}
	s := startServe(t, "--set", "http.listen=127.0.0.1:0", "--set", "admin.listen=127.0.0.1:0", "--set", "http.drain=0s")
	if !strings.Contains(s.log.String(), "starting empty") {
		t.Errorf("the log does not say so:\n%s", s.log)
	}
	if status, _ := s.request("GET", s.data+"/healthz"); status != 200 {
		t.Errorf("healthz: %d", status)
	}
	s.end(0)
}

func TestAnAddressInUseNamesTheKey(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	config := files(t, "edgecache.yaml", twoPorts+"registries: [{name: files, type: file, path: DIR/web.yaml}]\n", "web.yaml", webFile)
	var stderr bytes.Buffer
	code := run(t.Context(), []string{"serve", "--config", config, "--set", "node.data_dir=" + t.TempDir(),
		"--set", "admin.listen=" + taken.Addr().String()}, io.Discard, &stderr)
	if code != exitFailed || !strings.Contains(stderr.String(), "set admin.listen to a free one") {
		t.Errorf("exit %d, stderr:\n%s", code, stderr.String())
	}
}

func TestReloadSwapsRegistriesAndLogLevel(t *testing.T) {
	before := twoPorts + "registries: [{name: files, type: file, path: DIR/web.yaml}]\n"
	config := files(t, "edgecache.yaml", before, "web.yaml", webFile, "api.yaml", strings.ReplaceAll(webFile, "web", "api"))
	dir := filepath.Dir(config)
	s := startServe(t, "--config", config)
	if status, body := s.request("GET", s.data+"/v1/services/api"); status != 404 {
		t.Errorf("lookup of api before: %d %s", status, body)
	}
	writeFile(t, config, twoPorts+"log: {level: debug, format: json}\nregistries: [{name: more, type: file, path: "+dir+"/api.yaml}]\n")
	if status, body := s.request("POST", s.base+"/v1/config/reload"); status != 200 {
		t.Fatalf("reload: %d %s", status, body)
	}
	if status, body := s.request("GET", s.data+"/v1/services/api"); status != 200 {
		t.Errorf("lookup of api after: %d %s", status, body)
	}
	if status, body := s.request("GET", s.data+"/v1/services/web"); status != 404 {
		t.Errorf("lookup of web, whose registry is gone: %d %s", status, body)
	}
	if !strings.Contains(s.log.String(), `"level":"INFO"`) {
		t.Errorf("the log is not JSON after the reload:\n%s", s.log)
	}
	if _, body := s.request("GET", s.base+"/metrics"); !strings.Contains(body, `edgecache_node_reloads_total{result="done"} 1`) {
		t.Error("the reload was not counted")
	}
	s.end(0)
}

func TestReloadRefusesMistakesAndFixedKeys(t *testing.T) {
	before := twoPorts + "registries: [{name: files, type: file, path: DIR/web.yaml}]\n"
	config := files(t, "edgecache.yaml", before, "web.yaml", webFile)
	s := startServe(t, "--config", config)
	for _, c := range []struct {
		text  string
		wants []string
	}{
		{"cache: {tll: 1s}\nlog: {level: loud}\n", []string{"did you mean ttl?", "log.level"}},
		{strings.ReplaceAll(twoPorts, "drain: 0s", "drain: 9s"), []string{"http.drain", "needs a restart"}},
		{twoPorts + "store: {max_bytes: 1GiB, min_free: 1%}\n", []string{"store.max_bytes: changed from 4GiB to 1GiB; this needs a restart", "store.min_free: changed from 5%"}},
	} {
		writeFile(t, config, c.text)
		status, body := s.request("POST", s.base+"/v1/config/reload")
		if status != 422 || !strings.Contains(body, "urn:edgecache:bad-config") {
			t.Errorf("reload: %d %s", status, body)
		}
		for _, want := range c.wants {
			if !strings.Contains(body, want) {
				t.Errorf("%q is missing in %s", want, body)
			}
		}
	}
	if status, body := s.request("GET", s.data+"/v1/services/web"); status != 200 {
		t.Errorf("lookup after refused reloads: %d %s", status, body)
	}
	s.end(0)
}

func TestHangupReloads(t *testing.T) {
	config := files(t, "edgecache.yaml", twoPorts+"registries: [{name: files, type: file, path: DIR/web.yaml}]\n", "web.yaml", webFile)
	s := startServe(t, "--config", config)
	writeFile(t, config, twoPorts+"log: {format: json}\nregistries: []\n")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "reloaded", func() bool { return strings.Contains(s.log.String(), `"msg":"configuration reloaded"`) })
	s.end(0)
}

func TestUsageMistakesExitWithTwo(t *testing.T) {
	for _, args := range [][]string{{"nonsense"}, {"serve", "extra"}, {"check", "--no-such-flag"}, {"serve", "--set"}, {"version", "x"}} {
		var stderr bytes.Buffer
		if code := run(t.Context(), args, io.Discard, &stderr); code != exitUsage {
			t.Errorf("%q: exit %d, want %d; stderr: %s", args, code, exitUsage, stderr.String())
		}
	}
}

func TestVersionAndCompletionPrint(t *testing.T) {
	for args, want := range map[string]string{"version": "edgecache ", "completion bash": "__start_edgecache", "help": "serve"} {
		var stdout bytes.Buffer
		if code := run(t.Context(), strings.Fields(args), &stdout, io.Discard); code != 0 || !strings.Contains(stdout.String(), want) {
			t.Errorf("%s: exit %d, stdout: %.200s", args, code, stdout.String())
		}
	}
}
