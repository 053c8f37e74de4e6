package edgecache

import (
	"math"
	"strconv"
	"time"
)

// Health is an instance's.
type Health uint8

// An instance's health, as its registry says.
const (
	Unknown Health = iota
	Passing
	Warning
	Draining
	Critical
	Maintenance
)

var healthNames = [...]string{"unknown", "passing", "warning", "draining", "critical", "maintenance"}

func (h Health) String() string {
	if int(h) < len(healthNames) {
		return healthNames[h]
	}
	return "unknown"
}

// An Instance is one running copy of a service, as it is made. It needs an
// address or a URL.
type Instance struct {
	id, address, protocol, url, version, node, region, zone string

	port, priority uint16
	health         Health
	tls, weighs    bool
	weight         float64
	registered     time.Time
	tags           []string
	metadata       pairs
	endpoints      []*Endpoint
}

// Address sets a host's name or an IP address, an IPv6 address without brackets.
func (in *Instance) Address(address string) *Instance {
	in.address = address
	return in
}

// Port sets the port; 0 is none.
func (in *Instance) Port(port uint16) *Instance {
	in.port = port
	return in
}

// Protocol sets tcp, udp, http, https, grpc, unix, sse, streamable-http or jsonrpc.
func (in *Instance) Protocol(protocol string) *Instance {
	in.protocol = protocol
	return in
}

// TLS says whether it speaks TLS.
func (in *Instance) TLS(tls bool) *Instance {
	in.tls = tls
	return in
}

// URL sets where it is, if its registry gives a URL.
func (in *Instance) URL(url string) *Instance {
	in.url = url
	return in
}

// Health sets its health, which else is unknown.
func (in *Instance) Health(health Health) *Instance {
	in.health = health
	return in
}

// Weight sets the share of load it wants, relative to others; it is 1 unless it is
// set, and 0 wants none. What is no number, or below 0, is not set.
func (in *Instance) Weight(weight float64) *Instance {
	if weight >= 0 && weight <= math.MaxUint32/100 {
		in.weight, in.weighs = weight, true
	}
	return in
}

// Priority sets its priority; those of the lowest number come first.
func (in *Instance) Priority(priority uint16) *Instance {
	in.priority = priority
	return in
}

// Version sets the version of what runs there.
func (in *Instance) Version(version string) *Instance {
	in.version = version
	return in
}

// Node sets the host it runs on.
func (in *Instance) Node(node string) *Instance {
	in.node = node
	return in
}

// Region sets its region.
func (in *Instance) Region(region string) *Instance {
	in.region = region
	return in
}

// Zone sets its zone.
func (in *Instance) Zone(zone string) *Instance {
	in.zone = zone
	return in
}

// Tags adds tags.
func (in *Instance) Tags(tags ...string) *Instance {
	in.tags = append(in.tags, tags...)
	return in
}

// Metadata sets one of its metadata.
func (in *Instance) Metadata(key, value string) *Instance {
	in.metadata.set(key, value)
	return in
}

// Registered sets since when it is registered.
func (in *Instance) Registered(at time.Time) *Instance {
	in.registered = at
	return in
}

func (in *Instance) append(b []byte) []byte {
	b = appendString(append(b, `{"id":`...), in.id)
	b = appendField(b, `,"address":`, in.address)
	if in.port != 0 {
		b = appendInt(appendName(b, "port"), int64(in.port))
	}
	b = appendField(b, `,"protocol":`, in.protocol)
	if in.tls {
		b = append(b, `,"tls":true`...)
	}
	b = appendField(b, `,"url":`, in.url)
	b = appendEndpoints(b, in.endpoints)
	if in.health != Unknown {
		b = appendField(b, `,"health":`, in.health.String())
	}
	if in.weighs {
		b = strconv.AppendFloat(appendName(b, "weight"), in.weight, 'f', -1, 64)
	}
	if in.priority != 0 {
		b = appendInt(appendName(b, "priority"), int64(in.priority))
	}
	b = appendField(b, `,"version":`, in.version)
	b = appendField(b, `,"node":`, in.node)
	b = appendField(b, `,"region":`, in.region)
	b = appendField(b, `,"zone":`, in.zone)
	b = appendTime(b, "registered", in.registered)
	b = appendList(b, "tags", in.tags)
	return append(in.metadata.append(b), '}')
}
