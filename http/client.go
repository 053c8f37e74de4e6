package http

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A client is one address (of IPv6 the /64 network) and what it has used.
type client struct {
	key     netip.Addr
	limiter *rate.Limiter // burst of one second
	conns   int           // protected by clients.mu
}

// clients are the addresses that are connected or were of late.
type clients struct {
	mu   sync.Mutex // protects the fields below and client.conns
	byIP map[netip.Addr]*client
	rate int // requests a second; 0: unlimited
}

// maxClients bounds what is remembered of addresses without a connection.
const maxClients = 100_000

// clientKey is the address that limits hold for.
func clientKey(a netip.Addr) netip.Addr {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

func (t *clients) setup(perSecond int) {
	t.byIP, t.rate = map[netip.Addr]*client{}, perSecond
}

// connect counts a connection of the address. It returns nil if that were more
// than most (0: unlimited).
func (t *clients) connect(a netip.Addr, most int) *client {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.getLocked(a)
	if most > 0 && c.conns >= most {
		return nil
	}
	c.conns++
	return c
}

func (t *clients) disconnect(c *client) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.conns--
	if c.conns == 0 && (t.rate == 0 || len(t.byIP) > maxClients) {
		delete(t.byIP, c.key)
	}
}

// get returns the client of an address that a trusted proxy named.
func (t *clients) get(a netip.Addr) *client {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.getLocked(a)
}

func (t *clients) getLocked(a netip.Addr) *client {
	key := clientKey(a)
	c := t.byIP[key]
	if c == nil {
		if len(t.byIP) > maxClients {
			t.sweepLocked(time.Now())
		}
		c = &client{key: key, limiter: rate.NewLimiter(limitOf(t.rate), max(t.rate, 1))}
		t.byIP[key] = c
	}
	return c
}

func limitOf(perSecond int) rate.Limit {
	if perSecond <= 0 {
		return rate.Inf
	}
	return rate.Limit(perSecond)
}

// setRate changes the limit of all.
func (t *clients) setRate(perSecond int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rate = perSecond
	for _, c := range t.byIP {
		c.limiter.SetLimit(limitOf(perSecond))
		c.limiter.SetBurst(max(perSecond, 1))
	}
}

// sweep forgets addresses that have no connection and their full rate again.
func (t *clients) sweep(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweepLocked(now)
}

func (t *clients) sweepLocked(now time.Time) {
	for key, c := range t.byIP {
		if c.conns == 0 && (t.rate == 0 || c.limiter.TokensAt(now) >= float64(c.limiter.Burst())) {
			delete(t.byIP, key)
		}
	}
}
