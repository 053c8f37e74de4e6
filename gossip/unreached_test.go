package gossip_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgecache/edgecache/gossip"
	"github.com/edgecache/edgecache/registry/registrytest"
)

func TestAJoinAddressWhereNobodyAnswersIsToldOf(t *testing.T) {
	fake := registrytest.NewFake("r")
	m := newMember(t, "edge-1", fake, func(o *gossip.Options) {
		o.Join, o.ReadyAfter = []string{"127.0.0.1:1"}, time.Second
	})
	m.start()
	told := func() bool {
		return slices.ContainsFunc(m.node.Degraded(), func(s string) bool { return strings.Contains(s, "gossip.join: 127.0.0.1:1") })
	}
	m.mustSync(true) // alone, in the end
	if !told() {
		t.Errorf("degraded: %q", m.node.Degraded())
	}
	other := newMember(t, "edge-2", fake, func(o *gossip.Options) { o.Join = []string{m.node.Address()} })
	other.start()
	eventually(t, "they met", func() error {
		if told() {
			return fmt.Errorf("degraded: %q", m.node.Degraded())
		}
		return nil
	})
}

func TestAJoinAddressWhereNobodyAnswersIsTriedAgain(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	tries := make(chan struct{}, 64)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			tries <- struct{}{}
			conn.Close()
		}
	}()
	m := newMember(t, "edge-1", registrytest.NewFake("r"), func(o *gossip.Options) { o.Join = []string{listener.Addr().String()} })
	m.start()
	for n := range 3 {
		select {
		case <-tries:
		case <-time.After(time.Minute):
			t.Fatalf("not tried again after %d tries", n)
		}
	}
}

// An address of gossip.join is answered once somebody is connected who says to
// have it, though he dialed.
func TestWhoSaysToHaveAJoinAddressNeedNotBeDialed(t *testing.T) {
	const one, other = "127.0.0.1:1", "127.0.0.1:2" // where nobody listens
	fake := registrytest.NewFake("r")
	first := newMember(t, "edge-1", fake, func(o *gossip.Options) { o.Advertise, o.Join = one, []string{other} })
	first.start()
	second := newMember(t, "edge-2", fake, func(o *gossip.Options) {
		o.Advertise, o.Join = other, []string{one, first.node.Address()}
	})
	second.start()
	first.mustSync(true)
	second.mustSync(true)
}
