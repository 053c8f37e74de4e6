package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry/registrytest"
)

// A node is an edgecache process.
type node struct {
	t      *testing.T
	binary string
	config string // path of its configuration
	args   []string
	cmd    *exec.Cmd
	log    *logBuffer
	exited chan struct{} // closed at its end; then code is set
	code   int
	told   int // so much of the end of its log is shown if the test fails

	data, admin string // URLs of its ports
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

// loopback is the part of a configuration that puts a node on free ports.
const loopback = `node: {name: edge-1}
http: {listen: "127.0.0.1:0", drain: 0s}
admin: {listen: "127.0.0.1:0"}
`

// start runs a node by a configuration until the test ends. It must then end
// well.
func start(t *testing.T, config string, args ...string) *node {
	t.Helper()
	return startAt(t, program, configure(t, config), args...)
}

// configure writes a configuration to a directory of its own and returns its
// path.
func configure(t *testing.T, config string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "edgecache.yaml")
	writeFile(t, path, config)
	return path
}

var servingLine = regexp.MustCompile(`msg=serving .*http=(\S+) admin=(\S+)`)

func startAt(t *testing.T, binary, config string, args ...string) *node {
	t.Helper()
	n := launch(t, binary, config, args...)
	n.serves()
	return n
}

// launch runs a node and does not wait until it serves.
func launch(t *testing.T, binary, config string, args ...string) *node {
	t.Helper()
	n := &node{t: t, binary: binary, config: config, args: args, log: &logBuffer{}, exited: make(chan struct{}), told: 4000}
	n.cmd = exec.Command(binary, append([]string{"serve", "--config", config}, args...)...)
	n.cmd.Dir = filepath.Dir(config)
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(n.exited)
		_ = n.cmd.Wait() // the code tells
		n.code = n.cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		if !n.gone() {
			n.stop()
		}
		if t.Failed() {
			text := n.log.String()
			t.Logf("the node's log ends with:\n%s", text[max(0, len(text)-n.told):])
		}
	})
	return n
}

// serves waits until the node does and learns its ports.
func (n *node) serves() {
	n.t.Helper()
	eventually(n.t, "the node serves", func() error {
		if n.gone() {
			n.t.Fatalf("the node ended with %d:\n%s", n.code, n.log)
		}
		found := servingLine.FindStringSubmatch(n.log.String())
		if found == nil {
			return errors.New("no such line in its log")
		}
		n.data, n.admin = "http://"+found[1], "http://"+found[2]
		return nil
	})
}

func (n *node) gone() bool {
	select {
	case <-n.exited:
		return true
	default:
		return false
	}
}

func (n *node) signal(s syscall.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.t.Errorf("signal %v: %v", s, err)
	}
}

// stop ends the node as an operator does and expects code 0.
func (n *node) stop() {
	n.t.Helper()
	n.signal(syscall.SIGTERM)
	n.end()
	if n.code != 0 {
		n.t.Errorf("the node ended with %d, want 0; its log:\n%s", n.code, n.log)
	}
}

// end waits for the end of the process.
func (n *node) end() {
	n.t.Helper()
	select {
	case <-n.exited:
	case <-time.After(deadline):
		_ = n.cmd.Process.Kill()
		<-n.exited
		n.t.Fatal("the node did not end")
	}
}

// An answer is what came back for one request.
type answer struct {
	status int
	header http.Header
	body   []byte

	Name       string     `json:"name"`
	Registry   string     `json:"registry"`
	Index      uint64     `json:"index"`
	AgeMS      int64      `json:"age_ms"`
	Stale      bool       `json:"stale"`
	Complete   bool       `json:"complete"`
	Cursor     string     `json:"cursor"`
	Instances  []instance `json:"instances"`
	Services   []nameRow  `json:"services"`
	Type       string     `json:"type"`   // of a problem
	Detail     string     `json:"detail"` // of a problem
	Ready      bool       `json:"ready"`
	Degraded   []string   `json:"degraded"`
	Store      *diskState `json:"store"` // of the node's status
	Registries []struct {
		Name, State, Breaker string
		Watch                struct{ Live int }
		Calls, Failures      int
		LastError            string `json:"last_error"`
	} `json:"registries"`
}

// A diskState is the state of a node's store.
type diskState struct {
	State   string `json:"state"`
	Bytes   int64  `json:"bytes"`
	Limit   int64  `json:"limit"`
	Entries int    `json:"entries"`
	Journal int    `json:"journal"`
	Error   string `json:"error"`
}

type instance struct {
	ID       string            `json:"id"`
	Address  string            `json:"address"`
	Port     int               `json:"port"`
	Health   string            `json:"health"`
	Tags     []string          `json:"tags"`
	Metadata map[string]string `json:"metadata"`
}

type nameRow struct {
	Name, Registry, Kind string
}

func (a *answer) String() string {
	return fmt.Sprintf("%d [%s] %.400s", a.status, a.header.Get("Cache-Status"), a.body)
}

// ids are those of the instances.
func (a *answer) ids() string {
	var ids []string
	for _, in := range a.Instances {
		ids = append(ids, in.ID)
	}
	return strings.Join(ids, " ")
}

func (a *answer) detail(word string) bool {
	return strings.Contains(a.header.Get("Cache-Status"), word)
}

// try sends a request; an error is one of the connection or of a JSON object.
func try(method, url, body string) (*answer, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := browser.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	a := &answer{status: res.StatusCode, header: res.Header}
	if a.body, err = io.ReadAll(res.Body); err != nil {
		return nil, err
	}
	if strings.Contains(res.Header.Get("Content-Type"), "json") && bytes.HasPrefix(a.body, []byte("{")) {
		err = json.Unmarshal(a.body, a)
	}
	return a, err
}

func (n *node) get(path string) *answer {
	n.t.Helper()
	a, err := try(http.MethodGet, n.data+path, "")
	if err != nil {
		n.t.Fatal(err)
	}
	return a
}

func (n *node) ask(method, path, body string) *answer {
	n.t.Helper()
	a, err := try(method, n.admin+path, body)
	if err != nil {
		n.t.Fatal(err)
	}
	return a
}

// awaits polls a path until its answer is as wanted, and returns it.
func (n *node) awaits(what, path string, ok func(a *answer) bool) *answer {
	n.t.Helper()
	var a *answer
	eventually(n.t, what, func() error {
		var err error
		if a, err = try(http.MethodGet, n.data+path, ""); err != nil {
			return err
		}
		if !ok(a) {
			return errors.New(a.String())
		}
		return nil
	})
	return a
}

// metric returns the value of a line of /metrics, 0 if there is none.
func (n *node) metric(line string) (value float64) {
	n.t.Helper()
	for row := range strings.Lines(string(n.ask(http.MethodGet, "/metrics", "").body)) {
		if rest, ok := strings.CutPrefix(row, line+" "); ok {
			if _, err := fmt.Sscan(rest, &value); err != nil {
				n.t.Fatal(err)
			}
		}
	}
	return value
}

// eventually tries until there is no error.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	end := time.Now().Add(deadline)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s: %v", what, deadline, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	next := path + ".next" // renamed: nobody sees half of it
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

// freePorts returns ports that nobody listens on now.
func freePorts(t testing.TB, n int) []string {
	t.Helper()
	ports, err := registrytest.FreePorts(n)
	if err != nil {
		t.Fatal(err)
	}
	return ports
}
