package registrytest_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// A source is a Fake with one or more methods replaced by wrong ones.
type source struct {
	*registrytest.Fake
	lookup func(ctx context.Context, name string, have *registry.Record) (*registry.Record, error)
	list   func(ctx context.Context) ([]string, error)
	watch  func(ctx context.Context, names []string, emit func(registry.Event)) error

	mu    sync.Mutex // protects older
	older *registry.Record
}

func (s *source) Lookup(ctx context.Context, name string, have *registry.Record) (*registry.Record, error) {
	s.mu.Lock()
	older := s.older
	s.mu.Unlock()
	if older != nil && have != nil && older.Key.Name == name {
		return shallow(older), nil
	}
	if s.lookup != nil {
		return s.lookup(ctx, name, have)
	}
	return s.Fake.Lookup(ctx, name, have)
}

func (s *source) List(ctx context.Context) ([]string, error) {
	if s.list != nil {
		return s.list(ctx)
	}
	return s.Fake.List(ctx)
}

func (s *source) Watch(ctx context.Context, from registry.Revision, names []string, emit func(registry.Event)) error {
	if s.watch != nil {
		return s.watch(ctx, names, emit)
	}
	return s.Fake.Watch(ctx, from, names, emit)
}

// upstream can do everything; garbage and half answers are what the fake
// reports as errors, as a correct adapter does.
func (s *source) upstream() registrytest.Upstream {
	u := fakeUpstream(s.Fake)
	u.Source = s
	u.Garble, u.Truncate = u.Break, u.Break
	var last, before *registry.Record
	u.Put = func(name string, instances ...registry.Instance) {
		s.mu.Lock()
		s.older = nil
		s.mu.Unlock()
		s.Fake.Put(name, instances...)
		if rec, err := s.Fake.Lookup(context.Background(), name, nil); err == nil {
			last, before = rec, last
		}
	}
	u.Rewind = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.older = before
	}
	return u
}

// failures runs the suite, or one subtest, over a Fake that wrong made wrong.
func failures(t *testing.T, only string, wrong func(s *source, u *registrytest.Upstream)) map[string][]string {
	return registrytest.Failures(t, registrytest.Harness{
		Deadline: 300 * time.Millisecond, Alive: 10 * time.Millisecond,
		Open: func(testing.TB) registrytest.Upstream {
			s := &source{Fake: registrytest.NewFake("fake")}
			s.Alive = 10 * time.Millisecond
			u := s.upstream()
			wrong(s, &u)
			return u
		},
	}, only)
}

func TestSuiteAcceptsACorrectSource(t *testing.T) {
	for name, lines := range failures(t, "", func(*source, *registrytest.Upstream) {}) {
		t.Errorf("%s: %q", name, lines)
	}
}

// bugs are wrong sources, each with a subtest that must fail.
var bugs = []struct {
	name  string
	fails string
	wrong func(s *source, u *registrytest.Upstream)
}{
	{"an outage looks like absence", "outage is not absence", func(s *source, _ *registrytest.Upstream) {
		s.lookup = func(ctx context.Context, name string, have *registry.Record) (*registry.Record, error) {
			rec, err := s.Fake.Lookup(ctx, name, have)
			if err != nil && !errors.Is(err, registry.ErrNotModified) {
				err = registry.ErrNotFound
			}
			return rec, err
		}
	}},
	{"an outage empties the list", "list fails in an outage", func(s *source, _ *registrytest.Upstream) {
		s.list = func(ctx context.Context) ([]string, error) {
			names, _ := s.Fake.List(ctx)
			return names, ctx.Err()
		}
	}},
	{"deletes are dropped", "watch sees changes and deletes", func(s *source, _ *registrytest.Upstream) {
		s.watch = s.only(func(e registry.Event) bool { return e.Kind != registry.EventDelete })
	}},
	{"goroutines leak", "lookup finds what was put", func(s *source, _ *registrytest.Upstream) {
		s.lookup = func(ctx context.Context, name string, have *registry.Record) (*registry.Record, error) {
			go func() { time.Sleep(700 * time.Millisecond) }()
			return s.Fake.Lookup(ctx, name, have)
		}
	}},
	{"half an answer is taken", "half an answer is an upstream error", func(s *source, u *registrytest.Upstream) {
		var half bool
		s.lookup = func(ctx context.Context, name string, have *registry.Record) (*registry.Record, error) {
			rec, err := s.Fake.Lookup(ctx, name, have)
			if half && rec != nil {
				rec.Instances = rec.Instances[:len(rec.Instances)/2]
			}
			return rec, err
		}
		u.Truncate = func() { half = true }
	}},
	{"records are shared", "records share no memory", func(s *source, _ *registrytest.Upstream) {
		shared := map[string]*registry.Record{}
		var mu sync.Mutex
		s.lookup = func(ctx context.Context, name string, have *registry.Record) (*registry.Record, error) {
			rec, err := s.Fake.Lookup(ctx, name, nil)
			mu.Lock()
			defer mu.Unlock()
			if old := shared[name]; err == nil && old != nil && old.Revision == rec.Revision {
				rec.Instances = old.Instances
			} else if err == nil {
				shared[name] = shallow(rec)
			}
			return rec, err
		}
	}},
	{"a service without instances looks absent", "service without instances is not absent", func(s *source, _ *registrytest.Upstream) {
		s.lookup = func(ctx context.Context, name string, have *registry.Record) (*registry.Record, error) {
			rec, err := s.Fake.Lookup(ctx, name, have)
			if err == nil && len(rec.Instances) == 0 {
				return nil, registry.ErrNotFound
			}
			return rec, err
		}
	}},
	{"everything is unchanged", "unchanged record is confirmed", func(s *source, _ *registrytest.Upstream) {
		s.lookup = func(ctx context.Context, name string, have *registry.Record) (*registry.Record, error) {
			if have != nil {
				return nil, registry.ErrNotModified
			}
			return s.Fake.Lookup(ctx, name, have)
		}
	}},
	{"lookups outlive their context", "lookup ends with its context", func(s *source, _ *registrytest.Upstream) {
		s.lookup = func(_ context.Context, name string, have *registry.Record) (*registry.Record, error) {
			return s.Fake.Lookup(context.Background(), name, have)
		}
	}},
	{"revisions do not rise", "revision rises with changes", func(s *source, _ *registrytest.Upstream) {
		s.lookup = func(ctx context.Context, name string, have *registry.Record) (*registry.Record, error) {
			rec, err := s.Fake.Lookup(ctx, name, have)
			if rec != nil {
				rec.Revision = registry.Revision{Epoch: 1, Order: 1}
			}
			return rec, err
		}
	}},
	{"an older state has the newer revision", "older answer does not look newer", func(s *source, u *registrytest.Upstream) {
		rewind := u.Rewind
		u.Rewind = func() {
			rewind()
			s.older.Revision.Order += 100
		}
	}},
	{"a reconnect does not list again", "watch has no gap in an outage", func(s *source, _ *registrytest.Upstream) {
		s.watch = func(ctx context.Context, names []string, emit func(registry.Event)) error {
			first := true
			for ctx.Err() == nil {
				synced := first
				_ = s.Fake.Watch(ctx, registry.Revision{}, names, func(e registry.Event) {
					if synced {
						emit(e)
					}
					synced = synced || e.Kind == registry.EventSynced
				})
				first = false
				time.Sleep(time.Millisecond)
			}
			return ctx.Err()
		}
	}},
	{"a reset is not told", "watch lists again after a reset", func(s *source, u *registrytest.Upstream) {
		u.Reset = func(remove ...string) {}
	}},
	{"a watch ends quietly", "watch has no gap while connections come and go", func(s *source, _ *registrytest.Upstream) {
		s.watch = func(ctx context.Context, names []string, emit func(registry.Event)) error {
			_ = s.Fake.Watch(ctx, registry.Revision{}, names, emit)
			return nil
		}
	}},
	{"a watch ignores its context", "watch ends with its context", func(s *source, u *registrytest.Upstream) {
		over := make(chan struct{})
		s.watch = func(_ context.Context, names []string, emit func(registry.Event)) error {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			stop := context.AfterFunc(ctx, func() {})
			defer stop()
			go func() { <-over; cancel() }()
			return s.Fake.Watch(ctx, registry.Revision{}, names, emit)
		}
		end := u.Close
		u.Close = func() { close(over); end() }
	}},
	{"a silent watch", "watch gives signs of life", func(s *source, _ *registrytest.Upstream) {
		s.watch = s.only(func(e registry.Event) bool { return e.Kind != registry.EventAlive })
	}},
	{"an interface is claimed", "capabilities agree with interfaces", func(s *source, u *registrytest.Upstream) {
		u.Source = claims{registry.SourceFunc(s.Lookup)}
	}},
}

// claims is a source that claims to list and cannot.
type claims struct{ registry.SourceFunc }

func (claims) Can() registry.Capabilities { return registry.Capabilities{WatchAll: true} }

func shallow(rec *registry.Record) *registry.Record {
	return &registry.Record{Key: rec.Key, Revision: rec.Revision, Instances: rec.Instances}
}

// only returns a watch that emits what keep keeps.
func (s *source) only(keep func(registry.Event) bool) func(context.Context, []string, func(registry.Event)) error {
	return func(ctx context.Context, names []string, emit func(registry.Event)) error {
		return s.Fake.Watch(ctx, registry.Revision{}, names, func(e registry.Event) {
			if keep(e) {
				emit(e)
			}
		})
	}
}

func TestSuiteCatches(t *testing.T) {
	for _, bug := range bugs {
		t.Run(bug.name, func(t *testing.T) {
			got := failures(t, bug.fails, bug.wrong)
			if len(got[bug.fails]) == 0 {
				t.Errorf("%q passes", bug.fails)
			}
			t.Logf("%q", got[bug.fails])
		})
	}
}
