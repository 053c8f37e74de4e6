package cache

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/edgecache/edgecache/registry"
)

// TestHistoryTellsWhatAPeerLacks compares a history with a plain list of all
// that was applied.
func TestHistoryTellsWhatAPeerLacks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory()
		h.most = rapid.IntRange(1, 40).Draw(t, "most")
		type applied struct {
			position, epoch, seq uint64 // seq 0: it has no id yet
		}
		var all []applied
		taken := map[uint64]map[uint64]bool{}
		seqOf := func(epoch uint64) uint64 {
			if taken[epoch] == nil {
				taken[epoch] = map[uint64]bool{}
			}
			seq := rapid.Uint64Range(1, 60).Filter(func(s uint64) bool { return !taken[epoch][s] }).Draw(t, "seq")
			taken[epoch][seq] = true
			return seq
		}
		position := uint64(0)
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			epoch := rapid.Uint64Range(1, 3).Draw(t, "epoch")
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				position++
				seq := seqOf(epoch)
				all = append(all, applied{position, epoch, seq})
				h.note(position, &registry.Invalidation{Epoch: epoch, Seq: seq})
			case 1:
				position++
				all = append(all, applied{position: position})
				h.begin(position)
			default:
				for i := range all {
					if all[i].seq == 0 {
						all[i].epoch, all[i].seq = epoch, seqOf(epoch)
						h.name(all[i].position, &registry.Invalidation{Epoch: epoch, Seq: all[i].seq})
						break
					}
				}
			}
		}
		has := map[uint64]uint64{}
		for epoch := uint64(1); epoch <= 3; epoch++ {
			has[epoch] = rapid.Uint64Range(0, 60).Draw(t, "has")
		}
		want := uint64(1<<64 - 1)
		for _, a := range all {
			if a.seq == 0 || a.seq > has[a.epoch] {
				want = min(want, a.position)
			}
		}
		first, ok := h.lacked(func(_, epoch uint64) uint64 { return has[epoch] })
		switch {
		case ok && first != want:
			t.Fatalf("the first that is lacked is at %d, want %d", first, want)
		case !ok && len(h.order) < h.most:
			t.Fatal("nothing left the history, and it cannot tell")
		}
	})
}

func TestHistoryCannotTellOfWhatWasBefore(t *testing.T) {
	h := newHistory()
	h.before(registry.EpochState{Origin: 1, Epoch: 1, Start: 3, Last: 9})
	for has, want := range map[uint64]bool{0: false, 8: false, 9: true, 10: true} {
		if _, ok := h.lacked(func(_, _ uint64) uint64 { return has }); ok != want {
			t.Errorf("of a peer that has %d: %t, want %t", has, ok, want)
		}
	}
}
