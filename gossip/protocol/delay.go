package protocol

// How long records take: from when this node sends one until a peer shows that
// it has logged it.
const (
	sentEvery = 10 * Millisecond
	mostSent  = 256
)

// noteSent notes when the newest record was sent, of many at once one.
func (c *Core) noteSent() {
	if n := len(c.sent); n > 0 && c.now-c.sent[n-1].time < sentEvery {
		return
	}
	if c.sent = append(c.sent, mark{c.issued, c.now}); len(c.sent) > mostSent {
		c.sent = c.sent[1:]
	}
}

// noteConfirmed tells how long the records took that a peer shows first now.
func (c *Core) noteConfirmed(id NodeID, k *known) {
	upto := k.confirmed
	if upto == k.looked {
		return
	}
	k.looked = upto
	for _, m := range c.sent {
		if m.seq > k.timed && m.seq <= upto {
			k.timed, k.delay = m.seq, c.now-m.time
			c.do(Delayed{Peer: id, By: k.delay})
		}
	}
}
