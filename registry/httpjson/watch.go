package httpjson

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// Watch asks for the list every Poll, a tenth more or less, and emits what
// changed. It ends with the error of the first poll that fails, or of the
// first record that cannot be read: what a list does not tell right must not
// pass for gone. from is not used: each watch begins with the current state.
func (s *Source) Watch(ctx context.Context, _ registry.Revision, names []string, emit func(registry.Event)) error {
	known := map[string]*registry.Record{}
	for first := true; ; first = false {
		events, err := s.poll(ctx, names, known)
		if err != nil {
			return err
		}
		for _, e := range events {
			emit(e)
		}
		switch {
		case first:
			emit(registry.Event{Kind: registry.EventSynced})
		case len(events) == 0:
			emit(registry.Event{Kind: registry.EventAlive})
		}
		pause := s.options.Poll*9/10 + rand.N(s.options.Poll/5+1)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// poll returns what changed since known, and brings known up to date. known
// holds revisions only: the records pass to the receiver.
func (s *Source) poll(ctx context.Context, names []string, known map[string]*registry.Record) ([]registry.Event, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	l, err := s.listing(ctx)
	if err != nil {
		return nil, err
	}
	var events []registry.Event
	wanted := names
	if len(names) == 0 {
		wanted = l.sortedNames()
	}
	for _, name := range wanted {
		if l.items[name] == nil {
			continue
		}
		rec, err := s.recordOf(l, name, known[name])
		if err != nil {
			return nil, err
		}
		if rec != nil {
			events = append(events, registry.Event{Kind: registry.EventUpsert, Name: name, Record: rec, Revision: rec.Revision})
			known[name] = &registry.Record{Revision: rec.Revision}
		}
	}
	for name, rec := range known {
		if l.items[name] == nil {
			events = append(events, registry.Event{Kind: registry.EventDelete, Name: name, Revision: rec.Revision})
			delete(known, name)
		}
	}
	slices.SortStableFunc(events, func(a, b registry.Event) int { return int(a.Kind) - int(b.Kind) })
	return events, nil
}

// WatchList emits the names of the list: those that Watch saw since the last
// time, or, if it does not run, those of a list asked for every Poll.
func (s *Source) WatchList(ctx context.Context, emit func(names []string)) error {
	var names []string
	var told time.Time
	for first := true; ; first = false {
		l, err := s.listedSince(ctx, told)
		if err != nil {
			return err
		}
		told = time.Now()
		if now := l.sortedNames(); first || !slices.Equal(now, names) {
			names = now
			emit(append([]string{}, now...)) // the receiver owns it; nil would be no news
		} else {
			emit(nil)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(s.options.Poll * 6 / 5): // Watch has polled by then
		}
	}
}

// listedSince returns the last list if its fetch began after a time, else a
// new one.
func (s *Source) listedSince(ctx context.Context, after time.Time) (*listing, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	l := &s.list
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, s.ended(ctx)
	}
	good, recent := l.good, l.err == nil && !after.IsZero() && l.at.After(after)
	<-l.turn
	if recent {
		return good, nil
	}
	return s.listing(ctx)
}
