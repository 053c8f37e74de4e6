package consul_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/consul"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// binary returns the path of a real Consul, or ends the test.
func binary(t testing.TB) string {
	t.Helper()
	path, err := filepath.Abs("../../.tools/consul/usr/bin/consul")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		return path
	}
	const why = "no Consul in .tools/consul: run scripts/install-consul"
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
	return ""
}

// An agent is a real Consul in development mode: its catalog lives in memory
// and ends with it.
type agent struct {
	t     testing.TB
	path  string
	ports []string // http, server, serf lan, serf wan
	log   *os.File
	cmd   *exec.Cmd
	http  http.Client

	mu       sync.Mutex                     // protects the fields below
	services map[string][]registry.Instance // what the suite put
	down     bool                           // cut off: changes wait for the repair
}

func startAgent(t testing.TB) *agent {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "consul.log"))
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{t: t, path: binary(t), ports: freePorts(t, 4), log: log, services: map[string][]registry.Instance{},
		http: http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}}
	a.start()
	t.Cleanup(func() {
		a.kill()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("Consul's log ends with:\n%s", text[max(0, len(text)-2000):])
		}
		_ = log.Close()
	})
	// After a restart the index is then always lower than before.
	for n := range 40 {
		a.register(registration{"Node": "bump", "Address": "10.1.1.1", "NodeMeta": map[string]string{"n": fmt.Sprint(n)}})
	}
	return a
}

func freePorts(t testing.TB, n int) []string {
	t.Helper()
	ports, err := registrytest.FreePorts(n)
	if err != nil {
		t.Fatal(err)
	}
	return ports
}

func (a *agent) start() {
	a.t.Helper()
	a.cmd = exec.Command(a.path, "agent", "-dev", "-node", "real", "-bind", "127.0.0.1", "-http-port", a.ports[0],
		"-server-port", a.ports[1], "-serf-lan-port", a.ports[2], "-serf-wan-port", a.ports[3], "-dns-port", "-1", "-grpc-port", "-1")
	a.cmd.Stdout, a.cmd.Stderr = a.log, a.log
	if err := a.cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	for end := time.Now().Add(3 * deadline); ; time.Sleep(20 * time.Millisecond) {
		res, err := a.http.Get(a.url() + "/v1/health/service/consul")
		if err == nil {
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if res.StatusCode == http.StatusOK && bytes.Contains(body, []byte("serfHealth")) {
				return
			}
		}
		if time.Now().After(end) {
			a.t.Fatal("Consul does not come up")
		}
	}
}

func (a *agent) kill() {
	_ = a.cmd.Process.Kill()
	_ = a.cmd.Wait() // reports the kill
}

func (a *agent) url() string { return "http://127.0.0.1:" + a.ports[0] }

func (a *agent) options() consul.Options {
	return consul.Options{Name: "consul", Address: registry.Strings{a.url()}, Timeout: deadline}
}

// put sends one write of the API.
func (a *agent) send(path string, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		a.t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPut, a.url()+path, bytes.NewReader(data))
	if err != nil {
		a.t.Fatal(err)
	}
	res, err := a.http.Do(req)
	if err != nil {
		a.t.Error(err)
		return
	}
	defer res.Body.Close()
	if text, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
		a.t.Errorf("PUT %s: %s: %s", path, res.Status, text)
	}
}

// A registration is the body of a write to the catalog, which is done when it
// returns; a write to the agent is only begun.
type registration map[string]any

func (a *agent) register(r registration) { a.send("/v1/catalog/register", r) }

func (a *agent) putService(name string, list []registry.Instance) {
	node := "node-" + name
	var keep []string
	for _, in := range list {
		e := in.Main()
		keep = append(keep, in.ID)
		a.register(registration{"Node": node, "Address": "10.9.9.9",
			"Service": map[string]any{"ID": in.ID, "Service": name, "Address": e.Address, "Port": e.Port}})
	}
	res, err := a.http.Get(a.url() + "/v1/catalog/node/" + url.PathEscape(node))
	if err != nil {
		a.t.Error(err)
		return
	}
	defer res.Body.Close()
	var have struct{ Services map[string]any }
	if err := json.NewDecoder(res.Body).Decode(&have); err != nil {
		a.t.Error(err)
	}
	for id := range have.Services {
		if !slices.Contains(keep, id) {
			a.send("/v1/catalog/deregister", registration{"Node": node, "ServiceID": id})
		}
	}
}

// set does for the suite what Put and Remove say: at once, or by the repair.
func (a *agent) set(name string, list []registry.Instance) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.services[name] = list; !a.down {
		a.putService(name, list)
	}
}

func (a *agent) setDown(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.down = down; !down {
		a.restoreLocked()
	}
}

func (a *agent) restoreLocked() {
	for name, list := range a.services {
		a.putService(name, list)
	}
}

// reset restarts Consul: its index begins again. Then it learns anew what was
// put.
func (a *agent) reset(remove ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kill()
	for _, name := range remove {
		delete(a.services, name)
	}
	a.start()
	a.restoreLocked()
}

// clear takes away what the suite put.
func (a *agent) clear() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name := range a.services {
		a.send("/v1/catalog/deregister", registration{"Node": "node-" + name})
	}
	clear(a.services)
}

// A proxy passes connections on and can be cut, which is quicker than killing
// an agent.
type proxy struct {
	t       testing.TB
	to      string
	addr    string
	mu      sync.Mutex // protects the fields below
	l       net.Listener
	conns   map[net.Conn]bool
	running sync.WaitGroup
}

func (p *proxy) start() {
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		p.t.Error(err)
		return
	}
	p.mu.Lock()
	p.l, p.addr, p.conns = l, l.Addr().String(), map[net.Conn]bool{}
	p.mu.Unlock()
	p.running.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			p.running.Go(func() { p.pass(in) })
		}
	})
}

func (p *proxy) pass(in net.Conn) {
	defer in.Close()
	out, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer out.Close()
	p.mu.Lock()
	if p.l == nil { // cut meanwhile
		p.mu.Unlock()
		return
	}
	p.conns[in], p.conns[out] = true, true
	p.mu.Unlock()
	var back sync.WaitGroup
	back.Go(func() { _, _ = io.Copy(in, out); _ = in.Close(); _ = out.Close() })
	_, _ = io.Copy(out, in)
	_, _ = out.Close(), in.Close()
	back.Wait()
}

func (p *proxy) cut() {
	p.mu.Lock()
	if p.l != nil {
		_ = p.l.Close()
		p.l = nil
	}
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
}

// names leaves out the service that Consul registers of itself.
func names(list []string) []string {
	return slices.DeleteFunc(list, func(n string) bool { return n == "consul" || strings.HasPrefix(n, "bump") })
}
