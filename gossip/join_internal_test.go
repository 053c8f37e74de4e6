package gossip

import (
	"testing"
	"time"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// within reports whether a pause is a wait with its jitter.
func within(pause, wait time.Duration) bool { return pause >= wait*3/4 && pause < wait*5/4 }

func TestBackoff(t *testing.T) {
	wait := dialEvery
	for i, want := range []time.Duration{250, 500, 1000, 2000, 4000, 4000, 4000} {
		now, next := backoff(wait, false)
		if want *= time.Millisecond; wait != want || !within(now, want) {
			t.Errorf("wait %d is %s, waited %s; want %s", i, wait, now, want)
		}
		wait = next
	}
	if now, next := backoff(wait, true); !within(now, dialEvery) || next != dialEvery {
		t.Errorf("once all are met: %s, then %s", now, next)
	}
}

// Who is sought is tried at longer and longer intervals; once he is connected,
// whoever dialed, and lost again, that begins anew.
func TestSeekingBeginsAnewOnceAllAreMet(t *testing.T) {
	n := &Node{present: newPresence()}
	n.Isolate(true) // it dials nobody
	s := &seed{address: "192.0.2.1:7402", wait: dialEvery}
	seek := func(what string, waits ...time.Duration) {
		t.Helper()
		for _, want := range waits {
			if pause := n.seekOnce(s); !within(pause, want) {
				t.Errorf("%s: the next try after %s, want about %s", what, pause, want)
			}
		}
	}
	seek("at first", dialEvery, 2*dialEvery, 4*dialEvery)
	peer := protocol.Hello{Node: 2, Address: s.address}
	n.present.add(peer, 1)
	n.present.add(peer, 1) // both dialed
	n.present.add(peer, -1)
	seek("met", dialEvery, dialEvery)
	n.present.add(peer, -1)
	seek("lost", dialEvery, 2*dialEvery)
}
