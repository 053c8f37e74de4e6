package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/edgecache/edgecache/registry/consul/consultest"
)

const (
	churnEvery   = time.Second
	minInstances = 2
	maxInstances = 20
	demoSeed     = 7400
)

// A fleetService is one service of the demo registry.
type fleetService struct {
	name, team string
	port       uint16
	instances  int // to begin with
}

var fleetServices = []fleetService{
	{"checkout", "payments", 8080, 6}, {"payments", "payments", 8443, 8}, {"invoices", "payments", 8081, 3},
	{"refunds", "payments", 8082, 2}, {"fraud-score", "payments", 9090, 5}, {"ledger", "payments", 9091, 4},
	{"cart", "shop", 8080, 12}, {"catalog", "shop", 8080, 16}, {"search", "shop", 8983, 9},
	{"recommendations", "shop", 9000, 7}, {"prices", "shop", 8085, 5}, {"inventory", "shop", 8086, 6},
	{"reviews", "shop", 8087, 3}, {"images", "shop", 8088, 20}, {"web-frontend", "shop", 3000, 18},
	{"accounts", "identity", 8080, 6}, {"login", "identity", 8443, 8}, {"sessions", "identity", 6379, 5},
	{"permissions", "identity", 9095, 4}, {"mail-sender", "messaging", 2525, 3}, {"notifications", "messaging", 8090, 4},
	{"chat", "messaging", 8091, 6}, {"orders", "fulfilment", 8080, 10}, {"shipping", "fulfilment", 8092, 4},
	{"returns", "fulfilment", 8093, 2}, {"warehouse", "fulfilment", 8094, 3}, {"tracking", "fulfilment", 8095, 5},
	{"kafka", "platform", 9092, 5}, {"postgres-primary", "platform", 5432, 2}, {"postgres-replica", "platform", 5432, 6},
	{"redis", "platform", 6379, 6}, {"metrics-ingest", "platform", 4317, 4}, {"feature-flags", "platform", 8100, 3},
	{"config-server", "platform", 8101, 2}, {"reports", "analytics", 8110, 2}, {"events-collector", "analytics", 8111, 7},
}

var fleetZones = []string{"eu-1a", "eu-1b", "eu-1c"}

// A fleet is the instances behind the demo registry. They come, go and fall
// ill, the same in every run.
type fleet struct {
	registry *consultest.Server

	mu        sync.Mutex // protects the fields below
	random    *rand.Rand
	instances map[string][]consultest.Instance // by service
	made      int
}

func newFleet(registry *consultest.Server) *fleet {
	f := &fleet{registry: registry, random: rand.New(rand.NewPCG(demoSeed, 0)), instances: map[string][]consultest.Instance{}}
	var all []consultest.Instance
	for _, s := range fleetServices {
		for range s.instances {
			all = append(all, f.instanceLocked(s.name))
		}
	}
	registry.Put(all...)
	return f
}

// instanceLocked makes the next instance of a service and counts it in.
func (f *fleet) instanceLocked(name string) consultest.Instance {
	at := slices.IndexFunc(fleetServices, func(s fleetService) bool { return s.name == name })
	s := fleetServices[at]
	f.made++
	zone := fleetZones[f.made%len(fleetZones)]
	version := fmt.Sprintf("%d.%d.%d", 1+at%3, at%7, f.random.IntN(2))
	in := consultest.Instance{
		ID: fmt.Sprintf("%s-%04x", name, f.random.IntN(1<<16)), Name: name,
		Address: fmt.Sprintf("10.%d.%d.%d", 20+f.made%len(fleetZones), at, 10+f.made%240), Port: s.port,
		Tags:  []string{"team-" + s.team, "v" + version[:1]},
		Meta:  map[string]string{"version": version, "zone": zone, "team": s.team, "canary": strconv.FormatBool(f.random.IntN(10) == 0)},
		Check: &consultest.Check{Status: consultest.Passing, TTL: "15s"},
		Node:  fmt.Sprintf("host-%s-%02d", zone, f.made%12),
	}
	f.instances[name] = append(f.instances[name], in)
	return in
}

// add starts one more instance of a service and returns its id.
func (f *fleet) add(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.addLocked(name)
}

func (f *fleet) addLocked(name string) string {
	in := f.instanceLocked(name)
	f.registry.Put(in)
	return in.ID
}

// churn changes a service every churnEvery until ctx ends, but none of spare.
func (f *fleet) churn(ctx context.Context, spare ...string) {
	tick := time.NewTicker(churnEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.change(spare)
		}
	}
}

// change lets one instance of some service come, go, fall ill or recover.
func (f *fleet) change(spare []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := fleetServices[f.random.IntN(len(fleetServices))].name
	if slices.Contains(spare, name) {
		return
	}
	list := f.instances[name]
	i := f.random.IntN(len(list))
	switch action := f.random.IntN(4); {
	case action == 0 && len(list) < maxInstances || len(list) < minInstances:
		f.addLocked(name)
	case action == 1 && len(list) > minInstances:
		f.registry.Remove(list[i].ID)
		f.instances[name] = slices.Delete(list, i, i+1)
	case action == 2:
		f.registry.SetHealth(list[i].ID, consultest.Critical)
	default:
		f.registry.SetHealth(list[i].ID, consultest.Passing)
	}
}
