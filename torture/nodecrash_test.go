package torture

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/registry"
)

// TestNodeCrashes cuts a node's file system off at the boundaries between
// operations and starts a node on what is left while the registry is down:
// nothing that a hard invalidation covers is served, nothing is fresh, and no
// answer claims to be younger than it is. When the registry is back, answers
// are right and fresh again.
func TestNodeCrashes(t *testing.T) {
	answered, made := 0, 0
	runs(t, shareNode, 2, func(t *testing.T, r *run) {
		c := &crashingNode{r: r, every: 1, steps: 60}
		if r.number%4 != 0 {
			c.every, c.steps = 2+r.rng.IntN(12), 60+r.rng.IntN(400)
		}
		c.work(t)
		synctest.Test(t, func(*testing.T) { c.run() })
		close(c.jobs)
		c.workers.Wait()
		if err := c.failure.Load(); err != nil {
			r.fail(t, "%v", *err)
		}
		answered += int(c.answered.Load())
		made++
		summary.add(r.test, "", tally{runs: 1})
	})
	// On a slow machine there are few runs in the time, and not each has one.
	if answered == 0 && made >= 12 && !t.Failed() {
		t.Errorf("no answer came from disk in %d runs: the crashes test nothing", made)
	}
}

// A crashingNode is a node under a random history.
type crashingNode struct {
	r     *run
	every int // one boundary in so many is checked
	steps int

	disk    *disk
	said    *said
	witness *witness
	seen    atomic.Int64 // boundaries

	jobs     chan nodeJob
	workers  sync.WaitGroup
	failure  atomic.Pointer[error]
	answered atomic.Int64 // lookups that the disk answered
}

// A nodeJob is a file system after a crash, and what is known of its node.
type nodeJob struct {
	name, kind string
	rng        *rand.Rand
	mem        *vfs.MemFS
	witness    *witness
	at         time.Time // of the crash
}

func (c *crashingNode) fail(err error) { c.failure.CompareAndSwap(nil, &err) }

func (c *crashingNode) run() {
	c.disk, c.said = newDisk(vfs.NewCrashableMem()), newSaid()
	c.witness = newWitness(c.said, usual)
	c.disk.watch(c.boundary)
	n, err := setup{fs: c.disk.FS, source: c.witness, memory: 1 << 20, verify: 10 * time.Millisecond}.start()
	if err != nil {
		c.fail(err)
		return
	}
	for i := 0; i < c.steps && c.failure.Load() == nil; i++ {
		d := nextDeed(c.r.rng, 64<<10)
		if err := c.do(n, d); err != nil {
			c.fail(fmt.Errorf("step %d, %s: %w", i, d, err))
		}
		synctest.Wait()
	}
	c.disk.watch(nil)
	if err := n.stop(); err != nil {
		c.fail(err)
	}
}

func (c *crashingNode) do(n *node, d *deed) error {
	switch {
	case c.said.befall(d):
	case d.kind == "invalidate":
		inv := d.inv
		if err := n.invalidate(c.witness, &inv); err != nil {
			return err
		}
		c.boundary(kindReturned)
	default:
		if _, bad, _ := n.look(c.witness, d.name); bad != "" {
			return errors.New(bad)
		}
	}
	return nil
}

// boundary has what a crash would leave here checked.
func (c *crashingNode) boundary(kind string) {
	n := c.seen.Add(1)
	every := int64(c.every)
	if kind == kindWrite {
		every *= 16
	}
	if n%every != 0 {
		return
	}
	rng := c.r.random(uint64(n) + 1)
	percent := pick(rng, percents[:])
	if kind == kindReturned {
		percent = 0 // what is not synced now is lost, and was acknowledged
	}
	// What was acknowledged before the crash must hold after it; the registry
	// may have been asked until it came.
	before := c.witness.copy(nil)
	mem := c.disk.crash(percent, rng)
	after := c.witness.copy(c.said.frozen())
	after.durable, after.last = before.durable, before.last
	c.jobs <- nodeJob{
		name: fmt.Sprintf("crash before the %s that is boundary %d, %d%% of what was not synced is left", kind, n, percent),
		kind: kind, rng: rng, mem: mem, witness: after, at: time.Now(),
	}
}

// work starts those who check what crashes left.
func (c *crashingNode) work(t *testing.T) {
	c.jobs = make(chan nodeJob, 4)
	for range 2 {
		c.workers.Go(func() {
			for j := range c.jobs {
				if c.failure.Load() != nil {
					continue
				}
				var answers int
				var err error
				synctest.Test(t, func(*testing.T) { answers, err = j.check() })
				if err != nil {
					c.fail(fmt.Errorf("%s: %w", j.name, err))
				}
				c.answered.Add(int64(answers))
				summary.add(c.r.test, j.kind, tally{crashes: 1, checked: 2 * len(names)})
			}
		})
	}
}

// check starts a node and returns how many names it had answers for.
func (j *nodeJob) check() (answers int, err error) {
	if j.rng.IntN(5) > 0 { // else the wall clock was set back
		time.Sleep(time.Until(j.at) + time.Duration(j.rng.IntN(400))*time.Second)
	}
	w := j.witness
	w.restarted()
	w.said.setDown(true)
	n, err := setup{fs: newDisk(j.mem).FS, source: w, memory: 1 << 20, verify: 10 * time.Millisecond}.start()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	if st := n.store.Status(); st.State != "ok" {
		return 0, fmt.Errorf("a crash is taken for more: state %s, %s", st.State, st.Error)
	}
	for _, name := range names {
		_, bad, err := n.look(w, name)
		if bad != "" {
			return answers, fmt.Errorf("registry down: %s", bad)
		}
		if err == nil {
			answers++
		}
	}
	w.said.setDown(false)
	time.Sleep(time.Minute)
	return answers, n.healed(w)
}

// healed checks that the node comes to know what the registry says, of all
// names.
func (n *node) healed(w *witness) error {
	end := time.Now().Add(time.Minute)
	pause := 5 * time.Second / w.policy.pace // an empty answer must be confirmed
	for _, name := range names {
		for {
			a, bad, err := n.look(w, name)
			if bad != "" {
				return fmt.Errorf("registry up: %s", bad)
			}
			want := w.said.now(name)
			// What little memory does not keep comes from disk, with the age of the last try.
			good := err == nil && (!a.Stale || a.Details&registry.DetailDisk != 0 && a.Age <= pause)
			if good && ids(a.Record) == want || errors.Is(err, registry.ErrNotFound) && want == "" {
				break
			}
			if time.Now().After(end) {
				return fmt.Errorf("registry up: Lookup(%s) = %s, want %q", name, describeAnswer(a, err), want)
			}
			time.Sleep(pause)
		}
	}
	return nil
}
