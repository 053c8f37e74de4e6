package gossip

import (
	"net"
	"testing"
)

func TestReachable(t *testing.T) {
	v4 := &net.IPNet{IP: net.ParseIP("10.0.0.7"), Mask: net.CIDRMask(24, 32)}
	v6 := &net.IPNet{IP: net.ParseIP("2001:db8::7"), Mask: net.CIDRMask(64, 128)}
	loopback := &net.IPNet{IP: net.ParseIP("127.0.0.1"), Mask: net.CIDRMask(8, 32)}
	local := &net.IPNet{IP: net.ParseIP("fe80::1"), Mask: net.CIDRMask(64, 128)}
	for _, c := range []struct {
		listener   string
		interfaces []net.Addr
		want       string
	}{
		{"10.1.1.1:7402", []net.Addr{v4}, "10.1.1.1:7402"},
		{"127.0.0.1:7402", []net.Addr{v4}, "127.0.0.1:7402"},
		{"[::]:7402", []net.Addr{loopback, local, v6, v4}, "10.0.0.7:7402"},
		{"0.0.0.0:7402", []net.Addr{loopback, local, v6}, "[2001:db8::7]:7402"},
		{"[::]:7402", []net.Addr{loopback, local}, "[::1]:7402"},
		{"0.0.0.0:7402", nil, "127.0.0.1:7402"},
	} {
		listener, err := net.ResolveTCPAddr("tcp", c.listener)
		if err != nil {
			t.Fatal(err)
		}
		if got := reachable(listener, func() ([]net.Addr, error) { return c.interfaces, nil }); got != c.want {
			t.Errorf("%s with %v: %s, want %s", c.listener, c.interfaces, got, c.want)
		}
	}
}
