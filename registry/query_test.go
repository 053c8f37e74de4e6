package registry_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/edgecache/edgecache/registry"
)

// zoneIs is an expression that holds in one zone.
type zoneIs string

func (z zoneIs) Match(rec *registry.Record, i int) bool { return rec.Instances[i].Zone == string(z) }
func (z zoneIs) Text() string                           { return `zone == "` + string(z) + `"` }

func TestSelectKeepsWhatMatches(t *testing.T) {
	rec := sealed(full(), 7) // passing 1.4.2, warning 1.5.0 (latest), critical, maintenance
	anyHealth := registry.HealthMaintenance
	for _, test := range []struct {
		name  string
		query registry.Select
		want  []int32
	}{
		{"default", registry.DefaultSelect, []int32{0}},
		{"zero value", registry.Select{}, []int32{0}},
		{"warning", registry.Select{Health: registry.HealthWarning}, []int32{0, 1}},
		{"any", registry.Select{Health: anyHealth}, []int32{0, 1, 2, 3}},
		{"tag", registry.Select{Health: anyHealth, Tags: []string{"v1"}}, []int32{0}},
		{"both tags", registry.Select{Health: anyHealth, Tags: []string{"canary", "v2"}}, []int32{1}},
		{"tags of two instances", registry.Select{Health: anyHealth, Tags: []string{"v1", "v2"}}, nil},
		{"version", registry.Select{Health: anyHealth, Version: "1.4.2"}, []int32{0}},
		{"latest", registry.Select{Health: anyHealth, Version: "latest"}, []int32{1}},
		{"latest, not healthy", registry.Select{Health: registry.HealthPassing, Version: "latest"}, nil},
		{"zone", registry.Select{Health: anyHealth, Zone: "eu-1b"}, []int32{1}},
		{"port", registry.Select{Health: anyHealth, Port: "grpc"}, []int32{0, 1}},
		{"unknown port", registry.Select{Health: anyHealth, Port: "x"}, nil},
		{"expression", registry.Select{Health: anyHealth, Expr: zoneIs("eu-1a")}, []int32{0}},
	} {
		var sel registry.Selection
		test.query.Apply(rec, &sel)
		if got := sel.Len(rec); got != len(test.want) {
			t.Errorf("%s: Len %d, want %d", test.name, got, len(test.want))
		}
		if sel.All && (test.query.Port != "" || len(sel.Picks) != 0) {
			t.Errorf("%s: all, with port %q and picks %v", test.name, sel.Port, sel.Picks)
		}
		sel.Expand(rec)
		if !slices.Equal(sel.Picks, test.want) {
			t.Errorf("%s: picks %v, want %v", test.name, sel.Picks, test.want)
		}
		if sel.Port != test.query.Port {
			t.Errorf("%s: port %q, want %q", test.name, sel.Port, test.query.Port)
		}
	}
}

func TestSelectByVersionLatestWithoutALatest(t *testing.T) {
	for name, versions := range map[string][]registry.Version{"no versions": nil, "none is the latest": {{Version: "1.4.2"}}} {
		rec := web()
		rec.Versions = versions
		sealed(rec, 7)
		var sel registry.Selection
		query := registry.Select{Health: registry.HealthPassing, Version: "latest"}
		if query.Apply(rec, &sel); sel.Len(rec) != 0 {
			t.Errorf("%s: version=latest keeps %d instances, want 0", name, sel.Len(rec))
		}
	}
}

func TestSelectKeepsAllOfAHealthyRecordAtOnce(t *testing.T) {
	rec := sealed(web(), 7)
	sel := registry.Selection{Picks: []int32{5}}
	query := registry.DefaultSelect
	if query.Apply(rec, &sel); !sel.All || len(sel.Picks) != 0 {
		t.Errorf("selection %+v, want all", sel)
	}
	empty := sealed(&registry.Record{Key: registry.Key{Name: "web"}}, 7)
	if query.Apply(empty, &sel); !sel.All || sel.Len(empty) != 0 {
		t.Errorf("selection %+v of no instances, want all", sel)
	}
}

func TestSelectingAllocatesOnlyToGrow(t *testing.T) {
	rec := sealed(full(), 7)
	var sel registry.Selection
	query := registry.Select{Health: registry.HealthWarning, Tags: []string{"canary"}}
	query.Apply(rec, &sel)
	if allocs := testing.AllocsPerRun(100, func() { query.Apply(rec, &sel); _ = sel.Tag(rec) }); allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

func TestHealthWithin(t *testing.T) {
	healths := []registry.Health{
		registry.HealthUnknown, registry.HealthPassing, registry.HealthWarning,
		registry.HealthDraining, registry.HealthCritical, registry.HealthMaintenance,
	}
	for worst, want := range map[registry.Health]string{
		registry.HealthPassing:     "[true true false false false false]",
		registry.HealthWarning:     "[true true true false false false]",
		registry.HealthMaintenance: "[true true true true true true]",
	} {
		var got []bool
		for _, h := range healths {
			got = append(got, h.Within(worst))
		}
		if fmt.Sprint(got) != want {
			t.Errorf("within %s: %v, want %s", worst, got, want)
		}
	}
	for _, h := range healths {
		if got, err := registry.ParseHealth(h.String()); got != h || err != nil {
			t.Errorf("ParseHealth(%s) = %s, %v", h, got, err)
		}
	}
	if _, err := registry.ParseHealth("good"); err == nil {
		t.Error("ParseHealth(good) is no error")
	}
}
