package cache_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache/edgecache/cache"
)

func TestCloseDoesNotWaitForADiskThatHangs(t *testing.T) {
	for _, what := range []string{"write", "get", "scan", "append", "identity"} {
		synctest.Test(t, func(t *testing.T) {
			f := tagged()
			s, start := onDisk(t, f, nil)
			if what == "identity" {
				s.mu.Lock()
				clear(s.identities)
				s.mu.Unlock()
			}
			release := s.stop(what)
			o := cache.Defaults()
			o.Store, o.Journal = s, s
			r := unwatched("r", f)
			r.WarmAll = true
			o.Registries = []cache.Registry{r}
			c, err := cache.New(o)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Open(); err != nil {
				t.Fatal(err)
			}
			f.Put("other", instance("a"))
			c.Lookup(t.Context(), query("other"))
			synctest.Wait()
			began := time.Now()
			closeCache(t, c)
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("%s hangs: Close took %s", what, took)
			}
			release()
			synctest.Wait()
			_ = start
		})
	}
}

func TestCleanRestartKeepsTheAgeOfWhatIsInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		f := tagged()
		c := openOver(t, s, nil, watched("r", f))
		c.Lookup(t.Context(), query("web"))
		time.Sleep(time.Hour / 2)
		c.Lookup(t.Context(), query("web"))
		time.Sleep(7 * time.Second) // a sign of life comes every 5 s
		closeCache(t, c)
		f.SetError(errors.New("down"))
		time.Sleep(time.Minute)
		c = openOver(t, s, nil, watched("r", f))
		if a, err := cached(c, "web"); err != nil || a.Age < time.Minute || a.Age > time.Minute+5*time.Second {
			t.Errorf("%s, %s old; want a minute and what had passed since the last sign of life", describe(a, err), a.Age)
		}
		closeCache(t, c)
	})
}

func TestUncleanRestartMakesNothingYounger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		s, start := onDisk(t, f, nil)
		time.Sleep(10 * time.Minute)
		f.SetError(errors.New("down"))
		began := time.Now()
		for _, skew := range []time.Duration{0, time.Hour, -time.Hour, -1000 * time.Hour} {
			s.mu.Lock()
			s.skew = skew
			s.mu.Unlock()
			c := start()
			a, err := cached(c, "web")
			want := max(10*time.Minute+time.Since(began)+skew, 0)
			if err != nil || a.Age < want || a.Age > want+time.Millisecond || !a.Stale {
				t.Errorf("wall clock off by %s: %s, %s old; want it %s old", skew, describe(a, err), a.Age, want)
			}
			time.Sleep(time.Hour)
			if b, err := cached(c, "web"); err != nil || b.Age != a.Age+time.Hour {
				t.Errorf("wall clock off by %s: %s, %s old an hour after it was %s old", skew, describe(b, err), b.Age, a.Age)
			}
			closeCache(t, c)
		}
	})
}
