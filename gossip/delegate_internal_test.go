package gossip

import (
	"bytes"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/edgecache/edgecache/gossip/protocol"
	"github.com/edgecache/edgecache/registry"
)

func invalidationOf(t *testing.T, id protocol.RecordID, selectors ...registry.Selector) protocol.Record {
	t.Helper()
	raw := registry.AppendInvalidation(nil, &registry.Invalidation{Origin: uint64(id.Origin), Epoch: id.Epoch, Seq: id.Seq,
		Mode: registry.ModeHard, Selectors: selectors})
	r, err := protocol.ParseRecord(raw)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestMessages(t *testing.T) {
	id := protocol.RecordID{EpochID: protocol.EpochID{Origin: 7, Epoch: 9}, Seq: 11}
	short := invalidationOf(t, id, registry.Selector{Tag: "edge"})
	msg := appendMessage(nil, short, longestSent)
	inv, got, err := parseMessage(msg)
	if err != nil || got != id {
		t.Fatalf("a record is read as %+v of %s, %v", inv, got, err)
	}
	clear(msg) // the network's buffer is used again
	if !bytes.Equal(registry.AppendInvalidation(nil, inv), short.Raw) {
		t.Errorf("a record is read as %+v", inv)
	}
	long := invalidationOf(t, id, registry.Selector{Tag: strings.Repeat("x", 700)}, registry.Selector{Tag: strings.Repeat("y", 700)})
	msg = appendMessage(nil, long, longestSent)
	if len(msg) > 100 {
		t.Errorf("a long record has a message of %d bytes, its id alone expected", len(msg))
	}
	if inv, got, err := parseMessage(msg); err != nil || inv != nil || got != id {
		t.Errorf("a long record is read as %+v of %s, %v", inv, got, err)
	}
	if inv, got, err := parseMessage([]byte{99, 1, 2}); inv != nil || got.Seq != 0 || err != nil {
		t.Errorf("a kind of a newer version: %v, %v", inv, err)
	}
	change := protocol.AppendChange(nil, id, protocol.Member{ID: 7, Out: true, Name: "edge-7"})
	for name, bad := range map[string][]byte{
		"empty": {}, "no record": {messageRecord}, "a change of the members": append([]byte{messageRecord}, change...),
		"half an id": msg[:12], "sequence 0": append([]byte{messageID}, make([]byte, 24)...),
		"a sequence that overflows": append([]byte{messageID}, bytes.Repeat([]byte{0xff}, 24)...),
		"no selectors":              append([]byte{messageRecord}, short.Raw[:27]...),
	} {
		if e, _, err := parseMessage(bad); err == nil {
			t.Errorf("%s is read as %+v", name, e)
		}
	}
}

func TestMeta(t *testing.T) {
	want := protocol.Hello{Node: 7, Address: "10.0.0.1:7402", Name: "edge-1", Version: "1.2.3", Zone: "eu-1a"}
	meta := appendMeta(nil, want, 512)
	if got, err := parseMeta(append(meta, "\x03new"...)); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	want.Zone = strings.Repeat("z", 200)
	meta = appendMeta(nil, want, 100)
	want.Zone = ""
	if got, err := parseMeta(meta); err != nil || got != want || len(meta) > 100 {
		t.Errorf("%+v of %d bytes, %v; want all but the zone", got, len(meta), err)
	}
	for _, bad := range []string{"", "\x01short", "\x01\x00\x00\x00\x00\x00\x00\x00\x07\x09cut"} {
		if _, err := parseMeta([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestRecentForgetsTheOldest(t *testing.T) {
	var s recent
	id := func(seq uint64) protocol.RecordID { return protocol.RecordID{Seq: seq} }
	for seq := uint64(1); seq <= 3*mostRecent; seq++ {
		s.add(id(seq))
	}
	if !s.has(id(3*mostRecent)) || !s.has(id(2*mostRecent)) || s.has(id(1)) || len(s.now)+len(s.old) > 2*mostRecent {
		t.Errorf("%d and %d are remembered", len(s.now), len(s.old))
	}
}

func TestStatesOfMembers(t *testing.T) {
	for _, c := range []struct {
		view  protocol.MemberView
		alive bool
		want  string
	}{
		{protocol.MemberView{Heard: true}, false, "alive"}, {protocol.MemberView{Heard: true}, true, "alive"},
		{protocol.MemberView{}, true, "suspect"}, {protocol.MemberView{}, false, "failed"},
		{protocol.MemberView{Member: protocol.Member{Out: true}}, true, "left"},
	} {
		if got := state(c.view, c.alive); got != c.want {
			t.Errorf("%+v, alive in the mesh %t: %s, want %s", c.view, c.alive, got, c.want)
		}
	}
}

func TestTheQueueIsBounded(t *testing.T) {
	m := &mesh{node: &Node{}, alive: map[string]protocol.Hello{}}
	m.queue.RetransmitMult, m.queue.NumNodes = retransmits, func() int { return 2 }
	spread := func(seq uint64) {
		m.spread(invalidationOf(t, protocol.RecordID{EpochID: protocol.EpochID{Origin: 7, Epoch: 9}, Seq: seq}, registry.Selector{Tag: "edge"}))
	}
	spread(1)
	if n := m.queue.NumQueued(); n != 0 {
		t.Errorf("%d messages are queued for nobody", n)
	}
	m.alive["edge-2"] = protocol.Hello{Node: 2}
	for seq := uint64(1); seq <= mostQueued+10; seq++ {
		spread(seq)
	}
	if n, dropped := m.queue.NumQueued(), m.dropped.Load(); n != mostQueued || dropped != 10 {
		t.Errorf("%d are queued, %d dropped", n, dropped)
	}
}

func TestWarningsOfStrangersAreLoggedOnceAndCounted(t *testing.T) {
	var text strings.Builder
	var refused, dropped atomic.Uint64
	l := &meshLog{log: slog.New(slog.NewTextHandler(&text, nil)), refused: &refused, dropped: &dropped}
	for _, line := range []string{
		"[ERR] memberlist: Decrypt packet failed: no key from=10.0.0.1:1\n", "[ERR] memberlist: Decrypt packet failed: no key from=10.0.0.2:2\n",
		"[WARN] memberlist: handler queue full, dropping message (8) from=10.0.0.1:1\n",
		"[WARN] memberlist: Got ping for unexpected node 'a' from=10.0.0.1:1\n", "[DEBUG] memberlist: Stream connection from=10.0.0.1:1\n",
	} {
		if n, err := l.Write([]byte(line)); n != len(line) || err != nil {
			t.Errorf("%q: %d, %v", line, n, err)
		}
	}
	if refused.Load() != 2 || dropped.Load() != 1 {
		t.Errorf("%d refused, %d dropped", refused.Load(), dropped.Load())
	}
	if got := text.String(); strings.Count(got, "Decrypt") != 1 || strings.Contains(got, "Stream") || strings.Count(got, "level=WARN") != 3 {
		t.Errorf("logged: %s", got)
	}
}
