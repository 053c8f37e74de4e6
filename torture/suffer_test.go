package torture

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/store"
)

// suffer lives with a fault for a while.
func (f *faulty) suffer(kind fault) error {
	kind.one = pick(f.r.rng, []int{1, 1, 3, 20})
	f.note("fault: %s, one of %d", kind.name, kind.one)
	before := f.inj.hits.Load()
	f.inj.begin(kind)
	err := f.live(10 + f.r.rng.IntN(50))
	if err == nil && kind.err != nil && f.r.rng.IntN(3) == 0 {
		err = f.restart()
	}
	f.inj.heal()
	f.note("healed")
	summary.add(f.r.test, kind.name, tally{runs: 1, faults: int(f.inj.hits.Load() - before)})
	if err != nil {
		return err
	}
	return f.recover()
}

// restart starts the node anew on a disk that fails: it comes up all the same.
func (f *faulty) restart() error {
	f.note("restart with the fault")
	f.wounded = true
	f.witness.forget() // where nothing can be read, its numbers are lost
	if err := f.stop(true); err != nil {
		return err
	}
	if err := f.start(); err != nil {
		return fmt.Errorf("a disk that fails keeps the node from starting: %w", err)
	}
	return f.live(10)
}

// recover waits until the store works again, unless it gave up for good.
func (f *faulty) recover() error {
	end := time.Now().Add(time.Minute)
	for {
		st := f.node.store.Stats()
		list := f.node.store.Degraded()
		if len(list) == 0 || st.Deaths > 5 {
			f.note("recovered: directory %d, deaths %d, degraded %q", f.node.store.Directory(), st.Deaths, list)
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("a minute after its disk was healed the store is degraded: %q", list)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// damage damages a file while the node is down.
func (f *faulty) damage(kind string) error {
	if err := f.stop(f.r.rng.IntN(2) == 0); err != nil {
		return err
	}
	what, err := wound(f.mem, kind, f.r.rng)
	if err != nil {
		return err
	}
	f.note("%s: %s", kind, what)
	if what != "" {
		f.wounded = true
		f.witness.forget() // numbers may be lost, too
		f.lost = f.lost || strings.HasPrefix(what, "lost")
		summary.add(f.r.test, kind, tally{runs: 1, faults: 1})
	}
	if f.r.rng.IntN(2) == 0 {
		if err := f.crashOpening(); err != nil {
			return err
		}
	}
	if err := f.start(); err != nil {
		return fmt.Errorf("%s keeps the node from starting: %w", what, err)
	}
	f.said.setDown(true)
	if err := f.lookAtAll(); err != nil {
		return err
	}
	f.said.setDown(false)
	return f.recover()
}

// crashOpening cuts the file system off while a store opens: it may be about to
// begin a fresh directory.
func (f *faulty) crashOpening() error {
	d, rng := newDisk(f.mem), f.r.random(2+uint64(len(f.steps)))
	at, percent := rng.Int64N(60), pick(rng, percents[:])
	var left atomic.Pointer[vfs.MemFS]
	var seen atomic.Int64
	d.watch(func(string) {
		if seen.Add(1) == at {
			left.Store(d.crash(percent, rng))
		}
	})
	s, err := store.Open(options(d.FS))
	if err != nil {
		return err
	}
	d.watch(nil)
	if err := s.Close(); err != nil {
		return err
	}
	if mem := left.Load(); mem != nil {
		f.note("crash while it opens, at boundary %d, %d%% left", at, percent)
		summary.add(f.r.test, "crash while it opens", tally{crashes: 1})
		f.mem = mem
	}
	return nil
}
