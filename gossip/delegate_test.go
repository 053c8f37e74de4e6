package gossip_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/memberlist"

	"github.com/edgecache/edgecache/gossip"
	"github.com/edgecache/edgecache/gossip/protocol"
	"github.com/edgecache/edgecache/registry"
)

const (
	firstKey  = "the first key of the cluster"
	secondKey = "the second key of the cluster"
	sealed    = "a label"
)

// sealedCluster is a cluster with a label and a secret_file on each node.
func sealedCluster(t *testing.T, names ...string) []*member {
	t.Helper()
	return clusterWith(t, func(o *gossip.Options) {
		o.Label, o.Zone, o.Version = sealed, "zone-of-"+o.Name, "1.2.3"
		o.SecretFile = secretFile(t, firstKey)
	}, names...)
}

func secretFile(t testing.TB, keys ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(strings.Join(keys, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// meets waits until the mesh of a node knows a number of others.
func (m *member) meets(others int) {
	m.t.Helper()
	eventually(m.t, m.name+" meets the others", func() error {
		if n := m.node.Met(); n != others {
			return fmt.Errorf("it knows %d, want %d", n, others)
		}
		return nil
	})
}

// logged returns the greatest sequence of an origin's present epoch that a node
// has in its journal.
func (m *member) logged(origin *member) (last uint64) {
	m.t.Helper()
	err := m.store.Epochs(func(e registry.EpochState) bool {
		if e.Origin == origin.store.Node() && e.Epoch == origin.store.Epoch() {
			last = e.Last
		}
		return true
	})
	if err != nil {
		m.t.Error(err)
	}
	return last
}

func (m *member) issue(tags ...string) *registry.Invalidation {
	m.t.Helper()
	inv := &registry.Invalidation{Mode: registry.ModeVerify}
	for _, tag := range tags {
		inv.Selectors = append(inv.Selectors, registry.Selector{Tag: tag})
	}
	if err := m.cache.Invalidate(m.t.Context(), inv); err != nil {
		m.t.Fatalf("%s: %v", m.name, err)
	}
	return inv
}

func TestGossipCarriesWhatStreamsDoNot(t *testing.T) {
	all := sealedCluster(t, "edge-1", "edge-2", "edge-3")
	for _, m := range all {
		m.meets(2)
	}
	far := all[2]
	far.node.CutStreams()
	eventually(t, "edge-3 is suspect: streams are silent, gossip is not", func() error {
		for _, s := range all[0].node.Members(t.Context()) {
			if s.Name == far.name && s.State == "suspect" {
				return nil
			}
		}
		return errors.New("not yet")
	})
	applied := far.cache.Stats().Invalidations
	inv := all[0].issue("edge")
	eventually(t, "edge-3 applies it", func() error {
		if far.cache.Stats().Invalidations == applied {
			return errors.New("not yet")
		}
		return nil
	})
	far.mustSync(false)
	if last := far.logged(all[0]); last >= inv.Seq {
		t.Errorf("it counts as received, though anybody with the key could have sent it: up to %d", last)
	}
}

func TestGossipOfALongRecordIsItsID(t *testing.T) {
	all := sealedCluster(t, "edge-1", "edge-2")
	for _, m := range all {
		m.meets(1)
	}
	inv := all[0].issue(strings.Repeat("x", 700), strings.Repeat("y", 700))
	eventually(t, "edge-2 has it", func() error {
		if all[1].logged(all[0]) < inv.Seq {
			return errors.New("not yet")
		}
		return nil
	})
	eventually(t, "edge-2 was told", func() error {
		if s := all[1].node.Mesh(); s.Received == 0 || s.Bad > 0 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
}

func TestMembersTellZoneAndVersion(t *testing.T) {
	all := sealedCluster(t, "edge-1", "edge-2")
	for _, s := range all[1].node.Members(t.Context()) {
		if s.Zone != "zone-of-"+s.Name || s.Version != "1.2.3" || s.State != "alive" {
			t.Errorf("%+v", s)
		}
	}
}

// stranger runs memberlist as somebody else's program would.
func stranger(t *testing.T, label string, key []byte) *memberlist.Memberlist {
	t.Helper()
	c := memberlist.DefaultLocalConfig()
	c.Name, c.BindAddr, c.BindPort, c.AdvertiseAddr = "stranger", "127.0.0.1", 0, "127.0.0.1"
	c.Label, c.SecretKey, c.Logger = label, key, log.New(io.Discard, "", 0)
	list, err := memberlist.Create(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := list.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	return list
}

func TestGossipRefusesStrangers(t *testing.T) {
	m := sealedCluster(t, "edge-1")[0]
	at := m.node.GossipAddress()
	right := gossip.MeshKey([]byte(firstKey))
	for name, s := range map[string]*memberlist.Memberlist{
		"another key": stranger(t, sealed, gossip.MeshKey([]byte(secondKey))), "no key": stranger(t, sealed, nil),
		"another label": stranger(t, "another label", right), "no label": stranger(t, "", right),
	} {
		before := m.node.Mesh().Refused
		if _, err := s.Join([]string{at}); err == nil {
			t.Errorf("%s: joined", name)
		}
		eventually(t, name+" is counted", func() error {
			if m.node.Mesh().Refused == before {
				return errors.New("not yet")
			}
			return nil
		})
	}
	if _, err := stranger(t, sealed, right).Join([]string{at}); err != nil {
		t.Errorf("with key and label: %v", err)
	}
}

func TestGarbageIsCountedAndIgnored(t *testing.T) {
	m := sealedCluster(t, "edge-1")[0]
	conn, err := net.Dial("udp", m.node.GossipAddress())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i := range 50 {
		if _, err := conn.Write([]byte(strings.Repeat("garbage ", i+1))); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "garbage is counted", func() error {
		if s := m.node.Mesh(); s.Refused == 0 || s.Received != 0 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	if !m.node.Synced() {
		t.Error("unsynced")
	}
}

// A forged or replayed record of the node itself, above all that it issued, is
// on a stream the sign of a copied machine.
func TestForgedMessagesChangeNothing(t *testing.T) {
	all := sealedCluster(t, "edge-1", "edge-2")
	victim := all[1]
	victim.meets(1)
	forger := stranger(t, sealed, gossip.MeshKey([]byte(firstKey)))
	if _, err := forger.Join([]string{victim.node.GossipAddress()}); err != nil {
		t.Fatal(err)
	}
	own := protocol.EpochID{Origin: protocol.NodeID(victim.store.Node()), Epoch: victim.store.Epoch()}
	raw := registry.AppendInvalidation(nil, &registry.Invalidation{Origin: uint64(own.Origin), Epoch: own.Epoch, Seq: 1 << 40,
		Mode: registry.ModeHard, Selectors: []registry.Selector{{All: true}}})
	forged, err := protocol.ParseRecord(raw)
	if err != nil {
		t.Fatal(err)
	}
	long := forged
	long.Raw = make([]byte, 1<<20)
	out := protocol.Record{ID: protocol.RecordID{EpochID: protocol.EpochID{Origin: protocol.NodeID(all[0].store.Node()), Epoch: all[0].store.Epoch()}, Seq: 1 << 41}}
	out.Raw = protocol.AppendChange(nil, out.ID, protocol.Member{ID: own.Origin, Entry: 1 << 40, Out: true, Name: "edge-2"})
	stray := forged
	stray.ID.Origin++
	stray.Raw = registry.AppendInvalidation(nil, &registry.Invalidation{Origin: uint64(stray.ID.Origin), Epoch: 1, Seq: 1 << 40,
		Mode: registry.ModeHard, Selectors: []registry.Selector{{All: true}}})
	messages := [][]byte{victim.node.MessageOf(forged), victim.node.MessageOf(long), victim.node.MessageOf(out), victim.node.MessageOf(stray), []byte("garbage")}
	for _, msg := range messages {
		for _, to := range forger.Members() {
			if strings.HasPrefix(to.Name, strconv.FormatUint(victim.store.Node(), 16)+"-") {
				if err := forger.SendReliable(to, msg); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	eventually(t, "forged messages are counted", func() error {
		if s := victim.node.Mesh(); s.Bad != 3 || s.Received < 5 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	if conf, err := all[0].invalidate(registry.LevelAll, 10e9); err != nil || len(conf.Confirmed) != 2 {
		t.Errorf("%+v, %v; want both", conf, err)
	}
	_ = victim.store.Epochs(func(e registry.EpochState) bool {
		if e.Origin == uint64(stray.ID.Origin) {
			t.Error("a record of a stranger was taken")
		}
		return true
	})
	if epoch := victim.store.Epoch(); epoch != own.Epoch || !victim.node.Synced() {
		t.Errorf("the node began anew with epoch %x, it had %x; synced %t", epoch, own.Epoch, victim.node.Synced())
	}
}
