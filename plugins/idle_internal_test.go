package plugins

import (
	"log/slog"
	"testing"

	"github.com/edgecache/edgecache/registry"
)

func TestAnInstanceThatWorkedCleansUp(t *testing.T) {
	m, err := Load("testdata/hostile/idle.wasm", "testdata/hostile/hostile.yaml", "")
	if err != nil {
		t.Fatal(err)
	}
	o := FilterDefaults()
	o.Name, o.Pool = "idle", 2
	g, err := newGeneration(&o, m, slog.New(slog.DiscardHandler), &stats{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { g.close(); <-g.over }()
	for g.pool.count() < 2 { // whatever GOMAXPROCS is
		i, err := g.another()
		if err != nil {
			t.Fatal(err)
		}
		g.pool.put(i)
	}
	first := g.pool.take() // the other one waits for requests
	rec := benchRecord(3)
	kept := func() int {
		i := g.pool.take()
		verdict, n, err := i.ask(g.frameOf(rec), rec, &registry.Selection{All: true}, zoned(""))
		if err != nil {
			t.Fatal(err)
		}
		i.calls++
		var d decision
		err = i.decide(&d, verdict, n, i.picks)
		if err != nil {
			t.Fatal(err)
		}
		g.pool.put(i)
		sel := registry.Selection{All: true}
		_ = d.apply(rec, &sel, 0)
		return sel.Len(rec)
	}
	g.idle() // it did nothing yet
	if n := kept(); n != 0 {
		t.Errorf("it cleaned up %d times before it worked", n)
	}
	g.idle()
	g.idle() // and nothing since
	if n := kept(); n != 1 {
		t.Errorf("it cleaned up %d times, want once", n)
	}
	g.idle() // which fails
	if n := g.pool.count(); n != 1 {
		t.Errorf("%d instances, want that the one that failed is gone", n)
	}
	g.pool.put(first)
	if kept(); first.cleaned != 0 {
		t.Error("it cleaned up")
	}
	g.idle() // the only one
	if n := kept(); n != 1 {
		t.Errorf("the only one cleaned up %d times, want once", n)
	}
}

func TestTheInstanceThatWorkedIsFound(t *testing.T) {
	g := newGen(t, "idle", 3)
	defer func() { g.close(); <-g.over }()
	for g.pool.count() < 3 {
		i, err := g.another()
		if err != nil {
			t.Fatal(err)
		}
		g.pool.put(i)
	}
	for at := range g.pool.places {
		i := g.pool.places[at].instance
		i.calls++
		g.idle()
		if i.cleaned != i.calls {
			t.Errorf("the instance at place %d worked, and has not cleaned up", at)
		}
	}
}
