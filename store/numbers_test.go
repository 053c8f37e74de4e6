package store

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/registry"
)

// A wallClock stands where a test sets it, and goes on from there.
type wallClock struct{ ahead atomic.Int64 }

func (w *wallClock) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// TestNumbersRiseOverRestarts has lives of random length with the wall clock
// set back or ahead between them; each ends with a crash.
func TestNumbersRiseOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(3, 4))
		mem := vfs.NewCrashableMem()
		var wall wallClock
		var node, used, index uint64
		var now int64
		epochs := map[uint64]bool{}
		for life := range 40 {
			s, err := open(memOptions(mem), wall.now)
			if err != nil {
				t.Fatal(err)
			}
			if s.Position() <= used && used > 0 || s.Position() == 0 {
				t.Fatalf("life %d: position %d after %d was used", life, s.Position(), used)
			}
			if node != 0 && s.Node() != node || epochs[s.Epoch()] {
				t.Fatalf("life %d: node %x after %x, epoch %x again", life, s.Node(), node, s.Epoch())
			}
			if i := s.Clock().Next(0); i <= index {
				t.Fatalf("life %d: index %d after %d", life, i, index)
			}
			if s.Now() < now {
				t.Fatalf("life %d: now is %d, it was %d", life, s.Now(), now)
			}
			node, epochs[s.Epoch()] = s.Node(), true
			position := s.Position()
			for range rng.IntN(8) {
				if rng.IntN(3) == 0 { // a day's positions in memory alone
					position += uint64(rng.IntN(3 * positionBlock))
				}
				position++
				name := "web"
				switch rng.IntN(4) {
				case 0:
					appendName(t, s, registry.ModeHard, position, name)
					used, now = position, s.Now()
				case 1:
					mustWrite(t, s, []*registry.Stored{stored(name, "a", s.Clock().Next(0), position)}, nil)
				case 2:
					mustWrite(t, s, nil, []registry.Confirmed{confirmed(stored(name, "a", 1, 1), position)})
				case 3:
					if err := s.Mark([]registry.Key{testKey(name)}, registry.ModeSoft, position); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Duration(rng.IntN(100)) * time.Second)
				index = s.Clock().Next(0)
			}
			// What was written and not synced may be there after the crash.
			mem, used = crashed(t, mem, rng, used)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			wall.ahead.Add(int64(time.Duration(rng.IntN(7200)-3600) * time.Second))
		}
	})
}

// crashed returns the disk after a crash and the greatest position used on it.
func crashed(t *testing.T, mem *vfs.MemFS, rng *rand.Rand, used uint64) (*vfs.MemFS, uint64) {
	t.Helper()
	mem = afterCrash(mem, rng)
	s, err := open(memOptions(mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	var mark positions
	if err := getMark(s.dir.Load().db, testKey("web"), &mark); err != nil {
		t.Fatal(err)
	}
	used = max(used, mark.newest())
	if e := mustGet(t, s, "web"); e != nil {
		used = max(used, e.Began)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return mem, used
}

// TestIndexesRiseAfterIdleTimeAndACrash gives one index after an hour in which
// nothing happened, and the first after a crash with the clock set back.
func TestIndexesRiseAfterIdleTimeAndACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewCrashableMem()
		var wall wallClock
		s, err := open(memOptions(mem), wall.now)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour + 7*time.Second)
		synctest.Wait()
		index, now := s.Clock().Next(0), s.Now()
		after := afterCrash(mem, nil)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wall.ahead.Store(-int64(2 * time.Hour))
		if s, err = open(memOptions(after), wall.now); err != nil {
			t.Fatal(err)
		}
		if got := s.Clock().Next(0); got <= index {
			t.Errorf("index %d after %d", got, index)
		}
		if lost := now - s.Now(); lost > 2*tickEvery.Milliseconds() {
			t.Errorf("Now lost %d ms", lost)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestNowGoesOnWithTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wall wallClock
		s, err := open(memOptions(vfs.NewMem()), wall.now)
		if err != nil {
			t.Fatal(err)
		}
		before := s.Now()
		if before != wall.now().UnixMilli() {
			t.Errorf("Now is %d, the wall clock %d", before, wall.now().UnixMilli())
		}
		wall.ahead.Store(-int64(time.Hour))
		time.Sleep(1500 * time.Millisecond)
		if got := s.Now() - before; got != 1500 {
			t.Errorf("%d ms in 1.5 s while the wall clock is set back", got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
