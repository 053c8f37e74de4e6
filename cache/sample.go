package cache

import (
	"context"
	"sync"
	"time"

	"github.com/edgecache/edgecache/registry"
)

const (
	// sampleAfter is how long after an invalidation every synced node has it.
	sampleAfter = 5 * time.Second
	sampleEvery = time.Second
	sampleFor   = 500 * time.Millisecond // a peer may take to answer
	// sampleSlack is what the age that a peer tells may be too great by: its
	// answer travelled, and its clock runs at its own rate.
	sampleSlack = 200 * time.Millisecond
)

// A sampler asks peers, some time after an invalidation, whether they still
// call an answer fresh that is older. It judges by ages alone, so it does not
// depend on what it checks. The idea is that of Polaris (Meta, Cache made
// consistent, 2022).
type sampler struct {
	mu     sync.Mutex // protects the field below
	sample *sample    // the next one; nil: none
}

// A sample is a name that was invalidated, and when.
type sample struct {
	key registry.Key
	at  time.Duration
}

// noteSample takes an invalidation for the next sample, unless there is one.
func (c *Cache) noteSample(inv *registry.Invalidation, at time.Duration) {
	c.sampler.mu.Lock()
	defer c.sampler.mu.Unlock()
	if c.sampler.sample != nil {
		return
	}
	for _, s := range inv.Selectors {
		if !s.ByKey() {
			continue
		}
		for _, u := range c.ups.Load().all {
			if !u.merges() && (s.Key.Registry == "" || s.Key.Registry == u.Name) {
				c.sampler.sample = &sample{registry.Key{Registry: u.Name, Name: s.Key.Name}, at}
				return
			}
		}
	}
}

// takeSamples asks for samples until the cache closes.
func (c *Cache) takeSamples() {
	for pause(c.ctx, sampleEvery) {
		c.sampler.mu.Lock()
		s := c.sampler.sample
		if s != nil && c.now()-s.at >= sampleAfter {
			c.sampler.sample = nil
		} else {
			s = nil
		}
		c.sampler.mu.Unlock()
		if s != nil {
			c.takeSample(s)
		}
	}
}

func (c *Cache) takeSample(s *sample) {
	u := c.ups.Load().byName[s.key.Registry]
	if u == nil || !c.opts.Cluster.Synced() {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, sampleFor)
	defer cancel()
	since := c.now() - s.at // before they are asked: what they have is younger
	for _, peer := range c.opts.Cluster.Copies(ctx, registry.Ask{Key: s.key, Source: u.print, Younger: -1, Any: true}) {
		switch {
		case !peer.Fresh:
		case peer.Age > since+sampleSlack:
			c.stats.violated.Add(1)
			c.opts.Logger.Error("a peer calls an answer fresh that is older than an invalidation",
				"peer", peer.Name, "service", s.key.String(), "age", peer.Age, "invalidated", since)
		default:
			c.stats.verified.Add(1)
		}
	}
}
