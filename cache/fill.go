package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// A flight is one fetch of one key that all callers who came before its end
// share, except those who came after an invalidation that voids it.
type flight struct {
	up      *upstream
	key     registry.Key
	began   uint64        // position when it started
	started time.Duration // cache time when it started
	done    chan struct{} // closed after the result was stored
	cancel  context.CancelFunc

	// The order lock protects the fields below until done is closed.
	disk    diskAnswer
	direct  bool // it asks the registry itself, not the owner of the key
	waiters int
	voided  bool // an invalidation came: nobody may join any more
	out     outcome
}

// An outcome is what a fetch led to.
type outcome struct {
	entry     *entry // what is known now; nil: nothing, or nothing that may be served
	err       *registry.UpstreamError
	result    string // as in registry.ReportItem
	retries   int
	stored    bool
	copied    bool // a peer gave it
	fwdStatus int
}

var errClosed = errors.New("the cache or this registry is closed")

// fillBudget bounds one flight: all its calls and the pauses between them.
func (u *upstream) fillBudget() time.Duration {
	return time.Duration(u.Retries+1) * (u.Timeout + retryPause<<u.Retries)
}

const retryPause = 50 * time.Millisecond

func tagsOf(rec *registry.Record) []string {
	if rec == nil {
		return nil
	}
	return rec.Tags
}

// A holding is what was held of a key when it was to be fetched.
type holding struct {
	known       bool
	have        *registry.Record // that the registry may confirm; nil: none
	invalidated registry.Mode
	age         time.Duration
}

// holding returns what is held of the flight's key. The order lock is held.
func (c *Cache) holding(f *flight) (h holding) {
	held := c.mem.peek(f.key)
	if held == nil {
		return h
	}
	h.known, h.age = held.known(), max(c.now()-held.base(), 0)
	h.invalidated = max(held.mode(), c.gens.covering(f.key, tagsOf(held.rec), held.began))
	if h.invalidated < registry.ModeHard && held.began >= f.up.moved {
		h.have = held.rec
	}
	return h
}

// run fetches and stores. It ends the flight. If nothing is held, it asks the
// disk first, for what the registry may confirm or contradict.
func (c *Cache) run(ctx context.Context, f *flight, h holding) {
	ctx, end := c.opts.Trace.Start(ctx, "fill", f.key)
	if !h.known && f.disk == diskUnasked {
		got, disk := c.recall(ctx, f.up, f.key.Name, false, c.now()+diskPatience)
		c.order.Lock()
		if h = c.holding(f); got == nil {
			f.disk = disk
		}
		c.order.Unlock()
	}
	if h.invalidated > registry.ModeNone {
		ctx = registry.ReadThrough(ctx)
	}
	r, began, copied := c.askOwner(ctx, f, h)
	if !copied {
		r, began = c.fetch(ctx, f, h.have), f.began
	}
	if r.err != nil && !h.known {
		if copy, known, ok := c.askAny(ctx, f); ok {
			r, began = copy, known
		} else if c.opts.Cluster != nil && r.err.Harmless && ctx.Err() == nil {
			inVain := *r.err // peers are not asked again at each lookup
			inVain.Harmless = false
			r.err = &inVain
		}
	}
	r.searched = f.disk == diskNothing
	f.settleWith(c, r, h.have, began)
	if err := f.out.err; err != nil {
		end(err)
	} else {
		end(nil)
	}
	close(f.done)
}

// A reply is what the registry said.
type reply struct {
	rec      *registry.Record
	hash     uint64 // of rec's content; see identify
	absent   bool
	meant    bool   // of absent: said deliberately, need not be confirmed
	watch    *watch // that said it; nil: a fetch did
	same     bool   // it is still what we have
	err      *registry.UpstreamError
	asked    time.Duration // when the call that said it started
	received time.Duration
	retries  int
	searched bool          // the disk has nothing of the key
	copied   bool          // a peer said what the registry had said, when it was asked
	mode     registry.Mode // of copied: what covers it there

	provisional bool // of copied: the registry is asked again soon
}

// identify makes the record the key's and hashes it, which takes time: it is
// done before the order lock is taken.
func (r *reply) identify(u *upstream, key registry.Key) {
	if r.rec != nil && !r.copied {
		r.rec.Key, r.rec.Kind = key, u.Kind
		r.hash = r.rec.ContentHash()
	}
}

// fetch asks the registry, again after failures that may pass.
func (c *Cache) fetch(ctx context.Context, f *flight, have *registry.Record) reply {
	u := f.up
	for try := 0; ; try++ {
		r := c.ask(ctx, u, f.key.Name, have)
		r.retries = try
		if r.err == nil || try == u.Retries || !passing(r.err) || ctx.Err() != nil {
			return r
		}
		pause := time.NewTimer(jittered(retryPause << try))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return r
		}
	}
}

// passing reports whether a failure may be over in a moment.
func passing(err *registry.UpstreamError) bool {
	if err.Harmless || err.RetryAfter > 0 {
		return false
	}
	return err.Status < 400 || err.Status == 408 || err.Status >= 500
}

// ask makes one call under the guard.
func (c *Cache) ask(ctx context.Context, u *upstream, name string, have *registry.Record) reply {
	r := reply{asked: c.now()}
	if err := ctx.Err(); err != nil { // nobody waits any more
		r.err = &registry.UpstreamError{Registry: u.Name, Err: err, Harmless: true}
		return r
	}
	if ok, in := u.guard.allow(r.asked); !ok {
		r.err = u.notAsked(in)
		return r
	}
	if err := u.guard.wait(ctx); err != nil {
		r.err = &registry.UpstreamError{Registry: u.Name, Err: err, Harmless: true}
		u.guard.done(c.now(), r.err)
		return r
	}
	call, cancel := context.WithTimeout(ctx, u.Timeout)
	defer cancel()
	r.asked = c.now()
	rec, err := guarded(c, u, func() (*registry.Record, error) {
		return u.Source.Lookup(call, u.upstreamName(name), have)
	})
	switch {
	case err == nil && rec != nil:
		r.rec = rec
	case errors.Is(err, registry.ErrNotModified) && have != nil:
		r.same = true
	case errors.Is(err, registry.ErrNotFound):
		r.absent = true
	default:
		r.err = c.upstreamError(call, u, err)
	}
	r.received = c.now()
	u.guard.done(r.received, r.err)
	c.stats.countFill(&r)
	return r
}

// guarded calls a source; its panic is that registry's failure and nobody
// else's.
func guarded[T any](c *Cache, u *upstream, call func() (T, error)) (out T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the adapter panicked: %v", p)
			c.opts.Logger.Error("adapter panicked", "registry", u.Name, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	return call()
}

var errNoAnswer = errors.New("the adapter returned neither a record nor an error")

// upstreamError gives any failure of a source the form that the guard and the
// caller read.
func (c *Cache) upstreamError(call context.Context, u *upstream, err error) *registry.UpstreamError {
	if err == nil {
		err = errNoAnswer
	}
	out := registry.UpstreamError{Err: err}
	if up, ok := errors.AsType[*registry.UpstreamError](err); ok {
		out = *up
	}
	out.Registry = u.Name
	if errors.Is(call.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		out.Timeout, out.Harmless = true, false
	}
	if errors.Is(call.Err(), context.Canceled) {
		out.Harmless = true // we gave up, not the registry
	}
	return &out
}

// await waits for a flight until the caller's time is up. It reports whether
// the flight ended.
func (c *Cache) await(ctx context.Context, f *flight, until time.Duration) bool {
	select {
	case <-f.done:
		return true
	default:
	}
	left := until - c.now()
	if left <= 0 {
		return false
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-f.done:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// fetchNow joins or starts a flight that is no older than notBefore and waits
// for it until the given cache time. ended is false if the time was up first.
func (c *Cache) fetchNow(ctx context.Context, u *upstream, name string, w wanted, until time.Duration) (out outcome, collapsed, ended bool) {
	for {
		f, collapsed, ok := c.join(ctx, u, name, w)
		ended := c.await(ctx, f, until)
		c.leave(f)
		switch {
		case !ended:
			return outcome{}, collapsed, false
		case ok && (f.out.entry != nil || f.out.err != nil):
			return f.out, collapsed, true
		}
		// It began too early, or a hard invalidation voided it: what it
		// found may not be served, so start anew.
		w.seen = whatever
	}
}

// fetchSoon starts a flight unless one is under way or something better than
// what the caller saw came meanwhile. It does not wait.
func (c *Cache) fetchSoon(u *upstream, name string, seen *entry) {
	f, _, _ := c.join(c.ctx, u, name, wanted{seen: seen})
	c.leave(f)
}
