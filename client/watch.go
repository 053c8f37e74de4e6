package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A WatchQuery says what a watch follows: names, all names with a prefix, or
// both.
type WatchQuery struct {
	Services []string // at most 1000
	Prefix   *string  // nil: none; "" is all
	Query             // Registry and what selects instances; MaxAge and ETag do not apply
	Resume   string   // Event.ID to go on after, on the same node; "": begin with a list
}

// An EventKind names what an event reports.
type EventKind string

// The kinds of events. A watch begins with Reset, an Upsert for each service,
// and Synced; then changes follow.
const (
	Upsert      EventKind = "upsert"      // Service is the current state
	Delete      EventKind = "delete"      // the service is gone, hidden by the selection, or does not exist
	Unavailable EventKind = "unavailable" // a named service could not be loaded yet: Problem
	Synced      EventKind = "synced"      // the list since Reset is complete
	Reset       EventKind = "reset"       // forget all; a full list follows
)

// An Event is one thing that a watch saw.
type Event struct {
	Kind     EventKind
	ID       string // resumes a watch after this event; "" inside a list
	Name     string
	Registry string
	Index    uint64
	Service  *Service // of Upsert
	Problem  *Problem // of Unavailable
}

const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// Watch follows services until ctx ends or the loop breaks. A lost connection
// is made again, without a gap: with the last event's id, and where the node
// cannot resume there, with Reset and a full list. A refusal that asking again
// cannot help (a status 4xx other than 429) ends the watch with that *Problem;
// otherwise the error is ctx's.
func (c *Client) Watch(ctx context.Context, q WatchQuery) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		w := watch{c: c, q: q, id: q.Resume, yield: yield, retry: firstRetry}
		for {
			err := w.follow(ctx)
			if errors.Is(err, errStopped) {
				return
			}
			if end := final(ctx, err); end != nil {
				yield(Event{}, end)
				return
			}
			w.failures, w.after = w.failures+1, 0
			if p, ok := errors.AsType[*Problem](err); ok {
				w.after = min(p.RetryAfter, lastRetry)
			}
		}
	}
}

// final returns the error that ends a watch, or nil if another try may help.
func final(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if p, ok := errors.AsType[*Problem](err); ok && p.Status < 500 && p.Status != http.StatusTooManyRequests {
		return p
	}
	return nil
}

// errStopped says that the consumer of a watch had enough.
var errStopped = errors.New("watch stopped by its consumer")

// A watch is one run of Client.Watch, over all its connections.
type watch struct {
	c        *Client
	q        WatchQuery
	id       string
	yield    func(Event, error) bool
	retry    time.Duration // the server's wish for the first pause
	failures int           // connections lost since the last event
	after    time.Duration // the least pause that a refusal asked for
}

// follow pauses if the last connection was lost, connects and hands over
// events until the connection ends.
func (w *watch) follow(whole context.Context) error {
	if w.failures > 0 {
		if err := pause(whole, w.backoff()); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancelCause(whole)
	defer cancel(nil)
	silence := time.AfterFunc(w.c.silence, func() { cancel(errors.New("silent for too long")) })
	defer silence.Stop()
	resp, err := w.connect(ctx)
	if err == nil {
		defer resp.Body.Close()
		err = w.read(newFrameReader(&noisyReader{resp.Body, func() { silence.Reset(w.c.silence) }}))
	}
	if errors.Is(err, errStopped) || final(whole, err) != nil {
		return err
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if w.failures == 0 { // else it is known to be lost
		w.c.log.Warn("watch lost", "node", w.c.base, "err", err)
	}
	return err
}

// backoff doubles the pause with each failure and halves it at random, so that
// the clients of a node that restarts do not come back at once.
func (w *watch) backoff() time.Duration {
	d := w.retry << min(w.failures-1, 10)
	if d > lastRetry || d <= 0 {
		d = lastRetry
	}
	return max(d/2, w.after) + rand.N(d/2+1)
}

func (w *watch) connect(ctx context.Context) (*http.Response, error) {
	v := url.Values{}
	w.q.selection(v)
	set(v, "kind", string(w.q.Kind))
	set(v, "registry", w.q.Registry)
	for _, name := range w.q.Services {
		v.Add("service", name)
	}
	if w.q.Prefix != nil {
		v.Set("prefix", *w.q.Prefix)
	}
	header := w.q.Query.header()
	header.Del("If-None-Match")
	header.Set("Accept", "text/event-stream")
	if w.id != "" {
		header.Set("Last-Event-ID", w.id)
	}
	req, err := w.c.request(ctx, call{path: "/v1/watch", query: v, header: header})
	if err != nil {
		return nil, err
	}
	resp, err := w.c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return resp, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	return nil, problemOf(answer{resp.StatusCode, resp.Header, body})
}

// read hands over events until the stream ends.
func (w *watch) read(frames *frameReader) error {
	frames.id = w.id
	for {
		f, err := frames.next()
		if frames.retry > 0 {
			w.retry = min(frames.retry, lastRetry)
		}
		if err != nil {
			return err
		}
		event, err := decodeEvent(f)
		if err != nil {
			return err
		}
		if w.failures > 0 {
			w.c.log.Info("watch back", "node", w.c.base)
			w.failures = 0
		}
		// A list carries no ids. Resuming inside it after the id before it
		// would leave out what the consumer has just forgotten.
		if event.Kind == Reset {
			f.id = ""
			frames.id = ""
		}
		w.id, event.ID = f.id, f.id
		if event.Kind == "" {
			continue
		}
		if !w.yield(event, nil) {
			return errStopped
		}
	}
}

// decodeEvent reads the data of an event. An event of a kind that this client
// does not know has the zero Kind.
func decodeEvent(f frame) (Event, error) {
	e := Event{Kind: EventKind(f.event)}
	bad := func(err error) (Event, error) { return Event{}, fmt.Errorf("watch event %s: %w", f.event, err) }
	switch e.Kind {
	case Upsert:
		s, err := decodeService([]byte(f.data))
		if err != nil {
			return bad(err)
		}
		e.Service, e.Name, e.Registry, e.Index = s, s.Name, s.Registry, s.Index
	case Unavailable:
		e.Problem = &Problem{}
		if err := json.Unmarshal([]byte(f.data), e.Problem); err != nil {
			return bad(err)
		}
		e.Name, e.Registry = e.Problem.Name, e.Problem.Registry
	case Delete, Synced, Reset:
		if f.data == "" {
			break
		}
		var d struct {
			Name     string
			Registry string
			Index    uint64
		}
		if err := json.Unmarshal([]byte(f.data), &d); err != nil {
			return bad(err)
		}
		e.Name, e.Registry, e.Index = d.Name, d.Registry, d.Index
	default:
		e.Kind = ""
	}
	return e, nil
}

// A noisyReader calls heard whenever something came.
type noisyReader struct {
	r     io.Reader
	heard func()
}

func (n *noisyReader) Read(p []byte) (int, error) {
	count, err := n.r.Read(p)
	if count > 0 {
		n.heard()
	}
	return count, err
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
