package registrytest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// pause is the time between two looks at something that takes a while.
const pause = 2 * time.Millisecond

// eventually waits until ok holds; what says what was waited for.
func (c *checker) eventually(what string, ok func() bool, state func() string) {
	c.Helper()
	for end := time.Now().Add(c.deadline); !ok(); time.Sleep(pause) {
		if time.Now().After(end) {
			c.Fatalf("%s: not within %v; last seen: %s", what, c.deadline, state())
		}
	}
}

// lookup asks the source under the deadline and checks what always holds.
func (c *checker) lookup(name string, have *registry.Record) (*registry.Record, error) {
	c.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), c.deadline)
	defer cancel()
	rec, err := c.u.Source.Lookup(ctx, name, have)
	switch {
	case err != nil && rec != nil:
		c.Fatalf("Lookup(%q) returns a record and the error %v", name, err)
	case err != nil && errors.Is(err, registry.ErrNotModified) && have == nil:
		c.Fatalf("Lookup(%q) without a record to compare returns ErrNotModified", name)
	case err == nil:
		if wrong := malformed(rec, name); wrong != "" {
			c.Fatalf("Lookup(%q): %s", name, wrong)
		}
	}
	return rec, err
}

// found waits until the source answers exactly these instances.
func (c *checker) found(name string, have *registry.Record, want ...registry.Instance) *registry.Record {
	c.Helper()
	var rec *registry.Record
	var err error
	c.eventually("lookup of "+name, func() bool {
		rec, err = c.lookup(name, have)
		return err == nil && c.holds(rec, want...)
	}, func() string {
		if err != nil {
			return err.Error()
		}
		return c.describe(rec)
	})
	return rec
}

// put makes a service and waits until the source sees it.
func (c *checker) put(name string, instances ...registry.Instance) *registry.Record {
	c.Helper()
	c.u.Put(name, instances...)
	return c.found(name, nil, instances...)
}

// fails waits until the call returns an error that says nothing of the
// service. Until then the answer of before may go on: the caller's call
// returns true for it.
func (c *checker) fails(what string, call func() (old bool, err error)) {
	c.Helper()
	var err error
	c.eventually(what, func() bool {
		var old bool
		old, err = call()
		var upstream *registry.UpstreamError
		switch {
		case errors.Is(err, registry.ErrNotFound):
			c.Fatalf("%s: the error matches ErrNotFound: %v", what, err)
		case errors.As(err, &upstream):
			if upstream.Registry == "" {
				c.Fatalf("%s: the UpstreamError names no registry: %v", what, err)
			}
			return true
		case err != nil && !errors.Is(err, registry.ErrNotModified):
			c.Fatalf("%s: an *UpstreamError expected, found %T: %v", what, err, err)
		case err == nil && !old:
			c.Fatalf("%s: an answer that nobody gave", what)
		}
		return false
	}, func() string { return "no error" })
}

func checkCapabilities(c *checker) {
	can := c.u.Source.Can()
	_, list := c.u.Source.(registry.Lister)
	_, watch := c.u.Source.(registry.Watcher)
	_, watchList := c.u.Source.(registry.ListWatcher)
	for _, claim := range []struct {
		name    string
		claimed bool
		has     bool
	}{{"List", can.List, list}, {"Watch", can.Watch, watch}, {"WatchList", can.WatchList, watchList}, {"WatchAll", can.WatchAll, can.Watch}} {
		if claim.claimed && !claim.has {
			c.Errorf("capability %s is claimed and not implemented", claim.name)
		}
	}
}

func checkFound(c *checker) {
	want := []registry.Instance{instance(1, 8001), instance(2, 8002), instance(3, 8003)}
	c.put("web", want...)
	c.put("db", instance(7, 5432))
	c.found("web", nil, want...)
}

func checkChange(c *checker) {
	old := c.put("web", instance(1, 8001))
	for port := uint16(8002); port < 8006; port++ {
		c.u.Put("web", instance(1, port), instance(2, port))
		old = c.found("web", old, instance(1, port), instance(2, port))
	}
	c.u.Put("web", instance(2, 9000))
	c.found("web", old, instance(2, 9000))
}

func checkUnchanged(c *checker) {
	have := c.put("web", instance(1, 8001), instance(2, 8002))
	before := clone(have)
	rec, err := c.lookup("web", have)
	switch {
	case errors.Is(err, registry.ErrNotModified):
	case err != nil:
		c.Fatalf("second lookup: %v", err)
	case rec == have:
		c.Fatalf("the lookup returns the caller's own record instead of ErrNotModified")
	case !sameContent(rec, have):
		c.Fatalf("content differs without a change: %s, then %s", c.describe(have), c.describe(rec))
	}
	if !sameContent(before, have) || before.Revision != have.Revision {
		c.Errorf("the lookup changed the record it was given to compare")
	}
	c.u.Put("web", instance(1, 8001))
	next := c.found("web", have, instance(1, 8001))
	if next.Revision == have.Revision && next.Revision != (registry.Revision{}) {
		c.Errorf("different content under one revision %+v", next.Revision)
	}
}

func checkOrdered(c *checker) {
	old := c.put("web", instance(1, 8001))
	for port := uint16(8002); port < 8005; port++ {
		c.u.Put("web", instance(1, port))
		rec := c.found("web", nil, instance(1, port))
		if order, ok := rec.Revision.Compare(old.Revision); !ok || order <= 0 {
			c.Fatalf("revision %+v does not come after %+v", rec.Revision, old.Revision)
		}
		old = rec
	}
}

func checkAbsent(c *checker) {
	if rec, err := c.lookup("web", nil); !errors.Is(err, registry.ErrNotFound) {
		c.Fatalf("lookup in an empty upstream: ErrNotFound expected, found %s, %v", c.describe(rec), err)
	}
	have := c.put("web", instance(1, 8001))
	if rec, err := c.lookup("we", nil); !errors.Is(err, registry.ErrNotFound) {
		c.Fatalf("lookup of a name that is part of another: ErrNotFound expected, found %s, %v", c.describe(rec), err)
	}
	c.u.Remove("web")
	c.absent("web", have)
	c.put("web", instance(1, 8002))
}

// absent waits until the source says that there is no such name.
func (c *checker) absent(name string, have *registry.Record) {
	c.Helper()
	var err error
	c.eventually("absence of "+name, func() bool {
		_, err = c.lookup(name, have)
		return errors.Is(err, registry.ErrNotFound)
	}, func() string {
		if err == nil {
			return "a record"
		}
		return err.Error()
	})
}

func checkEmpty(c *checker) {
	c.u.PutEmpty("idle")
	c.found("idle", nil)
	have := c.put("web", instance(1, 8001))
	c.u.PutEmpty("web")
	c.found("web", have)
	if _, err := c.lookup("none", nil); !errors.Is(err, registry.ErrNotFound) {
		c.Errorf("absent beside an empty service: ErrNotFound expected, found %v", err)
	}
}

// checkFailing breaks the upstream and expects errors for every name, and
// the answers of before after Repair.
func (c *checker) checkFailing(what string, begin func()) {
	c.Helper()
	want := []registry.Instance{instance(1, 8001), instance(2, 8002), instance(3, 8003), instance(4, 8004)}
	have := c.put("web", want...)
	begin()
	c.fails(what+": lookup", func() (bool, error) {
		rec, err := c.lookup("web", nil)
		return c.holds(rec, want...), err
	})
	c.fails(what+": lookup with a record to compare", func() (bool, error) {
		rec, err := c.lookup("web", have)
		return c.holds(rec, want...), err
	})
	c.fails(what+": lookup of an absent name", func() (bool, error) {
		_, err := c.lookup("none", nil)
		return false, err
	})
	c.u.Repair()
	c.found("web", nil, want...)
	c.absent("none", nil)
}

func checkOutage(c *checker)  { c.checkFailing("outage", c.u.Break) }
func checkGarbage(c *checker) { c.checkFailing("garbage", c.u.Garble) }
func checkHalf(c *checker)    { c.checkFailing("half an answer", c.u.Truncate) }

func checkParallel(c *checker) {
	c.put("web", instance(1, 8001))
	c.put("db", instance(2, 5432))
	var callers sync.WaitGroup
	errs := make(chan error, 64)
	for n := range 8 {
		callers.Go(func() {
			for range 8 {
				ctx, cancel := context.WithTimeout(context.Background(), c.deadline)
				name := []string{"web", "db"}[n%2]
				rec, err := c.u.Source.Lookup(ctx, name, nil)
				cancel()
				if err == nil {
					if wrong := malformed(rec, name); wrong != "" {
						err = errors.New(wrong)
					}
				}
				errs <- err
			}
		})
	}
	for port := uint16(8002); port < 8006; port++ {
		c.u.Put("web", instance(1, port))
	}
	callers.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			c.Fatalf("lookup beside others and changes: %v", err)
		}
	}
	c.found("web", nil, instance(1, 8005))
}

func checkOwned(c *checker) {
	want := []registry.Instance{instance(1, 8001), instance(2, 8002)}
	c.put("web", want...)
	take := func() {
		ctx, cancel := context.WithTimeout(context.Background(), c.deadline)
		defer cancel()
		if rec, err := c.u.Source.Lookup(ctx, "web", nil); err == nil {
			spoil(rec)
		}
	}
	take()
	rec, err := c.lookup("web", nil)
	if err != nil || !c.holds(rec, want...) {
		c.Fatalf("after a caller changed its record: %s, %v", c.describe(rec), err)
	}
	var callers sync.WaitGroup
	for range 4 { // together, so that the race detector sees shared memory
		callers.Go(take)
	}
	callers.Wait()
	c.found("web", nil, want...)
}

func checkRewindLookup(c *checker) {
	c.put("web", instance(1, 8001))
	newer := c.put("web", instance(1, 8002))
	c.u.Rewind()
	for range 3 {
		rec, err := c.lookup("web", newer)
		if err != nil || c.holds(rec, instance(1, 8002)) {
			continue
		}
		if order, ok := rec.Revision.Compare(newer.Revision); c.u.Source.Can().Ordered && (!ok || (order >= 0 && rec.Revision.Epoch == newer.Revision.Epoch)) {
			c.Fatalf("the older state has revision %+v, the newer %+v", rec.Revision, newer.Revision)
		}
	}
	c.u.Put("web", instance(1, 8003))
	c.found("web", nil, instance(1, 8003))
}
