package simulator

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/edgecache/edgecache/gossip/protocol"
)

const (
	recordHeader = 1 + 3*8 + 1
	modeVerify   = byte(protocol.ModeVerify)
	modeHard     = byte(protocol.ModeHard)
)

// invalidation returns an invalidation's binary form, yet without its id: after
// the header comes the name, up to a zero; what follows is of newer programs.
func invalidation(name string, hard bool) []byte {
	raw := make([]byte, recordHeader, recordHeader+len(name)+1)
	raw[0], raw[recordHeader-1] = 1, modeVerify
	if hard {
		raw[recordHeader-1] = modeHard
	}
	return append(append(raw, name...), 0)
}

func isHard(r protocol.Record) bool { return r.Change == nil && r.Raw[recordHeader-1] == modeHard }

func nameOf(r protocol.Record) string {
	name, _, _ := bytes.Cut(r.Raw[recordHeader:], []byte{0})
	return string(name)
}

// encode puts the id into a record's bytes. A newer program adds something.
func (n *node) encode(r *protocol.Record) {
	s := n.s
	if r.Change != nil {
		r.Raw = protocol.AppendChange(nil, r.ID, *r.Change)
	} else {
		id := binary.BigEndian.AppendUint64(nil, uint64(r.ID.Origin))
		id = binary.BigEndian.AppendUint64(id, r.ID.Epoch)
		copy(r.Raw[1:], binary.BigEndian.AppendUint64(id, r.ID.Seq))
	}
	if s.Faults&Versions != 0 && !n.older && s.chance(50) {
		r.Raw[0]++
		r.Raw = binary.BigEndian.AppendUint64(r.Raw, s.rng.Uint64())
	}
	s.written[r.ID] = slices.Clone(r.Raw)
}

// coded returns a frame as it is read from its binary form, for some.
func (s *sim) coded(f protocol.Frame) protocol.Frame {
	s.frames++
	if s.Faults&Versions == 0 || s.frames%16 != 0 {
		return f
	}
	read, err := protocol.ParseFrame(protocol.AppendFrame(nil, f))
	if err != nil {
		s.violated("a frame cannot be read: %v", err)
		return f
	}
	return read
}

// checkBytes checks that all journals have the bytes that were issued.
func (s *sim) checkBytes() {
	if s.Break == BreakReuseEpoch {
		return
	}
	for _, n := range s.nodes {
		for id, k := range n.disk.epochs {
			for seq, r := range k.records {
				id := protocol.RecordID{EpochID: id, Seq: seq}
				if !bytes.Equal(r.Raw, s.written[id]) {
					s.violated("%s has other bytes of %s than were issued", n.name, id)
				}
			}
		}
	}
}
