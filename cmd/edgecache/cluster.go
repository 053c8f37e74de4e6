package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/edgecache/edgecache/gossip"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/store"
)

// newGossip returns the node's part in a cluster, nil if there is none.
func newGossip(cfg *Config, disk *store.Store, log *slog.Logger) (*gossip.Node, error) {
	if !cfg.clustered() {
		return nil, nil
	}
	if disk == nil {
		return nil, errors.New("gossip: a member of a cluster needs a disk for its journal: set node.data_dir")
	}
	o := cfg.Gossip
	o.Name, o.Zone, o.Version = cfg.Node.Name, cfg.Node.Zone, version()
	o.ReadyAfter, o.Log, o.Logger = cfg.Node.ReadyAfter, disk, log
	return gossip.New(o)
}

const membersLimit = time.Second // to list them

// members lists the nodes of the cluster, or this one alone.
func (n *node) members() []registry.MemberStatus {
	if n.gossip == nil {
		return []registry.MemberStatus{{
			Name: n.options.Name, State: "alive", Address: n.server.Addr(), Zone: n.options.Zone, Version: version(), Synced: true,
		}}
	}
	ctx, cancel := context.WithTimeout(context.Background(), membersLimit)
	defer cancel()
	return n.gossip.Members(ctx)
}

// synced reports whether the node is sure to have all invalidations.
func (n *node) synced() bool { return n.gossip == nil || n.gossip.Synced() }

// mesh counts what came and went outside of streams.
func (n *node) mesh() gossip.MeshStats {
	if n.gossip == nil {
		return gossip.MeshStats{}
	}
	return n.gossip.Mesh()
}

// forget removes a dead member; this node itself leaves and ends.
func (n *node) forget(ctx context.Context, name string) error {
	if name != n.options.Name || n.leaving == nil {
		return n.gossip.Forget(ctx, name)
	}
	n.log.Info("leaving the cluster: no further requests are accepted")
	n.left.Store(true)
	n.leaving()
	return nil
}

// leaveLimit is longer than the others may take to confirm it.
const leaveLimit = 7 * time.Second

// leave ends the membership of a node that answers no more requests.
func (n *node) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveLimit)
	defer cancel()
	if n.gossip.Leave(ctx) {
		n.log.Info("left the cluster")
		return
	}
	n.log.Error("no majority confirmed that this node left: it is still a member; forget it on another")
}
