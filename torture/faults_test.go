package torture

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/store"
)

// TestFaults has disks fail under a node in real time: operations fail or hang
// while it runs, files are damaged while it does not. The node lives, what it
// has in memory is answered, an invalidation that is not on disk is not
// acknowledged, and after the disk is healed and the node restarted nothing
// that was acknowledged is forgotten.
func TestFaults(t *testing.T) {
	before := runtime.NumGoroutine()
	deaths, excused := 0, map[string]bool{}
	runs(t, shareFaults, 1, func(t *testing.T, r *run) {
		earlier := unclosedTables()
		f := newFaulty(r)
		if err := f.run(); err != nil {
			f.inj.heal()
			f.node.stop()
			r.fail(t, "%v%s", err, f.story())
		}
		died := f.deaths()
		deaths += died
		if hits := int(f.inj.hits.Load()); died > 0 || hits > 0 {
			now := unclosedTables()
			// Of those that were closed some end a moment later.
			for end := time.Now().Add(20 * time.Second); died == 0 && len(now)-len(earlier) > hits && time.Now().Before(end); now = unclosedTables() {
				time.Sleep(10 * time.Millisecond)
			}
			for id := range now {
				excused[id] = !earlier[id] || excused[id]
			}
			if n := len(now) - len(earlier); died == 0 && n > hits {
				t.Errorf("%d tables were not closed, after %d faults", n, hits)
			}
		}
	})
	// What a directory that died had running can neither be ended nor joined.
	most := before + deaths*goroutinesOfADeath
	end := time.Now().Add(20 * time.Second)
	left := func() int {
		n := runtime.NumGoroutine()
		for id := range unclosedTables() {
			if excused[id] {
				n--
			}
		}
		return n
	}
	for left() > most {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines run, %d did before; %d directories died\n%s", runtime.NumGoroutine(), before, deaths, stacks())
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("%d goroutines are left of %d directories that died", runtime.NumGoroutine()-before, deaths)
}

// unclosedTables returns the goroutines, by their numbers, that watch over the
// writes of Pebble's tables. Those stay of tables that Pebble began, could not
// write, and did not close.
func unclosedTables() map[string]bool {
	ids := map[string]bool{}
	for stack := range strings.SplitSeq(string(stacks()), "\n\n") {
		if strings.Contains(stack, "created by github.com/cockroachdb/pebble/v2/vfs.(*diskHealthCheckingFile).startTicker") {
			id, _, _ := strings.Cut(stack, " [")
			ids[id] = true
		}
	}
	return ids
}

// stacks returns those of all goroutines.
func stacks() []byte {
	for size := 1 << 20; ; size *= 2 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size {
			return buf[:n]
		}
	}
}

// goroutinesOfADeath is how many goroutines may be left of a directory that
// died: Pebble's own, one per file that is watched for slowness, and those that
// are parked.
const goroutinesOfADeath = 40

// A faulty is a node on a disk that fails.
type faulty struct {
	r       *run
	inj     *injector
	mem     *vfs.MemFS
	said    *said
	witness *witness
	node    *node
	id      uint64 // of the node
	log     lockedBuffer
	wounded bool // a directory could not be read at a start
	lost    bool // a file was lost, of which nothing tells what was in it
	acks    []acknowledgement
	steps   []string
}

// An acknowledgement is an invalidation that was acknowledged, and the
// directory in use then.
type acknowledgement struct {
	inv       registry.Invalidation
	directory uint32
}

func newFaulty(r *run) *faulty {
	f := &faulty{r: r, inj: &injector{rng: r.random(1)}, mem: vfs.NewCrashableMem(), said: newSaid(), node: &node{stopped: true}}
	f.witness = newWitness(f.said, hasty)
	return f
}

// deaths returns how many directories were given up: some before they were in
// use, or as they were closed.
func (f *faulty) deaths() int { return strings.Count(f.log.String(), "a directory is given up") }

func (f *faulty) note(format string, args ...any) {
	f.steps = append(f.steps, fmt.Sprintf(format, args...))
}

func (f *faulty) story() string {
	s := ""
	for _, step := range f.steps[max(0, len(f.steps)-60):] {
		s += "\n  " + step
	}
	log := f.log.String()
	return s + "\nlog:\n" + log[max(0, len(log)-6000):]
}

func (f *faulty) start() error {
	f.witness.restarted()
	u := setup{fs: errorfs.Wrap(newDisk(f.mem).FS, errorfs.InjectorFunc(f.inj.sees)), source: f.witness, memory: 64 << 20,
		verify: 10 * time.Millisecond, change: func(o *store.Options) {
			o.Stall, o.Reopen = 100*time.Millisecond, 5*time.Millisecond
			keepLogIn(o, &f.log)
		}}
	n, err := u.start()
	if err != nil {
		return err
	}
	f.node = n
	if id := n.store.Node(); id != f.id {
		f.note("node %x", id)
		f.id = id
		f.witness.forget() // with the node's id, its numbers were lost
	}
	return nil
}

// stop stops the node, or kills it: then what was not synced may be gone.
func (f *faulty) stop(kill bool) error {
	mem := f.mem
	if kill {
		mem = newDisk(f.mem).crash(pick(f.r.rng, percents[:]), f.r.rng)
	}
	err := f.node.stop()
	f.mem = mem
	if kill {
		return nil // its disk may be in the way of an orderly end
	}
	return err
}

func (f *faulty) run() error {
	if err := f.start(); err != nil {
		return err
	}
	for _, name := range names {
		f.said.put(name, 1<<10)
	}
	if err := f.live(20); err != nil {
		return err
	}
	for range 1 + f.r.rng.IntN(3) {
		var err error
		if f.r.rng.IntN(3) == 0 {
			err = f.damage(pick(f.r.rng, wounds))
		} else {
			err = f.suffer(pick(f.r.rng, faults))
		}
		if err != nil {
			return err
		}
		if err := f.live(20); err != nil {
			return err
		}
	}
	return f.afterwards()
}

// live lets so many things happen.
func (f *faulty) live(n int) error {
	for range n {
		d := nextDeed(f.r.rng, 16<<10)
		d.pause /= hasty.pace
		f.note("%s", d)
		if err := f.do(d); err != nil {
			return fmt.Errorf("%s: %w", d, err)
		}
	}
	return nil
}

func (f *faulty) do(d *deed) error {
	switch {
	case f.said.befall(d):
		return nil
	case d.kind == "invalidate":
		return f.invalidate(d.inv)
	}
	must := f.witness.has(d.name) && f.witness.fetched(d.name)
	_, bad, err := f.node.look(f.witness, d.name)
	summary.add(f.r.test, "lookups", tally{checked: 1})
	switch {
	case bad != "":
		return errors.New(bad)
	case must && err != nil && f.witness.has(d.name):
		return fmt.Errorf("Lookup(%s) = %w, though it is in memory; %s", d.name, err, f.node.holds(d.name))
	}
	return nil
}

func (f *faulty) invalidate(inv registry.Invalidation) error {
	before := f.node.store.Directory()
	err := f.node.invalidate(f.witness, &inv)
	f.note("  = %s %v", inv.ID(), err)
	switch {
	case errors.Is(err, registry.ErrNotDurable):
		return nil
	case err != nil:
		return err
	}
	if after := f.node.store.Directory(); before == after {
		f.acks = append(f.acks, acknowledgement{inv, before})
	}
	return nil
}

func (f *faulty) lookAtAll() error {
	for _, name := range names {
		if _, bad, _ := f.node.look(f.witness, name); bad != "" {
			return errors.New(bad)
		}
		summary.add(f.r.test, "lookups", tally{checked: 1})
	}
	return nil
}

// afterwards restarts the node on a healed disk, first without the registry.
func (f *faulty) afterwards() error {
	f.note("the last restart")
	if err := f.stop(f.r.rng.IntN(2) == 0); err != nil {
		return err
	}
	if err := f.start(); err != nil {
		return err
	}
	f.said.setDown(true)
	if err := f.lookAtAll(); err != nil {
		return fmt.Errorf("registry down: %w", err)
	}
	f.said.setDown(false)
	if err := f.node.healed(f.witness); err != nil {
		return err
	}
	if err := f.recover(); err != nil {
		return err
	}
	if err := f.checkJournal(); err != nil {
		return err
	}
	return f.stop(false)
}

// checkJournal looks for what was acknowledged in the journal, for peers to
// ask for. What a damaged directory had may be missing if all was raised.
func (f *faulty) checkJournal() error {
	s := f.node.store
	kept := map[string]bool{}
	raisedAll := false
	err := s.Generations(func(w registry.Selector, m registry.Mode, _ uint64) {
		raisedAll = raisedAll || w.All && m >= registry.ModeVerify
	})
	if err != nil {
		return err
	}
	err = s.Epochs(func(e store.EpochState) bool {
		err = s.Range(e.Origin, e.Epoch, 1, func(_ uint64, raw []byte) bool {
			if inv, bad := registry.ParseInvalidation(raw); bad == nil {
				kept[inv.ID()] = true
			}
			return true
		})
		return err == nil
	})
	if err != nil {
		return err
	}
	for _, a := range f.acks {
		if !kept[a.inv.ID()] && !(f.wounded && raisedAll) && !f.lost {
			return fmt.Errorf("%s, acknowledged in directory %d, is not in the journal of directory %d", a.inv.ID(), a.directory, s.Directory())
		}
	}
	summary.add(f.r.test, "journal records", tally{checked: len(f.acks)})
	return nil
}
