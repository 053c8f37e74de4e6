package plugins_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
)

// A countingHandler counts what is logged.
type countingHandler struct {
	slog.Handler
	mu   sync.Mutex
	n    int
	last string
}

func (h *countingHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h *countingHandler) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h *countingHandler) Handle(_ context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n++
	h.last = r.Message
	return nil
}

var reloads = flag.Int("reloads", 60, "how often a filter under load is reloaded")

func TestReloadsUnderLoadFailNoCall(t *testing.T) {
	f := newFilter(t, options(map[string]any{"strict": true}))
	rec := sealed(20)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			sel := &registry.Selection{}
			for n := 0; !stop.Load(); n++ {
				sel.All, sel.Picks = true, sel.Picks[:0]
				r := &request{zone: string(rune('a' + n%3))}
				if err := f.Filter(r, rec, sel); err != nil {
					t.Error(err)
					return
				}
				if n := sel.Len(rec); n != 7 && n != 6 && n != 20 {
					t.Errorf("%d instances are left", n)
					return
				}
			}
		})
	}
	for n := range *reloads {
		if err := f.Reload(options(map[string]any{"strict": n%2 == 1})); err != nil {
			t.Error(err)
		}
		if n == *reloads/10 || n == *reloads-1 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			maps, _ := os.ReadFile("/proc/self/maps") // empty where there is none
			t.Logf("after %d reloads: %d goroutines, heap %d KiB, %d mappings", n+1, runtime.NumGoroutine(), m.HeapAlloc>>10, bytes.Count(maps, []byte{'\n'}))
		}
	}
	stop.Store(true)
	wg.Wait()
	if s := f.Status(); s.Generation != *reloads+1 || s.Error != "" {
		t.Errorf("status %+v", s)
	}
}

func TestReloadsLeaveNothingBehind(t *testing.T) {
	f := newFilter(t, options(nil))
	rec := sealed(20)
	cycle := func(n int) {
		for i := range n {
			if err := f.Reload(options(map[string]any{"strict": i%2 == 0})); err != nil {
				t.Fatal(err)
			}
			if err := f.Filter(&request{zone: "a"}, rec, &registry.Selection{All: true}); err != nil {
				t.Fatal(err)
			}
		}
		runtime.GC()
	}
	var before, after runtime.MemStats
	cycle(20)
	runtime.ReadMemStats(&before)
	goroutines := runtime.NumGoroutine()
	cycle(40)
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("the heap has grown by %d bytes in 40 reloads", grown)
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines, before there were %d", n, goroutines)
	}
}

func TestAReloadThatFailsKeepsTheOldGeneration(t *testing.T) {
	f := newFilter(t, options(map[string]any{"strict": true}))
	rec := sealed(6)
	bad := hostile("initfails")
	if err := f.Reload(bad); err == nil {
		t.Fatal("it is taken")
	}
	s := f.Status()
	if s.Generation != 1 || !strings.Contains(s.Error, "ec_init") {
		t.Errorf("status %+v", s)
	}
	sel := &registry.Selection{All: true}
	if err := f.Filter(&request{zone: "a"}, rec, sel); err != nil || sel.Len(rec) != 2 {
		t.Errorf("%v, %d left; want the old filter's answer", err, sel.Len(rec))
	}
	if err := f.Reload(options(map[string]any{"strict": true})); err != nil {
		t.Fatal(err)
	}
	if s := f.Status(); s.Generation != 1 || s.Error != "" {
		t.Errorf("what runs already was built again: %+v", s)
	}
}

// A configuration takes effect whole or not at all.
func TestAnAbandonedPlanChangesNothing(t *testing.T) {
	strict, lax, broken := options(map[string]any{"strict": true}), options(map[string]any{"strict": false}), hostile("initfails")
	broken.Name = "broken"
	h, err := plugins.NewHost([]plugins.FilterOptions{strict}, plugins.HostOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	left := func() int {
		t.Helper()
		filters := h.Filters()
		if len(filters) != 1 {
			t.Fatalf("%d filters", len(filters))
		}
		rec, sel := sealed(6), &registry.Selection{All: true}
		if err := filters[0].Filter.Filter(&request{zone: "a"}, rec, sel); err != nil {
			t.Fatal(err)
		}
		return sel.Len(rec)
	}
	if _, err := h.Prepare([]plugins.FilterOptions{lax, broken}); err == nil || !strings.Contains(err.Error(), "filter broken: ") {
		t.Errorf("%v", err)
	}
	if n := left(); n != 2 {
		t.Errorf("after a plan that failed %d instances are left, want 2 of 6", n)
	}
	p, err := h.Prepare([]plugins.FilterOptions{lax})
	if err != nil {
		t.Fatal(err)
	}
	p.Abandon()
	if n := left(); n != 2 {
		t.Errorf("after an abandoned plan %d instances are left, want 2 of 6", n)
	}
	if p, err = h.Prepare([]plugins.FilterOptions{lax}); err != nil {
		t.Fatal(err)
	}
	p.Commit()
	if n := left(); n != 6 {
		t.Errorf("after the plan took effect %d instances are left, want all 6", n)
	}
}

// Which answers a filter is asked about is not its guest's concern.
func TestWhatRunsIsNotBuiltAgainForOtherAnswers(t *testing.T) {
	o := options(nil)
	f := newFilter(t, o)
	o.Registries, o.Services, o.OnFailure = []string{"r"}, []string{"web-*"}, "closed"
	if err := f.Reload(o); err != nil || f.Status().Generation != 1 {
		t.Errorf("%v, generation %d", err, f.Status().Generation)
	}
	o.MinKeep = 2
	if err := f.Reload(o); err != nil || f.Status().Generation != 2 {
		t.Errorf("%v, generation %d, its options have changed", err, f.Status().Generation)
	}
}

func TestAPinMustBeThatOfTheModule(t *testing.T) {
	o := options(nil)
	o.SHA256 = strings.Repeat("0", 64)
	_, err := plugins.NewFilter(o, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "its sha256 is ") {
		t.Errorf("%v", err)
	}
}

func TestAClosedFilterFails(t *testing.T) {
	f := newFilter(t, options(nil))
	f.Close()
	err := f.Filter(&request{zone: "a"}, sealed(3), &registry.Selection{All: true})
	if _, ok := errors.AsType[*plugins.Failure](err); !ok {
		t.Errorf("%v", err)
	}
}
