package gossip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/edgecache/edgecache/gossip/protocol"
	"github.com/edgecache/edgecache/registry"
)

// The kinds of messages, in their first byte. A newer version may add some; an
// older one skips them.
const (
	messageRecord = 1 // an invalidation's bytes
	messageID     = 2 // origin, epoch, seq of 8 bytes each: of one that is too long
)

const (
	mostQueued  = 256  // messages; at a high rate streams carry the rest alone
	longestSent = 1300 // bytes of a message together with the label, so that a packet holds it
)

var errOwnRecord = errors.New("it claims to be this node's own")

// A message is an invalidation on its way to some peers.
type message []byte

func (m message) Message() []byte                  { return m }
func (m message) Invalidates(memberBroadcast) bool { return false }
func (m message) Finished()                        {}
func (m message) UniqueBroadcast()                 {}

// appendMessage appends a record, or its id if all of it is longer than most.
func appendMessage(dst []byte, r protocol.Record, most int) []byte {
	if 1+len(r.Raw) <= most {
		return append(append(dst, messageRecord), r.Raw...)
	}
	dst = append(dst, messageID)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.ID.Origin))
	dst = binary.BigEndian.AppendUint64(dst, r.ID.Epoch)
	return binary.BigEndian.AppendUint64(dst, r.ID.Seq)
}

// parseMessage reads a message, which it does not keep. One of an unknown kind
// gives an id of sequence 0 and no error, an id alone no invalidation.
func parseMessage(msg []byte) (inv *registry.Invalidation, id protocol.RecordID, err error) {
	if len(msg) == 0 {
		return nil, id, errors.New("empty")
	}
	switch msg[0] {
	case messageRecord:
		r, err := protocol.ParseRecord(bytes.Clone(msg[1:]))
		if err != nil {
			return nil, id, err
		}
		if r.Change != nil { // members change on authenticated streams only
			return nil, id, fmt.Errorf("record %s: an invalidation expected", r.ID)
		}
		inv, err := registry.ParseInvalidation(r.Raw)
		return inv, r.ID, err
	case messageID:
		if len(msg) < 1+3*8 {
			return nil, id, fmt.Errorf("an id of %d bytes", len(msg)-1)
		}
		id.Origin = protocol.NodeID(binary.BigEndian.Uint64(msg[1:]))
		id.Epoch, id.Seq = binary.BigEndian.Uint64(msg[9:]), binary.BigEndian.Uint64(msg[17:])
		if id.Seq == 0 || id.Seq > mostSeq {
			return nil, id, fmt.Errorf("sequence %d", id.Seq)
		}
		return nil, id, nil
	}
	return nil, id, nil
}

const mostSeq = 1<<63 - 1

// NotifyMsg implements memberlist.Delegate. It must not block, and msg is not
// its own.
func (m *mesh) NotifyMsg(msg []byte) {
	if m.node.isolated.Load() {
		return
	}
	m.received.Add(1)
	inv, id, err := parseMessage(msg)
	switch {
	case err == nil && id.Seq == 0:
		return
	case err == nil && id.Origin == protocol.NodeID(m.node.opts.Log.Node()):
		// Nobody sends this node what it issued: it is forged or replayed, and
		// must not make it begin anew.
		err = errOwnRecord
	}
	if err != nil {
		m.bad.Add(1)
		m.unreadable.Do(func() { m.log.Warn("gossip: a message is ignored; others are only counted", "err", err) })
		return
	}
	if !m.node.isNamed(id.Origin) || m.seen.has(id) {
		return // of a stranger, who could be anybody, or again
	}
	select {
	case m.node.events <- happening{run: func() { m.node.hint(inv, id) }}:
		m.seen.add(id)
	default:
		m.dropped.Add(1)
	}
}

// hint applies an invalidation at once that did not come by a stream, if it is
// news. It may be forged by whoever has the key: so it makes answers stale, but
// counts, is logged and is confirmed only when it comes by a stream.
func (n *Node) hint(inv *registry.Invalidation, id protocol.RecordID) {
	if n.core.Has(id) {
		return
	}
	if inv != nil {
		n.local.Hint(inv)
	}
	n.step(protocol.Shown{ID: id})
}

// GetBroadcasts implements memberlist.Delegate.
func (m *mesh) GetBroadcasts(overhead, limit int) [][]byte {
	return m.queue.GetBroadcasts(overhead, limit)
}

// NodeMeta implements memberlist.Delegate.
func (m *mesh) NodeMeta(limit int) []byte { return appendMeta(nil, m.node.hello(), limit) }

// LocalState implements memberlist.Delegate: watermarks travel on streams.
func (m *mesh) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (m *mesh) MergeRemoteState([]byte, bool) {}

// spread sends an invalidation to some peers. They may miss it: streams carry
// it too.
func (m *mesh) spread(r protocol.Record) {
	if r.Change != nil || m.alone() {
		return
	}
	if m.queue.NumQueued() >= mostQueued {
		m.dropped.Add(1)
		return
	}
	m.queue.QueueBroadcast(message(appendMessage(nil, r, longestSent-len(m.node.opts.Label))))
}

const metaVersion = 1

// appendMeta appends what a node says of itself: version, id, then texts. The
// last texts are left out if all is longer than limit.
func appendMeta(dst []byte, h protocol.Hello, limit int) []byte {
	dst = append(dst, metaVersion)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.Node))
	for _, text := range []string{h.Address, h.Name, h.Version, h.Zone} {
		if len(text) > 255 || len(dst)+1+len(text) > limit {
			break
		}
		dst = append(append(dst, byte(len(text))), text...)
	}
	return dst
}

// parseMeta reads what a node says of itself. A newer version may add to it.
func parseMeta(meta []byte) (protocol.Hello, error) {
	var h protocol.Hello
	if len(meta) < 9 || meta[0] == 0 {
		return h, fmt.Errorf("%d bytes of a node's description", len(meta))
	}
	h.Node = protocol.NodeID(binary.BigEndian.Uint64(meta[1:]))
	meta = meta[9:]
	for _, text := range []*string{&h.Address, &h.Name, &h.Version, &h.Zone} {
		if len(meta) == 0 {
			break
		}
		n := int(meta[0])
		if len(meta) < 1+n {
			return h, errors.New("a node's description is cut short")
		}
		*text, meta = string(meta[1:1+n]), meta[1+n:]
	}
	return h, nil
}

// recent remembers the last records that came, so that each is handled once:
// of a message come several copies.
type recent struct {
	mu       sync.Mutex // protects the fields below
	now, old map[protocol.RecordID]struct{}
}

const mostRecent = 4096 // records, twice

func (s *recent) has(id protocol.RecordID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, now := s.now[id]
	_, old := s.old[id]
	return now || old
}

func (s *recent) add(id protocol.RecordID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil || len(s.now) == mostRecent {
		s.now, s.old = make(map[protocol.RecordID]struct{}), s.now
	}
	s.now[id] = struct{}{}
}
