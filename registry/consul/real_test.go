package consul_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/consul"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// others is a source whose lists leave out what Consul registers of itself.
type others struct{ *consul.Source }

func (s others) List(ctx context.Context) ([]string, error) {
	list, err := s.Source.List(ctx)
	return names(list), err
}

func (s others) WatchList(ctx context.Context, emit func([]string)) error {
	return s.Source.WatchList(ctx, func(list []string) { emit(names(list)) })
}

func TestConformsOverRealConsul(t *testing.T) {
	a := startAgent(t)
	registrytest.Run(t, registrytest.Harness{Deadline: 30 * time.Second, Alive: 3 * time.Second, Open: func(t testing.TB) registrytest.Upstream {
		a.clear()
		p := &proxy{t: t, to: "127.0.0.1:" + a.ports[0], addr: "127.0.0.1:0"}
		p.start()
		o := a.options()
		o.Address, o.Wait, o.Documents = registry.Strings{"http://" + p.addr}, time.Second, true
		src, err := consul.New(o)
		if err != nil {
			t.Fatal(err)
		}
		return registrytest.Upstream{
			Source: others{src},
			Put:    func(name string, list ...registry.Instance) { a.set(name, list) },
			Remove: func(name string) { a.set(name, nil) },
			Break:  func() { a.setDown(true); p.cut() },
			Repair: func() { a.setDown(false); p.start() },
			Reset:  a.reset,
			Close:  func() { p.cut(); _ = src.Close() },
		}
	}})
}

func TestAgentOfRealConsulIsFollowed(t *testing.T) {
	a := startAgent(t)
	src := open(t, a.options())
	r := watch(t, src, registry.Revision{}, "web")
	r.kinds(registry.EventSynced)
	seen := func(what string, ok func(registry.Event) bool) registry.Event {
		t.Helper()
		events := r.await(what, func(all []registry.Event) bool { return ok(all[len(all)-1]) })
		return events[len(events)-1]
	}
	health := func(h registry.Health, weight uint32) func(registry.Event) bool {
		return func(e registry.Event) bool {
			return e.Kind == registry.EventUpsert && len(e.Record.Instances) == 1 && e.Record.Instances[0].Health == h && e.Record.Instances[0].Weight == weight
		}
	}
	a.send("/v1/agent/service/register", map[string]any{"ID": "web-1", "Name": "web", "Address": "10.0.0.1", "Port": 80, "Tags": []string{"v1"},
		"TaggedAddresses": map[string]any{"wan": map[string]any{"Address": "1.2.3.4", "Port": 8080}},
		"Weights":         map[string]int{"Passing": 5, "Warning": 2}, "Check": map[string]string{"CheckID": "c1", "TTL": "10m", "Status": "passing"}})
	e := seen("passing", health(registry.HealthPassing, 500))
	in := e.Record.Instances[0]
	if i := in.Endpoint("wan"); i < 0 || in.Endpoints[i].Port != 8080 || in.Node != "real" || in.Region != "dc1" || in.ID != "web-1" {
		t.Errorf("instance %+v", in)
	}
	a.send("/v1/agent/check/warn/c1", nil)
	seen("warning", health(registry.HealthWarning, 200))
	a.send("/v1/agent/check/fail/c1", nil)
	seen("critical", health(registry.HealthCritical, 500))
	a.send("/v1/agent/check/pass/c1", nil)
	seen("passing again", health(registry.HealthPassing, 500))
	a.send("/v1/agent/service/maintenance/web-1?enable=true", nil)
	seen("maintenance", health(registry.HealthMaintenance, 500))
	a.send("/v1/agent/service/deregister/web-1", nil)
	if e := seen("delete", func(e registry.Event) bool { return e.Kind == registry.EventDelete }); !e.Deliberate {
		t.Errorf("deregistration is not deliberate: %+v", e)
	}
	if _, err := lookup(t, src, "web", nil); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("ErrNotFound expected, found %v", err)
	}
	r.close()
}

func TestKilledRealConsulReturnsWithAnotherEpoch(t *testing.T) {
	a := startAgent(t)
	put := func(port uint16) {
		a.set("web", []registry.Instance{{ID: "i", Endpoints: []registry.Endpoint{{Address: "10.0.0.1", Port: port}}}})
	}
	put(80)
	src := open(t, a.options())
	r := watch(t, src, registry.Revision{}, "web")
	old := r.kinds(registry.EventUpsert, registry.EventSynced)[0].Record
	a.kill()
	fails(t, <-r.ended, "")
	_, err := lookup(t, src, "web", old)
	fails(t, err, "refused")
	a.start()
	if _, err := lookup(t, src, "web", old); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("ErrNotFound expected, found %v", err)
	}
	r = watch(t, src, old.Revision, "web")
	r.kinds(registry.EventSynced) // the new list lacks it: no delete, so nothing deliberate
	put(81)
	rec := r.kinds(registry.EventSynced, registry.EventUpsert)[1].Record
	if order, ok := rec.Revision.Compare(old.Revision); !ok || order <= 0 || rec.Revision.Epoch == 0 {
		t.Errorf("revision %+v after %+v", rec.Revision, old.Revision)
	}
	r.close()
}

// What would a trigger query on all checks miss? See Watch.
func TestMetaOnlyChangeOfServiceWithoutChecksIsSeen(t *testing.T) {
	const services, changed = 300, 217
	a := startAgent(t)
	name := func(n int) string { return fmt.Sprintf("svc-%03d", n) }
	put := func(n int, meta string) {
		a.register(registration{"Node": "ext", "Address": "10.9.9.9",
			"Service": map[string]any{"ID": name(n), "Service": name(n), "Port": 80, "Meta": map[string]string{"canary": meta}}})
	}
	for n := range services {
		put(n, "false")
	}
	src := open(t, a.options())
	var all []*recorder
	for n := range services {
		r := watch(t, src, registry.Revision{}, name(n)) // one Watch call per name, as the engine does
		defer r.close()
		all = append(all, r)
	}
	for _, r := range all {
		r.kinds(registry.EventUpsert, registry.EventSynced)
	}
	before := a.checksIndex()
	put(changed, "true")
	events := all[changed].kinds(registry.EventUpsert, registry.EventSynced, registry.EventUpsert)
	if got, _ := events[2].Record.Instances[0].Metadata.Get("canary"); got != "true" {
		t.Errorf("metadata %q", got)
	}
	if after := a.checksIndex(); after != before {
		t.Errorf("the index of /v1/health/state/any moved from %s to %s: the reason against a trigger query is gone", before, after)
	}
	for n, r := range all {
		if n != changed {
			r.kinds(registry.EventUpsert, registry.EventSynced)
		}
	}
}

func (a *agent) checksIndex() string {
	res, err := a.http.Get(a.url() + "/v1/health/state/any")
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		a.t.Fatal(res.Status)
	}
	return res.Header.Get("X-Consul-Index")
}

// Shows how long a change takes from the start of its write; it asserts only
// that every one is seen.
func TestEveryChangeInRealConsulIsSeen(t *testing.T) {
	const services, rounds = 60, 4
	a := startAgent(t)
	port := func(name string, port uint16) {
		a.register(registration{"Node": "ext", "Address": "10.9.9.9", "Service": map[string]any{"ID": name, "Service": name, "Port": port}})
	}
	type seen struct {
		name string
		port uint16
		at   time.Time
	}
	changes := make(chan seen, services*rounds+services)
	src := open(t, a.options())
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, services)
	for n := range services {
		name := fmt.Sprintf("s%d", n)
		port(name, 1)
		go func() {
			ended <- src.Watch(ctx, registry.Revision{}, []string{name}, func(e registry.Event) {
				if e.Kind == registry.EventUpsert {
					changes <- seen{name, e.Record.Instances[0].Main().Port, time.Now()}
				}
			})
		}()
	}
	next := func(name string, port uint16) time.Time {
		t.Helper()
		for {
			select {
			case c := <-changes:
				if c.name == name && c.port == port {
					return c.at
				}
			case <-time.After(3 * deadline):
				t.Fatalf("%s:%d is not seen", name, port)
			}
		}
	}
	for range services {
		<-changes
	}
	var took []time.Duration
	for round := range uint16(rounds) {
		for n := range services {
			name, began := fmt.Sprintf("s%d", n), time.Now()
			port(name, 2+round)
			took = append(took, next(name, 2+round).Sub(began))
		}
	}
	stop()
	for range services {
		<-ended
	}
	slices.Sort(took)
	n := len(took)
	t.Logf("%d changes, from the start of the write until seen: p50 %v, p99 %v, worst %v", n, took[n/2], took[n*99/100], took[n-1])
}
