package torture

import (
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

var (
	lasting = flag.Duration("for", 12*time.Second, "how long all tests go on together; each makes some runs at least")
	seed    = flag.Uint64("seed", 0, "seed of all that is random; 0: a new one")
	number  = flag.Int("number", -1, "make only this run of each test; -1: as many as the time allows")
)

// The parts of -for that the tests take.
const (
	shareCrash   = 0.30
	shareNode    = 0.20
	shareEngines = 0.20
	shareFaults  = 0.30
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	fmt.Printf("torture: -seed=%d -for=%s\n", *seed, *lasting)
	code := m.Run()
	summary.print()
	os.Exit(code)
}

// A run is one random history, which the seed and its number repeat.
type run struct {
	test   string
	number int
	rng    *rand.Rand
}

// runLimit ends a run that hangs, with the stacks of all goroutines.
const runLimit = 2 * time.Minute

// runs makes one run after the other for a share of the time, and at least so
// many.
func runs(t *testing.T, share float64, least int, one func(t *testing.T, r *run)) {
	end := time.Now().Add(time.Duration(float64(*lasting) * share))
	for i := 0; i < least || time.Now().Before(end); i++ {
		if *number >= 0 {
			i = *number
		}
		r := &run{test: t.Name(), number: i}
		r.rng = r.random(0)
		func() {
			limit := time.AfterFunc(runLimit, func() {
				debug.SetTraceback("all")
				panic(fmt.Sprintf("%s lasts longer than %s", r, runLimit))
			})
			defer limit.Stop()
			one(t, r)
		}()
		if t.Failed() || *number >= 0 {
			return
		}
	}
}

// random returns numbers that depend on the seed, the test, the run and salt.
func (r *run) random(salt uint64) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(r.test))
	return rand.New(rand.NewPCG(*seed, h.Sum64()^uint64(r.number)<<32^salt))
}

func (r *run) String() string {
	return fmt.Sprintf("go test ./torture -count=1 -run='^%s$' -seed=%d -number=%d", r.test, *seed, r.number)
}

// fail fails the test with what repeats it.
func (r *run) fail(t *testing.T, format string, args ...any) {
	t.Helper()
	summary.add(r.test, "", tally{violations: 1})
	t.Fatalf("%s\nrepeat with: %s", fmt.Sprintf(format, args...), r)
}

// A tally counts what was done.
type tally struct {
	runs       int // histories begun
	crashes    int // file systems cut off and opened again
	faults     int // errors, delays and flipped bytes put in
	checked    int // states or answers held against a model
	violations int
}

// A table keeps a tally for each test and kind of fault.
type table struct {
	mu   sync.Mutex // protects rows
	rows map[[2]string]*tally
}

var summary = table{rows: map[[2]string]*tally{}}

func (s *table) add(test, kind string, n tally) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := [2]string{test, kind}
	row := s.rows[at]
	if row == nil {
		row = new(tally)
		s.rows[at] = row
	}
	row.runs += n.runs
	row.crashes += n.crashes
	row.faults += n.faults
	row.checked += n.checked
	row.violations += n.violations
}

func (s *table) print() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.rows) == 0 {
		return
	}
	names := make([][2]string, 0, len(s.rows))
	for at := range s.rows {
		names = append(names, at)
	}
	slices.SortFunc(names, func(a, b [2]string) int { return strings.Compare(a[0]+"\x00"+a[1], b[0]+"\x00"+b[1]) })
	fmt.Printf("torture: -seed=%d\n", *seed)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "test\tkind\truns\tcrashes\tfaults\tchecked\tviolations\t")
	var all tally
	line := func(test, kind string, n tally) {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t\n", test, kind, n.runs, n.crashes, n.faults, n.checked, n.violations)
	}
	for _, at := range names {
		n := *s.rows[at]
		line(at[0], at[1], n)
		all = tally{all.runs + n.runs, all.crashes + n.crashes, all.faults + n.faults, all.checked + n.checked, all.violations + n.violations}
	}
	line("all", "", all)
	w.Flush()
}
