package plugins

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/edgecache/edgecache/registry"
)

// function is an export of a guest.
type function = api.Function

// pollTime is how long a poll may take: it may wait for a change.
const pollTime = time.Minute

// errReplaced ends the watches of a generation.
var errReplaced = errors.New("another generation of the plugin has taken over, or it was closed")

var errAdapterClosed = &Failure{"broken", errors.New("the adapter was closed")}

// Watch implements [registry.Watcher]: an instance of its own polls. names are
// those of interest, none being all.
func (a *Adapter) Watch(ctx context.Context, _ registry.Revision, names []string, emit func(registry.Event)) error {
	g, err := a.join()
	if err != nil {
		return a.failure(ctx, exportPoll, err)
	}
	defer g.polled.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(g.ending, func() { cancel(errReplaced) })
	defer stop()
	i, err := g.instantiate()
	if err != nil {
		return a.failure(ctx, exportPoll, err)
	}
	w := &watch{adapter: a, gen: g, instance: i, names: names, emit: emit, changed: map[string]struct{}{}}
	defer func() { w.instance.close() }()
	for {
		wait, err := w.poll(ctx)
		if said, ok := errors.AsType[*codeError](err); ok && said.code == codeUnsupported {
			<-ctx.Done() // its configuration does not poll: it is never live, and nobody asks again
			err = context.Cause(ctx)
		}
		if err != nil {
			return a.failure(ctx, exportPoll, err)
		}
		if err := pause(ctx, min(max(wait, leastPoll), a.options.Poll)); err != nil {
			return a.failure(ctx, exportPoll, err)
		}
	}
}

// join counts a watch of the generation that runs.
func (a *Adapter) join() (*adapterGeneration, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	g := a.current.Load()
	if a.closed || g.ending.Err() != nil {
		return nil, errAdapterClosed
	}
	if !g.polls {
		return nil, &Failure{"guest", errors.New("the module does not export ec_poll")}
	}
	g.polled.Add(1)
	return g, nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A watch is one Watch that runs.
type watch struct {
	adapter  *Adapter
	gen      *adapterGeneration
	instance *adapterInstance
	names    []string
	emit     func(registry.Event)
	cursor   *string // nil: the next poll is of everything

	changed map[string]struct{} // names told since all were last
	due     []emitted           // names to look up that could not be
}

// poll has the guest tell what is new, passes it on, and returns how long the
// guest wants to wait.
func (w *watch) poll(ctx context.Context) (time.Duration, error) {
	polling, cancel := context.WithTimeout(ctx, pollTime)
	defer cancel()
	i := w.instance
	c := &adapterCall{ctx: polling, from: w.cursor, polls: true, most: maxPolled}
	wait, err := i.timed(i.poll, c)
	switch {
	case err != nil:
		return 0, err
	case c.fault != nil:
		return 0, c.fault
	case wait < 0:
		return 0, c.failed(&i.instance, wait)
	}
	if err := w.pass(ctx, c); err != nil {
		return 0, err
	}
	if w.cursor = c.next; w.cursor == nil {
		w.cursor = new(string)
	}
	if i.grown() {
		w.adapter.stats.recycled.Add(1)
		if err := w.renew(); err != nil {
			return 0, err
		}
	}
	return time.Duration(wait) * time.Millisecond, nil
}

// mostDue is how many names a watch keeps to look them up with the next poll.
const mostDue = 1000

// renew goes on with a fresh instance, from the cursor.
func (w *watch) renew() error {
	next, err := w.gen.instantiate()
	if err != nil {
		return err
	}
	w.instance.close()
	w.instance = next
	return nil
}

// pass turns what a poll emitted into events.
func (w *watch) pass(ctx context.Context, c *adapterCall) error {
	whole := w.cursor == nil
	emits := append(w.due, c.emits...)
	w.due = nil
	for _, e := range emits {
		if e.op == emitAnew {
			whole = true
			w.forget(c.emits)
			continue
		}
		if len(w.names) > 0 && !slices.Contains(w.names, e.name) {
			continue
		}
		event := registry.Event{Kind: registry.EventDelete, Name: e.name, Deliberate: true}
		if e.op == emitInvalidate {
			if len(w.due) > 0 && len(w.due) < mostDue && !whole {
				w.due = append(w.due, e) // the registry did not answer for one: with the next poll
				continue
			}
			rec, err := w.adapter.Lookup(ctx, e.name, nil)
			switch {
			case err == nil:
				e.rec = rec
			case errors.Is(err, registry.ErrNotFound):
			case whole || len(w.due) == mostDue: // a list without it would say that it is gone
				return fmt.Errorf("%s: %w", e.name, err)
			default:
				w.due = append(w.due, e)
				continue
			}
		}
		if e.rec != nil {
			event.Kind, event.Record = registry.EventUpsert, e.rec
		}
		w.emit(event)
		w.changed[e.name] = struct{}{}
	}
	kind := registry.EventAlive
	if whole {
		kind = registry.EventSynced
		clear(w.changed)
	}
	w.emit(registry.Event{Kind: kind})
	return nil
}

// forget tells that names are gone which changed since all were last told, and
// are not among the emits that are all there is: whoever receives the events
// takes a change for a part of the list that the next Synced ends.
func (w *watch) forget(all []emitted) {
	for _, e := range all {
		delete(w.changed, e.name)
	}
	for name := range w.changed {
		w.emit(registry.Event{Kind: registry.EventDelete, Name: name})
	}
	clear(w.changed)
}
