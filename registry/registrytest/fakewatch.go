package registrytest

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// Watch follows as registry.Watcher says. from is ignored: each watch begins
// with the current state.
func (f *Fake) Watch(ctx context.Context, _ registry.Revision, names []string, emit func(registry.Event)) error {
	return f.run(ctx, func(w *fakeWatch) error {
		events, err := f.take(w, names)
		for _, e := range events {
			emit(e)
		}
		return err
	}, func() { emit(registry.Event{Kind: registry.EventAlive}) })
}

// WatchList follows as registry.ListWatcher says.
func (f *Fake) WatchList(ctx context.Context, emit func([]string)) error {
	var last []string
	return f.run(ctx, func(w *fakeWatch) error {
		f.mu.Lock()
		clear(w.dirty)
		w.relist = false
		err, names := w.err, f.namesLocked()
		f.mu.Unlock()
		if err == nil && (last == nil || !slices.Equal(last, names)) {
			last = slices.Clone(names)
			emit(names)
		}
		return err
	}, func() { emit(nil) })
}

// run registers a watch and calls step at its start and whenever something
// changed, and alive when nothing did for f.Alive.
func (f *Fake) run(ctx context.Context, step func(*fakeWatch) error, alive func()) error {
	if err := f.pass(ctx); err != nil {
		return err
	}
	w := &fakeWatch{wake: make(chan struct{}, 1), dirty: map[string]registry.Event{}, since: map[string]bool{}, relist: true}
	f.mu.Lock()
	err := f.err
	if err == nil {
		f.watchers[w] = struct{}{}
	}
	f.mu.Unlock()
	if err != nil {
		return f.wrap(err)
	}
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, w)
	}()
	timer := time.NewTicker(f.Alive)
	defer timer.Stop()
	for {
		if err := step(w); err != nil {
			return err
		}
		for idle := true; idle; {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-w.wake:
				idle = false
			case <-timer.C:
				alive()
			}
		}
	}
}

// take returns what the watch owes its receiver: the whole state after a
// reset, else the newest state of each name that changed.
func (f *Fake) take(w *fakeWatch, names []string) ([]registry.Event, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.err != nil {
		return nil, w.err
	}
	wanted := func(name string) bool { return len(names) == 0 || slices.Contains(names, name) }
	var events []registry.Event
	if w.relist {
		events = f.listLocked(w, wanted)
	}
	for _, name := range slices.Sorted(maps.Keys(w.dirty)) {
		e := w.dirty[name]
		switch {
		case !wanted(name):
		case e.Kind == registry.EventUpsert && f.records[name] != nil:
			events = append(events, f.upsertLocked(name))
			w.since[name] = true
		case e.Kind == registry.EventDelete:
			events = append(events, e)
			delete(w.since, name)
		}
	}
	clear(w.dirty)
	return events, nil
}

// listLocked returns the whole state and Synced. Of what vanished by a reset
// it names only what was upserted since the last Synced: of such a name the
// list alone would not tell that it is gone.
func (f *Fake) listLocked(w *fakeWatch, wanted func(string) bool) []registry.Event {
	var events []registry.Event
	for _, name := range slices.Sorted(maps.Keys(w.since)) {
		if f.records[name] == nil {
			events = append(events, registry.Event{Kind: registry.EventDelete, Name: name, Revision: registry.Revision{Epoch: f.epoch, Order: f.order}})
		}
	}
	for _, name := range f.namesLocked() {
		if wanted(name) {
			events = append(events, f.upsertLocked(name))
		}
	}
	w.relist = false
	clear(w.since)
	clear(w.dirty)
	return append(events, registry.Event{Kind: registry.EventSynced})
}

func (f *Fake) upsertLocked(name string) registry.Event {
	rec := clone(f.records[name])
	return registry.Event{Kind: registry.EventUpsert, Name: name, Record: rec, Revision: rec.Revision}
}
