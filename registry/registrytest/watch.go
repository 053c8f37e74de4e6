package registrytest

import (
	"context"
	"sync"

	"github.com/edgecache/edgecache/registry"
)

func checkWatchStart(c *checker) {
	c.put("web", instance(1, 8001))
	c.put("db", instance(2, 5432))
	c.put("other", instance(3, 1))
	f := c.follow("web", "db", "none")
	defer f.close()
	f.untilSynced()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !c.holds(f.records["web"], instance(1, 8001)) || !c.holds(f.records["db"], instance(2, 5432)) {
		c.Errorf("at Synced the watch has web %s and db %s", c.describe(f.records["web"]), c.describe(f.records["db"]))
	}
	if f.records["none"] != nil {
		c.Errorf("the watch shows a record of a name that does not exist")
	}
}

func checkWatchChanges(c *checker) {
	c.put("web", instance(1, 8001))
	f := c.follow("web", "db")
	defer f.close()
	f.untilSynced()
	c.u.Put("web", instance(1, 8002), instance(2, 8002))
	f.has("web", instance(1, 8002), instance(2, 8002))
	c.u.Put("db", instance(3, 5432)) // did not exist when the watch began
	f.has("db", instance(3, 5432))
	c.u.Put("web", instance(2, 8002))
	f.has("web", instance(2, 8002))
	c.u.Remove("web")
	f.hasNot("web")
	c.u.Put("web", instance(4, 8004))
	f.has("web", instance(4, 8004))
	if c.u.PutEmpty != nil {
		c.u.PutEmpty("web")
		f.has("web")
	}
}

func checkWatchAll(c *checker) {
	c.put("web", instance(1, 8001))
	c.put("db", instance(2, 5432))
	f := c.follow()
	defer f.close()
	f.untilSynced()
	f.has("web", instance(1, 8001))
	f.has("db", instance(2, 5432))
	c.u.Put("cart", instance(3, 80))
	f.has("cart", instance(3, 80))
	c.u.Remove("db")
	f.hasNot("db")
	f.has("web", instance(1, 8001))
}

func checkWatchStartRace(c *checker) {
	const changes = 40
	c.put("web", instance(1, 8000))
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := uint16(1); n <= changes; n++ {
			c.u.Put("web", instance(1, 8000+n))
		}
	})
	defer writer.Wait()
	for range 4 { // watches that start at different moments of it
		f := c.follow("web")
		defer f.close()
		defer f.has("web", instance(1, 8000+changes))
		f.untilSynced()
	}
	writer.Wait()
}

func checkWatchOutage(c *checker) {
	c.put("web", instance(1, 8001))
	c.put("db", instance(1, 5432))
	f := c.follow("web", "db", "cart")
	defer f.close()
	f.untilSynced()
	c.u.Break()
	c.u.Put("web", instance(1, 8002))
	c.u.Put("cart", instance(1, 80))
	c.u.Remove("db")
	c.u.Repair()
	f.has("web", instance(1, 8002))
	f.has("cart", instance(1, 80))
	f.hasNot("db")
	c.u.Put("web", instance(1, 8003))
	f.has("web", instance(1, 8003))
}

func checkWatchFlapping(c *checker) {
	c.put("web", instance(1, 8000))
	c.put("db", instance(2, 5432))
	f := c.follow("web", "db")
	defer f.close()
	f.untilSynced()
	port := uint16(8000)
	for range 5 {
		c.u.Break()
		c.u.Repair()
		for range 5 {
			port++
			c.u.Put("web", instance(1, port))
		}
	}
	f.has("web", instance(1, port))
	f.has("db", instance(2, 5432))
}

func checkWatchGarbage(c *checker) {
	c.put("web", instance(1, 8001))
	c.put("db", instance(2, 5432))
	f := c.follow("web", "db")
	defer f.close()
	f.untilSynced()
	c.u.Garble()
	c.fails("garbage: lookup", func() (bool, error) {
		rec, err := c.lookup("web", nil)
		return c.holds(rec, instance(1, 8001)), err
	})
	f.mu.Lock()
	web, db := f.records["web"], f.records["db"]
	f.mu.Unlock()
	if !c.holds(web, instance(1, 8001)) || !c.holds(db, instance(2, 5432)) {
		c.Errorf("garbage changed what the watch showed: web %s, db %s", c.describe(web), c.describe(db))
	}
	c.u.Repair()
	c.u.Put("web", instance(1, 8002))
	f.has("web", instance(1, 8002))
	f.has("db", instance(2, 5432))
}

func checkWatchReset(c *checker) {
	c.put("web", instance(1, 8001))
	c.put("db", instance(2, 5432))
	f := c.follow("web", "db")
	defer f.close()
	f.untilSynced()
	f.mu.Lock()
	before := f.resyncs
	f.mu.Unlock()
	c.u.Reset("db")
	f.until("a new list", func() bool { return f.resyncs > before || f.records["db"] == nil })
	f.hasNot("db")
	f.has("web", instance(1, 8001))
	c.u.Put("web", instance(1, 8002))
	f.has("web", instance(1, 8002))
	c.u.Put("db", instance(2, 5433))
	f.has("db", instance(2, 5433))

	// Here db was named since the last Synced, by a change: only a delete, or
	// the end of the watch, tells that the new list does not have it.
	c.u.Reset("db")
	f.hasNot("db")
	f.has("web", instance(1, 8002))
}

func checkWatchRewind(c *checker) {
	c.put("web", instance(1, 8001))
	c.put("web", instance(1, 8002))
	f := c.follow("web")
	defer f.close()
	f.untilSynced()
	c.u.Rewind() // the follower compares the revisions of all that comes
	c.u.Put("web", instance(1, 8003))
	f.has("web", instance(1, 8003))
}

func checkWatchOwned(c *checker) {
	c.put("web", instance(1, 8001), instance(2, 8002))
	first, second := c.follow("web"), c.follow("web")
	defer first.close()
	defer second.close()
	for _, f := range []*follower{first, second} {
		f.mu.Lock()
		f.spoiling = true
		f.mu.Unlock()
		f.untilSynced()
	}
	for port := uint16(9000); port < 9004; port++ {
		c.u.Put("web", instance(1, port), instance(2, 8002))
		first.has("web", instance(1, port), instance(2, 8002))
		second.has("web", instance(1, port), instance(2, 8002))
		c.found("web", nil, instance(1, port), instance(2, 8002))
	}
}

func checkWatchAlive(c *checker) {
	c.put("web", instance(1, 8001))
	f := c.follow("web")
	defer f.close()
	f.untilSynced()
	c.deadline = max(c.deadline, 4*c.h.Alive)
	f.mu.Lock()
	events := f.events
	f.mu.Unlock()
	f.until("signs of life", func() bool { return f.events >= events+2 })
}

func checkWatchCancel(c *checker) {
	c.put("web", instance(1, 8001))
	f := c.follow("web")
	f.untilSynced()
	f.close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ended := within(c.deadline, func() {
		_ = c.u.Source.(registry.Watcher).Watch(ctx, registry.Revision{}, []string{"web"}, func(registry.Event) {})
	})
	if !ended {
		c.Fatalf("Watch with an ended context does not return")
	}
}
