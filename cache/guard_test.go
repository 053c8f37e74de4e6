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

func failWith(status int) error {
	return &registry.UpstreamError{Registry: "r", Status: status, Err: errors.New("failed")}
}

func breaker(c *cache.Cache) string { return c.Registries()[0].Breaker }

func TestBreakerOpensAfterFiveFailuresInARowAndLetsOneProbeThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := registrytest.NewFake("r")
		f.SetError(failWith(500))
		c := open(t, nil, unwatched("r", f))
		for i := range 20 {
			if want := map[bool]string{true: "closed", false: "open"}[i < 5]; breaker(c) != want {
				t.Fatalf("after %d failures the breaker is %s, want %s", i, breaker(c), want)
			}
			_, err := c.Lookup(t.Context(), query(fmt.Sprintf("n%d", i)))
			e, ok := errors.AsType[*registry.LookupError](err)
			if !ok || !errors.Is(err, registry.ErrRegistryFailed) {
				t.Fatalf("lookup %d: %v, want ErrRegistryFailed", i, err)
			}
			if i >= 5 && e.RetryAfter <= 0 {
				t.Errorf("lookup %d: no time of the next recheck", i)
			}
		}
		if got := f.Calls(""); got != 5 {
			t.Errorf("calls = %d, want 5: an open breaker asks nothing", got)
		}
		time.Sleep(time.Second)
		for i := range 20 {
			c.Lookup(t.Context(), query(fmt.Sprintf("m%d", i)))
		}
		if got := f.Calls(""); got != 6 {
			t.Errorf("calls = %d, want 6: one probe per recheck", got)
		}
		f.SetError(nil)
		f.Put("web", instance("a"))
		time.Sleep(2 * time.Second)
		if a, err := c.Lookup(t.Context(), query("web")); err != nil || ids(a) != "a" || breaker(c) != "closed" {
			t.Errorf("after its return: %s, %v, breaker %s", ids(a), err, breaker(c))
		}
		// Names that failed while it was down are asked at once.
		if _, err := c.Lookup(t.Context(), query("n0")); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("a name that failed during the outage: %v, want ErrNotFound", err)
		}
	})
}

func TestBreakerCountsWhatIsTheRegistrysFaultOnly(t *testing.T) {
	for _, row := range []struct {
		name  string
		err   error
		opens bool
	}{
		{"500", failWith(500), true},
		{"429", failWith(429), true},
		{"connect", &registry.UpstreamError{Err: errors.New("connection refused")}, true},
		{"unreadable body", errors.New("invalid character"), true},
		{"404", fmt.Errorf("gone: %w", registry.ErrNotFound), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := registrytest.NewFake("r")
				f.SetError(row.err)
				c := open(t, nil, unwatched("r", f))
				for i := range 8 {
					c.Lookup(t.Context(), query(fmt.Sprintf("n%d", i)))
				}
				if got := breaker(c) == "open"; got != row.opens {
					t.Errorf("breaker is %s after 8 times %v", breaker(c), row.err)
				}
			})
		})
	}
}

func TestBreakerOpensWhenHalfOfTwentyCallsFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := registrytest.NewFake("r")
		c := open(t, nil, unwatched("r", f))
		for i := range 20 {
			if breaker(c) != "closed" {
				t.Fatalf("open after %d calls", i)
			}
			if f.SetError(nil); i%2 == 1 {
				f.SetError(failWith(503))
			}
			c.Lookup(t.Context(), query(fmt.Sprintf("n%d", i)))
		}
		if breaker(c) != "open" {
			t.Error("closed after 10 of 20 calls failed")
		}
	})
}

func TestRetryAfterIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := registrytest.NewFake("r")
		f.SetError(&registry.UpstreamError{Status: 429, RetryAfter: 20 * time.Second, Err: errors.New("slow down")})
		r := unwatched("r", f)
		r.Retries = 3
		c := open(t, nil, r)
		_, err := c.Lookup(t.Context(), query("web"))
		e, ok := errors.AsType[*registry.LookupError](err)
		if !ok || e.RetryAfter != 20*time.Second {
			t.Fatalf("err = %v, want one with RetryAfter 20s", err)
		}
		time.Sleep(19 * time.Second)
		c.Lookup(t.Context(), query("web"))
		if got := f.Calls(""); got != 1 {
			t.Errorf("calls = %d within Retry-After, want 1", got)
		}
	})
}

func TestAFailureIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := registrytest.NewFake("r")
		f.SetError(failWith(503))
		r := unwatched("r", f)
		r.Retries = 2
		c := open(t, nil, r)
		c.Lookup(t.Context(), query("web"))
		if got := f.Calls("web"); got != 3 {
			t.Errorf("calls = %d, want 3", got)
		}
	})
}

func TestRateLimitHoldsCallsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := registrytest.NewFake("r")
		r := unwatched("r", f)
		r.Rate = 10
		c := open(t, nil, r)
		start := time.Now()
		for i := range 40 {
			c.Lookup(t.Context(), query(fmt.Sprintf("n%d", i)))
		}
		if got := time.Since(start); got < 2900*time.Millisecond {
			t.Errorf("40 calls at 10 a second took %s", got)
		}
		if breaker(c) != "closed" {
			t.Error("our own limit opened the breaker")
		}
	})
}

func TestOneRegistrysOutageLeavesOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := registrytest.NewFake("a"), fill(registrytest.NewFake("b"))
		release := a.Hold()
		defer release()
		ra := unwatched("a", a)
		ra.Services = []string{"a-*"}
		c := open(t, nil, ra, unwatched("b", b))
		for i := range 6 {
			go c.Lookup(t.Context(), query(fmt.Sprintf("a-%d", i)))
		}
		synctest.Wait()
		start := time.Now()
		if got, err := c.Lookup(t.Context(), query("web")); err != nil || time.Since(start) > 0 {
			t.Errorf("Lookup(web) = %s, %v after %s while another registry hangs", ids(got), err, time.Since(start))
		}
		time.Sleep(10 * time.Second)
	})
}
