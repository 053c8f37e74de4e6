package plugins

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func TestOnlyTheCallThatIsTriedClosesABreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		for range breakerRow {
			b.failed(breakerRow, false)
		}
		b.succeeded(false) // of a call that began before
		if allowed, _ := b.allows(); allowed {
			t.Error("a call is allowed at once")
		}
		time.Sleep(2 * breakerPause)
		allowed, trial := b.allows()
		if !allowed || !trial {
			t.Fatal("none is tried")
		}
		if again, _ := b.allows(); again {
			t.Error("two are tried at a time")
		}
		b.failed(breakerRow+1, false) // another straggler
		b.succeeded(false)
		if again, _ := b.allows(); again {
			t.Error("a straggler decided about the one that is tried")
		}
		b.abstained(true)
		if allowed, trial = b.allows(); !allowed || !trial {
			t.Error("none is tried after one was not made")
		}
		b.succeeded(true)
		if allowed, trial = b.allows(); !allowed || trial || b.state() != "closed" {
			t.Errorf("allowed %t, trial %t, %s", allowed, trial, b.state())
		}
	})
}

// What is remembered says nothing of the guest, and needs none.
func TestARememberedVerdictAndTheBreaker(t *testing.T) {
	g := newGen(t, "moody", 1)
	defer func() { g.close(); <-g.over }()
	even, odd := benchRecord(2), benchRecord(3)
	for g.stats.memoized.sum() == 0 {
		if err := g.pass(even); err != nil {
			t.Fatal(err)
		}
	}
	for range breakerRow {
		if e, ok := errors.AsType[*Failure](g.pass(odd)); !ok || e.Kind != "trap" {
			t.Fatalf("%v, want a trap", e)
		}
		if err := g.pass(even); err != nil {
			t.Errorf("what is known: %v", err)
		}
	}
	if state := g.breaker.state(); state != "open" {
		t.Errorf("it is %s after %d failures and what was remembered between", state, breakerRow)
	}
	if err := g.pass(even); err != nil {
		t.Errorf("what is known, the breaker being open: %v", err)
	}
}

func TestCallsOfTheOldModuleOpenNoBreakerOfTheNewOne(t *testing.T) {
	o := FilterDefaults()
	o.Name, o.Plugin, o.Manifest, o.OnFailure, o.May = "moody", "testdata/hostile/moody.wasm", "testdata/hostile/hostile.yaml", "open", mays
	f, err := NewFilter(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	old := f.current.Load()
	i, err := old.acquire() // a call that is under way
	if err != nil {
		t.Fatal(err)
	}
	o.Plugin = "testdata/hostile/scribble.wasm"
	if err := f.Reload(o); err != nil {
		t.Fatal(err)
	}
	for range breakerRow {
		old.failed(&Failure{"trap", errors.New("late")}, false)
	}
	old.drop(i)
	if s := f.Status(); s.Breaker != "closed" {
		t.Errorf("the new module's breaker is %s", s.Breaker)
	}
}
