package gossip_test

import (
	"fmt"
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
