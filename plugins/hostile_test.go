package plugins_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
)

// Modules that do not get as far as a call, and what their author reads.
func TestWhatIsNotLoadedAndWhy(t *testing.T) {
	for name, want := range map[string]string{
		"start":         "__ec_start: out of fuel",
		"init":          "ec_init: out of fuel",
		"initfails":     `ec_init: it returned -5: zone "" is none`,
		"arena-low":     "ec_arena: it returned 0, no arena of 81920 bytes",
		"arena-odd":     "ec_arena: it returned 1025; a multiple of 16, at least 1024, is expected",
		"arena-high":    "ec_arena: its arena would end at 212976, its memory ends at 131072",
		"arena-beyond":  "ec_arena: its arena would end at 4295049200, its memory ends at 131072",
		"exportcounter": `export "__ec_fuel": names that begin with __ec_ are the host's`,
		"importglobal":  "import edgecache_v1.fuel is a global; only functions",
		"importtable":   "import edgecache_v1.t is a table; only functions",
		"unknownimport": "import edgecache_v1.teleport: this host, of ABI 1.0, has no such function\nimport env.abort: only edgecache_v1 and wasi_snapshot_preview1 can be imported",
		"bigtable":      "table 0 has up to 1000000 elements, at most 65536",
		"opentable":     "table 0 may grow without bound",
		"nofilter":      "export ec_filter (i32) -> (i64) is missing",
		"noabi":         "export edgecache_abi_v1 () -> () is missing\nexport ec_abi () -> (i32) is missing\nexport ec_init () -> (i32) is missing\nexport ec_arena (i32) -> (i32) is missing",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := plugins.NewFilter(hostile(name), slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v\nwant %s", err, want)
			}
		})
	}
}

// Guests that break a call: each its own failure, the selection as it was, and
// the next request served by a fresh instance.
func TestHowCallsFailAndWhatTheirAuthorReads(t *testing.T) {
	for name, want := range map[string]struct{ kind, text string }{
		"loop":             {"fuel", "out of fuel: "},
		"looptable":        {"fuel", "of 150300; limits.fuel and limits.fuel_per_instance of the manifest raise it, to 2000000 at most"},
		"exptree":          {"fuel", "out of fuel"},
		"recurse":          {"fuel", "out of fuel"},
		"growpages":        {"fuel", "out of fuel"},
		"growonce":         {"fuel", "out of fuel"},
		"growtable":        {"fuel", "out of fuel"},
		"bulk":             {"fuel", "out of fuel"},
		"walk":             {"fuel", "out of fuel"},
		"unwind":           {"fuel", "out of fuel"},
		"random":           {"fuel", "out of fuel"},
		"config":           {"fuel", "out of fuel"},
		"trap-unreachable": {"trap", "trap: unreachable, in "},
		"trap-divide":      {"trap", "trap: integer divide by zero"},
		"trap-overflow":    {"trap", "trap: integer overflow"},
		"trap-memory":      {"trap", "trap: out of bounds memory access"},
		"trap-convert":     {"trap", "trap: invalid conversion to integer"},
		"trap-null":        {"trap", "trap: invalid table access"},
		"trap-signature":   {"trap", "trap: indirect call type mismatch"},
		"trap-element":     {"trap", "trap: invalid table access"},
		"exit":             {"exit", "the guest exited with code 3"},
		"verdict-unknown":  {"verdict", "bad verdict: action 200 is not known"},
		"verdict-length":   {"verdict", "bad verdict: it is 4294967295 bytes long"},
		"verdict-order4g":  {"verdict", "bad verdict: ORDER of 4294967295, there are 3 instances"},
		"verdict-index":    {"verdict", "bad verdict: ORDER names instance 4096 of 3"},
		"verdict-twice":    {"verdict", "bad verdict: ORDER names instance 0 twice"},
		"verdict-status":   {"verdict", "bad verdict: DENY with status 200"},
		"verdict-body":     {"verdict", "bad verdict: BODY is not in this version"},
		"verdict-error":    {"guest", "the guest failed with code 7 and no error_set"},
	} {
		t.Run(name, func(t *testing.T) {
			o := hostile(name)
			if name == "config" {
				o.Config = map[string]any{"x": strings.Repeat("x", 60_000)}
			}
			f := newFilter(t, o)
			rec := sealed(3)
			for range 2 {
				sel := &registry.Selection{All: true}
				err := f.Filter(&request{}, rec, sel)
				e, ok := errors.AsType[*plugins.Failure](err)
				if !ok || e.Kind != want.kind || !strings.Contains(e.Error(), want.text) {
					t.Errorf("%v, want %s: %s", err, want.kind, want.text)
				}
				if !sel.All || len(sel.Picks) > 0 {
					t.Errorf("the selection has become %v", sel)
				}
			}
			if s := f.Status(); s.Failures[want.kind] != 2 || s.Breaker != "closed" {
				t.Errorf("status %+v", s)
			}
		})
	}
}

func TestADenialIsTheAnswer(t *testing.T) {
	f := newFilter(t, hostile("verdict-deny"))
	err := f.Filter(&request{}, sealed(3), &registry.Selection{All: true})
	if d, ok := errors.AsType[*registry.Deny](err); !ok || d.Status != 403 || !errors.Is(err, registry.ErrDenied) {
		t.Errorf("%v, want a denial with 403", err)
	}
	o := hostile("verdict-deny")
	o.May = []plugins.May{"drop", "reorder"}
	if _, err := plugins.NewFilter(o, slog.New(slog.DiscardHandler)); err == nil ||
		!strings.Contains(err.Error(), "its manifest asks for may: deny, which the configuration does not grant") {
		t.Errorf("not granted: %v", err)
	}
}

// A filter may do only what its manifest says, whatever its verdict.
func TestAVerdictBeyondTheManifest(t *testing.T) {
	manifest := filepath.Join(t.TempDir(), "m.yaml")
	if err := os.WriteFile(manifest, []byte(`{name: x, kind: filter, abi: "1.0", may: []}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"verdict-deny": "it would deny, and may not: its manifest says []",
		"scribble":     "it would drop, and may not",
	} {
		o := hostile(name)
		o.Manifest = manifest
		f := newFilter(t, o)
		err := f.Filter(&request{}, sealed(3), &registry.Selection{All: true})
		if e, ok := errors.AsType[*plugins.Failure](err); !ok || e.Kind != "verdict" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}

func TestAGuestThatScribblesHarmsItselfOnly(t *testing.T) {
	f := newFilter(t, hostile("scribble"))
	rec := sealed(3)
	for range 3 {
		sel := &registry.Selection{All: true}
		if err := f.Filter(&request{}, rec, sel); err != nil {
			t.Fatal(err)
		}
		if got := picks(rec, sel); !slices.Equal(got, []int32{0}) {
			t.Errorf("%v, want the first instance", got)
		}
	}
	if rec.Instances[0].ID != "checkout-0" {
		t.Error("the record has changed")
	}
}

func TestALogFloodIsCut(t *testing.T) {
	var lines countingHandler
	f, err := plugins.NewFilter(hostile("logflood"), slog.New(&lines))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rec := sealed(1)
	for range 5 {
		if err := f.Filter(&request{}, rec, &registry.Selection{All: true}); err != nil {
			t.Fatal(err)
		}
	}
	s := f.Status()
	if lines.n == 0 || lines.n > 300 || s.LogDropped+uint64(lines.n) != 1000 {
		t.Errorf("%d lines written and %d dropped of 1000", lines.n, s.LogDropped)
	}
	if strings.ContainsAny(lines.last, "\n\x1b") {
		t.Errorf("a line holds what moves a cursor: %q", lines.last)
	}
}

// A service that does not fit into a frame says nothing of the guest.
func TestAServiceThatIsTooLargeOpensNoBreaker(t *testing.T) {
	f := newFilter(t, options(map[string]any{"strict": true}))
	large, rec := sealed(1100), sealed(6)
	for range 20 {
		if e, ok := errors.AsType[*plugins.Failure](f.Filter(&request{zone: "a"}, large, &registry.Selection{All: true})); !ok || e.Kind != "frame" {
			t.Fatalf("%v, want that it does not fit", e)
		}
	}
	if err := f.Filter(&request{zone: "a"}, rec, &registry.Selection{All: true}); err != nil || f.Status().Breaker != "closed" {
		t.Errorf("%v, breaker %s", err, f.Status().Breaker)
	}
}

func TestTheBreakerOpensAndRecovers(t *testing.T) {
	f := newFilter(t, hostile("moody"))
	call := func(n int) error { return f.Filter(&request{}, sealed(n), &registry.Selection{All: true}) }
	for i := range 5 {
		if s := f.Status(); s.Breaker != "closed" {
			t.Fatalf("%s after %d failures", s.Breaker, i)
		}
		_ = call(3)
	}
	if e, ok := errors.AsType[*plugins.Failure](call(2)); !ok || e.Kind != "broken" {
		t.Errorf("after five failures in a row: %v, want that no call is made", e)
	}
	if s := f.Status(); s.Breaker != "open" || s.Calls != 5 || s.Skipped != 1 {
		t.Errorf("status %+v", s)
	}
	deadline := time.Now().Add(time.Minute)
	for f.Status().Calls == 5 && time.Now().Before(deadline) {
		_ = call(3)
	}
	if s := f.Status(); s.Calls != 6 || s.Breaker != "open" {
		t.Errorf("status after a call was tried and failed: %+v", s)
	}
	for f.Status().Calls == 6 && time.Now().Before(deadline) {
		_ = call(2)
	}
	if s := f.Status(); s.Calls != 7 || s.Breaker != "closed" {
		t.Errorf("status after a call was tried and did not fail: %+v", s)
	}
}
