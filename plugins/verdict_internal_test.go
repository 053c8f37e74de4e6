package plugins

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/edgecache/edgecache/registry"
)

func TestPlacesComeOnceAndBelowN(t *testing.T) {
	for _, n := range []int{1, 20, 64, 65, 200, maxInstances} {
		read := readPlaces
		if n > 64 {
			read = readManyPlaces
		}
		all := make([]int, n)
		for i := range all {
			all[i] = n - 1 - i
		}
		for _, row := range []struct {
			name   string
			places []int
			want   int
		}{
			{"all, backwards", all, -1},
			{"none", nil, -1},
			{"the last", []int{n - 1}, -1},
			{"one too many", []int{0, n}, n},
			{"the greatest", []int{0xffff}, 0xffff},
			{"64 apart", []int{0, 64}, map[bool]int{true: -1, false: 64}[n > 64]},
			{"twice", []int{n - 1, n - 1}, n - 1},
			{"twice, apart", append(slices.Clone(all), n-1), n - 1},
		} {
			var list []byte
			for _, p := range row.places {
				list = binary.LittleEndian.AppendUint16(list, uint16(p))
			}
			picks := make([]int32, len(row.places))
			if got := read(picks, list, n); got != row.want {
				t.Errorf("%d instances, %s: %d, want %d", n, row.name, got, row.want)
			}
			for i, p := range picks {
				if row.want == -1 && int(p) != row.places[i] {
					t.Errorf("%d instances, %s: place %d is %d", n, row.name, i, p)
				}
			}
		}
	}
}

// A mask of the instances of every third place keeps them, or has them come first.
func TestAMaskKeepsOrComesFirst(t *testing.T) {
	g := &generation{program: &program{name: "x"}, may: mays}
	i := &filterInstance{gen: g, view: make([]byte, arenaSize), picks: make([]int32, 0, maxInstances)}
	for _, n := range []int{0, 1, 20, 32, 33, 63, 64, 65, 1000, maxInstances} {
		var third, others []int32
		mask := i.view[inCap:]
		clear(mask)
		for at := range int32(n) {
			if at%3 == 1 {
				third = append(third, at)
				mask[at/8] |= 1 << (at % 8)
			} else {
				others = append(others, at)
			}
		}
		mask[n/8] |= 0xff << (n % 8) // beyond n it says nothing
		verdicts := []uint64{actMask | uint64(n+7)/8<<32}
		if n <= 32 {
			verdicts = append(verdicts, actMask32|uint64(binary.LittleEndian.Uint32(mask))<<32)
		}
		for _, v := range verdicts {
			for flags, want := range map[uint64][]int32{0: third, verdictFirst << 8: slices.Concat(third, others)} {
				if n == 0 || n == 1 && flags != 0 {
					continue // below
				}
				var d decision
				err := i.decide(&d, v|flags, n, i.picks)
				if err != nil || d.pass || !slices.Equal(d.picks, want) {
					t.Errorf("%d instances, verdict %#x: %v, %v", n, v|flags, d, err)
				}
			}
		}
	}
}

func TestAMaskOfAllOrNoneChangesNothing(t *testing.T) {
	rec := benchRecord(2)
	for _, v := range []uint64{actMask32 | 3<<32, actMask32 | 3<<32 | verdictFirst<<8, actMask32 | verdictFirst<<8} {
		g := &generation{program: &program{name: "x"}, may: []May{MayDrop}} // it may not reorder
		i := &filterInstance{gen: g, view: make([]byte, arenaSize), picks: make([]int32, 0, maxInstances)}
		var d decision
		err := i.decide(&d, v, 2, i.picks)
		sel := registry.Selection{All: true}
		if err == nil {
			err = d.apply(rec, &sel, 1)
		}
		if sel.Expand(rec); err != nil || !slices.Equal(sel.Picks, []int32{0, 1}) {
			t.Errorf("verdict %#x: %v, %v", v, sel.Picks, err)
		}
	}
}

func TestWhatComesFirstIsAnOrder(t *testing.T) {
	for _, row := range []struct {
		may     []May
		verdict uint64
		ok      bool
	}{
		{[]May{MayReorder}, actMask32 | 2<<32 | verdictFirst<<8, true},
		{[]May{MayDrop}, actMask32 | 2<<32 | verdictFirst<<8, false},
		{[]May{MayReorder}, actMask32 | 2<<32, false},
		{mays, actOrder | verdictFirst<<8, false},
		{mays, actPass | verdictFirst<<8, false},
		{mays, actMask32 | 8<<8, false},
	} {
		g := &generation{program: &program{name: "x"}, may: row.may, reorders: slices.Contains(row.may, MayReorder)}
		i := &filterInstance{gen: g, view: make([]byte, arenaSize), picks: make([]int32, 0, maxInstances)}
		var d decision
		if err := i.decide(&d, row.verdict, 2, i.picks); (err == nil) != row.ok {
			t.Errorf("verdict %#x of one that may %v: %v, %v", row.verdict, row.may, d, err)
		}
	}
}

// A filter that is to keep more than there are may still order them.
func TestNoMoreIsKeptThanThereIs(t *testing.T) {
	rec := benchRecord(2)
	sel, d := registry.Selection{All: true}, decision{picks: []int32{1, 0}}
	if err := d.apply(rec, &sel, 5); err != nil || !slices.Equal(sel.Picks, d.picks) {
		t.Errorf("%v: %v, %v", d, err, sel)
	}
	sel = registry.Selection{All: true}
	if d := (decision{picks: []int32{1}}); d.apply(rec, &sel, 5) != nil || !sel.All {
		t.Errorf("one of two, five to be kept: %v", sel)
	}
}
