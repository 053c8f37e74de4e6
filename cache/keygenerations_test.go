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
