package main

import (
	"time"

	"github.com/edgecache/edgecache/registry"
)

// status is the node as its operator sees it.
func (n *node) status() registry.NodeStatus {
	ready, degraded := n.cache.Ready()
	if degraded == nil {
		degraded = []string{}
	}
	return registry.NodeStatus{
		Node: n.options.Name, Version: version(), UptimeMS: time.Since(n.started).Milliseconds(),
		Ready: ready && !n.draining.Load(), Degraded: degraded, Synced: true,
		Memory: n.cache.Memory(), Lookups: n.cache.Lookups(),
	}
}

// members lists the nodes: this one, alone.
func (n *node) members() []registry.MemberStatus {
	return []registry.MemberStatus{{
		Name: n.options.Name, State: "alive", Address: n.server.Addr(), Zone: n.options.Zone, Version: version(), Synced: true,
	}}
}
