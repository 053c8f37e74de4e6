package cache_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

var errIO = errors.New("input/output error")

func TestInventedNamesAreNeverWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		f := registrytest.NewFake("r")
		c := openOver(t, s, nil, unwatched("r", f))
		writes := s.called("write")
		for i := range 300 {
			if _, err := c.Lookup(t.Context(), query(fmt.Sprint("invented", i))); !errors.Is(err, registry.ErrNotFound) {
				t.Fatal(err)
			}
		}
		f.SetError(errors.New("down"))
		for i := range 300 {
			c.Lookup(t.Context(), query(fmt.Sprint("more", i)))
		}
		time.Sleep(2 * time.Minute)
		if got := s.called("write") - writes; got != 0 {
			t.Errorf("%d writes for names that nobody has", got)
		}
		closeCache(t, c)
	})
}

func TestConfirmationIsNotAWholeWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		f := tagged()
		c := openOver(t, s, func(o *cache.Options) { o.TTL = time.Second }, unwatched("r", f))
		for range 5 {
			c.Lookup(t.Context(), query("web"))
			time.Sleep(2 * time.Second)
		}
		if puts, confirms, _ := s.count("web"); puts != 1 || confirms < 4 {
			t.Errorf("%d whole writes and %d confirmations of a record that never changed, want 1 and at least 4", puts, confirms)
		}
		f.Put("web", instance("b"))
		c.Lookup(t.Context(), query("web"))
		synctest.Wait()
		if puts, _, _ := s.count("web"); puts != 2 {
			t.Errorf("%d whole writes after a change, want 2", puts)
		}
		f.SetError(errors.New("down"))
		time.Sleep(2 * time.Second)
		before := s.called("write")
		for range 20 {
			c.Lookup(t.Context(), query("web"))
			time.Sleep(100 * time.Millisecond)
		}
		if got := s.called("write") - before; got > 0 {
			t.Errorf("%d writes of failures", got)
		}
		closeCache(t, c)
	})
}

func TestConfirmedAbsenceDeletesTheRecordOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		f := tagged()
		c := openOver(t, s, func(o *cache.Options) { o.TTL = time.Second; o.Empty.Grace = 0; o.Empty.Confirm = 2 }, unwatched("r", f))
		c.Lookup(t.Context(), query("web"))
		synctest.Wait()
		s.breakDown("write", errIO)
		f.Remove("web")
		for range 3 {
			time.Sleep(2 * time.Second)
			c.Lookup(t.Context(), query("web"))
		}
		if a, err := c.Lookup(t.Context(), query("web")); !errors.Is(err, registry.ErrNotFound) {
			t.Fatal(describe(a, err))
		}
		cache.Squeeze(c)
		if a, err := cached(c, "web"); err == nil {
			t.Errorf("%s, though its deletion waits to be written", describe(a, err))
		}
		s.breakDown("write", nil)
		time.Sleep(2 * time.Second)
		if s.names() != "" {
			t.Errorf("%q is left on disk after the deletion failed once", s.names())
		}
		closeCache(t, c)
	})
}

func TestRecordThatMayNotBeStoredIsNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		f := registrytest.NewFake("r")
		wishes := registry.NoWishes
		wishes.NoStore = true
		f.PutRecord(&registry.Record{Key: registry.Key{Name: "private"}, Instances: []registry.Instance{instance("a")}, Wishes: wishes})
		minute := time.Minute
		r := unwatched("r", f)
		r.Overrides.TTL = &minute // kept in memory all the same
		c := openOver(t, s, nil, r)
		c.Lookup(t.Context(), query("private"))
		if a, err := c.Lookup(t.Context(), query("private")); err != nil || !a.Hit {
			t.Errorf("in memory: %s", describe(a, err))
		}
		time.Sleep(2 * time.Minute)
		closeCache(t, c)
		if s.names() != "" {
			t.Errorf("%q on disk", s.names())
		}
	})
}

func TestWhatWaitsToBeWrittenIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		f := registrytest.NewFake("r")
		const names = 90
		for i := range names {
			f.PutRecord(&registry.Record{Key: registry.Key{Name: fmt.Sprint("n", i)}, Document: make([]byte, 1<<20), Wishes: registry.NoWishes})
		}
		c := openOver(t, s, func(o *cache.Options) { o.Memory, o.TTL = 1<<30, time.Hour }, unwatched("r", f))
		release := s.stop("write")
		for i := range names {
			c.Lookup(t.Context(), query(fmt.Sprint("n", i)))
		}
		p := c.Stats().Persisted
		if p.PendingBytes > 64<<20 || p.Pending == 0 || p.Dropped == 0 {
			t.Errorf("%+v: want at most 64 MiB waiting, and what is more dropped", p)
		}
		release()
		time.Sleep(2 * time.Minute)
		if p = c.Stats().Persisted; p.Written != names || p.Pending != 0 {
			t.Errorf("%+v: want all %d written in the end", p, names)
		}
		closeCache(t, c)
	})
}

func TestTooManyKeysWaitingAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		c := openOver(t, s, nil, unwatched("r", registrytest.NewFake("r")))
		release := s.stop("write")
		for i := range 67_000 {
			key := registry.Key{Registry: "r", Name: fmt.Sprint("n", i)}
			if err := c.Upsert(t.Context(), &registry.Record{Key: key, Wishes: registry.NoWishes}); err != nil {
				t.Fatal(err)
			}
		}
		if p := c.Stats().Persisted; p.Pending > 65536 || p.Dropped == 0 {
			t.Errorf("%+v: want at most 65536 waiting, and what is more dropped", p)
		}
		release()
		closeCache(t, c)
	})
}

func TestFreshDirectoryGetsAllThatIsInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		f := registrytest.NewFake("r")
		for i := range 500 {
			f.Put(fmt.Sprint("n", i), instance("a"))
		}
		c := openOver(t, s, func(o *cache.Options) { o.TTL = time.Hour }, unwatched("r", f))
		for i := range 500 {
			c.Lookup(t.Context(), query(fmt.Sprint("n", i)))
		}
		time.Sleep(100 * time.Millisecond) // all are written
		s.renew(0)
		gets := s.called("get")
		f.Put("late", instance("a"))
		if _, err := c.Lookup(t.Context(), query("late")); err != nil {
			t.Error(err)
		}
		if got := c.Stats().Persisted; got.Pending > 0 || s.called("get") != gets {
			t.Errorf("no directory: %d keys wait, %d reads", got.Pending, s.called("get")-gets)
		}
		n7 := &registry.Invalidation{Mode: registry.ModeHard, Selectors: []registry.Selector{{Key: registry.Key{Name: "n7"}}}}
		if err := c.Invalidate(t.Context(), n7); !errors.Is(err, registry.ErrNotDurable) {
			t.Errorf("invalidation without a disk: %v, want not durable", err)
		}
		if conf, ok := c.Confirmation(n7.ID()); !ok || len(conf.Confirmed) > 0 || len(conf.Pending) != 1 {
			t.Errorf("%+v: want this node pending", conf)
		}
		s.renew(2)
		s.mu.Lock()
		clear(s.identities)
		s.mu.Unlock()
		time.Sleep(time.Second)
		if got := len(strings.Fields(s.names())); got > 100 {
			t.Errorf("%d entries written at once", got)
		}
		time.Sleep(time.Minute)
		if got := len(strings.Fields(s.names())); got != 501 {
			t.Errorf("%d entries in the fresh directory, want all 501", got)
		}
		if id, _ := s.Identity("r"); id == "" {
			t.Error("the fresh directory does not say which registry its entries are from")
		}
		cache.Squeeze(c)
		if a, err := cached(c, "n7"); err == nil {
			t.Errorf("n7: %s after a hard invalidation while there was no directory", describe(a, err))
		}
		if a, err := cached(c, "n8"); err != nil {
			t.Errorf("n8: %s", describe(a, err))
		}
		closeCache(t, c)
	})
}

// The store makes room by what was confirmed longest ago.
func TestWhatMayHaveMadeRoomOnDiskIsWrittenAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		c := openOver(t, s, nil, unwatched("r", tagged()))
		c.Lookup(t.Context(), query("web"))
		time.Sleep(2 * time.Hour)
		s.renew(1)
		c.Lookup(t.Context(), query("web"))
		synctest.Wait()
		if s.names() != "web" {
			t.Error("confirmed on disk, where it is not any more")
		}
		closeCache(t, c)
	})
}

func TestSignsOfLifeOfAWatchReachTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		f := tagged()
		c := openOver(t, s, func(o *cache.Options) { o.StaleIfError = 10 * time.Minute }, watched("r", f))
		c.Lookup(t.Context(), query("web"))
		time.Sleep(20 * time.Minute)
		s.mu.Lock()
		kept := s.kept[registry.Key{Registry: "r", Name: "web"}]
		age := time.Duration(time.Now().UnixMilli()-kept.Verified) * time.Millisecond
		left := kept.Expires - time.Now().UnixMilli()
		s.mu.Unlock()
		if age > 2*time.Minute || left <= 0 {
			t.Errorf("an entry that a watch keeps fresh is %s old on disk, and expires in %dms", age, left)
		}
		closeCache(t, c)
	})
}

func TestFullDiskCostsNoLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		f := tagged()
		var log bytes.Buffer
		c := openOver(t, s, func(o *cache.Options) {
			o.TTL = time.Second
			o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		}, unwatched("r", f))
		s.breakDown("write", errors.New("no space left on device"))
		for range 300 {
			if a, err := c.Lookup(t.Context(), query("web")); err != nil || a.Stale {
				t.Fatal(describe(a, err))
			}
			time.Sleep(500 * time.Millisecond)
		}
		if got := c.Stats().Persisted; got.WriteErrors == 0 || got.Written != 0 {
			t.Errorf("%+v", got)
		}
		s.breakDown("write", nil)
		time.Sleep(2 * time.Minute)
		if s.names() != "web" {
			t.Error("not written once there is room")
		}
		closeCache(t, c)
		if got := strings.Count(log.String(), "level=WARN"); got < 1 || got > 4 {
			t.Errorf("%d warnings in two and a half minutes, want one a minute:\n%s", got, log.String())
		}
	})
}

func TestChangesShareBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		c := openOver(t, s, nil, unwatched("r", registrytest.NewFake("r")))
		for i := range 1000 { // one a millisecond
			key := registry.Key{Registry: "r", Name: fmt.Sprint("n", i)}
			if err := c.Upsert(t.Context(), &registry.Record{Key: key, Wishes: registry.NoWishes}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		if entries, writes := len(strings.Fields(s.names())), s.called("write"); entries != 1000 || writes > 150 {
			t.Errorf("%d entries were written in %d batches, want 1000 in about 100", entries, writes)
		}
		closeCache(t, c)
	})
}
