package plugins_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"

	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
)

// request is the attributes of one.
type request struct {
	headers, query map[string]string
	zone           string
	ip             netip.Addr
}

func (r *request) Header(name string) (string, bool) { v, ok := r.headers[name]; return v, ok }
func (r *request) Query(name string) (string, bool)  { v, ok := r.query[name]; return v, ok }
func (r *request) ClientIP() netip.Addr              { return r.ip }
func (r *request) ClientZone() string                { return r.zone }

// sealed returns a record of n instances, in zones a, b and c by turns.
func sealed(n int) *registry.Record {
	rec := &registry.Record{Key: registry.Key{Registry: "r", Name: "checkout"}}
	for i := range n {
		rec.Instances = append(rec.Instances, registry.Instance{
			ID: fmt.Sprintf("checkout-%d", i), Zone: string(rune('a' + i%3)), Weight: 100, Health: registry.HealthPassing, Version: fmt.Sprintf("1.%d.0", i),
			Endpoints: []registry.Endpoint{{Address: fmt.Sprintf("10.0.0.%d", i), Port: 8080}},
			Metadata:  registry.MetadataOf(map[string]string{"canary": fmt.Sprint(i == 0)}),
		})
	}
	rec.Seal(1)
	return rec
}

// options are those of the zone filter in C.
func options(config map[string]any) plugins.FilterOptions {
	o := plugins.FilterDefaults()
	o.Name, o.Plugin, o.Manifest, o.Config = "zone", "../wasm-examples/zone-affinity/c/zone.wasm", "../wasm-examples/zone-affinity/zone.yaml", config
	return o
}

func newFilter(t testing.TB, o plugins.FilterOptions) *plugins.Filter {
	t.Helper()
	f, err := plugins.NewFilter(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func picks(rec *registry.Record, sel *registry.Selection) []int32 {
	c := *sel
	c.Picks = slices.Clone(c.Picks)
	c.Expand(rec)
	return c.Picks
}

func TestAZoneFilterDropsOrReorders(t *testing.T) {
	rec := sealed(7) // zones a b c a b c a
	for _, c := range []struct {
		what   string
		strict bool
		zone   string
		from   []int32 // nil: all
		want   []int32
	}{
		{"strict, in a", true, "a", nil, []int32{0, 3, 6}},
		{"strict, in c", true, "c", nil, []int32{2, 5}},
		{"strict, of a selection", true, "a", []int32{6, 5, 4, 3}, []int32{6, 3}},
		{"strict, where there are none", true, "z", nil, []int32{0, 1, 2, 3, 4, 5, 6}},
		{"strict, no zone", true, "", nil, []int32{0, 1, 2, 3, 4, 5, 6}},
		{"in b", false, "b", nil, []int32{1, 4, 0, 2, 3, 5, 6}},
		{"of a selection", false, "c", []int32{6, 5, 4, 3, 2}, []int32{5, 2, 6, 4, 3}},
	} {
		t.Run(c.what, func(t *testing.T) {
			f := newFilter(t, options(map[string]any{"strict": c.strict}))
			for again := range 3 { // the verdict is kept, and the frame
				sel := &registry.Selection{All: c.from == nil, Picks: slices.Clone(c.from)}
				if err := f.Filter(&request{zone: c.zone}, rec, sel); err != nil {
					t.Fatal(err)
				}
				if got := picks(rec, sel); !slices.Equal(got, c.want) {
					t.Errorf("call %d: %v, want %v", again, got, c.want)
				}
			}
		})
	}
}

// Kits look at some instances in each round, and keep a word of bits for 32.
func TestAFilterOverManyInstances(t *testing.T) {
	for _, language := range []string{"c", "rust", "as"} {
		for _, strict := range []bool{true, false} {
			o := options(map[string]any{"strict": strict})
			o.Plugin = "../wasm-examples/zone-affinity/" + language + "/zone.wasm"
			f := newFilter(t, o)
			for _, n := range []int{0, 1, 4, 7, 8, 9, 31, 32, 33, 45, 63, 64, 65, 96, 200} {
				var in, others []int32
				for i := range int32(n) {
					if i%3 == 1 {
						in = append(in, i)
					} else {
						others = append(others, i)
					}
				}
				if !strict || len(in) == 0 {
					in = append(in, others...)
				}
				for _, room := range []int{0, max(0, n-1), n} {
					sel := &registry.Selection{All: true, Picks: make([]int32, 0, room)}
					rec := sealed(n)
					if err := f.Filter(&request{zone: "b"}, rec, sel); err != nil {
						t.Fatal(language, n, err)
					}
					if got := picks(rec, sel); !slices.Equal(got, in) {
						t.Errorf("%s, strict %t, %d instances: %v, want %v", language, strict, n, got, in)
					}
				}
			}
		}
	}
}

func TestAServiceThatDoesNotFitIsNotFiltered(t *testing.T) {
	f := newFilter(t, options(nil))
	err := f.Filter(&request{zone: "b"}, sealed(1000), &registry.Selection{All: true})
	if e, ok := errors.AsType[*plugins.Failure](err); !ok || e.Kind != "frame" {
		t.Errorf("1000 instances: %v, want that they do not fit", err)
	}
}

func TestACallOfAFilterAllocatesNothing(t *testing.T) {
	rec := sealed(20)
	f := newFilter(t, options(map[string]any{"strict": true}))
	sel := &registry.Selection{All: true, Picks: make([]int32, 0, 64)}
	r := &request{zone: "a"}
	if n := testing.AllocsPerRun(100, func() {
		sel.All, sel.Picks = true, sel.Picks[:0]
		if err := f.Filter(r, rec, sel); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("a verdict that is kept: %v allocations", n)
	}
}

func hostile(name string) plugins.FilterOptions {
	o := plugins.FilterDefaults()
	o.Name, o.OnFailure, o.May = "hostile", "closed", []plugins.May{"drop", "reorder", "deny"}
	o.Plugin, o.Manifest = filepath.Join("testdata", "hostile", name+".wasm"), "testdata/hostile/hostile.yaml"
	return o
}
