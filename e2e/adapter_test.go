package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A polledRegistry is what the echo adapter (plugins/testdata/adapter) asks: a log
// of changes, from which polls go on.
type polledRegistry struct {
	url string

	mu      sync.Mutex        // protects the fields below
	now     map[string]string // JSON by name
	log     []string          // names that changed, in order
	begun   int               // polls without a cursor
	lookups int
}

func newPolledRegistry(t *testing.T) *polledRegistry {
	t.Helper()
	p := &polledRegistry{now: map[string]string{}}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

// put gives a service one instance.
func (p *polledRegistry) put(name, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now[name] = text(object{"name": name, "instances": []object{{"id": id, "address": "10.0.0.1", "port": 80}}})
	p.log = append(p.log, name)
}

func (p *polledRegistry) counts() (begun, lookups int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.begun, p.lookups
}

// ServeHTTP answers as echo.c expects.
func (p *polledRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if name, ok := strings.CutPrefix(r.URL.Path, "/s/"); ok {
		p.lookups++
		if p.now[name] == "" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, p.now[name])
		return
	}
	if r.URL.Path == "/names" {
		for name := range p.now {
			fmt.Fprintln(w, name)
		}
		return
	}
	from, err := strconv.Atoi(r.URL.Query().Get("from"))
	if err != nil {
		p.begun++
		for name, record := range p.now {
			fmt.Fprintf(w, "U %s %s\n", name, record)
		}
	} else {
		for _, name := range p.log[from:] {
			fmt.Fprintf(w, "U %s %s\n", name, p.now[name])
		}
	}
	fmt.Fprintf(w, "C %d\nW 100\n", len(p.log))
}

// has waits until a node answers fresh with one instance of that id.
func (n *node) has(name, id string) {
	n.t.Helper()
	n.awaits(name+" is "+id, "/v1/services/"+name, func(a *answer) bool { return a.status == http.StatusOK && !a.Stale && a.ids() == id })
}

// requests returns how many the node's adapter made.
func (n *node) requests() uint64 {
	n.t.Helper()
	a, err := try(http.MethodGet, n.admin+"/v1/plugins", "")
	if err != nil {
		n.t.Fatal(err)
	}
	var s struct {
		Plugins []struct {
			Kind     string
			Requests uint64
		}
	}
	if err := json.Unmarshal(a.body, &s); err != nil || len(s.Plugins) != 1 || s.Plugins[0].Kind != "adapter" {
		n.t.Fatalf("%v: %v", a, err)
	}
	return s.Plugins[0].Requests
}

// poller waits until one node has polled some times while the others did not, and
// returns its place.
func poller(t *testing.T, all []*node) (at int) {
	t.Helper()
	const times = 5
	before := make([]uint64, len(all))
	eventually(t, "one node polls", func() error {
		most, idle := uint64(0), 0
		for i, n := range all {
			made := n.requests() - before[i]
			if made > most {
				at, most = i, made
			}
			if made == 0 {
				idle++
			}
		}
		if most >= times && idle == len(all)-1 {
			return nil
		}
		if most >= times { // others made some too: count anew
			for i, n := range all {
				before[i] = n.requests()
			}
		}
		return fmt.Errorf("%d requests by one, none by %d", most, idle)
	})
	return at
}

func TestAnAdapterPollsOnOneNodeAndAnotherTakesOver(t *testing.T) {
	t.Parallel()
	p := newPolledRegistry(t)
	p.put("web", "one")
	module, err := filepath.Abs("../plugins/testdata/adapter/echo.wasm")
	if err != nil {
		t.Fatal(err)
	}
	ports := freePorts(t, 12)
	var all []*node
	for i := range 3 {
		all = append(all, launch(t, program, configure(t, fmt.Sprintf(`node: {name: edge-%d, data_dir: data}
http: {listen: "127.0.0.1:%s", drain: 0s}
admin: {listen: "127.0.0.1:%s"}
gossip: {peer_listen: "127.0.0.1:%s", listen: "127.0.0.1:%s", join: ["127.0.0.1:%s", "127.0.0.1:%s"]}
registries: [{name: echo, type: wasm, plugin: %q, config: {url: %q}, allow: [%q], poll: 100ms, ttl: 10m, rate: 0}]
`, i+1, ports[3+i], ports[6+i], ports[i], ports[9+i], ports[0], ports[1], module, p.url, p.url))))
	}
	for _, n := range all {
		n.serves()
		n.isSynced()
		n.has("web", "one")
	}
	owner := poller(t, all)
	_, before := p.counts()
	p.put("web", "two")
	for _, n := range all {
		n.has("web", "two")
	}
	if _, after := p.counts(); after != before {
		t.Errorf("%d lookups, though the change came with its record", after-before)
	}
	begun, _ := p.counts()
	all[owner].signal(syscall.SIGKILL)
	all[owner].gone()
	left := append(append([]*node{}, all[:owner]...), all[owner+1:]...)
	p.put("web", "three") // while nobody polls
	p.put("new", "one")
	for _, n := range left {
		n.has("web", "three")
		n.has("new", "one")
	}
	poller(t, left)
	if after, _ := p.counts(); after == begun {
		t.Error("the next owner did not begin anew")
	}
	p.put("web", "four")
	for _, n := range left {
		n.has("web", "four")
	}
}
