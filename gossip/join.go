package gossip

import (
	"context"
	"math/rand/v2"
	"net"
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

	// Its seeker alone uses the fields below.
	looked time.Time     // when they were
	wait   time.Duration // until it is tried again
}

// seekAll begins to seek the addresses of gossip.join.
func (n *Node) seekAll() {
	for _, address := range n.opts.Join {
		n.seeds = append(n.seeds, &seed{address: address, wait: dialEvery})
	}
	for _, s := range n.seeds {
		n.wg.Go(func() { n.seek(s) })
	}
}

// seek dials the addresses of a seed for as long as the node lives.
func (n *Node) seek(s *seed) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-n.ctx.Done():
			return
		}
		timer.Reset(n.seekOnce(s))
	}
}

// seekOnce dials the addresses of a seed at which nobody is connected, and
// returns how long to wait then. Its host is looked up again each time, and now
// and then if nobody is missing.
func (n *Node) seekOnce(s *seed) (pause time.Duration) {
	missing, known := n.missing(s)
	if !known || len(missing) > 0 || time.Since(s.looked) >= seekMost {
		found := n.resolve(s.address)
		s.found.Store(&found)
		s.looked = time.Now()
		missing, _ = n.missing(s)
	}
	if !n.streamless() {
		var dialing sync.WaitGroup
		for _, address := range missing {
			dialing.Go(func() { n.dial(n.ctx, address) })
		}
		dialing.Wait()
	}
	pause, s.wait = backoff(s.wait, len(missing) == 0)
	return pause
}

// backoff returns how long to wait now, with jitter, and next: exponentially
// longer for as long as somebody is missing.
func backoff(wait time.Duration, met bool) (now, next time.Duration) {
	if met {
		wait, next = dialEvery, dialEvery
	} else {
		next = min(2*wait, seekMost)
	}
	return wait*3/4 + rand.N(wait/2), next
}

// missing returns the addresses of a seed at which nobody is connected; they are
// known once its host was looked up.
func (n *Node) missing(s *seed) (list []string, known bool) {
	found := s.found.Load()
	if found == nil {
		return nil, false
	}
	for _, address := range *found {
		if !n.connected(address) {
			list = append(list, address)
		}
	}
	return list, true
}

// sought reports whether somebody answers at all addresses of gossip.join.
func (n *Node) sought() bool {
	for _, s := range n.seeds {
		if missing, known := n.missing(s); !known || len(missing) > 0 {
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
