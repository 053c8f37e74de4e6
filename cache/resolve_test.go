package cache_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// The conditions that a registry can be in for one name, and what each
// contributes.
var conditions = []struct {
	name                       string
	found, stale, absent, down bool
}{
	{"fresh", true, false, false, false},
	{"stale", true, true, false, false},
	{"no instances", true, false, false, false},
	{"absent", false, false, true, false},
	{"not in the list", false, false, true, false},
	{"down", false, false, false, true},
	{"breaker open", false, false, false, true},
	{"not covered", false, false, false, false},
}

// prepare makes a registry that will be in the condition once the returned
// function ran, 20 s after the cache opened.
func prepare(name, condition, id string) (cache.Registry, func(t *testing.T, c *cache.Cache)) {
	f := registrytest.NewFake(name)
	f.Caps = registry.Capabilities{}
	r := unwatched(name, f)
	zero, ttl := time.Duration(0), time.Minute
	ahead := registry.Share(0)
	r.Overrides = cache.Overrides{Verify: &zero, TTL: &ttl, RefreshAhead: &ahead}
	load := func(t *testing.T, c *cache.Cache) {
		q := query("web")
		q.Registry = name
		c.Lookup(t.Context(), q) // what it says is tested by what comes after
	}
	switch condition {
	case "fresh":
		f.Put("web", instance(id))
	case "stale":
		f.Put("web", instance(id))
		ttl = 10 * time.Second
	case "no instances":
		f.SetEmpty("web")
	case "not in the list":
		f.Caps.List, f.Caps.WatchList = true, true
		f.Put("other", instance("x"))
		r.Watch = true
	case "down":
		f.SetError(errors.New("down"))
		load = func(*testing.T, *cache.Cache) {}
	case "breaker open":
		f.SetError(errors.New("down"))
		once := load
		load = func(t *testing.T, c *cache.Cache) {
			time.Sleep(20 * time.Second) // beyond the load of the other registry
			for i := range 5 {
				q := query(fmt.Sprintf("broken%d", i))
				q.Registry = name
				c.Lookup(t.Context(), q)
			}
			once(t, c)
		}
	case "not covered":
		f.Put("web", instance(id))
		r.Services = []string{"api-*"}
	}
	return r, load
}

// expected is what the rules say of a lookup through a and then b.
func expected(a, b int, failOnDown bool) string {
	partial := false
	for i, at := range []int{a, b} {
		switch s := conditions[at]; {
		case s.found:
			return outcomeText([]string{"a", "b"}[i], s.stale, partial)
		case s.down:
			partial = true
			if i == 0 && failOnDown {
				return "registry failed"
			}
		}
	}
	if partial {
		return "registry failed"
	}
	return "not found"
}

// expectedMerge is what the rules say of a lookup through the merge of a and b.
func expectedMerge(a, b int) string {
	ca, cb := conditions[a], conditions[b]
	switch {
	case ca.found || cb.found:
		return outcomeText("m", ca.stale || cb.stale, ca.down || cb.down)
	case ca.down || cb.down:
		return "registry failed"
	}
	return "not found"
}

func outcomeText(by string, stale, partial bool) string {
	s := "by " + by
	if stale {
		s += ", stale"
	}
	if partial {
		s += ", partial"
	}
	return s
}

func TestResolutionFollowsTheTable(t *testing.T) {
	var golden strings.Builder
	for _, form := range []string{"on_down: next", "on_down: fail", "merge"} {
		fmt.Fprintf(&golden, "## %s\n", form)
		for a := range conditions {
			for b := range conditions {
				name := fmt.Sprintf("%s/%s/%s", form, conditions[a].name, conditions[b].name)
				t.Run(name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						got := resolveOnce(t, form, conditions[a].name, conditions[b].name)
						want := expected(a, b, form == "on_down: fail")
						if form == "merge" {
							want = expectedMerge(a, b)
						}
						if got != want {
							t.Errorf("a %s, b %s: %s, want %s", conditions[a].name, conditions[b].name, got, want)
						}
						fmt.Fprintf(&golden, "%-16s %-16s %s\n", conditions[a].name, conditions[b].name, got)
					})
				})
			}
		}
	}
	const file = "testdata/resolution.golden"
	if *update {
		if err := os.WriteFile(file, []byte(golden.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if golden.String() != string(want) {
		t.Errorf("the table differs from %s; -update rewrites it", file)
	}
}

func resolveOnce(t *testing.T, form, a, b string) string {
	ra, loadA := prepare("a", a, "a1")
	rb, loadB := prepare("b", b, "b1")
	ra.FailOnDown = form == "on_down: fail"
	list := []cache.Registry{ra, rb}
	if form == "merge" {
		list = append(list, cache.Registry{Name: "m", Kind: registry.KindService, Of: []string{"a", "b"}})
	}
	c := open(t, nil, list...)
	synctest.Wait()
	start := time.Now()
	if a == "breaker open" {
		loadB(t, c)
		loadA(t, c)
	} else {
		loadA(t, c)
		loadB(t, c)
	}
	synctest.Wait()
	// Absence lives 5 s: it is proved again within that time.
	time.Sleep(20*time.Second - time.Since(start))
	for i, condition := range []string{a, b} {
		if condition == "absent" {
			[]func(*testing.T, *cache.Cache){loadA, loadB}[i](t, c)
		}
	}
	before := c.Stats().Fills
	q := query("web")
	answer, err := c.Lookup(t.Context(), q)
	if err != nil {
		e, _ := errors.AsType[*registry.LookupError](err)
		return e.Err.Error()
	}
	if a == "not in the list" && b == "not in the list" && c.Stats().Fills != before {
		t.Error("a name that no list has was asked for")
	}
	return outcomeText(answer.Record.Key.Registry, answer.Stale, answer.Details&registry.DetailPartial != 0)
}

func TestMergeUnitesWhatItsPartsHave(t *testing.T) {
	a, b := registrytest.NewFake("a"), registrytest.NewFake("b")
	at := func(id, address string) registry.Instance {
		in := instance(id)
		in.Endpoints = []registry.Endpoint{{Address: address, Port: 80}}
		return in
	}
	a.PutRecord(&registry.Record{Key: registry.Key{Name: "web"}, Wishes: registry.NoWishes,
		Instances: []registry.Instance{at("1", "10.0.0.1"), at("2", "10.0.0.2")}, Metadata: registry.MetadataOf(map[string]string{"owner": "a", "x": "1"})})
	b.PutRecord(&registry.Record{Key: registry.Key{Name: "web"}, Wishes: registry.NoWishes, Document: []byte("{}"), MediaType: "application/json",
		Instances: []registry.Instance{at("1", "10.0.0.2"), at("3", "10.0.0.3")}, Metadata: registry.MetadataOf(map[string]string{"owner": "b", "y": "2"})})
	c := open(t, nil, unwatched("a", a), unwatched("b", b),
		cache.Registry{Name: "m", Kind: registry.KindService, Of: []string{"a", "b"}})
	got, err := c.Lookup(t.Context(), query("web"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "a/1,a/2,b/3"; ids(got) != want {
		t.Errorf("instances = %s, want %s", ids(got), want)
	}
	if m := got.Record.Metadata; !slices.Equal(m, registry.MetadataOf(map[string]string{"owner": "a", "x": "1", "y": "2"})) {
		t.Errorf("metadata = %v, want one value per key, the earlier's", m)
	}
	if string(got.Record.Document) != "{}" {
		t.Errorf("document = %q, want the only one", got.Record.Document)
	}
	again, err := c.Lookup(t.Context(), query("web"))
	if err != nil || again.Index != got.Index || again.Record != got.Record {
		t.Errorf("an unchanged merge was made anew: index %d then %d", got.Index, again.Index)
	}
}

func TestIndexRisesWhenAnEarlierRegistryRecoversOrFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := registrytest.NewFake("a"), registrytest.NewFake("b")
		b.Put("web", instance("b1"))
		a.SetError(errors.New("down"))
		short := 5 * time.Second
		ra, rb := unwatched("a", a), unwatched("b", b)
		ra.Overrides = cache.Overrides{TTL: &short, StaleWhileRevalidate: new(time.Duration), StaleIfError: &short}
		c := open(t, nil, ra, rb)
		var last registry.Answer
		for i, step := range []struct {
			heal bool
			want string
		}{{false, "b1"}, {true, "a1"}, {false, "b1"}, {true, "a1"}} {
			if a.SetError(errors.New("down")); step.heal {
				a.SetError(nil)
				a.Put("web", instance("a1"))
			}
			time.Sleep(40 * time.Second)
			got, err := c.Lookup(t.Context(), query("web"))
			if err != nil || ids(got) != step.want {
				t.Fatalf("step %d: %s, %v; want %s", i, ids(got), err, step.want)
			}
			if got.Index <= last.Index || got.Index != got.Record.Index {
				t.Errorf("step %d: index %d after %d, record %d; want a rising one, the record's", i, got.Index, last.Index, got.Record.Index)
			}
			last = got
		}
	})
}
