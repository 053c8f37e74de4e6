package gossip

import (
	"context"
	"maps"
	"slices"

	"github.com/edgecache/edgecache/gossip/protocol"
	"github.com/edgecache/edgecache/registry"
)

// Publish implements cache.Cluster.
func (n *Node) Publish(inv *registry.Invalidation, durable bool) {
	n.issued(registry.AppendInvalidation(nil, inv), durable)
}

// issued tells the core of a record of this node, whichever life it was issued
// in: the core knows by its epoch.
func (n *Node) issued(raw []byte, durable bool) {
	r, err := protocol.ParseRecord(raw)
	if err != nil {
		n.log.Error("gossip: own record cannot be read", "err", err)
		return
	}
	n.post(protocol.Issued{Records: []protocol.Record{r}, Durable: durable})
	if !durable {
		n.hand(happening{run: func() { n.noteUnlogged([]protocol.RecordID{r.ID}) }})
	}
}

// A waiting caller, and what it waits for.
type waiting struct {
	token uint64
	id    protocol.RecordID
	level protocol.Level
	done  chan protocol.Confirmation
}

func recordID(inv *registry.Invalidation) protocol.RecordID {
	return protocol.RecordID{EpochID: protocol.EpochID{Origin: protocol.NodeID(inv.Origin), Epoch: inv.Epoch}, Seq: inv.Seq}
}

// Await implements cache.Cluster.
func (n *Node) Await(ctx context.Context, inv *registry.Invalidation, level registry.Level) (registry.Confirmation, error) {
	w := &waiting{id: recordID(inv), level: protocol.LevelQuorum, done: make(chan protocol.Confirmation, 1)}
	if level == registry.LevelAll {
		w.level = protocol.LevelAll
	}
	n.hand(happening{wait: w})
	select {
	case c := <-w.done:
		return n.describe(c), nil
	case <-ctx.Done():
		n.hand(happening{left: w})
	case <-n.ctx.Done():
	}
	return n.Confirmation(inv), context.Cause(ctx)
}

// await has the core answer somebody who waits.
func (n *Node) await(now protocol.Time, w *waiting) {
	n.waited++
	w.token = n.waited
	n.waits[w.token] = w
	n.stepAt(now, protocol.Await{Token: w.token, ID: w.id, Level: w.level})
}

// unawait has the core forget those who do not wait any more.
func (n *Node) unawait(now protocol.Time, list []*waiting) {
	var tokens []uint64
	for _, w := range list {
		if n.waits[w.token] == w {
			delete(n.waits, w.token)
			tokens = append(tokens, w.token)
		}
	}
	if len(tokens) > 0 {
		n.stepAt(now, protocol.Unawait{Tokens: tokens})
	}
}

// awaitAgain has a new core answer those who wait.
func (n *Node) awaitAgain() {
	for _, token := range slices.Sorted(maps.Keys(n.waits)) {
		w := n.waits[token]
		n.step(protocol.Await{Token: token, ID: w.id, Level: w.level})
	}
}

// Confirmation implements cache.Cluster.
func (n *Node) Confirmation(inv *registry.Invalidation) registry.Confirmation {
	out := make(chan protocol.Confirmation, 1)
	n.hand(happening{run: func() { out <- n.core.Confirmation(recordID(inv), false) }})
	select {
	case c := <-out:
		return n.describe(c)
	case <-n.ctx.Done():
		return registry.Confirmation{}
	}
}

func (n *Node) answer(token uint64, c protocol.Confirmation) {
	if w, ok := n.waits[token]; ok {
		w.done <- c
		delete(n.waits, token)
	}
}
