package cache_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// shelved returns a cache of two registries each of which has n00 to n49 on
// disk; some of them are in memory too.
func shelved(t *testing.T) (*cache.Cache, *mapStore) {
	t.Helper()
	s := newMapStore()
	list := []cache.Registry{}
	for _, name := range []string{"r", "s"} {
		list = append(list, unwatched(name, registrytest.NewFake(name)))
	}
	c := openOver(t, s, nil, list...)
	for i := range 50 {
		for _, name := range []string{"s", "r"} {
			key := registry.Key{Registry: name, Name: fmt.Sprintf("n%02d", i)}
			rec := &registry.Record{Key: key, Instances: []registry.Instance{instance("a")}, Tags: []string{key.Name}, Wishes: registry.NoWishes}
			if err := c.Upsert(t.Context(), rec); err != nil {
				t.Fatal(err)
			}
		}
	}
	time.Sleep(100 * time.Millisecond) // all are written
	cache.Squeeze(c)
	for i := 0; i < 50; i += 3 {
		q := query(fmt.Sprintf("n%02d", i))
		q.OnlyCached, q.Registry = true, "r"
		if _, err := c.Lookup(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	return c, s
}

func TestEntriesOnDiskAreListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := shelved(t)
		invalidate(t, c, registry.ModeHard, registry.Selector{Tag: "n07"})
		time.Sleep(time.Minute)
		for _, limit := range []int{1, 7, 100, 1000} {
			var keys []string
			tiers := map[string]int{}
			q := registry.EntriesQuery{Limit: limit}
			for pages := 0; ; pages++ {
				rows, more := c.Entries(q)
				for _, r := range rows {
					keys = append(keys, r.Name+" "+r.Registry)
					tiers[r.Tier]++
					if r.State != "stale" || r.AgeMS < 60_000 || r.AgeMS > 61_000 || r.Index == 0 || r.Bytes == 0 {
						t.Errorf("%+v", r)
					}
				}
				if !more || pages > 200 {
					break
				}
				last := rows[len(rows)-1]
				q.After = registry.Key{Registry: last.Registry, Name: last.Name}
			}
			want := 0
			for i := range 50 {
				for _, name := range []string{"r", "s"} {
					if i == 7 {
						continue
					}
					if key := fmt.Sprintf("n%02d %s", i, name); want >= len(keys) || keys[want] != key {
						t.Fatalf("limit %d: row %d of %v, want %s", limit, want, keys, key)
					}
					want++
				}
			}
			if len(keys) != want || tiers["memory"] != 17 || tiers["disk"] != 98-17 {
				t.Errorf("limit %d: %d rows, of them %v", limit, len(keys), tiers)
			}
		}
		if rows, _ := c.Entries(registry.EntriesQuery{Prefix: "n1", Registry: "s", Limit: 100}); len(rows) != 10 || rows[0].Name != "n10" {
			t.Errorf("prefix n1 of s: %d rows", len(rows))
		}
		if rows, _ := c.Entries(registry.EntriesQuery{State: "fresh", Limit: 100}); len(rows) != 0 {
			t.Errorf("%d fresh rows", len(rows))
		}
		before := s.scanned
		c.Entries(registry.EntriesQuery{Limit: 5})
		if got := s.scanned - before; got > 20 {
			t.Errorf("%d entries read for a page of 5", got)
		}
		s.renew(0)
		if rows, _ := c.Entries(registry.EntriesQuery{}); len(rows) != 17 {
			t.Errorf("without a disk: %d rows", len(rows))
		}
		closeCache(t, c)
	})
}

func TestEntriesDoNotWaitForADiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := shelved(t)
		release := s.stop("scan")
		began := time.Now()
		rows, _ := c.Entries(registry.EntriesQuery{})
		if took := time.Since(began); len(rows) != 17 || took > 5*time.Second {
			t.Errorf("%d rows after %s, want those in memory", len(rows), took)
		}
		release()
		closeCache(t, c)
	})
}

func TestPersistenceIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		s, start := onDisk(t, f, nil)
		f.SetError(errors.New("down"))
		c := start()
		cached(c, "web")
		cached(c, "nobody")
		invalidate(t, c, registry.ModeHard, web)
		cache.Squeeze(c)
		cached(c, "web")
		s.breakDown("get", errIO)
		cached(c, "broken")
		time.Sleep(time.Second)
		want := cache.Persisted{Found: 1, Absent: 1, Refused: 1, Skipped: 1, Deleted: 1}
		if got := c.Stats().Persisted; got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		closeCache(t, c)
	})
}
