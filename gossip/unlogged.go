package gossip

import (
	"slices"
	"time"

	"github.com/edgecache/edgecache/gossip/protocol"
)

const (
	// goOnEvery is how often it is tried again what the disk did not do in time.
	goOnEvery = time.Second
	// mostUnlogged bounds what is looked for; a new life asks for the others.
	mostUnlogged = 1 << 20
)

// noteUnlogged notes records that were not known to be on disk when somebody
// stopped waiting: a disk that stalls may have them yet.
func (n *Node) noteUnlogged(ids []protocol.RecordID) {
	if len(n.unlogged)+len(ids) <= mostUnlogged {
		n.unlogged = append(n.unlogged, ids...)
	}
}

// forgetUnlogged begins anew with another life, whose core asks for what it
// lacks. What was issued in its epoch before it began, only this node knows.
func (n *Node) forgetUnlogged() {
	n.unlogged = slices.DeleteFunc(n.unlogged, func(id protocol.RecordID) bool {
		return id.Origin != n.born.Node || id.Epoch != n.born.Epoch
	})
}

// goOn saves the members if they are not on disk, forgets who is silent, and
// looks which records are on disk by now.
func (n *Node) goOn() {
	n.saveNext()
	n.forgetSilent()
	if len(n.unlogged) == 0 || n.looking || n.writing {
		return
	}
	ids, life := n.unlogged, n.life
	n.unlogged, n.looking = nil, true
	n.wg.Go(func() {
		logged, missing := n.lookFor(ids)
		n.hand(happening{run: func() {
			n.looking = false
			if n.life != life {
				n.noteUnlogged(ids)
				n.forgetUnlogged()
				return
			}
			n.noteUnlogged(missing)
			if len(logged) > 0 {
				n.step(protocol.Logged{Records: logged})
			}
		}})
	})
}

// lookFor divides records into those that the journal has, durably, and others.
func (n *Node) lookFor(ids []protocol.RecordID) (logged, missing []protocol.RecordID) {
	byEpoch := map[protocol.EpochID]map[uint64]bool{}
	for _, id := range ids {
		if byEpoch[id.EpochID] == nil {
			byEpoch[id.EpochID] = map[uint64]bool{}
		}
		byEpoch[id.EpochID][id.Seq] = false
	}
	for id, seqs := range byEpoch {
		from, to := uint64(1<<63), uint64(0)
		for seq := range seqs {
			from, to = min(from, seq), max(to, seq)
		}
		err := n.opts.Log.Range(uint64(id.Origin), id.Epoch, from, func(seq uint64, _ []byte) bool {
			if _, ok := seqs[seq]; ok {
				seqs[seq] = true
			}
			return seq < to
		})
		if err != nil {
			n.log.Debug("gossip: the journal cannot be read", "err", err)
		}
	}
	for _, id := range ids {
		if byEpoch[id.EpochID][id.Seq] {
			logged = append(logged, id)
		} else {
			missing = append(missing, id)
		}
	}
	return logged, missing
}
