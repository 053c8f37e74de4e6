package torture

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/registry"
)

// TestThreeEngines has the same things befall three nodes: one that keeps all
// in memory, one that keeps little there and the rest on disk, and one that is
// stopped, killed and started again all the time. Each answer of each is held
// against what the registry really said. In the end all three say the same.
func TestThreeEngines(t *testing.T) {
	total := map[string]int{}
	runs(t, shareEngines, 5, func(t *testing.T, r *run) {
		var failure error
		total["runs"]++
		synctest.Test(t, func(*testing.T) { failure = runEngines(r, total) })
		if failure != nil {
			r.fail(t, "%v", failure)
		}
	})
	t.Logf("from disk: %v", total)
	if t.Failed() || *number >= 0 {
		return
	}
	if total[engineRestarted+" from disk"] == 0 {
		t.Errorf("%s: no answer came from disk", engineRestarted)
	}
	// In two of three runs, little memory is enough.
	if total[engineDisk+" from disk"] == 0 && total["runs"] >= 40 {
		t.Errorf("%s: no answer came from disk in %d runs", engineDisk, total["runs"])
	}
}

const (
	engineMemory    = "memory alone"
	engineDisk      = "little memory"
	engineRestarted = "little memory, restarts"
)

// An engine is one of the three nodes.
type engine struct {
	name    string
	node    *node
	witness *witness
	disk    *disk // nil: memory alone
	lost    map[string]bool
	log     []string
	*setup
}

func runEngines(r *run, total map[string]int) error {
	s := newSaid()
	verify := time.Duration(r.rng.IntN(2)) * 10 * time.Millisecond
	var all []*engine
	for _, name := range []string{engineMemory, engineDisk, engineRestarted} {
		e := &engine{name: name, witness: newWitness(s, usual), lost: map[string]bool{}}
		e.setup = &setup{source: e.witness, memory: 64 << 20, verify: verify}
		if name != engineMemory {
			e.disk = newDisk(vfs.NewCrashableMem())
			e.fs, e.memory = e.disk.FS, 1<<20
		}
		var err error
		if e.node, err = e.start(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, e)
		defer func() { e.node.stop() }() // after a failure
	}
	for i := range 200 + r.rng.IntN(600) {
		d := nextDeed(r.rng, len(document))
		mine := !s.befall(d)
		for _, e := range all {
			e.note("%d %s %s", i, time.Now().Format("04:05.000"), d)
			if mine {
				if err := e.do(d, total); err != nil {
					return e.failed(err)
				}
			}
		}
		synctest.Wait()
		if restart := r.rng.IntN(40); restart < 2 {
			if err := all[2].restart(r, restart == 0); err != nil {
				return all[2].failed(err)
			}
		}
	}
	return heal(r, s, all)
}

// heal checks that in the end all know what the registry says.
func heal(r *run, s *said, all []*engine) error {
	s.setDown(false)
	time.Sleep(time.Minute)
	for _, e := range all {
		if err := e.node.healed(e.witness); err != nil {
			return e.failed(err)
		}
		if err := e.node.stop(); err != nil {
			return e.failed(err)
		}
		summary.add(r.test, e.name, tally{runs: 1})
	}
	return nil
}

func (e *engine) note(format string, args ...any) {
	e.log = append(e.log, fmt.Sprintf(format, args...))
}

func (e *engine) failed(err error) error {
	last := e.log[max(0, len(e.log)-40):]
	return fmt.Errorf("%s: %w\n  %s", e.name, err, strings.Join(last, "\n  "))
}

func (e *engine) do(d *deed, total map[string]int) error {
	if d.kind == "invalidate" {
		inv := d.inv
		return e.node.invalidate(e.witness, &inv)
	}
	must := !e.lost[d.name] && e.witness.has(d.name)
	a, bad, err := e.node.look(e.witness, d.name)
	e.note("  = %s", describeAnswer(a, err))
	summary.add("TestThreeEngines", e.name, tally{checked: 1})
	switch {
	case err != nil:
	case a.Details&registry.DetailDisk != 0:
		total[e.name+" from disk"]++ // after a kill it may be older than the registry's last answer
	default:
		delete(e.lost, d.name)
	}
	switch {
	case bad != "":
		return errors.New(bad)
	case must && err != nil && e.witness.has(d.name):
		return fmt.Errorf("Lookup(%s) = %w, though the registry's last answer may still be served; %s", d.name, err, e.node.holds(d.name))
	}
	return nil
}

// restart stops the node, or kills it, and starts it again.
func (e *engine) restart(r *run, kill bool) error {
	mem := e.disk.mem
	if kill {
		mem = e.disk.crash(pick(r.rng, percents[:]), r.rng)
		for _, name := range names {
			e.lost[name] = true // how much of the entries is on disk is not promised
		}
	}
	if err := e.node.stop(); err != nil {
		return err
	}
	e.note("restart, killed %t", kill)
	summary.add(r.test, e.name, tally{crashes: 1})
	e.disk = newDisk(mem)
	e.fs = e.disk.FS
	e.witness.restarted()
	var err error
	e.node, err = e.start()
	return err
}
