package consul

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/edgecache/edgecache/registry"
)

const (
	// A loop that is woken all the time asks twice at once and then five times
	// a second: what changes more often is merged into the newest state.
	loopBurst = 2
	loopEvery = 200 * time.Millisecond

	maxBroken = 1 << 16
)

var errReset = errors.New("index went back")

// Watch follows names, at least one, with a blocking query each. An error of
// any of them ends it: the caller restarts it, with backoff and the revision
// it has. Answers that repeat the last one are signs of life; those of a
// server without a leader are errors.
//
// There is no trigger query on /v1/health/state/any for many names, though it
// would save connections: its index is that of the checks. It does not move
// when an address, port, tag, weight or metadata changes, nor at all for
// services without checks, so such changes would be seen at the next poll
// only. The index of the catalog's services moves with those, but for every
// service, and does not tell which. An idle blocking query costs a server one
// goroutine.
func (s *Source) Watch(ctx context.Context, from registry.Revision, names []string, emit func(registry.Event)) error {
	if len(names) == 0 {
		return s.upstream(errors.New("watch without names: Consul has no query for all services"))
	}
	s.adopt(from)
	followers := make([]follower, len(names))
	for i, name := range names {
		followers[i] = follower{s: s, name: name, known: s.recall(name, from), limit: newLimit()}
	}
	s.watching.Add(int64(len(names)))
	defer s.watching.Add(-int64(len(names)))
	for {
		err := round(ctx, followers, emit)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.Is(err, errReset):
			s.remember(followers)
			return err
		}
	}
}

// round lists all names and follows them until one fails or the index goes
// back.
func round(ctx context.Context, followers []follower, emit func(registry.Event)) error {
	ctx, cancel := context.WithCancel(ctx)
	events, failed := make(chan registry.Event), make(chan error, len(followers))
	var running sync.WaitGroup
	for i := range followers {
		f := &followers[i]
		f.events = events
		running.Go(func() { failed <- f.run(ctx) })
	}
	err := pass(len(followers), events, failed, emit)
	cancel()
	running.Wait()
	return err
}

func newLimit() *rate.Limiter { return rate.NewLimiter(rate.Every(loopEvery), loopBurst) }

// pass emits the followers' events until one of them fails. Their marks become
// one Synced.
func pass(names int, events <-chan registry.Event, failed <-chan error, emit func(registry.Event)) error {
	for listed := 0; ; {
		select {
		case e := <-events:
			if e.Kind == registry.EventSynced {
				if listed++; listed < names {
					continue
				}
			}
			emit(e)
		case err := <-failed:
			return err
		}
	}
}

// recall returns the newest revision known of a name when its watch begins.
func (s *Source) recall(name string, from registry.Revision) registry.Revision {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.broken[name]
	delete(s.broken, name)
	if order, ok := seen.Compare(from); from.Order == 0 || ok && order > 0 {
		return seen
	}
	return from
}

// remember keeps what a watch that broke had seen, so that the next one
// notices if the index went back meanwhile. Forgetting costs only that.
func (s *Source) remember(followers []follower) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.broken)+len(followers) > maxBroken {
		clear(s.broken)
	}
	for i := range followers {
		s.broken[followers[i].name] = followers[i].known
	}
}

// A follower is the blocking query of one name.
type follower struct {
	s       *Source
	name    string
	known   registry.Revision // of the last answer
	present bool              // the last answer had the service
	events  chan<- registry.Event
	limit   *rate.Limiter
}

func (f *follower) run(ctx context.Context) error {
	err := f.list(ctx)
	for err == nil {
		err = f.next(ctx)
	}
	return err // of the context, of Consul, or errReset
}

// list sends the current state and the mark that it is complete. After a reset
// the service may have vanished; that is never deliberate: the catalog may be
// lost as well.
func (f *follower) list(ctx context.Context) error {
	a, rec, err := f.ask(ctx, false)
	if err != nil {
		return err
	}
	was := f.present
	f.known, f.present = a.rev, rec != nil
	switch {
	case rec != nil:
		err = f.send(ctx, registry.Event{Kind: registry.EventUpsert, Name: f.name, Record: rec})
	case was:
		err = f.send(ctx, registry.Event{Kind: registry.EventDelete, Name: f.name, Revision: a.rev})
	}
	if err != nil {
		return err
	}
	return f.send(ctx, registry.Event{Kind: registry.EventSynced})
}

// next waits for one answer and sends what it means.
func (f *follower) next(ctx context.Context) error {
	a, rec, err := f.ask(ctx, true)
	if err != nil {
		return err
	}
	if a.rev.Epoch != f.known.Epoch {
		return errReset
	}
	before, was := f.known, f.present
	f.known, f.present = a.rev, rec != nil
	switch {
	case rec == nil && was:
		return f.send(ctx, registry.Event{Kind: registry.EventDelete, Name: f.name, Revision: a.rev, Deliberate: a.rev.Order > before.Order})
	case rec == nil || a.rev.Token == before.Token && was:
		return f.send(ctx, registry.Event{Kind: registry.EventAlive, Name: f.name})
	}
	return f.send(ctx, registry.Event{Kind: registry.EventUpsert, Name: f.name, Record: rec})
}

// ask returns the next answer and its record, nil if there is no service.
func (f *follower) ask(ctx context.Context, block bool) (*answer, *registry.Record, error) {
	if err := f.s.pace(ctx, f.limit); err != nil {
		return nil, nil, err
	}
	r := f.s.healthRead(f.name, f.known)
	r.block = block
	a, err := f.s.ask(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	rec, err := f.s.record(ctx, a, f.name)
	return a, rec, err
}

func (f *follower) send(ctx context.Context, e registry.Event) error {
	select {
	case f.events <- e:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pace keeps a loop, and all loops together, from asking too often.
func (s *Source) pace(ctx context.Context, loop *rate.Limiter) error {
	if err := loop.Wait(ctx); err != nil {
		return err
	}
	return s.all.Wait(ctx)
}

// WatchList follows the names of all services with one blocking query.
func (s *Source) WatchList(ctx context.Context, emit func(names []string)) error {
	limit := newLimit()
	var last []string
	s.watching.Add(1)
	defer s.watching.Add(-1)
	r := read{path: catalogPath}
	for {
		if err := s.pace(ctx, limit); err != nil {
			return err
		}
		a, err := s.ask(ctx, r)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		names, err := s.names(a)
		if err != nil {
			return err
		}
		if r.block && slices.Equal(names, last) {
			emit(nil)
		} else {
			emit(slices.Clone(names)) // the receiver owns it
		}
		last, r.known, r.block = names, a.rev, true
	}
}
