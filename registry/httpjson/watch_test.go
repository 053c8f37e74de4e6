package httpjson_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/httpjson"
)

// watching starts a watch of all names; next returns its next event that is
// no sign of life, or its end.
func watching(t *testing.T, s *server) (next func() string) {
	t.Helper()
	source := open(t, httpjson.Options{Address: registry.Strings{s.url()}, List: "/list", Poll: testPoll})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	events := make(chan string, 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := source.Watch(ctx, registry.Revision{}, nil, func(e registry.Event) {
			switch e.Kind {
			case registry.EventUpsert:
				events <- "upsert " + e.Name
			case registry.EventDelete:
				events <- "delete " + e.Name
			case registry.EventSynced:
				events <- "synced"
			}
		})
		var up *registry.UpstreamError
		if ctx.Err() == nil && !errors.As(err, &up) {
			t.Errorf("the watch ended with %v, want an UpstreamError", err)
		}
		events <- "end: " + err.Error()
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return func() string { return <-events }
}

func expect(t *testing.T, next func() string, want ...string) {
	t.Helper()
	for _, want := range want {
		if got := next(); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

func one(port uint16) registry.Instance {
	return registry.Instance{ID: "a", Endpoints: []registry.Endpoint{{Address: "h", Port: port}}}
}

func TestAWatchTellsOfANameThatComesBackUnchanged(t *testing.T) {
	s := newServer(t)
	t.Cleanup(s.stop)
	s.list = nativeList
	s.put("web", one(1))
	next := watching(t, s)
	expect(t, next, "upsert web", "synced")
	s.remove("web")
	expect(t, next, "delete web")
	s.put("web", one(1))
	expect(t, next, "upsert web")
	s.put("db", one(1))
	expect(t, next, "upsert db")
}

func TestAWatchEndsAtARecordThatCannotBeRead(t *testing.T) {
	s := newServer(t)
	t.Cleanup(s.stop)
	s.list = func(services map[string][]registry.Instance) any {
		if _, bad := services["bad"]; bad {
			return []any{map[string]any{"name": "web", "instances": "none"}}
		}
		return nativeList(services)
	}
	s.put("web", one(1))
	next := watching(t, s)
	expect(t, next, "upsert web", "synced")
	s.put("bad")
	if got := next(); !strings.HasPrefix(got, "end: ") || !strings.Contains(got, "web: instances") {
		t.Errorf("got %q, want the end of the watch and the field", got)
	}
}

func TestAWatchOfTheListSharesWhatAWatchPolled(t *testing.T) {
	s := newServer(t)
	t.Cleanup(s.stop)
	s.list = nativeList
	s.put("web", one(1))
	const poll = 200 * time.Millisecond
	source := open(t, httpjson.Options{Address: registry.Strings{s.url()}, List: "/list", Poll: poll})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var watches sync.WaitGroup
	polls := 0
	watches.Go(func() {
		_ = source.Watch(ctx, registry.Revision{}, nil, func(e registry.Event) { // ends as the other does
			if e.Kind == registry.EventSynced || e.Kind == registry.EventAlive {
				polls++
			}
		})
	})
	lists := 0
	err := source.WatchList(ctx, func([]string) {
		if lists++; lists == 10 {
			cancel()
		}
	})
	watches.Wait()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the watch of the list ended with %v", err)
	}
	if own := s.count() - polls; own > lists/2 {
		t.Errorf("%d lists took %d calls beside the %d of the watch", lists, own, polls)
	}
}
