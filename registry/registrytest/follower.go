package registrytest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/edgecache/edgecache/registry"
)

// A follower runs a watch and keeps what its events say, as the engine does:
// it starts the watch again when it ends with an error.
type follower struct {
	c     *checker
	names []string
	stop  context.CancelFunc
	wg    sync.WaitGroup

	emitting atomic.Bool

	mu       sync.Mutex // protects the fields below
	records  map[string]*registry.Record
	listed   map[string]bool // named since the start or the last Synced
	newest   map[string]registry.Revision
	running  bool
	spoiling bool
	starts   int
	synced   int // since the last start
	resyncs  int // in all
	alive    int
	events   int
}

func (c *checker) follow(names ...string) *follower {
	ctx, stop := context.WithCancel(context.Background())
	f := &follower{c: c, names: names, stop: stop,
		records: map[string]*registry.Record{}, newest: map[string]registry.Revision{}}
	f.wg.Go(func() { f.run(ctx) })
	return f
}

func (f *follower) run(ctx context.Context) {
	for ctx.Err() == nil {
		f.mu.Lock()
		f.running, f.listed, f.synced = true, map[string]bool{}, 0
		f.starts++
		f.mu.Unlock()
		err := f.c.u.Source.(registry.Watcher).Watch(ctx, registry.Revision{}, f.names, f.emit)
		f.mu.Lock()
		f.running = false
		f.mu.Unlock()
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			f.c.Errorf("Watch returns nil before its context ended")
		}
		if errors.Is(err, registry.ErrNotFound) {
			f.c.Errorf("Watch ends with ErrNotFound: %v", err)
		}
		sleep(ctx, restartPause)
	}
}

// close ends the watch, which must return within the deadline.
func (f *follower) close() {
	f.c.Helper()
	f.stop()
	if !within(f.c.deadline, f.wg.Wait) {
		f.c.Fatalf("Watch does not end with its context")
	}
}

func (f *follower) emit(e registry.Event) {
	if !f.emitting.CompareAndSwap(false, true) {
		f.c.Errorf("Watch calls emit from two goroutines at once")
	}
	defer f.emitting.Store(false)
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.running {
		f.c.Errorf("Watch emits after it returned")
	}
	f.events++
	switch e.Kind {
	case registry.EventUpsert:
		f.upsertLocked(e)
	case registry.EventDelete:
		delete(f.records, e.Name)
		delete(f.listed, e.Name)
		f.checkNameLocked(e.Name)
	case registry.EventSynced:
		maps.DeleteFunc(f.records, func(name string, _ *registry.Record) bool { return !f.listed[name] })
		f.listed = map[string]bool{}
		f.synced++
		f.resyncs++
	case registry.EventAlive:
		f.alive++
	default:
		f.c.Errorf("Watch emits an event of kind %d", e.Kind)
	}
}

func (f *follower) upsertLocked(e registry.Event) {
	if wrong := malformed(e.Record, e.Name); wrong != "" {
		f.c.Errorf("upsert of %q: %s", e.Name, wrong)
		return
	}
	f.checkNameLocked(e.Name)
	if f.c.u.Source.Can().Ordered {
		old, seen := f.newest[e.Name]
		if order, ok := e.Record.Revision.Compare(old); seen && (!ok || order < 0) {
			f.c.Errorf("upsert of %q with revision %+v after %+v", e.Name, e.Record.Revision, old)
		}
		f.newest[e.Name] = e.Record.Revision
	}
	f.listed[e.Name] = true
	f.records[e.Name] = clone(e.Record)
	if f.spoiling {
		spoil(e.Record)
	}
}

func (f *follower) checkNameLocked(name string) {
	if len(f.names) > 0 && !slices.Contains(f.names, name) {
		f.c.Errorf("Watch of %q names %q", f.names, name)
	}
}

// until waits until the follower's state is what ok wants.
func (f *follower) until(what string, ok func() bool) {
	f.c.Helper()
	f.c.eventually("watch: "+what, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return ok()
	}, f.String)
}

// has waits until the watch showed exactly these instances of the name.
func (f *follower) has(name string, want ...registry.Instance) {
	f.c.Helper()
	f.until(name, func() bool { return f.c.holds(f.records[name], want...) })
}

func (f *follower) hasNot(name string) {
	f.c.Helper()
	f.until("absence of "+name, func() bool { return f.records[name] == nil && f.synced > 0 })
}

func (f *follower) untilSynced() {
	f.c.Helper()
	f.until("synced", func() bool { return f.synced > 0 })
}

func (f *follower) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var s strings.Builder
	for _, name := range slices.Sorted(maps.Keys(f.records)) {
		fmt.Fprintf(&s, "%s: %s; ", name, f.c.describe(f.records[name]))
	}
	fmt.Fprintf(&s, "started %d times, synced %d times since the last start, %d events", f.starts, f.synced, f.events)
	return s.String()
}
