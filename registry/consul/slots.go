package consul

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// A Consul agent refuses the 201st connection of one client address
// (http_max_conns_per_client), lookups like watches. Over plain HTTP every
// query under way holds a connection, so both have their share of what is
// safe; the rest is for other programs on this host. Over HTTPS the queries
// share connections (HTTP/2).
const (
	plainBlocking, plainCalls = 128, 48
	tlsBlocking, tlsCalls     = 4096, 512

	// How long a query blocks when slots get scarce, and when there are more
	// watches than slots: then they take turns.
	scarceWait = 10 * time.Second
	turnWait   = time.Second
)

// slots bound the queries under way.
type slots chan struct{}

// makeSlots also returns the number of connections that all slots together
// may have, 0 for any.
func makeSlots(o *Options) (blocking, calls slots, conns int) {
	for _, a := range o.Address {
		if !strings.HasPrefix(strings.ToLower(a), "https:") {
			blocking = make(slots, cmp.Or(o.Blocking, plainBlocking))
			return blocking, make(slots, plainCalls), cap(blocking) + plainCalls
		}
	}
	return make(slots, cmp.Or(o.Blocking, tlsBlocking)), make(slots, tlsCalls), 0
}

// acquire waits for a slot.
func (s slots) acquire(ctx context.Context) error {
	select {
	case s <- struct{}{}:
		return nil
	default:
	}
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s slots) release() { <-s }

// busy is the error of a call that found no slot before its context ended.
func (s *Source) busy(err error) error {
	return &registry.UpstreamError{
		Registry: s.options.Name, Timeout: errors.Is(err, context.DeadlineExceeded), Harmless: errors.Is(err, context.Canceled),
		Err: err,
	}
}

// wait returns how long the next query may block.
func (s *Source) wait() time.Duration {
	switch n := int(s.watching.Load()); {
	case n <= cap(s.blocking)/2:
		return s.options.Wait
	case n <= cap(s.blocking):
		return min(s.options.Wait, scarceWait)
	}
	return min(s.options.Wait, turnWait)
}
