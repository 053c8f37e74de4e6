package cache

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// An upstream is one registry at run time.
type upstream struct {
	Registry
	policy Policy
	can    registry.Capabilities
	print  string       // names what it is, see fingerprint
	parts  []*upstream  // of a merge, the earlier wins
	self   [1]*upstream // the order of a lookup in this registry alone
	guard  *guard
	list   nameList

	// newest is the position of the newest tag, prefix, registry or all
	// generation that may cover its entries; written under the order lock.
	newest atomic.Uint64

	// moved is the position at which a reload gave the registry another
	// identity: revisions of records from before mean nothing to it.
	moved uint64

	calls sync.WaitGroup // flights of a current upstream; added to under the order lock

	mu      sync.Mutex // protects the fields below
	watches map[string]*watch
	closed  bool // a reload replaced it: no further watch begins

	ctx  context.Context // ends when the cache closes or a reload replaces the upstream
	stop context.CancelFunc
}

func (c *Cache) newUpstream(r Registry, p Policy) *upstream {
	u := &upstream{Registry: r, policy: r.Overrides.over(p), watches: map[string]*watch{}}
	u.self[0] = u
	if r.Source != nil {
		u.can = r.Source.Can()
	}
	u.print = u.fingerprint()
	if u.Timeout <= 0 {
		u.Timeout = defaultTimeout
	}
	u.ctx, u.stop = context.WithCancel(c.ctx)
	u.guard = newGuard(u.policy.Recheck, r.Rate, func(up bool) { c.registryChanged(u, up) })
	return u
}

// covers reports whether the registry may know of the name.
func (u *upstream) covers(kind registry.Kind, name string) bool {
	if kind != "" && kind != u.Kind {
		return false
	}
	return len(u.Services) == 0 || registry.MatchAny(u.Services, name)
}

// merges reports whether the upstream unites others.
func (u *upstream) merges() bool { return len(u.parts) > 0 }

const nameVariable = "{name}"

// upstreamName returns what the registry is asked for.
func (u *upstream) upstreamName(name string) string {
	if u.Ask == "" {
		return name
	}
	return strings.ReplaceAll(u.Ask, nameVariable, name)
}

// localName is the inverse of upstreamName; ok is false for a name that no
// lookup asks for.
func (u *upstream) localName(asked string) (name string, ok bool) {
	if u.Ask != "" {
		before, after, _ := strings.Cut(u.Ask, nameVariable)
		if len(asked) < len(before)+len(after) || !strings.HasPrefix(asked, before) || !strings.HasSuffix(asked, after) {
			return "", false
		}
		asked = asked[len(before) : len(asked)-len(after)]
	}
	return asked, registry.CheckName(asked) == nil && u.covers("", asked)
}

// notAsked is the failure of a call that the open breaker forbids for now.
func (u *upstream) notAsked(retryIn time.Duration) *registry.UpstreamError {
	err := errBreakerOpen
	if last := u.guard.status().lastErr; last != "" {
		err = fmt.Errorf("%w; the last error: %s", errBreakerOpen, last)
	}
	return &registry.UpstreamError{Registry: u.Name, Err: err, RetryAfter: retryIn, Harmless: true}
}

// failing reports whether e's key is in its back-off: its last fetch failed,
// the next is not due, and the registry has not come back since.
func (u *upstream) failing(e *entry, now time.Duration) bool {
	return e != nil && e.fails > 0 && now < e.nextTry && e.failedAt > time.Duration(u.guard.closedAt.Load())
}

// upstreams are all registries of one configuration.
type upstreams struct {
	order  []*upstream // those that resolve names: parts of a merge are left out
	all    []*upstream // in config order
	byName map[string]*upstream
}

// covers reports whether a selector, which may name a merge, covers an entry.
func (us *upstreams) covers(s registry.Selector, e *entry) bool {
	key := e.key
	if m := us.byName[s.Key.Registry]; contains(m, us.byName[key.Registry]) {
		key.Registry = m.Name
	}
	return s.Covers(key, tagsOf(e.rec))
}

// within reports whether a selector's registry ("": every one) is one of parts
// or a merge of one.
func (us *upstreams) within(registryName string, parts map[string]bool) bool {
	if registryName == "" || parts[registryName] {
		return true
	}
	if u := us.byName[registryName]; u != nil {
		for _, p := range u.parts {
			if parts[p.Name] {
				return true
			}
		}
	}
	return false
}

// assemble links merges to their parts and finds the order of resolution.
func assemble(all []*upstream) *upstreams {
	us := &upstreams{all: all, byName: map[string]*upstream{}}
	merged := map[string]bool{}
	for _, u := range all {
		us.byName[u.Name] = u
		for _, part := range u.Of {
			merged[part] = true
		}
	}
	for _, u := range all {
		u.parts = nil
		for _, part := range u.Of {
			u.parts = append(u.parts, us.byName[part])
		}
		if !merged[u.Name] {
			us.order = append(us.order, u)
		}
	}
	return us
}

// unknown is the error of a lookup in a registry that is not configured.
func (us *upstreams) unknown(name string) error {
	names := make([]string, 0, len(us.all))
	for _, u := range us.all {
		names = append(names, u.Name)
	}
	return fmt.Errorf("%w: %q; there are %s", registry.ErrNoRegistry, name, strings.Join(names, ", "))
}
