package e2e_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// quick are windows short enough that a test sees them pass.
const quick = `cache: {ttl: 1s, negative_ttl: 1s, recheck: {min: 100ms, max: 500ms}, empty: {confirm: 3, grace: 1500ms}}
`

// registryState returns one registry as the node sees it.
func (n *node) registryState(name string) (state, breaker string, live int) {
	n.t.Helper()
	for _, r := range n.ask(http.MethodGet, "/v1/registries", "").Registries {
		if r.Name == name {
			return r.State, r.Breaker, r.Watch.Live
		}
	}
	n.t.Fatalf("no registry %s", name)
	return "", "", 0
}

func TestConsulKilledAndBackWithoutItsCatalog(t *testing.T) {
	t.Parallel()
	c := startConsul(t)
	for i := range 30 { // so that its index is lower after the restart
		c.register("bump", "bump", i+1)
	}
	c.register("web", "web-1", 80)
	c.register("lost", "lost-1", 80)
	path := filepath.Join(t.TempDir(), "services.yaml")
	writeFile(t, path, "services: [{name: static, instances: [{id: static-1, address: 10.1.0.1, port: 80}]}]\n")
	n := start(t, loopback+quick+fmt.Sprintf(`registries:
  - {name: consul, type: consul, address: ["%s"], timeout: 1s, retries: 0}
  - {name: files, type: file, path: %s}
`, c.url(), path))
	for _, name := range []string{"web", "lost", "static"} {
		n.awaits(name+" is served", "/v1/services/"+name, func(a *answer) bool { return a.ids() == name+"-1" && !a.Stale })
	}
	eventually(t, "both are watched", func() error {
		if _, _, live := n.registryState("consul"); live < 2 {
			return fmt.Errorf("%d watches live", live)
		}
		return nil
	})

	c.kill()
	first := n.awaits("stale, for the registry is down", "/v1/services/web", func(a *answer) bool {
		return a.Stale && a.detail("stale-if-error")
	})
	if first.status != 200 || first.ids() != "web-1" {
		t.Errorf("without Consul: %v", first)
	}
	n.awaits("the age grows", "/v1/services/web", func(a *answer) bool { return a.Stale && a.AgeMS > first.AgeMS+500 })
	ready := n.awaits("the node is degraded", "/readyz", func(a *answer) bool { return len(a.Degraded) > 0 })
	if ready.status != 200 || !ready.Ready || !strings.Contains(ready.Degraded[0], "registry consul down") {
		t.Errorf("readyz: %v", ready)
	}
	if a := n.get("/v1/services/static"); a.status != 200 || a.Stale || a.AgeMS > 30_000 {
		t.Errorf("another registry's service: %v", a)
	}
	if a := n.get("/v1/services/never-asked"); a.status != 502 && a.status != 504 && a.status != 404 {
		t.Errorf("an unknown name during the outage: %v", a)
	}

	c.start()
	unconfirmed := false
	n.awaits("lost is gone, as its emptiness is confirmed", "/v1/services/lost", func(a *answer) bool {
		unconfirmed = unconfirmed || a.status == 200 && a.Stale && a.detail("empty-unconfirmed")
		return a.status == 404
	})
	if !unconfirmed {
		t.Error("lost was given up without having been served unconfirmed")
	}
	c.register("web", "web-2", 81)
	back := n.awaits("web is fresh again", "/v1/services/web", func(a *answer) bool { return !a.Stale && a.ids() == "web-2" })
	n.awaits("the node is whole again", "/readyz", func(a *answer) bool { return len(a.Degraded) == 0 })

	eventually(t, "web is watched again", func() error {
		if _, _, live := n.registryState("consul"); live < 1 {
			return fmt.Errorf("%d watches live", live)
		}
		return nil
	})
	changed := make(chan *answer, 1)
	go func() {
		a, err := try(http.MethodGet, fmt.Sprintf("%s/v1/services/web?index=%d&wait=20s", n.data, back.Index), "")
		if err != nil {
			t.Error(err)
		}
		changed <- a
	}()
	c.register("web", "web-3", 82)
	if a := <-changed; a == nil || a.ids() != "web-2 web-3" || a.Stale {
		t.Errorf("after the change: %v", a)
	}
}

func TestOneEmptyAnswerIsNotBelieved(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.set("web", "web-1")
	n := start(t, loopback+quick+`registries: [{name: catalog, type: httpjson, address: "`+u.URL+`", path: "/s/{name}"}]
`)
	for _, vanish := range []struct {
		how   string
		apply func()
		gone  func(a *answer) bool
	}{
		{"no instances", func() { u.set("web", []string{}...) }, func(a *answer) bool { return a.status == 200 && len(a.Instances) == 0 }},
		{"404", func() { u.remove("web") }, func(a *answer) bool { return a.status == 404 }},
	} {
		t.Run(vanish.how, func(t *testing.T) {
			u.set("web", "web-1")
			before := n.awaits("web is served", "/v1/services/web", func(a *answer) bool { return a.ids() == "web-1" && !a.Stale })

			vanish.apply() // once
			n.awaits("the empty answer is held back", "/v1/services/web", func(a *answer) bool {
				if a.ids() != "web-1" {
					t.Fatalf("one empty answer was believed: %v", a)
				}
				return a.Stale && a.detail("empty-unconfirmed")
			})
			u.set("web", "web-1")
			after := n.awaits("it was a mistake", "/v1/services/web", func(a *answer) bool { return !a.Stale })
			if after.ids() != "web-1" || after.Index != before.Index {
				t.Errorf("after the mistake: %v, want index %d", after, before.Index)
			}

			calls := u.count("/s/web")
			vanish.apply() // for good
			n.awaits("it is confirmed", "/v1/services/web", vanish.gone)
			if asked := u.count("/s/web") - calls; asked < 3 {
				t.Errorf("believed after %d answers, want 3", asked)
			}
		})
	}
}

func TestADeregisteredServiceIsGoneAtOnce(t *testing.T) {
	t.Parallel()
	c := startConsul(t)
	c.register("web", "web-1", 80)
	// The empty rule alone would keep it for an hour.
	n := start(t, loopback+`cache: {empty: {confirm: 3, grace: 1h}}
registries: [{name: consul, type: consul, address: ["`+c.url()+`"]}]
`)
	n.awaits("web is served", "/v1/services/web", func(a *answer) bool { return a.ids() == "web-1" })
	s := follow(t, n.data+"/v1/watch?service=web", "")
	s.until("synced", "")
	eventually(t, "web is watched", func() error {
		if _, _, live := n.registryState("consul"); live < 1 {
			return fmt.Errorf("%d watches live", live)
		}
		return nil
	})
	c.deregister("web-1")
	s.until("delete", "web")
	if a := n.get("/v1/services/web"); a.status != 404 {
		t.Errorf("after the deregistration: %v", a)
	}
	c.register("web", "web-2", 80)
	if e := s.until("upsert", "web"); !strings.Contains(e.data, "web-2") {
		t.Errorf("it came back as %s", e.data)
	}
}
