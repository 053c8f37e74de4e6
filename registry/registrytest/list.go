package registrytest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// restartPause lies between the end of a watch and its next start.
const restartPause = 5 * time.Millisecond

func (c *checker) list() ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.deadline)
	defer cancel()
	names, err := c.u.Source.(registry.Lister).List(ctx)
	return sorted(names), err
}

// sorted returns the names once each, in order, in new memory.
func sorted(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

func (c *checker) listed(want ...string) {
	c.Helper()
	var names []string
	var err error
	c.eventually("list of "+strings.Join(want, ", "), func() bool {
		names, err = c.list()
		return err == nil && slices.Equal(names, want)
	}, func() string {
		if err != nil {
			return err.Error()
		}
		return strings.Join(names, ", ")
	})
}

func checkList(c *checker) {
	c.listed()
	c.u.Put("web", instance(1, 8001))
	c.u.Put("db", instance(1, 8001))
	c.u.Put("cart", instance(1, 8001), instance(2, 8002))
	c.listed("cart", "db", "web")
	c.u.Remove("db")
	c.listed("cart", "web")
	if c.u.PutEmpty != nil {
		c.u.PutEmpty("idle")
		c.listed("cart", "idle", "web")
	}
}

func (c *checker) checkListFailing(what string, begin func()) {
	c.Helper()
	for _, name := range []string{"cart", "db", "web"} {
		c.u.Put(name, instance(1, 8001))
	}
	c.listed("cart", "db", "web")
	begin()
	c.fails(what+": list", func() (bool, error) {
		names, err := c.list()
		return slices.Equal(names, []string{"cart", "db", "web"}), err
	})
	c.u.Repair()
	c.listed("cart", "db", "web")
}

func checkListOutage(c *checker)  { c.checkListFailing("outage", c.u.Break) }
func checkListGarbage(c *checker) { c.checkListFailing("garbage", c.u.Garble) }

func checkListSlow(c *checker) {
	c.u.Put("web", instance(1, 8001))
	c.listed("web")
	c.u.Hang()
	c.endsWithContext("list", func(ctx context.Context) error {
		_, err := c.u.Source.(registry.Lister).List(ctx)
		return err
	})
	c.u.Repair()
	c.listed("web")
}

// A listFollower runs a list watch and starts it again when it ends, as the
// engine does.
type listFollower struct {
	c    *checker
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu    sync.Mutex // protects the fields below
	seen  bool
	names []string
	lists [][]string // every list as it came
}

func (c *checker) followList() *listFollower {
	ctx, stop := context.WithCancel(context.Background())
	f := &listFollower{c: c, stop: stop}
	f.wg.Go(func() {
		for ctx.Err() == nil {
			err := c.u.Source.(registry.ListWatcher).WatchList(ctx, f.emit)
			if ctx.Err() == nil && err == nil {
				c.Errorf("WatchList returns nil before its context ended")
			}
			sleep(ctx, restartPause)
		}
	})
	return f
}

func (f *listFollower) emit(names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if names == nil {
		return
	}
	f.seen, f.names = true, sorted(names)
	f.lists = append(f.lists, f.names)
	spoilStrings(names) // the list is ours
}

// close ends the watch, which must return within the deadline.
func (f *listFollower) close() {
	f.stop()
	if !within(f.c.deadline, f.wg.Wait) {
		f.c.Fatalf("WatchList does not end with its context")
	}
}

func (f *listFollower) until(want ...string) {
	f.c.Helper()
	f.c.eventually("watched list of "+strings.Join(want, ", "), func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.seen && slices.Equal(f.names, want)
	}, func() string {
		f.mu.Lock()
		defer f.mu.Unlock()
		return strings.Join(f.names, ", ")
	})
}

func checkWatchList(c *checker) {
	f := c.followList()
	defer f.close()
	f.until() // a list without names is a list
	c.u.Put("web", instance(1, 8001))
	f.until("web")
	c.u.Put("db", instance(1, 5432))
	f.until("db", "web")
	c.u.Put("cart", instance(1, 80))
	c.u.Remove("web")
	f.until("cart", "db")
}

func (c *checker) listedIfAble(want ...string) {
	if c.u.Source.Can().List {
		c.listed(want...)
	}
}

func checkWatchListOutage(c *checker) {
	c.u.Put("web", instance(1, 8001))
	c.listedIfAble("web")
	f := c.followList()
	defer f.close()
	f.until("web")
	c.u.Break()
	c.u.Put("db", instance(1, 5432))
	c.u.Repair()
	f.until("db", "web")
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, names := range f.lists {
		if !slices.Contains(names, "web") {
			c.Errorf("a list without a name that was never removed: %q", names)
		}
	}
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// within reports whether wait returns within d.
func within(d time.Duration, wait func()) bool {
	done := make(chan struct{})
	go func() { wait(); close(done) }()
	select {
	case <-done:
		return true
	case <-time.After(d):
		return false
	}
}
