package registrytest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// A Fake is a registry in memory: a correct source, lister and watcher whose
// content and failures a test controls. It uses neither sockets nor
// goroutines, and no time but timers, so it works in a synctest bubble. It is
// safe for concurrent use; set the exported fields before its first use.
type Fake struct {
	Caps  registry.Capabilities // what Can returns; NewFake sets all of it but PushEmpty
	Alive time.Duration         // between signs of life of a watch; NewFake sets 5 s
	Early bool                  // a lookup answers the state of its start, not of its end

	name string

	mu       sync.Mutex // protects the fields below
	epoch    uint64
	order    uint64
	records  map[string]*registry.Record
	err      error
	delay    time.Duration
	gate     chan struct{} // nil: open; closed by release
	calls    map[string]int
	lists    int
	watchers map[*fakeWatch]struct{}
}

// A fakeWatch is one Watch or WatchList that runs.
type fakeWatch struct {
	wake   chan struct{} // has a value if the fields below changed
	dirty  map[string]registry.Event
	since  map[string]bool // names upserted since the last Synced; Watch's own
	relist bool
	err    error
}

// NewFake returns an empty registry of that name.
func NewFake(name string) *Fake {
	return &Fake{
		Caps:  registry.Capabilities{List: true, Watch: true, WatchAll: true, WatchList: true, Ordered: true},
		Alive: 5 * time.Second, name: name, epoch: 1,
		records: map[string]*registry.Record{}, calls: map[string]int{}, watchers: map[*fakeWatch]struct{}{},
	}
}

// Can returns f.Caps.
func (f *Fake) Can() registry.Capabilities { return f.Caps }

// Put makes the instances all that the registry has of the name.
func (f *Fake) Put(name string, instances ...registry.Instance) {
	f.PutRecord(&registry.Record{Key: registry.Key{Name: name}, Instances: instances, Wishes: registry.NoWishes})
}

// SetEmpty makes the name exist without instances.
func (f *Fake) SetEmpty(name string) { f.Put(name) }

// PutRecord stores a copy of rec under its Key.Name and the next revision.
func (f *Fake) PutRecord(rec *registry.Record) {
	rec = clone(rec)
	rec.Key.Registry = ""
	f.mu.Lock()
	defer f.mu.Unlock()
	rec.Revision = f.nextLocked()
	f.records[rec.Key.Name] = rec
	f.tellLocked(registry.Event{Kind: registry.EventUpsert, Name: rec.Key.Name, Revision: rec.Revision})
}

// Remove deletes the name; watches hear of a deliberate delete.
func (f *Fake) Remove(name string) { f.remove(name, true) }

// Vanish deletes the name; watches hear of a delete that nobody asked for.
func (f *Fake) Vanish(name string) { f.remove(name, false) }

func (f *Fake) remove(name string, deliberate bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.records[name] == nil {
		return
	}
	delete(f.records, name)
	f.tellLocked(registry.Event{Kind: registry.EventDelete, Name: name, Revision: f.nextLocked(), Deliberate: deliberate})
}

// Reset starts the order of revisions again under a new epoch and removes the
// names. Watches hear of it only by a new list.
func (f *Fake) Reset(remove ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.epoch++
	f.order = 0
	for _, name := range remove {
		delete(f.records, name)
	}
	for _, name := range slices.Sorted(maps.Keys(f.records)) {
		rec := clone(f.records[name])
		rec.Revision = f.nextLocked()
		f.records[name] = rec
	}
	for w := range f.watchers {
		w.relist = true
		w.signal()
	}
}

// SetError makes lookups and lists fail with err, as the Err of an
// UpstreamError unless err is one, and ends all watches with it; nil heals.
func (f *Fake) SetError(err error) {
	f.mu.Lock()
	f.err = err
	f.mu.Unlock()
	if err != nil {
		f.DropWatches(err)
	}
}

// DropWatches ends all watches that run, as a lost connection does.
func (f *Fake) DropWatches(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watchers {
		w.err = f.wrap(err)
		w.signal()
	}
}

// SetDelay makes each lookup and list take d.
func (f *Fake) SetDelay(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay = d
}

// Hold makes lookups, lists and the starts of watches block until release is
// called or their context ends.
func (f *Fake) Hold() (release func()) {
	gate := make(chan struct{})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gate = gate
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.gate == gate {
			f.gate = nil
		}
		close(gate)
	})
}

// Calls returns how many lookups of the name began; "": of all names.
func (f *Fake) Calls(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if name != "" {
		return f.calls[name]
	}
	n := 0
	for _, calls := range f.calls {
		n += calls
	}
	return n
}

// Lists returns how many lists began.
func (f *Fake) Lists() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lists
}

// Watches returns how many watches run, those of the list included.
func (f *Fake) Watches() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.watchers)
}

// Lookup answers as registry.Source says.
func (f *Fake) Lookup(ctx context.Context, name string, have *registry.Record) (*registry.Record, error) {
	f.mu.Lock()
	f.calls[name]++
	early := f.answerLocked(name, have)
	f.mu.Unlock()
	if err := f.pass(ctx); err != nil {
		return nil, err
	}
	if f.Early {
		return early()
	}
	f.mu.Lock()
	late := f.answerLocked(name, have)
	f.mu.Unlock()
	return late()
}

// answerLocked returns the answer of this moment.
func (f *Fake) answerLocked(name string, have *registry.Record) func() (*registry.Record, error) {
	rec, err := f.records[name], f.err
	return func() (*registry.Record, error) {
		switch {
		case err != nil:
			return nil, f.wrap(err)
		case rec == nil:
			return nil, fmt.Errorf("%s: %w", name, registry.ErrNotFound)
		case have != nil && have.Revision == rec.Revision:
			return nil, registry.ErrNotModified
		}
		return clone(rec), nil // stored records are never changed
	}
}

// List answers as registry.Lister says.
func (f *Fake) List(ctx context.Context) ([]string, error) {
	f.mu.Lock()
	f.lists++
	f.mu.Unlock()
	if err := f.pass(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.wrap(f.err)
	}
	return f.namesLocked(), nil
}

// pass waits as SetDelay and Hold say.
func (f *Fake) pass(ctx context.Context) error {
	f.mu.Lock()
	delay, gate := f.delay, f.gate
	f.mu.Unlock()
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return &registry.UpstreamError{Registry: f.name, Timeout: errors.Is(err, context.DeadlineExceeded), Err: err}
	}
	return nil
}

func (f *Fake) wrap(err error) error {
	var upstream *registry.UpstreamError
	if errors.As(err, &upstream) {
		return err
	}
	return &registry.UpstreamError{Registry: f.name, Err: err}
}

func (f *Fake) nextLocked() registry.Revision {
	f.order++
	return registry.Revision{Epoch: f.epoch, Order: f.order}
}

func (f *Fake) namesLocked() []string {
	names := slices.Sorted(maps.Keys(f.records))
	if names == nil {
		return []string{} // nil is a sign of life in a list watch
	}
	return names
}

func (f *Fake) tellLocked(e registry.Event) {
	for w := range f.watchers {
		w.dirty[e.Name] = e
		w.signal()
	}
}

func (w *fakeWatch) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
