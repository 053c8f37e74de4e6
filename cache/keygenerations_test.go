package cache

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/edgecache/edgecache/registry"
)

// As many keys as fit are known, those that were raised last; of each that is
// forgotten the whole generation is said.
func TestGenerationsOfKeysAreForgottenOldestFirst(t *testing.T) {
	for _, most := range []int{1, 10, 64, 300} {
		rng := rand.New(rand.NewPCG(1, uint64(most)))
		g := newKeyGenerations()
		want := map[registry.Key]*generation{}
		for position := uint64(1); position <= 20_000; position++ {
			k := registry.Key{Registry: "r", Name: fmt.Sprint(rng.IntN(3 * most))}
			if rng.IntN(3) > 0 {
				k.Name = "hot" // the ring holds mostly what is of no use any more
			}
			m := registry.ModeSoft + registry.Mode(rng.IntN(3))
			var oldest *registry.Key
			if want[k] == nil {
				if len(want) == most {
					oldest = oldestOf(want)
				}
				want[k] = new(generation)
			}
			g.raise(k, m, position, most, func(forgotten *generation) {
				if oldest == nil || *want[*oldest] != *forgotten {
					t.Fatalf("at most %d, position %d: forgot %v instead of %v", most, position, *forgotten, oldest)
				}
				delete(want, *oldest)
				oldest = nil
			})
			if want[k][m] = position; oldest != nil {
				t.Fatalf("at most %d, position %d: did not forget %v", most, position, oldest)
			}
			if position%97 == 0 {
				checkGenerations(t, &g, want, 3*most)
			}
		}
		if len(g.ring) > max(leastRing, 4*most) {
			t.Errorf("at most %d: a ring of %d", most, len(g.ring))
		}
	}
}

// The ring is tidied where it is, unless it grows.
func TestRaisingKnownKeysAllocatesNothing(t *testing.T) {
	g := newKeyGenerations()
	position := uint64(0)
	raise := func() {
		for i := range 1000 {
			position++
			g.raise(registry.Key{Registry: "r", Name: names[i]}, registry.ModeSoft, position, 1<<16, nil)
		}
	}
	for range 10 {
		raise()
	}
	if n := testing.AllocsPerRun(100, raise); n > 0 {
		t.Errorf("%.0f allocations for a thousand keys", n)
	}
}

// BenchmarkTidy tidies a ring whose keys are half of it, at most.
func BenchmarkTidy(b *testing.B) {
	g := newKeyGenerations()
	for i := range 40_000 {
		g.raise(registry.Key{Registry: "r", Name: fmt.Sprint(i)}, registry.ModeSoft, uint64(i+1), 1<<16, nil)
	}
	g.tidy() // it grows
	b.ReportAllocs()
	for b.Loop() {
		g.tidy()
	}
}

// names are those of a thousand keys.
var names = func() (list [1000]string) {
	for i := range list {
		list[i] = fmt.Sprint("service-", i)
	}
	return list
}()

func checkGenerations(t *testing.T, g *keyGenerations, want map[registry.Key]*generation, names int) {
	t.Helper()
	for i := range names {
		k := registry.Key{Registry: "r", Name: fmt.Sprint(i)}
		got := g.get(k)
		if (got == nil) != (want[k] == nil) || got != nil && *got != *want[k] {
			t.Fatalf("%s: got %v, want %v", k, got, want[k])
		}
	}
}

func oldestOf(all map[registry.Key]*generation) *registry.Key {
	var oldest registry.Key
	least := ^uint64(0)
	for k, g := range all {
		if g.newest() < least {
			oldest, least = k, g.newest()
		}
	}
	return &oldest
}
