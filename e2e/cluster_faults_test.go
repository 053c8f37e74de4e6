package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var (
	clusterFor  = flag.Duration("cluster.for", 20*time.Second, "how long a cluster of five suffers faults under load")
	clusterSeed = flag.Uint64("cluster.seed", 0, "seed of those faults; 0: a new one")
)

// Traffic is clients that invalidate and look up at random nodes, and the
// history that they make.
type traffic struct {
	f      *fleet
	record *record

	fresh, notFresh, unanswered     atomic.Int64 // lookups
	acknowledged, fenced, uncertain atomic.Int64 // invalidations; fenced: acknowledged without some member
	clients                         sync.WaitGroup
	stop                            context.CancelFunc
}

const (
	readers   = 12
	writers   = 12
	atOnce    = 12                    // services in use at a time
	era       = 15 * time.Second      // then there are new ones, so that no history is too long to check
	readEvery = 20 * time.Millisecond // each reader
	waitAll   = 6 * time.Second       // for a confirmation; more than it takes to fence
)

func newTraffic(f *fleet, seed uint64) *traffic {
	ctx, cancel := context.WithCancel(f.t.Context())
	tr := &traffic{f: f, record: newRecord(), stop: cancel}
	for client := range readers + writers {
		random := rand.New(rand.NewPCG(seed, uint64(client)+1))
		work := tr.look
		if client < writers {
			work = tr.invalidate
		}
		tr.clients.Go(func() {
			pace := time.NewTicker(readEvery)
			defer pace.Stop()
			for ctx.Err() == nil {
				work(client, random, tr.service(random))
				select {
				case <-pace.C:
				case <-ctx.Done():
				}
			}
		})
	}
	return tr
}

// service picks one of those in use now.
func (tr *traffic) service(random *rand.Rand) string {
	return fmt.Sprintf("s%d-%d", time.Duration(tr.record.now())/era, random.IntN(atOnce))
}

// look looks a service up at some node.
func (tr *traffic) look(client int, random *rand.Rand, service string) {
	node := random.IntN(len(tr.f.sites))
	began := tr.record.now()
	switch version, fresh, err := tr.f.lookup(node, service, patience); {
	case err != nil:
		tr.unanswered.Add(1)
	case !fresh:
		tr.notFresh.Add(1)
	default:
		tr.record.read(client, node, service, began, version)
		tr.fresh.Add(1)
	}
}

// invalidate gives a service its next version, invalidates it at some node, and
// looks it up at others once that is acknowledged.
func (tr *traffic) invalidate(client int, random *rand.Rand, service string) {
	node := random.IntN(len(tr.f.sites))
	mode := []string{"soft", "verify", "hard"}[random.IntN(3)]
	version := tr.f.versions.next(service)
	began := tr.record.now()
	c, err := tr.f.invalidate(node, service, mode, "all", waitAll)
	tr.record.invalidated(client, node, service, began, version, err == nil)
	if err != nil {
		tr.uncertain.Add(1)
		return
	}
	if tr.acknowledged.Add(1); len(c.Fenced) > 0 {
		tr.fenced.Add(1)
	}
	if len(c.Pending) > 0 {
		tr.f.t.Errorf("acknowledged with all, and %q are missing", c.Pending)
	}
	for range 3 {
		tr.look(client, random, service)
	}
}

func (tr *traffic) end() {
	tr.stop()
	tr.clients.Wait()
}

func (tr *traffic) String() string {
	return fmt.Sprintf("%d lookups, of which %d fresh ones checked, %d not fresh, %d unanswered; %d invalidations acknowledged with all, %d of them with somebody fenced, %d of unknown end",
		tr.fresh.Load()+tr.notFresh.Load()+tr.unanswered.Load(), tr.fresh.Load(), tr.notFresh.Load(), tr.unanswered.Load(),
		tr.acknowledged.Load(), tr.fenced.Load(), tr.uncertain.Load())
}

// A fault is something that goes wrong until it is undone.
type fault struct {
	kind  string
	until time.Time
	undo  func()
}

// Trouble puts faults into a fleet.
type trouble struct {
	f      *fleet
	random *rand.Rand
	disk   *filler // of the last node's small disk; nil: it has none
	down   map[int]bool
	active []fault
	counts map[string]int
}

const (
	mostDown   = 2 // of the five, killed or paused at a time
	mostFaults = 3
	longest    = 8 * time.Second
)

// last causes faults for a while, longer if they were of one kind only, and then
// undoes all.
func (tb *trouble) last(lasting time.Duration) {
	defer tb.undo(time.Now().Add(lasting + time.Hour))
	quiet := true
	end := time.Now().Add(lasting)
	latest := end.Add(deadline)
	for now := time.Now(); now.Before(end) || now.Before(latest) && len(tb.counts) < 2; now = time.Now() {
		if tb.f.t.Failed() {
			return
		}
		if len(tb.active) < mostFaults && !quiet {
			tb.cause()
		}
		if tb.suffers(full) { // a node gives up some of its own for a while
			tb.disk.leave(0)
		}
		next := time.Now().Add(200*time.Millisecond + time.Duration(tb.random.Int64N(int64(1200*time.Millisecond))))
		for _, a := range tb.active {
			if a.until.Before(next) {
				next = a.until
			}
		}
		<-time.After(time.Until(next))
		over := time.Now()
		if quiet = tb.random.IntN(6) == 0; quiet {
			over = latest.Add(time.Hour)
		}
		tb.undo(over)
	}
}

// undo ends the faults whose time has come.
func (tb *trouble) undo(now time.Time) {
	tb.active = slices.DeleteFunc(tb.active, func(a fault) bool {
		if a.until.After(now) {
			return false
		}
		a.undo()
		return true
	})
}

func (tb *trouble) suffers(kind string) bool {
	return slices.ContainsFunc(tb.active, func(a fault) bool { return a.kind == kind })
}

const (
	killed      = "kill -9"
	paused      = "SIGSTOP"
	partitioned = "partition"
	full        = "full disk"
)

// cause begins a fault, if the one that chance picks is possible now.
func (tb *trouble) cause() {
	kind := []string{killed, killed, paused, paused, partitioned, partitioned, full}[tb.random.IntN(7)]
	share := tb.random.Float64()
	lasts := time.Duration((0.02 + 0.98*share*share) * float64(longest)) // most are short
	victims := tb.random.Perm(len(tb.f.sites))
	victim, last := victims[0], len(tb.f.sites)-1
	a := fault{kind: kind, until: time.Now().Add(lasts)}
	switch kind {
	case killed, paused:
		if len(tb.down) == mostDown || tb.down[victim] || victim == last && tb.suffers(full) {
			return
		}
		a.undo = tb.fell(victim, kind)
	case partitioned:
		if tb.suffers(partitioned) {
			return
		}
		tb.f.network.cut(victims[:1+tb.random.IntN(2)])
		a.undo = tb.f.network.heal
	case full:
		if tb.disk == nil || tb.suffers(full) || tb.down[last] {
			return
		}
		tb.disk.leave(0)
		a.undo = tb.disk.free
	}
	tb.counts[kind]++
	tb.active = append(tb.active, a)
}

// fell kills or pauses a node and returns what undoes that.
func (tb *trouble) fell(victim int, kind string) (undo func()) {
	tb.down[victim] = true
	back := tb.f.restart
	if kind == killed {
		tb.f.kill(victim)
	} else {
		tb.f.pause(victim)
		back = tb.f.goOn
	}
	return func() {
		back(victim)
		delete(tb.down, victim)
	}
}

// tinyDisk mounts a file system of so many bytes until the test ends.
func tinyDisk(t *testing.T, bytes int) (string, error) {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("edgecache-e2e", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		return "", err
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, nil
}

// Whatever happens to processes, their network and a disk: no synced node
// answers with what is older than an invalidation acknowledged with all before
// it was asked, and in the end all nodes have the same.
func TestNothingAcknowledgedIsLostByFiveNodes(t *testing.T) {
	t.Parallel()
	seed := *clusterSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	o := outfit{nodes: 5, binary: program}
	tb := &trouble{random: rand.New(rand.NewPCG(seed, 0)), down: map[int]bool{}, counts: map[string]int{}}
	disk, err := tinyDisk(t, 192<<20)
	if err != nil {
		t.Logf("no disk is filled, mounting a small one needs root: %v", err)
	} else {
		tb.disk = newFiller(t, disk)
		o.dirs = map[int]string{o.nodes - 1: filepath.Join(disk, "data")}
	}
	tb.f = newFleet(t, o)
	t.Logf("repeat with -run %s -cluster.for %s -cluster.seed %d; connected by %v", t.Name(), *clusterFor, seed, tb.f.network)
	tr := newTraffic(tb.f, seed)
	defer tr.end()
	tb.last(*clusterFor)
	healed := time.Now()
	eventually(t, "all nodes are synced, under load", tb.f.synced)
	took := time.Since(healed)
	tr.end()
	tb.f.sameInTheEnd([]string{tr.service(tb.random), "new"})
	began := time.Now()
	tr.record.mustHold(t)
	checked := time.Since(began)
	var faults []string
	for _, kind := range slices.Sorted(maps.Keys(tb.counts)) {
		faults = append(faults, fmt.Sprintf("%d %s", tb.counts[kind], kind))
	}
	t.Logf("%v; faults: %s; well again %s after the last; history checked in %s",
		tr, strings.Join(faults, ", "), took.Round(time.Millisecond), checked.Round(time.Millisecond))
	if tr.acknowledged.Load() < 10 || tr.fresh.Load() < 100 || len(faults) < 2 {
		t.Errorf("too little happened to prove anything: %v, %s", tr, faults)
	}
}
