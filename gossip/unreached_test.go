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

func TestAJoinAddressWhereNobodyAnswersIsTriedWithBackoff(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	tries := make(chan time.Time, 64)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			tries <- time.Now()
			conn.Close()
		}
	}()
	m := newMember(t, "edge-1", registrytest.NewFake("r"), func(o *gossip.Options) { o.Join = []string{listener.Addr().String()} })
	m.start()
	const least = 10 * time.Second // at each 250 ms there would be 40
	began, last, n := time.Now(), time.Time{}, 0
	for ; last.Sub(began) < least; n++ {
		select {
		case last = <-tries:
		case <-time.After(time.Minute):
			t.Fatalf("not tried again after %d tries", n)
		}
	}
	if n > 12 {
		t.Errorf("tried %d times within %s", n, last.Sub(began))
	}
}
