package gossip

import (
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// seekMost is how long an address of gossip.join waits to be tried again, at
// most. Who answered there once is a member, which redial dials.
const seekMost = 4 * time.Second

// A seed is an address of gossip.join.
type seed struct {
	address string
	found   atomic.Pointer[[]string] // the addresses of its host, nil until they were looked up
}

// seekAll begins to seek the addresses of gossip.join.
func (n *Node) seekAll() {
	for _, address := range n.opts.Join {
		n.seeds = append(n.seeds, &seed{address: address})
	}
	for _, s := range n.seeds {
		n.wg.Go(func() { n.seek(s) })
	}
}

// seek dials the addresses of a seed for as long as the node lives, with
// exponential backoff and jitter. Its host is looked up again each time.
func (n *Node) seek(s *seed) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for wait := dialEvery; ; {
		select {
		case <-timer.C:
		case <-n.ctx.Done():
			return
		}
		found := n.resolve(s.address)
		s.found.Store(&found)
		var dialing sync.WaitGroup
		for _, address := range found {
			if !n.connected(address) && !n.streamless() {
				dialing.Go(func() { n.dial(n.ctx, address) })
			}
		}
		dialing.Wait()
		timer.Reset(wait*3/4 + rand.N(wait/2))
		wait = min(2*wait, seekMost)
	}
}

// sought reports whether somebody answers at all addresses of gossip.join.
func (n *Node) sought() bool {
	missing := func(address string) bool { return !n.connected(address) }
	for _, s := range n.seeds {
		if found := s.found.Load(); found == nil || slices.ContainsFunc(*found, missing) {
			return false
		}
	}
	return true
}

// resolve returns all addresses of a host; itself if they cannot be looked up.
func (n *Node) resolve(address string) []string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || net.ParseIP(host) != nil {
		return []string{address}
	}
	ctx, cancel := context.WithTimeout(n.ctx, dialLimit)
	defer cancel()
	ips, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil || len(ips) == 0 {
		return []string{address}
	}
	var list []string
	for _, ip := range ips {
		list = append(list, net.JoinHostPort(ip, port))
	}
	return list
}
