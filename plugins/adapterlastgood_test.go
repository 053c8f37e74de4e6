package plugins_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
)

// A bent adapter is asked for another name than the cache asks it for, which
// makes the guest misbehave, or for less time.
type bent struct {
	*plugins.Adapter
	to atomic.Pointer[bend] // nil: it is not bent
}

type bend struct {
	name   string // "": the one that is asked for
	within time.Duration
}

func (b *bent) Lookup(ctx context.Context, name string, have *registry.Record) (*registry.Record, error) {
	if to := b.to.Load(); to != nil {
		if to.name != "" {
			name = to.name
		}
		if to.within > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, to.within)
			defer cancel()
		}
	}
	return b.Adapter.Lookup(ctx, name, have)
}

const goodRecord = `{"instances":[{"id":"good","address":"10.0.0.1","port":80}]}`

// holds fails unless a registry of a cache answers web with the good record.
func holds(t *testing.T, c *cache.Cache, name string, stale bool) {
	t.Helper()
	a, err := c.Lookup(t.Context(), &registry.Query{Registry: name, Name: "web", MaxAge: -1, Timeout: time.Minute, Select: registry.DefaultSelect})
	if err != nil || len(a.Record.Instances) != 1 || a.Record.Instances[0].ID != "good" || a.Stale != stale {
		t.Fatalf("%s: %+v, %v; stale %t expected", name, a, err, stale)
	}
}

// refreshed refreshes web of a registry and returns how that went.
func refreshed(t *testing.T, c *cache.Cache, name string) registry.ReportItem {
	t.Helper()
	report, err := c.Refresh(t.Context(), []registry.Selector{{Key: registry.Key{Registry: name, Name: "web"}}})
	if err != nil || len(report.Services) != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	return report.Services[0]
}

// Whatever a guest does with a lookup: what was held is still answered, stale,
// one can see why, and the registry beside it notices nothing.
func TestTheLastGoodRecordIsKept(t *testing.T) {
	many := make([]string, registry.MaxInstances+1)
	for i := range many {
		many[i] = fmt.Sprintf(`{"id":"%d","address":"a"}`, i)
	}
	for _, row := range [...]struct {
		what, body string // body: what the registry says
		bend       bend
		kind, text string
		replaced   bool // the guest's instance: where it goes on, only the answer was bad
	}{
		{"malformed JSON", `{"instances":[`, bend{}, "output", "JSON: line 1, column 14", false},
		{"too large", strings.Repeat(" ", 4<<20+1), bend{}, "output", "output 0 has 4194305 bytes, at most 4194304 expected", false},
		{"too many instances", `{"instances":[` + strings.Join(many, ",") + "]}", bend{}, "output", "more than 10000 instances", false},
		{"two of one id", `{"instances":[{"id":"a","address":"x"},{"id":"a","address":"y"}]}`, bend{}, "output", `instances[1]: id "a" is taken by instance 0`, false},
		{"a wrong type", `{"instances":[{"id":"a","address":"x","port":"80"}]}`, bend{}, "output", "instances[0].port: ", false},
		{"not UTF-8", "{\"instances\":[{\"id\":\"\xff\",\"address\":\"x\"}]}", bend{}, "output", "not UTF-8", false},
		{"a name that was not asked", `{"name":"db","instances":[]}`, bend{}, "output", `name: "db", and "web" was asked`, false},
		{"no code", goodRecord, bend{name: "x-code:11"}, "output", "it returned -11, which is no code", false},
		{"it says that it failed", goodRecord, bend{name: "x-say:no"}, "guest", "INTERNAL: no", false},
		{"a trap", goodRecord, bend{name: "x-trap"}, "trap", "trap: unreachable", true},
		{"beyond its memory", goodRecord, bend{name: "x-oob"}, "trap", "beyond its memory", true},
		{"out of fuel", goodRecord, bend{name: "x-spin"}, "fuel", "out of fuel: 20", true},
		{"it spins beyond its time", goodRecord, bend{name: "x-spin-slow", within: 200 * time.Millisecond}, "deadline", "its time is over", true},
		{"it waits beyond its time", "", bend{within: 200 * time.Millisecond}, "guest", "TIMEOUT: ", false},
	} {
		t.Run(row.what, func(t *testing.T) {
			var bad atomic.Bool
			o := echoOptions(serve(t, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case !bad.Load():
					_, _ = io.WriteString(w, goodRecord)
				case row.body == "":
					<-r.Context().Done()
				default:
					_, _ = io.WriteString(w, row.body)
				}
			}))
			o.Pool = 1
			fuel := 20_000_000
			if row.bend.within > 0 {
				fuel = 2_000_000_000
			}
			o.Manifest = manifest(t, fmt.Sprintf("http: [\"*\"]\nlimits: {fuel: %d}\n", fuel))
			adapter, aside := openBeside(t, o)
			a := &bent{Adapter: adapter}
			of := func(name string, s registry.Source) cache.Registry {
				return cache.Registry{Name: name, Type: "wasm", Kind: registry.KindService, Source: s, Timeout: time.Minute}
			}
			c := openCache(t, of("echo", a), of("beside", &bent{Adapter: aside}))
			holds(t, c, "echo", false)
			holds(t, c, "beside", false)
			pairOf(t, adapter, "x-held", "calls")
			pairOf(t, aside, "x-held", "calls")

			bad.Store(true)
			a.to.Store(&row.bend)
			c.Apply(&registry.Invalidation{Mode: registry.ModeVerify, Selectors: []registry.Selector{{Key: registry.Key{Registry: "echo"}}}})
			holds(t, c, "echo", true)
			if r := refreshed(t, c, "echo"); r.Result != "failed" || !strings.Contains(r.Error, row.text) {
				t.Errorf("%+v; %s expected", r, row.text)
			}
			holds(t, c, "echo", true)
			if rows, _ := c.Entries(registry.EntriesQuery{Registry: "echo"}); len(rows) != 1 || rows[0].State != "stale" {
				t.Errorf("entries %+v", rows)
			}
			regs := c.Registries()
			if !strings.Contains(regs[0].LastError, "registry echo: plugin echo, ec_lookup: ") || !strings.Contains(regs[0].LastError, row.text) {
				t.Errorf("the registry's last error: %s; %s expected", regs[0].LastError, row.text)
			}
			if f := adapter.Status().Failures; f[row.kind] < 2 || len(f) != 1 {
				t.Errorf("failures %v, of kind %s expected", f, row.kind)
			}
			want := map[bool]string{true: "1", false: "2"}[row.replaced]
			if calls := pairOf(t, adapter, "x-held", "calls"); calls != want {
				t.Errorf("calls of its instance %s, want %s", calls, want)
			}

			if calls := pairOf(t, aside, "x-held", "calls"); calls != "2" {
				t.Errorf("beside it: calls of the instance %s", calls)
			}
			holds(t, c, "beside", false)
			if s := regs[1]; s.LastError != "" || s.Failures != 0 || s.Breaker != "closed" || len(aside.Status().Failures) > 0 {
				t.Errorf("beside it: %+v, %+v", s, aside.Status())
			}

			bad.Store(false)
			a.to.Store(nil)
			if r := refreshed(t, c, "echo"); r.Result != "unchanged" {
				t.Errorf("well again: %+v", r)
			}
			holds(t, c, "echo", false)
		})
	}
}
