package registry

import (
	"fmt"
	"slices"
)

// Health is the registry's opinion of an instance. Its order is not severity:
// see [Health.Within].
type Health uint8

// The values of Health. HealthUnknown means that the registry does not say.
const (
	HealthUnknown Health = iota
	HealthPassing
	HealthWarning
	HealthDraining
	HealthCritical
	HealthMaintenance
)

var healthNames = [...]string{"unknown", "passing", "warning", "draining", "critical", "maintenance"}

func (h Health) String() string {
	if int(h) < len(healthNames) {
		return healthNames[h]
	}
	return fmt.Sprintf("health(%d)", uint8(h))
}

// ParseHealth returns the health of that name; "" is unknown.
func ParseHealth(s string) (Health, error) {
	if s == "" {
		return HealthUnknown, nil
	}
	if i := slices.Index(healthNames[:], s); i >= 0 {
		return Health(i), nil
	}
	return 0, fmt.Errorf("health %q: one of %v expected", s, healthNames)
}

// An Endpoint is one way to reach an instance.
type Endpoint struct {
	Name     string // "grpc", "lan_ipv6"; "" if the only one
	Protocol string // tcp, udp, http, https, grpc, unix, sse, streamable-http, jsonrpc; "" unknown
	Address  string // IPv4, IPv6 without brackets, host name, socket path (unix)
	Port     uint16 // 0: none said
	TLS      bool
	URL      string // where the registry gives one
}

// A Span is a range of bytes inside Record.Document; zero if there is none.
type Span struct{ Off, Len uint32 }

// An Instance is one running copy of a service.
type Instance struct {
	ID         string     // unique in the record; address:port if the registry has none
	Endpoints  []Endpoint // at least one; [0] is the main one
	Weight     uint32     // hundredths: 100 is 1.0; 0 takes no traffic
	Priority   uint16     // lower first
	Health     Health
	Version    string
	Node       string // host, or the pod's node
	Region     string // or the Consul datacenter
	Zone       string
	Tags       []string
	Metadata   Metadata
	Registered int64 // Unix ms; 0 unknown
	Raw        Span  // its own JSON inside Record.Document
}

// DefaultWeight is the weight, in hundredths, of an instance whose registry
// gives none.
const DefaultWeight = 100

// Main returns the main endpoint; the zero Endpoint if there is none.
func (in *Instance) Main() Endpoint {
	if len(in.Endpoints) == 0 {
		return Endpoint{}
	}
	return in.Endpoints[0]
}

// Endpoint returns the position of the endpoint of that name, or -1.
func (in *Instance) Endpoint(name string) int {
	return slices.IndexFunc(in.Endpoints, func(e Endpoint) bool { return e.Name == name })
}
