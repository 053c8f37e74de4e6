package e2e_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry/consul/consultest"
)

// crowd asks for a path with n callers at once and counts the statuses.
func crowd(t *testing.T, n int, url string) map[int]int {
	t.Helper()
	var mu sync.Mutex // protects statuses
	statuses := map[int]int{}
	var callers sync.WaitGroup
	begin := make(chan struct{})
	for range n {
		callers.Go(func() {
			<-begin
			a, err := try(http.MethodGet, url, "")
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			statuses[a.status]++
		})
	}
	close(begin)
	callers.Wait()
	return statuses
}

// A gate counts the calls for one path prefix, blocking queries apart, and
// holds each back.
type gate struct {
	mu                 sync.Mutex // protects the fields below
	lookups, followers map[string]int
	delay              time.Duration
}

func (g *gate) pass(w http.ResponseWriter, r *http.Request, next http.Handler) {
	g.mu.Lock()
	if r.URL.Query().Get("index") == "" {
		g.lookups[r.URL.Path]++
	} else {
		g.followers[r.URL.Path]++
	}
	delay := g.delay
	g.mu.Unlock()
	select {
	case <-time.After(delay):
		next.ServeHTTP(w, r)
	case <-r.Context().Done():
	}
}

func TestAThousandFirstLookupsAreOneCall(t *testing.T) {
	t.Parallel()
	const callers = 1000
	c := consultest.New("127.0.0.1:0")
	c.Put(consultest.Instance{ID: "web-1", Name: "web", Address: "10.0.0.1", Port: 80})
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	g := &gate{lookups: map[string]int{}, followers: map[string]int{}, delay: 2 * time.Second}
	config := loopback + `cache: {negative_ttl: 20s}
registries:
  - {name: consul, type: consul, address: ["` + c.URL() + `"], timeout: 10s, services: ["web", "ghost"]}
`
	c.SetFault(g.pass)
	n := start(t, config, "--set", "http.timeout=20s", "--set", "http.limits.read=1m")
	eventually(t, "the first list of names ended", func() error {
		if g.count(g.lookups, "/v1/catalog/services") == 0 || n.metric(`edgecache_cache_flights`) > 0 {
			return fmt.Errorf("not yet")
		}
		return nil
	})

	if got := crowd(t, callers, n.data+"/v1/services/web"); got[200] != callers {
		t.Errorf("statuses %v, want %d times 200", got, callers)
	}
	if n := g.count(g.lookups, "/v1/health/service/web"); n > 2 { // the second begins the watch
		t.Errorf("%d calls for web, want one and that of its watch", n)
	}
	eventually(t, "one watch follows web", func() error {
		if live := n.metric("edgecache_cache_watches"); live != 1 || g.count(g.followers, "/v1/health/service/web") == 0 {
			return fmt.Errorf("%v watches", live)
		}
		return nil
	})
	if got := crowd(t, callers, n.data+"/v1/services/ghost"); got[404] != callers {
		t.Errorf("statuses of a name that does not exist %v, want %d times 404", got, callers)
	}
	if n := g.count(g.lookups, "/v1/health/service/ghost"); n > 1 {
		t.Errorf("%d calls for a name that does not exist, want at most one", n)
	}
	if f := g.count(g.followers, "/v1/health/service/ghost"); f != 0 {
		t.Errorf("a name that does not exist is watched: %d calls", f)
	}
}

func (g *gate) count(of map[string]int, path string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return of[path]
}

// A registry without a list of names has to be asked for each.
func TestAThousandLookupsOfNothingAreOneCall(t *testing.T) {
	t.Parallel()
	const callers = 1000
	u := newUpstream(t)
	u.setFault(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(2 * time.Second) // the slow registry itself
		u.answer(w, r)
	})
	n := start(t, loopback+`cache: {negative_ttl: 12s, jitter: 0%}
registries: [{name: catalog, type: httpjson, address: "`+u.URL+`", path: "/s/{name}", timeout: 10s}]
`, "--set", "http.timeout=20s", "--set", "http.limits.read=1m")
	if got := crowd(t, callers, n.data+"/v1/services/ghost"); got[404] != callers || u.count("/s/ghost") != 1 {
		t.Errorf("statuses %v after %d calls, want %d times 404 after one", got, u.count("/s/ghost"), callers)
	}
	a := n.get("/v1/services/ghost")
	if a.status != 404 || !a.detail("negative") || u.count("/s/ghost") != 1 {
		t.Errorf("%v after %d calls, want a negative answer without another", a, u.count("/s/ghost"))
	}
	u.set("ghost", "ghost-1")
	u.setFault(nil)
	n.awaits("the negative answer has passed", "/v1/services/ghost", func(a *answer) bool { return a.ids() == "ghost-1" })
	if got := crowd(t, callers, n.data+"/v1/services/ghost"); got[200] != callers {
		t.Errorf("statuses %v, want %d times 200", got, callers)
	}
}
