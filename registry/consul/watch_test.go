package consul_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/consul/consultest"
)

func TestDeregistrationIsADeliberateDelete(t *testing.T) {
	s := startServer(t)
	s.Put(web("web-1", 80))
	r := watch(t, open(t, to(s)), registry.Revision{}, "web")
	defer r.close()
	r.kinds(registry.EventUpsert, registry.EventSynced)
	s.SetNode(consultest.LocalNode, consultest.Critical) // a failed node keeps its instances
	events := r.kinds(registry.EventUpsert, registry.EventSynced, registry.EventUpsert)
	if h := events[2].Record.Instances[0].Health; h != registry.HealthCritical {
		t.Errorf("health %v", h)
	}
	s.Remove("web-1")
	events = r.kinds(registry.EventUpsert, registry.EventSynced, registry.EventUpsert, registry.EventDelete)
	if !events[3].Deliberate || events[3].Revision.Order <= events[2].Record.Revision.Order {
		t.Errorf("delete %+v after %+v", events[3], events[2].Record.Revision)
	}
	// Other services that vanish wake those who wait for a missing one.
	s.Put(consultest.Instance{Name: "db"})
	s.Remove("db")
	r.await("sign of life", func(all []registry.Event) bool { return all[len(all)-1].Kind == registry.EventAlive })
	s.Put(web("web-1", 81))
	r.kinds(registry.EventUpsert, registry.EventSynced, registry.EventUpsert, registry.EventDelete, registry.EventUpsert)
}

func TestServiceThatIsLostWithTheIndexIsNotDeletedDeliberately(t *testing.T) {
	s := startServer(t)
	s.Put(web("web-1", 80))
	o := to(s)
	o.Wait = 50 * time.Millisecond
	r := watch(t, open(t, o), registry.Revision{}, "web")
	defer r.close()
	r.kinds(registry.EventUpsert, registry.EventSynced)
	s.Reset("web")
	events := r.kinds(registry.EventUpsert, registry.EventSynced, registry.EventDelete, registry.EventSynced)
	if events[2].Deliberate {
		t.Errorf("deliberate: %+v", events[2])
	}
	if order, ok := events[2].Revision.Compare(events[0].Record.Revision); !ok || order <= 0 {
		t.Errorf("delete at %+v after %+v", events[2].Revision, events[0].Record.Revision)
	}
}

func TestServiceThatVanishesUnderAnUnmovedIndexIsNotDeletedDeliberately(t *testing.T) {
	s := startServer(t)
	s.Put(web("web-1", 80))
	o := to(s)
	o.Wait = 20 * time.Millisecond
	r := watch(t, open(t, o), registry.Revision{}, "web")
	defer r.close()
	r.kinds(registry.EventUpsert, registry.EventSynced)
	// As with an old server and a token that lost its rights.
	index := consultest.Headers(map[string]string{"X-Consul-Index": fmt.Sprint(s.Index())})
	s.SetFault(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		req.URL.Path = "/v1/health/service/none"
		index(w, req, next)
	})
	events := r.kinds(registry.EventUpsert, registry.EventSynced, registry.EventDelete)
	if events[2].Deliberate {
		t.Errorf("deliberate: %+v", events[2])
	}
}

func TestAnswersThatRepeatAreSignsOfLife(t *testing.T) {
	s := startServer(t)
	s.Put(web("web-1", 80))
	o := to(s)
	o.Wait = 10 * time.Millisecond
	r := watch(t, open(t, o), registry.Revision{}, "web")
	defer r.close()
	events := r.await("three signs of life", func(all []registry.Event) bool { return len(all) >= 5 })
	for _, e := range events[2:] {
		if e.Kind != registry.EventAlive {
			t.Errorf("signs of life expected after the list: %s", describe(events))
		}
	}
}

func TestServerThatNeverBlocksIsNotAskedInALoop(t *testing.T) {
	s := startServer(t)
	s.Put(web("web-1", 80))
	s.SetFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r.URL.RawQuery = "" // no index, so no blocking
		next.ServeHTTP(w, r)
	})
	began := time.Now()
	r := watch(t, open(t, to(s)), registry.Revision{}, "web")
	r.await("seven events", func(all []registry.Event) bool { return len(all) >= 7 })
	r.close()
	// Two at once, then one in 200 ms: no clock can make it more.
	if most := 2 + 1 + int64(time.Since(began)/(200*time.Millisecond)); s.Calls() > most {
		t.Errorf("%d calls, at most %d expected", s.Calls(), most)
	}
}

func TestRateBoundsAllWatchesTogether(t *testing.T) {
	s := startServer(t)
	o := to(s)
	o.Rate = 20
	began := time.Now()
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o"}
	r := watch(t, open(t, o), registry.Revision{}, names...)
	r.kinds(registry.EventSynced)
	for end := time.Now().Add(deadline); s.Waiting() < int64(len(names)) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	r.close()
	if most := 20 + 1 + int64(20*time.Since(began).Seconds()); s.Calls() > most {
		t.Errorf("%d calls, at most %d expected", s.Calls(), most)
	}
}

func TestWatchEndsWithTheErrorOfItsServer(t *testing.T) {
	for name, begin := range map[string]func(*consultest.Server){
		"killed":         (*consultest.Server).Stop,
		"without leader": func(s *consultest.Server) { s.SetFault(consultest.Status(500, "No cluster leader")) },
		"garbage":        func(s *consultest.Server) { s.SetFault(consultest.Garbage("[{}]")) },
		"hung":           func(s *consultest.Server) { s.SetFault(consultest.Hang()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			s.Put(web("web-1", 80))
			o := to(s)
			o.Wait = 20 * time.Millisecond
			r := watch(t, open(t, o), registry.Revision{}, "web")
			r.kinds(registry.EventUpsert, registry.EventSynced)
			begin(s)
			up := fails(t, <-r.ended, "")
			if up.Timeout != (name == "hung") {
				t.Errorf("timeout %t: %v", up.Timeout, up)
			}
			r.kinds(registry.EventUpsert, registry.EventSynced) // nothing more
		})
	}
}

func TestResetIsNoticedThatHappenedWhileNobodyWatched(t *testing.T) {
	for _, known := range []bool{true, false} { // the caller tells what it has, or does not
		s := startServer(t)
		for port := uint16(80); port < 90; port++ {
			s.Put(web("web-1", port))
		}
		src := open(t, to(s))
		r := watch(t, src, registry.Revision{}, "web")
		old := r.kinds(registry.EventUpsert, registry.EventSynced)[0].Record.Revision
		s.Stop()
		fails(t, <-r.ended, "")
		s.Reset()
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		from := registry.Revision{}
		if known {
			from, src = old, open(t, to(s))
		}
		r = watch(t, src, from, "web")
		rec := r.kinds(registry.EventUpsert, registry.EventSynced)[0].Record
		if order, ok := rec.Revision.Compare(old); !ok || order <= 0 {
			t.Errorf("revision %+v after %+v", rec.Revision, old)
		}
		r.close()
	}
}

func TestLaggingServerDoesNotRewindAWatch(t *testing.T) {
	s := startServer(t)
	s.Put(web("web-1", 80))
	lag := s.Lagging()
	s.Put(web("web-1", 81))
	o := to(s)
	o.Wait = 20 * time.Millisecond
	r := watch(t, open(t, o), registry.Revision{}, "web")
	defer r.close()
	r.kinds(registry.EventUpsert, registry.EventSynced)
	s.SetFault(lag)
	calls := s.Calls()
	r.await("signs of life", func(all []registry.Event) bool { return s.Calls() > calls+5 })
	r.kinds(registry.EventUpsert, registry.EventSynced)
}

func TestListWatchShowsNamesOnlyWhenTheyChange(t *testing.T) {
	s := startServer(t)
	s.Put(web("web-1", 80))
	o := to(s)
	o.Wait = 50 * time.Millisecond
	src := open(t, o)
	lists, ended := make(chan []string, 100), make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() { ended <- src.WatchList(ctx, func(names []string) { lists <- names }) }()
	next := func(want ...string) {
		t.Helper()
		for {
			select {
			case names := <-lists:
				if names == nil {
					continue
				}
				if !slices.Equal(names, want) {
					t.Errorf("list %q expected, found %q", want, names)
				}
			case <-time.After(deadline):
				t.Errorf("list %q: not seen", want)
			}
			return
		}
	}
	next("web")
	s.Put(consultest.Instance{Name: "db"})
	next("db", "web")
	s.Put(web("web-1", 81)) // moves the index of the list, and no more
	if names := <-lists; names != nil {
		t.Errorf("list %q without a change", names)
	}
	s.Reset("db")
	next("web")
	s.RemoveService("web")
	next()
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
