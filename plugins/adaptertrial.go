package plugins

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// An AdapterTrial runs an adapter's module one call after the other, outside of
// any node, against what a fixture says that its registry answers. It is for
// tests of plugins, and not for concurrent use.
type AdapterTrial struct {
	gen    *adapterGeneration
	script *script
	poller *adapterInstance // nil: none polled yet
}

// NewAdapterTrial compiles a module for one of wazero's engines, with a
// fixture's configuration. The caller closes the trial.
func NewAdapterTrial(m *Module, f *AdapterFixture, interpreted bool, logger *slog.Logger) (*AdapterTrial, error) {
	if m.Manifest.Kind != kindAdapter {
		return nil, fmt.Errorf("its manifest says kind: %s; adapter expected", m.Manifest.Kind)
	}
	o := AdapterDefaults()
	o.Name, o.Config, o.Pool, o.interpreted = "fixture", f.Config, 1, interpreted
	s := &script{exchanges: f.Exchanges}
	counts := &stats{}
	out := &outbound{transport: s, scripted: true, stats: counts}
	var kept *keep
	if m.Manifest.KV {
		kept = openKeep("", "", logger)
	}
	g, err := newAdapterGeneration(&o, m, out, kept, logger, counts)
	if err != nil {
		return nil, err
	}
	return &AdapterTrial{gen: g, script: s}, nil
}

// Close ends the guest.
func (t *AdapterTrial) Close() {
	if t.poller != nil {
		t.poller.close()
	}
	t.gen.close()
}

// An AdapterOutcome is what a call did.
type AdapterOutcome struct {
	Record *registry.Record // unsealed
	Names  []string
	Fuel   int64  // used
	Memory uint32 // bytes of the instance afterwards

	polled polled
	answer []byte // of a look-up, as the guest wrote it
}

// trialTime is how long a call may take.
const trialTime = 10 * time.Second

// Call does what a case says. The error is that of the call: a [*Failure],
// [registry.ErrNotFound] or [registry.ErrNotModified].
func (t *AdapterTrial) Call(c *AdapterCase) (out AdapterOutcome, err error) {
	t.script.mark()
	return t.call(context.Background(), c)
}

// Repeat is Call, with the answers that the last Call got.
func (t *AdapterTrial) Repeat(c *AdapterCase) (AdapterOutcome, error) {
	t.script.rewind()
	return t.call(context.Background(), c)
}

func (t *AdapterTrial) call(ctx context.Context, c *AdapterCase) (out AdapterOutcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, trialTime)
	defer cancel()
	if c.Poll != nil {
		return t.poll(ctx, *c.Poll)
	}
	var have *registry.Record
	if c.Have != "" {
		have = &registry.Record{Revision: registry.Revision{Token: c.Have}}
	}
	i, err := t.gen.acquire(ctx)
	if err != nil {
		return out, err
	}
	if c.Lookup != "" {
		out.Record, err = i.lookUp(ctx, c.Lookup, have)
	} else {
		out.Names, err = i.listAll(ctx)
	}
	out.Fuel, out.Memory, out.answer = i.spent, i.mod.Memory().Size(), i.answer
	t.gen.release(i, survives(err))
	return out, err
}

// A polled is what a poll said.
type polled struct {
	emits  emits
	cursor string
	wait   time.Duration
}

type emits []emitted

func (e emits) String() string {
	list := make([]string, len(e))
	for i := range e {
		list[i] = e[i].String()
	}
	return fmt.Sprintf("%d: %s", len(e), strings.Join(list, ", "))
}

func (e emitted) String() string {
	return strings.TrimSpace([...]string{"upsert", "delete", "invalidate", "again"}[e.op] + " " + e.name)
}

func (t *AdapterTrial) poll(ctx context.Context, cursor string) (out AdapterOutcome, err error) {
	if t.poller == nil {
		if t.poller, err = t.gen.instantiate(); err != nil {
			return out, err
		}
	}
	i, c := t.poller, &adapterCall{ctx: ctx, polls: true, recorded: true, most: maxPolled}
	if i.poll == nil {
		return out, errors.New("the module does not export ec_poll")
	}
	if cursor != "" {
		c.from = &cursor
	}
	wait, err := i.timed(i.poll, c)
	out.Fuel, out.Memory = i.spent, i.mod.Memory().Size()
	switch {
	case err != nil:
		t.poller.close()
		t.poller = nil
		return out, err
	case c.fault != nil:
		return out, c.fault
	case wait < 0:
		return out, c.failed(&i.instance, wait)
	}
	out.polled = polled{emits: c.emits, wait: time.Duration(wait) * time.Millisecond}
	if c.next != nil {
		out.polled.cursor = *c.next
	}
	return out, nil
}

// A script answers requests as a fixture says.
type script struct {
	exchanges []Exchange

	mu   sync.Mutex
	used map[string]int // by request line
	from map[string]int // used, at the mark
	err  error          // requests that nothing answers, since fault
}

// fault returns what was wrong with requests since it was last called.
func (s *script) fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.err
	s.err = nil
	return err
}

// mark notes what was used, and rewind goes back there.
func (s *script) mark() { s.from = maps.Clone(s.used) }

func (s *script) rewind() { s.used = maps.Clone(s.from) }

// RoundTrip implements [http.RoundTripper].
func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	body := []byte(nil)
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body) // of bytes
	}
	line := r.Method + " " + r.URL.String()
	e := s.next(line)
	if e == nil {
		return nil, s.wrong("request %s has no exchange", line)
	}
	for name, want := range e.Headers {
		if got := r.Header.Get(name); got != want {
			return nil, s.wrong("request %s has %s: %q, want %q", line, name, got, want)
		}
	}
	if e.Body != nil && string(body) != *e.Body {
		return nil, s.wrong("request %s has the body %q, want %q", line, body, *e.Body)
	}
	switch e.Error {
	case "unavailable":
		return nil, errors.New("unavailable, says the fixture")
	case "timeout":
		return nil, context.DeadlineExceeded
	case "denied":
		return nil, &denial{"denied, says the fixture"}
	}
	answer := &http.Response{StatusCode: cmp.Or(e.Status, http.StatusOK), Header: http.Header{}, Body: io.NopCloser(e.answer()), Request: r}
	for name, value := range e.AnswerHeaders {
		answer.Header.Set(name, value)
	}
	return answer, nil
}

func (s *script) wrong(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	s.err = errors.Join(s.err, err)
	return err
}

// next returns the exchange of a request line that is due, nil if there is none.
func (s *script) next(line string) *Exchange {
	if s.used == nil {
		s.used = map[string]int{}
	}
	var last *Exchange
	n := 0
	for i := range s.exchanges {
		e := &s.exchanges[i]
		if e.Request != line {
			continue
		}
		if last = e; n == s.used[line] {
			s.used[line]++
			return e
		}
		n++
	}
	return last
}
