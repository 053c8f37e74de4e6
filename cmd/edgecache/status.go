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
		Ready: ready && !n.draining.Load(), Degraded: degraded, Synced: true,
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
	return ready, degraded
}

// members lists the nodes: this one, alone.
func (n *node) members() []registry.MemberStatus {
	return []registry.MemberStatus{{
		Name: n.options.Name, State: "alive", Address: n.server.Addr(), Zone: n.options.Zone, Version: version(), Synced: true,
	}}
}
