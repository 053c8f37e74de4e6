package protocol_test

import (
	"math/rand/v2"
	"testing"

	"github.com/edgecache/edgecache/gossip/protocol"
)

const mostModelled = 40

// A model is a set of the sequences up to mostModelled.
type model map[uint64]bool

func (m model) add(from, to uint64) {
	for seq := from; seq <= to; seq++ {
		m[seq] = true
	}
}

func (m model) upto() (seq uint64) {
	for m[seq+1] {
		seq++
	}
	return seq
}

func (m model) max() (most uint64) {
	for seq := range m {
		most = max(most, seq)
	}
	return most
}

// minus returns the ranges of what m has and o has not.
func (m model) minus(o model) (out protocol.Ranges) {
	for seq := uint64(1); seq <= mostModelled; seq++ {
		if !m[seq] || o[seq] {
			continue
		}
		if n := len(out); n > 0 && out[n-1].To == seq-1 {
			out[n-1].To = seq
		} else {
			out = append(out, protocol.Range{From: seq, To: seq})
		}
	}
	return out
}

// missing returns the first range up to most that neither m nor o has.
func (m model) missing(o model, most uint64) (hole protocol.Range, ok bool) {
	all := model{}
	all.add(1, most)
	both := model{}
	for seq := uint64(1); seq <= mostModelled; seq++ {
		both[seq] = m[seq] || o[seq]
	}
	if list := all.minus(both); len(list) > 0 {
		return list[0], true
	}
	return hole, false
}

func TestRangesAreASet(t *testing.T) {
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 2))
		sets, models := [2]protocol.Ranges{}, [2]model{{}, {}}
		for range 1 + rng.IntN(30) {
			i := rng.IntN(2)
			from := 1 + rng.Uint64N(mostModelled)
			to := min(from+rng.Uint64N(6), mostModelled+1) - 1 // may be empty
			switch rng.IntN(10) {
			case 0:
				sets[i].Unite(sets[1-i])
				for seq := range models[1-i] {
					models[i].add(seq, seq)
				}
			case 1:
				before := sets[i].Clone()
				kept := before.Clone()
				sets[i].Add(from, to)
				models[i].add(from, to)
				if !before.Covers(kept) || !kept.Covers(before) {
					t.Fatalf("seed %d: a copy changed from %v to %v", seed, kept, before)
				}
			default:
				sets[i].Add(from, to)
				models[i].add(from, to)
			}
			compare(t, seed, sets[i], models[i])
			compareTwo(t, seed, sets, models, rng.Uint64N(mostModelled+1))
			if t.Failed() {
				return
			}
		}
	}
}

func compare(t *testing.T, seed uint64, set protocol.Ranges, m model) {
	t.Helper()
	checkRanges(t, set)
	for seq := range uint64(mostModelled + 2) {
		if set.Contains(seq) != m[seq] {
			t.Errorf("seed %d: %v contains %d: %v", seed, set, seq, !m[seq])
		}
	}
	if got, want := set.Upto(), m.upto(); got != want {
		t.Errorf("seed %d: %v has all up to %d, want %d", seed, set, got, want)
	}
	if got, want := set.Max(), m.max(); got != want {
		t.Errorf("seed %d: the greatest of %v is %d, want %d", seed, set, got, want)
	}
}

func compareTwo(t *testing.T, seed uint64, sets [2]protocol.Ranges, models [2]model, most uint64) {
	t.Helper()
	a, b := sets[0], sets[1]
	want := models[0].minus(models[1])
	got := a.Minus(b)
	checkRanges(t, got)
	if len(got) != len(want) || !got.Covers(want) || !want.Covers(got) {
		t.Errorf("seed %d: %v without %v is %v, want %v", seed, a, b, got, want)
	}
	if got, want := b.Covers(a), len(want) == 0; got != want {
		t.Errorf("seed %d: %v covers %v: %v, want %v", seed, b, a, got, want)
	}
	hole, ok := models[0].missing(models[1], most)
	if got := a.Missing(b, most); (got.From <= got.To) != ok || ok && got != hole {
		t.Errorf("seed %d: up to %d, %v and %v miss %v, want %v, %v", seed, most, a, b, got, hole, ok)
	}
}
