package registry_test

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/edgecache/edgecache/registry"
)

// engine answers every lookup with one record or error.
type engine struct {
	registry.Engine
	record *registry.Record
	err    error
}

func (e engine) Lookup(context.Context, *registry.Query) (registry.Answer, error) {
	return registry.Answer{Record: e.record, Index: 7, Hit: true}, e.err
}

type attrs struct{ zone string }

func (a attrs) Header(string) (string, bool) { return "", false }
func (a attrs) Query(string) (string, bool)  { return "", false }
func (a attrs) ClientIP() netip.Addr         { return netip.Addr{} }
func (a attrs) ClientZone() string           { return a.zone }

// sameZone drops instances outside of the client's zone.
func sameZone(a registry.Attrs, rec *registry.Record, sel *registry.Selection) error {
	sel.Expand(rec)
	sel.Picks = slices.DeleteFunc(sel.Picks, func(i int32) bool { return rec.Instances[i].Zone != a.ClientZone() })
	return nil
}

func backwards(_ registry.Attrs, rec *registry.Record, sel *registry.Selection) error {
	sel.Expand(rec)
	slices.Reverse(sel.Picks)
	return nil
}

func fails(registry.Attrs, *registry.Record, *registry.Selection) error {
	return errors.New("out of fuel")
}

func denies(registry.Attrs, *registry.Record, *registry.Selection) error {
	return &registry.Deny{Filter: "gate", Status: 451, Reason: "closed"}
}

func answerer(filters ...registry.NamedFilter) *registry.Answerer {
	return &registry.Answerer{
		Engine:  engine{record: sealed(full(), 7)},
		Filters: func() []registry.NamedFilter { return filters },
	}
}

var anyHealth = registry.Query{Name: "web", Select: registry.Select{Health: registry.HealthMaintenance}}

func TestFiltersDecideOverWhatIsSelected(t *testing.T) {
	zone := registry.NamedFilter{Name: "zone", Filter: registry.FilterFunc(sameZone), Varies: "Edgecache-Zone", Private: true}
	reverse := registry.NamedFilter{Name: "reverse", Filter: registry.FilterFunc(backwards), Varies: "Accept"}
	broken := registry.NamedFilter{Name: "broken", Filter: registry.FilterFunc(fails)}
	elsewhere := reverse
	elsewhere.Registries = []string{"agents", "mcp*"}
	other := reverse
	other.Services = []string{"api/*"}
	for _, test := range []struct {
		name     string
		filters  []registry.NamedFilter
		picks    []int32
		outcomes []registry.FilterOutcome
		vary     string
		private  bool
	}{
		{name: "none", picks: []int32{0, 1, 2, 3}},
		{name: "drop", filters: []registry.NamedFilter{zone}, picks: []int32{1}, outcomes: []registry.FilterOutcome{{Filter: "zone", Outcome: "applied"}}, vary: "Edgecache-Zone", private: true},
		{name: "reorder", filters: []registry.NamedFilter{reverse}, picks: []int32{3, 2, 1, 0}, outcomes: []registry.FilterOutcome{{Filter: "reverse", Outcome: "applied"}}, vary: "Accept"},
		{name: "in order", filters: []registry.NamedFilter{reverse, zone}, picks: []int32{1}, outcomes: []registry.FilterOutcome{{Filter: "reverse", Outcome: "applied"}, {Filter: "zone", Outcome: "applied"}}, vary: "Accept, Edgecache-Zone", private: true},
		{name: "fail open", filters: []registry.NamedFilter{broken, reverse}, picks: []int32{3, 2, 1, 0}, outcomes: []registry.FilterOutcome{{Filter: "broken", Outcome: "skipped"}, {Filter: "reverse", Outcome: "applied"}}, vary: "Accept"},
		{name: "not for this record", filters: []registry.NamedFilter{elsewhere, other}, picks: []int32{0, 1, 2, 3}},
	} {
		out := registry.Result{Vary: "old", Private: true, Filters: []registry.FilterOutcome{{Filter: "old"}}}
		if err := answerer(test.filters...).Answer(t.Context(), &anyHealth, attrs{zone: "eu-1b"}, &out); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		out.Selection.Expand(out.Record)
		if !slices.Equal(out.Selection.Picks, test.picks) || !slices.Equal(out.Filters, test.outcomes) || out.Vary != test.vary || out.Private != test.private {
			t.Errorf("%s: picks %v, filters %v, vary %q, private %v", test.name, out.Selection.Picks, out.Filters, out.Vary, out.Private)
		}
	}
}

func TestFilterMayDeny(t *testing.T) {
	var out registry.Result
	err := answerer(registry.NamedFilter{Name: "gate", Filter: registry.FilterFunc(denies)}).Answer(t.Context(), &anyHealth, attrs{}, &out)
	var deny *registry.Deny
	if !errors.Is(err, registry.ErrDenied) || !errors.As(err, &deny) || deny.Status != 451 {
		t.Errorf("Answer: %v, want the filter's denial", err)
	}
}

func TestFilterThatFailsClosedIsTheAnswer(t *testing.T) {
	var out registry.Result
	filter := registry.NamedFilter{Name: "gate", Filter: registry.FilterFunc(fails), FailClosed: true}
	err := answerer(filter).Answer(t.Context(), &anyHealth, attrs{}, &out)
	var lookup *registry.LookupError
	if !errors.Is(err, registry.ErrFilterFailed) || !errors.As(err, &lookup) || lookup.Name != "web" {
		t.Errorf("Answer: %v, want ErrFilterFailed for web", err)
	}
}

func TestFailedLookupHasAnIndex(t *testing.T) {
	absent := &registry.LookupError{Name: "web", Err: registry.ErrNotFound}
	a := registry.Answerer{Engine: engine{err: absent}, Filters: func() []registry.NamedFilter { t.Error("filters of no record"); return nil }}
	var out registry.Result
	if err := a.Answer(t.Context(), &anyHealth, nil, &out); !errors.Is(err, registry.ErrNotFound) || out.Index != 7 {
		t.Errorf("Answer: %v, index %d, want not found and 7", err, out.Index)
	}
}

func TestAnswerWithoutFiltersAllocatesNothing(t *testing.T) {
	a := registry.Answerer{Engine: engine{record: sealed(full(), 7)}}
	query := registry.Query{Name: "web", Select: registry.DefaultSelect}
	var out registry.Result
	for _, filters := range []func() []registry.NamedFilter{nil, func() []registry.NamedFilter { return nil }} {
		a.Filters = filters
		run := func() {
			if err := a.Answer(t.Context(), &query, nil, &out); err != nil {
				t.Fatal(err)
			}
		}
		run()
		if allocs := testing.AllocsPerRun(100, run); allocs != 0 {
			t.Errorf("%v allocations an answer, want 0", allocs)
		}
	}
}

func TestErrorsTellWhatHappened(t *testing.T) {
	down := &registry.UpstreamError{Registry: "consul", Status: 500, Err: errors.New("no leader")}
	err := error(&registry.LookupError{
		Name: "web", Err: registry.ErrRegistryFailed,
		Registries: []registry.Outcome{{Registry: "file", Outcome: "absent"}, {Registry: "consul", Outcome: "down", Err: down}},
	})
	if got, want := err.Error(), "web: registry failed; registry consul: HTTP status 500: no leader"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	if !errors.Is(err, registry.ErrRegistryFailed) || errors.Is(err, registry.ErrNotFound) {
		t.Errorf("%v matches the wrong sentinels", err)
	}
	if got, want := (&registry.UpstreamError{Registry: "a", Err: context.DeadlineExceeded}).Error(), "registry a: context deadline exceeded"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}

func TestDetailsHaveNames(t *testing.T) {
	var got []string
	for i, name := range registry.DetailNames {
		if (registry.DetailSWR|registry.DetailDisk|registry.DetailUnsynced)&(1<<i) != 0 {
			got = append(got, name)
		}
	}
	if want := []string{"stale-while-revalidate", "disk", "unsynced"}; !reflect.DeepEqual(got, want) {
		t.Errorf("details %v, want %v", got, want)
	}
}
