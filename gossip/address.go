package gossip

import (
	"net"
	"net/netip"
)

// reachable returns host:port by which peers reach a listener. One of all
// interfaces is reached at the first of this machine's addresses that other
// machines can reach, IPv4 before IPv6, and else at its loopback.
func reachable(listener net.Addr, interfaces func() ([]net.Addr, error)) string {
	at, err := netip.ParseAddrPort(listener.String())
	if err != nil || !at.Addr().IsUnspecified() {
		return listener.String()
	}
	best := netip.Addr{}
	all, _ := interfaces()
	for _, a := range all {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		ip := prefix.Addr().Unmap()
		if ip.IsGlobalUnicast() && (!best.IsValid() || ip.Is4() && !best.Is4()) {
			best = ip
		}
	}
	if !best.IsValid() {
		if best = netip.IPv6Loopback(); at.Addr().Unmap().Is4() {
			best = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
	}
	return netip.AddrPortFrom(best, at.Port()).String()
}
