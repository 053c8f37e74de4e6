package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var (
	kills    = flag.Int("kills", 12, "how often a node is killed at a random moment")
	killSeed = flag.Uint64("kills.seed", 0, "seed of those moments; 0: a new one")
)

// A history is what was acknowledged: by name, the newest of the ledger's
// answers that may not be fresh any more, and that may not be served.
type history struct {
	l *ledger

	mu    sync.Mutex // protects the fields below
	floor map[string]int
	gone  map[string]int
}

func newHistory(l *ledger, names []string) *history {
	h := &history{l: l, floor: map[string]int{}, gone: map[string]int{}}
	for _, name := range names {
		h.floor[name], h.gone[name] = -1, -1
	}
	return h
}

// question returns the lookup of a name by what is acknowledged now.
func (h *history) question(name string) question {
	h.mu.Lock()
	defer h.mu.Unlock()
	return question{h.l, name, h.floor[name], h.gone[name]}
}

// acknowledge notes an invalidation that was sent when the ledger's newest
// answer was this one: what was fetched up to it is older.
func (h *history) acknowledge(inv invalidating, hard bool, newest int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name := range h.floor {
		if !inv.covers(name) {
			continue
		}
		h.floor[name] = max(h.floor[name], newest)
		if hard {
			h.gone[name] = max(h.gone[name], newest)
		}
	}
}

// A siege is a node that is killed again and again under load.
type siege struct {
	t     *testing.T
	l     *ledger
	names []string
	h     *history

	lookups, fromDisk, acknowledged, refused atomic.Int64
}

// load looks up and invalidates until ctx ends or the node is gone.
func (s *siege) load(ctx context.Context, n *node, seed uint64) *sync.WaitGroup {
	var callers sync.WaitGroup
	for i := range 3 {
		callers.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			for ctx.Err() == nil && s.lookup(n, s.names[random.IntN(len(s.names))]) {
			}
		})
	}
	for i := range 2 {
		callers.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(100+i)))
			for ctx.Err() == nil && s.invalidate(n, random) {
			}
		})
	}
	return &callers
}

// lookup asks for a name; false if the node is gone.
func (s *siege) lookup(n *node, name string) bool {
	a, _, err := s.h.question(name).put(n)
	if err != nil {
		return false
	}
	s.lookups.Add(1)
	if a.status == http.StatusOK && a.detail("disk") {
		s.fromDisk.Add(1)
	}
	return true
}

// invalidate sends an invalidation; false if it was not answered.
func (s *siege) invalidate(n *node, random *rand.Rand) bool {
	kinds := every()
	inv := kinds[random.IntN(len(kinds))].invalidating
	if random.IntN(3) > 0 { // most are of one name
		name := s.names[random.IntN(len(s.names))]
		inv = invalidating{object{"services": []object{{"name": name}}}, func(other string) bool { return other == name }}
	}
	mode := []string{"soft", "verify", "hard"}[random.IntN(3)]
	inv.body["mode"] = mode
	newest := s.l.last()
	a, err := try(http.MethodPost, n.admin+"/v1/invalidate", text(inv.body))
	if err != nil {
		return false
	}
	switch a.status {
	case http.StatusOK:
		s.h.acknowledge(inv, mode == "hard", newest)
		s.acknowledged.Add(1)
	case http.StatusServiceUnavailable:
		s.refused.Add(1)
	default:
		s.t.Errorf("invalidate %v: %v", inv.body, a)
	}
	return true
}

// restarted checks every name once on a node that begins again, with the
// registry down: then all it has is what was kept.
func (s *siege) restarted(n *node) {
	n.awaits("ready", "/readyz", func(a *answer) bool { return a.status == http.StatusOK })
	for _, name := range s.names {
		a, _, err := s.h.question(name).put(n)
		switch {
		case err != nil:
			s.t.Errorf("%s: %v", name, err)
		case a.status == http.StatusOK && !a.Stale:
			s.t.Errorf("%s: fresh, and nobody could be asked: %v", name, a)
		case a.status == http.StatusOK:
			s.fromDisk.Add(1)
		}
		if s.t.Failed() {
			return // the others would say the same
		}
	}
}

func TestKilledAtRandomMomentsItKeepsWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	seed := *killSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("repeat with -kills %d -kills.seed %d", *kills, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	l := newLedger(t)
	s := &siege{t: t, l: l, names: names(8)}
	s.h = newHistory(l, s.names)
	n := start(t, l.ledgers())
	for kill := range *kills {
		ctx, stop := context.WithCancel(t.Context())
		callers := s.load(ctx, n, random.Uint64())
		<-time.After(time.Duration(random.Int64N(int64(700 * time.Millisecond))))
		how := syscall.SIGKILL
		if random.IntN(10) == 0 {
			how = syscall.SIGTERM
		}
		n.signal(how)
		n.end()
		stop()
		callers.Wait()
		for random.IntN(3) == 0 { // killed before it serves, or just after
			early := launch(t, n.binary, n.config, n.args...)
			<-time.After(time.Duration(random.Int64N(int64(500 * time.Millisecond))))
			early.kill()
		}
		down := random.IntN(2) == 0
		if down {
			l.down()
		}
		n = n.again()
		if down {
			s.restarted(n)
			l.up()
		}
		if t.Failed() {
			t.Fatalf("after kill %d of %d, by %v", kill+1, *kills, how)
		}
	}
	for _, name := range s.names {
		n.awaits("fresh in the end", "/v1/services/"+name, func(a *answer) bool {
			s.h.question(name).put(n)
			return a.status == http.StatusOK && !a.Stale
		})
	}
	summary := fmt.Sprintf("%d kills: %d lookups, %d answers from disk, %d invalidations acknowledged, %d not durable, %d answers of the registry",
		*kills, s.lookups.Load(), s.fromDisk.Load(), s.acknowledged.Load(), s.refused.Load(), l.last()+1)
	t.Log(summary)
	if *kills >= 10 && slices.Contains([]int64{s.lookups.Load(), s.fromDisk.Load(), s.acknowledged.Load()}, 0) {
		t.Errorf("not everything happened: %s", summary)
	}
}
