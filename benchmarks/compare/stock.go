package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// A stock is nodes of memberlist as it is configured for a LAN. It does not
// forward messages by itself; each node queues what it hears for the first
// time, as serf does.
type stock struct {
	nodes []*stockNode

	mu     sync.Mutex // protects the field below
	spread map[uint64]*spreading
}

// A spreading message.
type spreading struct {
	heard map[*stockNode]bool
	all   chan struct{} // closed when all nodes have heard it
}

// A stockNode implements memberlist.Delegate.
type stockNode struct {
	of    *stock
	list  *memberlist.Memberlist
	queue memberlist.TransmitLimitedQueue
}

// missedAfter is when a message counts as not told to all: several times what
// spreading takes, and far less than it takes until states are exchanged.
const missedAfter = 5 * time.Second

// printStock is the child that has memberlist's nodes.
func printStock(ctx context.Context, args []string) error {
	count, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	s, err := openStock(ctx, reachNodes)
	if err != nil {
		return err
	}
	r, err := tell(ctx, count, s.tell)
	return printFound(r, errors.Join(err, s.end()))
}

func openStock(ctx context.Context, count int) (*stock, error) {
	s := &stock{spread: map[uint64]*spreading{}}
	for i := range count {
		n := &stockNode{of: s}
		c := memberlist.DefaultLANConfig()
		c.Name, c.BindAddr, c.BindPort, c.Delegate, c.LogOutput = fmt.Sprintf("stock-%d", i), "127.0.0.1", 0, n, io.Discard
		n.queue.RetransmitMult = c.RetransmitMult
		n.queue.NumNodes = func() int { return count }
		var err error
		if n.list, err = memberlist.Create(c); err != nil {
			return nil, errors.Join(err, s.end())
		}
		s.nodes = append(s.nodes, n)
		if _, err := n.list.Join([]string{s.nodes[0].list.LocalNode().Address()}); err != nil {
			return nil, errors.Join(err, s.end())
		}
	}
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	err := poll(ctx, func() error {
		for _, n := range s.nodes {
			if known := n.list.NumMembers(); known < count {
				return fmt.Errorf("a node knows %d of %d", known, count)
			}
		}
		return nil
	})
	if err != nil {
		err = errors.Join(err, s.end())
	}
	return s, err
}

func (s *stock) end() error {
	var errs []error
	for _, n := range s.nodes {
		errs = append(errs, n.list.Shutdown())
	}
	return errors.Join(errs...)
}

// messageBytes is what one of edgecache's records takes.
const messageBytes = 64

// tell sends a message from a random node and waits until all have it.
func (s *stock) tell(ctx context.Context, i int) error {
	message := make([]byte, messageBytes)
	binary.BigEndian.PutUint64(message, uint64(i))
	m := &spreading{heard: map[*stockNode]bool{}, all: make(chan struct{})}
	s.mu.Lock()
	s.spread[uint64(i)] = m
	s.mu.Unlock()
	s.nodes[rand.IntN(len(s.nodes))].NotifyMsg(message)
	limit := time.NewTimer(missedAfter)
	defer limit.Stop()
	select {
	case <-m.all:
		return nil
	case <-limit.C:
		return errMissed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// first notes that a node heard a message and reports whether that is new to
// it.
func (s *stock) first(n *stockNode, id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.spread[id]
	if m == nil || m.heard[n] {
		return false
	}
	m.heard[n] = true
	if len(m.heard) == len(s.nodes) {
		close(m.all)
	}
	return true
}

func (n *stockNode) NotifyMsg(message []byte) {
	if len(message) == messageBytes && n.of.first(n, binary.BigEndian.Uint64(message)) {
		n.queue.QueueBroadcast(stockMessage(append([]byte{}, message...))) // memberlist may use its bytes again
	}
}

func (n *stockNode) GetBroadcasts(overhead, limit int) [][]byte {
	return n.queue.GetBroadcasts(overhead, limit)
}

func (n *stockNode) NodeMeta(int) []byte           { return nil }
func (n *stockNode) LocalState(bool) []byte        { return nil }
func (n *stockNode) MergeRemoteState([]byte, bool) {}

// A stockMessage implements memberlist.UniqueBroadcast.
type stockMessage []byte

func (m stockMessage) Message() []byte                       { return m }
func (m stockMessage) Invalidates(memberlist.Broadcast) bool { return false }
func (m stockMessage) Finished()                             {}
func (m stockMessage) UniqueBroadcast()                      {}
