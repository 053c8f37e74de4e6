package consul

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/fetch"
)

// maxLag is how long a server may not have heard of the leader and still be
// believed.
const maxLag = 2 * time.Second

// A read is one GET of Consul's API.
type read struct {
	path  string
	name  string     // of the service, for traces
	query url.Values // beyond what every read has
	known registry.Revision
	block bool // wait until the index is above known.Order
}

// An answer is what Consul said to a read.
type answer struct {
	rev      registry.Revision
	body     []byte
	filtered bool          // instances or names are left out by ACL
	leader   bool          // the server has one
	lag      time.Duration // since the server heard of it
}

// doubtful returns why the answer may be older than what is known; "" if it
// cannot.
func (a *answer) doubtful(known registry.Revision) string {
	order, ordered := a.rev.Compare(known)
	switch {
	case !a.leader:
		return "server without a leader"
	case a.lag > maxLag:
		return fmt.Sprintf("server that has not heard of its leader for %s", a.lag)
	case ordered && order < 0 && a.rev.Epoch == known.Epoch:
		return fmt.Sprintf("server at index %d, below %d", a.rev.Order, known.Order)
	}
	return ""
}

// ask returns Consul's answer, in doubt the leader's. If the leader cannot be
// asked, the error comes with the doubtful answer.
func (s *Source) ask(ctx context.Context, r read) (*answer, error) {
	mode := s.options.Consistency
	if registry.IsReadThrough(ctx) {
		mode = modeConsistent
	}
	a, err := s.get(ctx, r, mode)
	if err != nil {
		return nil, err
	}
	why := a.doubtful(r.known)
	if why == "" {
		return a, nil
	}
	r.block = false
	b, err := s.get(ctx, r, modeConsistent)
	if err != nil {
		return a, s.upstream(fmt.Errorf("answer of a %s, and the leader cannot be asked: %w", why, err))
	}
	if order, ordered := b.rev.Compare(r.known); ordered && order < 0 && b.rev.Epoch == r.known.Epoch {
		b.rev.Epoch = s.reset(b.rev.Epoch)
	}
	return b, nil
}

// get sends one request.
func (s *Source) get(ctx context.Context, r read, mode string) (*answer, error) {
	req := fetch.Request{Path: r.path, Name: r.name, Query: s.query(r, mode), Timeout: s.options.Timeout}
	use := s.calls
	if r.block {
		use = s.blocking
	}
	if err := use.acquire(ctx); err != nil {
		return nil, s.busy(err)
	}
	defer use.release()
	if r.block {
		wait := s.wait()
		wait -= rand.N(wait/8 + 1) // so that watches begun together drift apart
		req.Query.Set("index", strconv.FormatUint(r.known.Order, 10))
		req.Query.Set("wait", strconv.FormatInt(max(1, wait.Milliseconds()), 10)+"ms")
		req.Timeout = wait + wait/16 + 5*time.Second // the server adds up to a sixteenth
		req.LongPoll = true
	}
	// Before the request: what was answered before a reset keeps its epoch.
	epoch := s.epoch.Load()
	resp, err := s.client.Get(ctx, req)
	switch {
	case errors.Is(err, registry.ErrNotFound), errors.Is(err, registry.ErrNotModified):
		// Consul answers neither to these reads: this is some other server.
		return nil, &registry.UpstreamError{Registry: s.options.Name, Status: resp.Status,
			Err: fmt.Errorf("%s%s is not Consul's API", resp.Address, r.path)}
	case err != nil:
		return nil, err
	}
	a, err := readHeader(resp.Header)
	if err != nil {
		return nil, s.unreadable(err)
	}
	// The identity is part of it: under another one the same answer makes
	// another record, which must not pass as unchanged.
	sum := sha256.New()
	sum.Write([]byte(s.identity))
	sum.Write(resp.Body)
	a.body, a.rev.Epoch, a.rev.Token = resp.Body, epoch, base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:12])
	return a, nil
}

func (s *Source) query(r read, mode string) url.Values {
	q := url.Values{}
	for k, v := range r.query {
		q[k] = slices.Clone(v)
	}
	for k, v := range map[string]string{"dc": s.options.Datacenter, "ns": s.options.Namespace, "partition": s.options.Partition} {
		if v != "" {
			q.Set(k, v)
		}
	}
	for k, v := range s.options.NodeMeta {
		q.Add("node-meta", k+":"+v)
	}
	if mode != modeDefault {
		q.Set(mode, "")
	}
	return q
}

// readHeader reads what Consul says of its answer.
func readHeader(h http.Header) (*answer, error) {
	index, err := strconv.ParseUint(h.Get("X-Consul-Index"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("header X-Consul-Index: a number expected, found %.40q", h.Get("X-Consul-Index"))
	}
	a := &answer{
		// An index of 0 would make the next query not block; 1 is always safe.
		rev:      registry.Revision{Order: max(1, index)},
		leader:   h.Get("X-Consul-KnownLeader") != "false",
		filtered: h.Get("X-Consul-Results-Filtered-By-ACLs") == "true",
	}
	if v := h.Get("X-Consul-LastContact"); v != "" {
		ms, err := strconv.ParseUint(v, 10, 63)
		if err != nil {
			return nil, fmt.Errorf("header X-Consul-LastContact: milliseconds expected, found %.40q", v)
		}
		a.lag = time.Duration(min(ms, uint64(time.Hour/time.Millisecond))) * time.Millisecond
	}
	return a, nil
}

// upstream wraps what kept Consul from answering; it keeps what an
// UpstreamError inside err says.
func (s *Source) upstream(err error) error {
	wrapped := &registry.UpstreamError{Registry: s.options.Name, Err: err}
	var inner *registry.UpstreamError
	if errors.As(err, &inner) {
		wrapped.Status, wrapped.RetryAfter = inner.Status, inner.RetryAfter
		wrapped.Timeout, wrapped.Harmless = inner.Timeout, inner.Harmless
	}
	return wrapped
}

// unreadable wraps what is wrong with an answer of status 200.
func (s *Source) unreadable(err error) error {
	return &registry.UpstreamError{Registry: s.options.Name, Status: http.StatusOK, Err: err}
}
