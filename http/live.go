package http

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// live is the part of the configuration that a reload changes. It is replaced
// as a whole; a request keeps the one it began with.
type live struct {
	cors    []string
	corsAny bool
	maxAge  time.Duration
	zones   []zoneNetwork // the narrowest network first
	trusted []netip.Prefix
	limits  Limits
}

type zoneNetwork struct {
	network netip.Prefix
	zone    string
}

// newLive prepares valid options.
func newLive(o Options) *live {
	l := &live{cors: slices.Clone(o.CORS), corsAny: slices.Contains(o.CORS, "*"), maxAge: o.MaxAge, limits: o.Limits}
	for zone, networks := range o.Zones {
		for _, n := range networks {
			if p, err := parseNetwork(n); err == nil {
				l.zones = append(l.zones, zoneNetwork{p, zone})
			}
		}
	}
	slices.SortFunc(l.zones, func(a, b zoneNetwork) int {
		return cmp.Or(cmp.Compare(b.network.Bits(), a.network.Bits()), cmp.Compare(a.zone, b.zone))
	})
	for _, n := range o.TrustedProxies {
		if p, err := parseNetwork(n); err == nil {
			l.trusted = append(l.trusted, p)
		}
	}
	return l
}

func contains(networks []netip.Prefix, a netip.Addr) bool {
	for i := range networks {
		if networks[i].Contains(a) {
			return true
		}
	}
	return false
}
