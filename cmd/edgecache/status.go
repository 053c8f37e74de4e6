package main

import (
	"time"

	"github.com/edgecache/edgecache/registry"
)

// status is the node as its operator sees it.
func (n *node) status() registry.NodeStatus {
	ready, degraded := n.ready()
	if degraded == nil {
		degraded = []string{}
	}
	s := registry.NodeStatus{
		Node: n.options.Name, Version: version(), UptimeMS: time.Since(n.started).Milliseconds(),
		Ready: ready && !n.draining.Load(), Degraded: degraded, Synced: n.synced(),
		Memory: n.cache.Memory(), Lookups: n.cache.Lookups(),
	}
	if n.disk != nil {
		disk := n.disk.Status()
		s.Store = &disk
	}
	return s
}

// ready reports whether the node wants lookups, and what is wrong with it all
// the same. Neither a registry nor a disk makes it unready.
func (n *node) ready() (ready bool, degraded []string) {
	ready, degraded = n.cache.Ready()
	if n.disk != nil {
		degraded = append(degraded, n.disk.Degraded()...)
	}
	if n.gossip != nil {
		degraded = append(degraded, n.gossip.Degraded()...)
		ready = ready && (n.policy != registry.UnsyncedRefuse || n.gossip.Synced())
	}
	return ready, degraded
}
