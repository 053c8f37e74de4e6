package http_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgecache/edgecache/http"
	"github.com/edgecache/edgecache/registry"
)

// A memoryEngine is an engine over records that tests set: what Lookup, Names
// and Subscribe promise, without a registry behind it.
type memoryEngine struct {
	mu      sync.Mutex // protects the fields below
	clock   *registry.Clock
	records map[string]*registry.Record
	failing map[string]error // what a name's lookup returns instead
	index   map[string]uint64
	list    uint64
	log     []string // names changed, for resuming: entry i has sequence i+1
	subs    map[*memorySub]struct{}
	hold    chan struct{} // not nil: lookups wait until it is closed
	lookups int
	asked   registry.Query // the last query, without its name
	panics  bool
}

func newMemoryEngine() *memoryEngine {
	return &memoryEngine{
		clock: registry.NewClock(nil, 0), records: map[string]*registry.Record{}, failing: map[string]error{},
		index: map[string]uint64{}, subs: map[*memorySub]struct{}{}, list: 1,
	}
}

// set stores a service with an instance per zone.
func (e *memoryEngine) set(name string, zones ...string) {
	rec := &registry.Record{Key: registry.Key{Registry: "file", Name: name}, Kind: registry.KindService}
	for i, zone := range zones {
		rec.Instances = append(rec.Instances, registry.Instance{
			ID: name + "-" + strconv.Itoa(i), Health: registry.HealthPassing, Weight: registry.DefaultWeight, Zone: zone,
			Endpoints: []registry.Endpoint{{Address: "10.0.0." + strconv.Itoa(i+1), Port: 80}},
		})
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.records[name] == nil {
		e.list++
	}
	rec.Seal(e.clock.Next(rec.ContentHash()))
	e.records[name], e.index[name] = rec, rec.Index
	delete(e.failing, name)
	e.changedLocked(name)
}

func (e *memoryEngine) remove(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.records, name)
	e.index[name] = e.clock.Next(0)
	e.list++
	e.changedLocked(name)
}

func (e *memoryEngine) fail(name string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failing[name] = err
}

// last returns what the last lookup asked for besides the name.
func (e *memoryEngine) last() registry.Query {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asked
}

func (e *memoryEngine) holdLookups() (release func()) {
	hold := make(chan struct{})
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hold = hold
	return sync.OnceFunc(func() { close(hold) })
}

func (e *memoryEngine) changedLocked(name string) {
	e.log = append(e.log, name)
	for s := range e.subs {
		if s.covers(name) {
			s.addLocked(name)
		}
	}
}

func (e *memoryEngine) Lookup(ctx context.Context, q *registry.Query) (registry.Answer, error) {
	e.mu.Lock()
	hold := e.hold
	e.lookups++
	e.asked = *q
	e.asked.Name, e.asked.Select.Tags = "", nil // they end with the request
	if e.panics {
		e.mu.Unlock()
		panic("engine broke")
	}
	e.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return registry.Answer{}, ctx.Err()
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	name := strings.Clone(q.Name)
	if q.Registry != "" && q.Registry != "file" {
		return registry.Answer{}, &registry.LookupError{Name: name, Err: registry.ErrNoRegistry}
	}
	a := registry.Answer{Index: cmp.Or(e.index[name], 4096), TTL: time.Minute, Age: 1500 * time.Millisecond, Hit: true, Kind: registry.KindService}
	if err := e.failing[name]; err != nil {
		return a, &registry.LookupError{Name: name, Err: err}
	}
	rec := e.records[name]
	if rec == nil || q.Kind != "" && q.Kind != registry.KindService {
		a.Details = registry.DetailNegative
		return a, &registry.LookupError{Name: name, Err: registry.ErrNotFound}
	}
	a.Record = rec
	return a, nil
}

func (e *memoryEngine) Names(_ context.Context, q *registry.NamesQuery) (registry.NamesPage, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	page := registry.NamesPage{Index: e.list << 12, Age: 2 * time.Second, Complete: true}
	for _, name := range slices.Sorted(maps.Keys(e.records)) {
		if !strings.HasPrefix(name, q.Prefix) || name <= q.After {
			continue
		}
		if page.More = len(page.Rows) == q.Limit; page.More {
			break
		}
		page.Rows = append(page.Rows, registry.NameRow{Name: name, Registry: "file", Kind: registry.KindService})
	}
	return page, nil
}

func (e *memoryEngine) Subscribe(to registry.Subscribe) registry.Subscription {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := &memorySub{engine: e, to: to, wake: make(chan struct{}, 1), pending: map[string]bool{}}
	if n, err := strconv.Atoi(to.Resume); err == nil && n <= len(e.log) {
		s.resumed = true
		for _, name := range e.log[n:] {
			if s.covers(name) {
				s.addLocked(name)
			}
		}
	}
	e.subs[s] = struct{}{}
	return s
}

func (e *memoryEngine) subscriptions() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.subs)
}

type memorySub struct {
	engine  *memoryEngine
	to      registry.Subscribe
	resumed bool
	wake    chan struct{}
	pending map[string]bool // protected by engine.mu
	reset   bool
}

func (s *memorySub) covers(name string) bool {
	return slices.Contains(s.to.Names, name) || s.to.Prefix != nil && strings.HasPrefix(name, *s.to.Prefix)
}

func (s *memorySub) addLocked(name string) {
	s.pending[name] = true
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *memorySub) Resumed() bool         { return s.resumed }
func (s *memorySub) Wake() <-chan struct{} { return s.wake }

func (s *memorySub) Take(buf []string) ([]string, string, bool) {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	select {
	case <-s.wake:
	default:
	}
	buf = append(buf, slices.Sorted(maps.Keys(s.pending))...)
	clear(s.pending)
	reset := s.reset
	s.reset = false
	return buf, strconv.Itoa(len(s.engine.log)), reset
}

func (s *memorySub) Close() {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	delete(s.engine.subs, s)
}

// resetAll makes every subscription list anew.
func (e *memoryEngine) resetAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.subs {
		s.reset = true
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// idleControl is the admin side of tests that do not use it.
type idleControl struct{ http.Control }

// serve starts a server over the engine; change (nil: none) edits the options.
func serve(t *testing.T, e *memoryEngine, change func(*http.Options, *http.Deps)) *http.Server {
	t.Helper()
	o, a := http.Defaults(), http.AdminDefaults()
	o.Listen, a.Listen, o.Drain = "127.0.0.1:0", "127.0.0.1:0", 0
	d := http.Deps{
		Answerer: &registry.Answerer{Engine: e}, Control: idleControl{},
		RegistryNames: func() []string { return []string{"file"} },
		Ready:         func() (bool, []string) { return true, nil },
	}
	if change != nil {
		change(&o, &d)
	}
	s, err := http.New(o, a, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// eventually polls until ok, or fails the test after 5 s.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("after 5 s still not: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

var (
	errUpstream = errors.Join(registry.ErrRegistryFailed, errors.New("connection refused"))
	errDisk     = errors.New("secret: /etc/passwd")
)
