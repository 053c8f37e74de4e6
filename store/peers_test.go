package store

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/registry"
)

// received returns a peer's records of one epoch, from a sequence on.
func received(from, count int) (list []registry.Received) {
	for i := range count {
		inv := &registry.Invalidation{Origin: 7, Epoch: 8, Seq: uint64(from + i), Mode: registry.ModeVerify,
			Selectors: []registry.Selector{{Tag: fmt.Sprintf("tag-%d", from+i)}}}
		list = append(list, registry.Received{Inv: inv, Raw: registry.AppendInvalidation(nil, inv),
			Applied: registry.Applied{Position: uint64(100 + from + i), Wide: inv.Selectors}})
	}
	return list
}

func epochOf(t *testing.T, s *Store, origin, epoch uint64) (found EpochState) {
	t.Helper()
	err := s.Epochs(func(e EpochState) bool {
		if e.Origin == origin && e.Epoch == epoch {
			found = e
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestWhatPeersSentOutlivesACrash(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := mustOpen(t, memOptions(mem))
	list := received(1, 50)
	if err := s.Records(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, memOptions(afterCrash(mem, nil)))
	if e := epochOf(t, again, 7, 8); e.Start != 1 || e.Last != 50 || e.Count != 50 {
		t.Errorf("%+v, want 1 to 50", e)
	}
	n := 0
	err := again.Range(7, 8, 1, func(seq uint64, raw []byte) bool {
		if want := list[n]; seq != want.Inv.Seq || !bytes.Equal(raw, want.Raw) {
			t.Errorf("record %d differs", seq)
		}
		n++
		return true
	})
	if err != nil || n != 50 {
		t.Errorf("%d records, %v", n, err)
	}
	if got := generationsOf(t, again); got[fmt.Sprintf("%+v verify", registry.Selector{Tag: "tag-50"})] != 150 {
		t.Errorf("generations %v", got)
	}
}

func TestRecordsThatAreNoInvalidationsHaveIdsOfTheSameEpoch(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := mustOpen(t, memOptions(mem))
	appendWide(t, s, registry.ModeSoft, 5, registry.Selector{Tag: "x"})
	raw, err := s.Issue(t.Context(), 6, func(origin, epoch, seq uint64) []byte {
		if origin != s.node || epoch != s.epoch || seq != 2 {
			t.Errorf("id %x/%x/%d, want the second of the epoch", origin, epoch, seq)
		}
		return []byte("entered")
	})
	if err != nil || string(raw) != "entered" {
		t.Fatalf("%q, %v", raw, err)
	}
	id, epoch := s.Node(), s.Epoch()
	again := mustOpen(t, memOptions(afterCrash(mem, nil)))
	if e := epochOf(t, again, id, epoch); e.Last != 2 || e.Count != 2 {
		t.Errorf("%+v, want two records", e)
	}
}

func TestWhatEverythingWasRaisedForIsNotExpectedAgain(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := mustOpen(t, memOptions(mem))
	if err := s.Records(t.Context(), received(3, 2)); err != nil { // 1 and 2 are missing
		t.Fatal(err)
	}
	everything := registry.Selector{All: true}
	instead := []EpochState{{Origin: 7, Epoch: 8, Start: 10, Hard: 9}, {Origin: 7, Epoch: 9, Start: 5}}
	if err := s.Raise(registry.ModeVerify, registry.Applied{Position: 500, Wide: []registry.Selector{everything}}, instead); err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, memOptions(afterCrash(mem, nil)))
	if e := epochOf(t, again, 7, 8); e.Start != 10 || e.Last != 9 || e.Count != 0 || e.Hard != 9 {
		t.Errorf("%+v, want it to begin at 10, with nothing in it", e)
	}
	if e := epochOf(t, again, 7, 9); e.Start != 5 || e.Last != 4 {
		t.Errorf("%+v, want one of which nothing was known to begin at 5", e)
	}
	if got := generationsOf(t, again)[fmt.Sprintf("%+v verify", everything)]; got != 500 {
		t.Errorf("everything is raised at %d, want 500", got)
	}
	if again.Position() <= 500 {
		t.Errorf("position %d after 500 was used", again.Position())
	}
	if err := again.Records(t.Context(), received(5, 10)); err != nil {
		t.Fatal(err)
	}
	if e := epochOf(t, again, 7, 8); e.Last != 14 || e.Count != 5 {
		t.Errorf("%+v, want 10 to 14: what comes late of those below is not kept", e)
	}
}

func TestMembersAndIdentityOutliveACrash(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := mustOpen(t, memOptions(mem))
	if s.Members() != nil {
		t.Errorf("members %q before any were kept", s.Members())
	}
	if err := s.SetMembers([]byte("\x01\x00members")); err != nil {
		t.Fatal(err)
	}
	old, epoch := s.Node(), s.Epoch()
	if err := s.Renew(false); err != nil || s.Node() != old || s.Epoch() == epoch {
		t.Errorf("another epoch: node %x, epoch %x, %v", s.Node(), s.Epoch(), err)
	}
	if err := s.Renew(true); err != nil || s.Node() == old {
		t.Errorf("another identity: node %x, %v", s.Node(), err)
	}
	again := mustOpen(t, memOptions(afterCrash(mem, nil)))
	if again.Node() != s.Node() || string(again.Members()) != "\x01\x00members" {
		t.Errorf("after a crash: node %x, want %x; members %q", again.Node(), s.Node(), again.Members())
	}
}
