package gossip

import (
	"time"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// What tests of the whole need from inside.
var (
	MeshKey     = meshKey
	Fingerprint = fingerprint
)

// CutStreams has the node open no stream, while its mesh goes on. The ones that
// are open end.
func (n *Node) CutStreams() {
	n.deaf.Store(true)
	n.closeStreams()
}

// MessageOf returns what the mesh sends of a record.
func (n *Node) MessageOf(r protocol.Record) []byte {
	return appendMessage(nil, r, longestSent-len(n.opts.Label))
}

// Met returns how many other nodes the mesh knows.
func (n *Node) Met() int { return n.mesh.Load().others() }

// Owners returns how many nodes may own keys.
func Owners(n *Node) int {
	if list := n.owners.Load(); list != nil {
		return len(*list)
	}
	return 0
}

// AcceptWithin changes how long an owner may take to answer, until the returned
// function is called.
func AcceptWithin(d time.Duration) (restore func()) {
	old := acceptWithin
	acceptWithin = d
	return func() { acceptWithin = old }
}

// Waiting returns how many callers wait for records, and how many the core knows.
func Waiting(n *Node) (callers, core int) {
	done := make(chan struct{})
	n.hand(happening{run: func() { callers, core = len(n.waits), n.core.Waiting(); close(done) }})
	<-done
	return callers, core
}

// Ready returns how many peers have a stream that is in use, and how many
// streams there are.
func Ready(n *Node) (ready, streams int) {
	done := make(chan struct{})
	n.hand(happening{run: func() {
		defer close(done)
		streams = len(n.streams)
		for conn := range n.streams {
			if _, ok := n.core.Peer(conn); ok {
				ready++
			}
		}
	}})
	<-done
	return ready, streams
}
