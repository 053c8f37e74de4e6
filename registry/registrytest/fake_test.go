package registrytest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func one(port uint16) registry.Instance {
	return registry.Instance{ID: "a", Weight: registry.DefaultWeight, Endpoints: []registry.Endpoint{{Address: "10.0.0.1", Port: port}}}
}

// fakeUpstream drives a Fake as a Harness does; a fake has no bytes that
// could be garbled.
func fakeUpstream(f *registrytest.Fake) registrytest.Upstream {
	release := func() {}
	return registrytest.Upstream{
		Source: f, Put: f.Put, PutEmpty: f.SetEmpty, Remove: f.Remove,
		Break: func() { f.SetError(errors.New("connection refused")) },
		Hang:  func() { release = f.Hold() },
		Repair: func() {
			f.SetError(nil)
			release()
			release = func() {}
		},
		Reset: f.Reset,
		Close: func() { release() },
	}
}

func TestFakeConforms(t *testing.T) {
	registrytest.Run(t, registrytest.Harness{
		Alive: 20 * time.Millisecond,
		Open: func(testing.TB) registrytest.Upstream {
			f := registrytest.NewFake("fake")
			f.Alive = 20 * time.Millisecond
			return fakeUpstream(f)
		},
	})
}

func TestFakeHoldsLookupsInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := registrytest.NewFake("fake")
		f.Put("web", one(80))
		release := f.Hold()
		got := make(chan *registry.Record, 1)
		go func() {
			rec, _ := f.Lookup(t.Context(), "web", nil)
			got <- rec
		}()
		synctest.Wait()
		f.Put("web", one(81))
		if f.Calls("web") != 1 || f.Calls("") != 1 || f.Calls("db") != 0 {
			t.Errorf("calls: web %d, all %d, db %d", f.Calls("web"), f.Calls(""), f.Calls("db"))
		}
		release()
		if rec := <-got; rec.Instances[0].Main().Port != 81 {
			t.Errorf("a held lookup answers port %d, not the state of its end", rec.Instances[0].Main().Port)
		}
	})
}

func TestFakeAnswersTheStateOfTheStartIfEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := registrytest.NewFake("fake")
		f.Early = true
		f.Put("web", one(80))
		f.SetDelay(time.Second)
		time.AfterFunc(time.Second/2, func() { f.Put("web", one(81)) })
		began := time.Now()
		rec, err := f.Lookup(t.Context(), "web", nil)
		if err != nil || rec.Instances[0].Main().Port != 80 {
			t.Errorf("lookup: %v, %v", rec, err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("the lookup took %v", took)
		}
	})
}

func TestFakeLookupsEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := registrytest.NewFake("fake")
		defer f.Hold()()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := f.Lookup(ctx, "web", nil)
		var upstream *registry.UpstreamError
		if !errors.As(err, &upstream) || !upstream.Timeout || upstream.Registry != "fake" {
			t.Errorf("a timeout gives %v", err)
		}
	})
}

func TestFakeWatchesTellHowANameWent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := registrytest.NewFake("fake")
		f.Put("web", one(80))
		f.Put("db", one(80))
		ctx, cancel := context.WithCancel(t.Context())
		var events []registry.Event
		done := make(chan error, 1)
		go func() {
			done <- f.Watch(ctx, registry.Revision{}, nil, func(e registry.Event) { events = append(events, e) })
		}()
		synctest.Wait()
		if f.Watches() != 1 {
			t.Errorf("%d watches run", f.Watches())
		}
		f.Remove("web")
		synctest.Wait()
		f.Vanish("db")
		synctest.Wait()
		cancel()
		<-done
		if len(events) != 5 || events[2].Kind != registry.EventSynced || !events[3].Deliberate || events[4].Deliberate {
			t.Errorf("events: %+v", events)
		}
		if f.Watches() != 0 {
			t.Errorf("%d watches run after their end", f.Watches())
		}
	})
}
