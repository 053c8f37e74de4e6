package fetch

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry"
)

func TestCacheControlBecomesWishes(t *testing.T) {
	const none = registry.Unsaid
	wish := func(ttl, swr, sie time.Duration) registry.Freshness {
		return registry.Freshness{TTL: ttl, StaleWhileRevalidate: swr, StaleIfError: sie}
	}
	private := registry.NoWishes
	private.NoStore = true
	s := time.Second
	for _, row := range []struct {
		header, age string
		want        registry.Freshness
	}{
		{"", "", registry.NoWishes},
		{"max-age=60", "", wish(60*s, none, none)},
		{"max-age=60", "20", wish(40*s, none, none)},
		{"max-age=60", "61", wish(0, none, none)},
		{"max-age=60", "-5", wish(60*s, none, none)},
		{"", "20", registry.NoWishes},
		{"max-age=0", "", wish(0, none, none)},
		{"max-age=60, s-maxage=10", "", wish(10*s, none, none)},
		{"S-MaxAge = 10 ,MAX-AGE=60", "", wish(10*s, none, none)},
		{"max-age=60, stale-while-revalidate=5, stale-if-error=3600", "", wish(60*s, 5*s, 3600*s)},
		{"stale-if-error=0", "", wish(none, none, 0)},
		{"no-cache", "", wish(0, none, none)},
		{"no-cache, max-age=60", "", wish(0, none, none)},
		{"no-store", "", private},
		{"private", "", private},
		{`private="x, max-age=5", public`, "", private},
		{`x="a, \"max-age=5", max-age="7"`, "", wish(7*s, none, none)},
		{`x="max-age=5`, "", registry.NoWishes},
		{"max-age=abc", "", registry.NoWishes},
		{"max-age=-1", "", registry.NoWishes},
		{"max-age=1.5", "", registry.NoWishes},
		{"max-age", "", registry.NoWishes},
		{"max-age=", "", registry.NoWishes},
		{"max-age=5, max-age=500", "", wish(5*s, none, none)},
		{"max-age=99999999999999999999999", "", wish(math.MaxInt32*s, none, none)},
		{",,, ,max-age=5,", "", wish(5*s, none, none)},
		{"must-revalidate, max-age=5", "", wish(5*s, none, none)},
	} {
		h := http.Header{}
		if row.header != "" {
			h.Set("Cache-Control", row.header)
		}
		if row.age != "" {
			h.Set("Age", row.age)
		}
		if got := wishes(h); got != row.want {
			t.Errorf("wishes(%q, age %q) = %+v, want %+v", row.header, row.age, got, row.want)
		}
	}
	two := http.Header{"Cache-Control": {"max-age=5", "stale-if-error=6"}}
	if got, want := wishes(two), wish(5*s, none, 6*s); got != want {
		t.Errorf("two lines: got %+v, want %+v", got, want)
	}
}

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, row := range []struct {
		value string
		want  time.Duration
	}{
		{"", 0}, {"0", 0}, {" 5 ", 5 * time.Second}, {"-5", 0}, {"soon", 0}, {"1e3", 0},
		{"99999999999999999999", 0}, {"18446744073709551615", 24 * time.Hour}, {"90000", 24 * time.Hour},
		{"Fri, 02 Jan 2026 03:05:05 GMT", time.Minute}, {"Fri, 02 Jan 2026 03:03:05 GMT", 0},
		{"Fri, 02 Jan 2099 03:03:05 GMT", 24 * time.Hour},
	} {
		if got := retryAfter(row.value, now); got != row.want {
			t.Errorf("retryAfter(%q) = %s, want %s", row.value, got, row.want)
		}
	}
}

func FuzzCacheControl(f *testing.F) {
	f.Add("max-age=60, s-maxage=10, no-store", "5")
	f.Add(`private="a, b", no-cache="\"", stale-if-error=1`, "-1")
	f.Add(`,="=",max-age`, "99999999999999999999")
	f.Fuzz(func(t *testing.T, header, age string) {
		w := wishes(http.Header{"Cache-Control": {header}, "Age": {age}})
		for _, d := range []time.Duration{w.TTL, w.StaleWhileRevalidate, w.StaleIfError} {
			if d < 0 && d != registry.Unsaid || d > math.MaxInt32*time.Second {
				t.Fatalf("wishes(%q, %q) has the window %d", header, age, d)
			}
		}
		for line, steps := header, 0; line != ""; steps++ {
			if steps > len(header) {
				t.Fatalf("%q never ends", header)
			}
			_, _, line = directive(line)
		}
	})
}
