package consul

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/edgecache/edgecache/registry"
)

// parseHealth makes a record of the body of /v1/health/service: all of it, or
// an error that names the field. Spans point into the body.
func parseHealth(body []byte, name string) (*registry.Record, error) {
	rec := &registry.Record{Key: registry.Key{Name: name}, Wishes: registry.NoWishes}
	err := eachElement(body, func(_ int, at span, e *element) error {
		in, err := e.instance(name)
		if err != nil {
			return err
		}
		in.Raw = registry.Span{Off: uint32(at.from), Len: uint32(at.to - at.from)}
		rec.Instances = append(rec.Instances, in)
		rec.Tags = append(rec.Tags, in.Tags...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(rec.Tags)
	rec.Tags = slices.Compact(rec.Tags)
	if err := distinguish(rec.Instances); err != nil {
		return nil, err
	}
	return rec, nil
}

// distinguish makes ids unique: Consul's are so within a node only.
func distinguish(instances []registry.Instance) error {
	count := make(map[string]int, len(instances))
	for i := range instances {
		count[instances[i].ID]++
	}
	if len(count) == len(instances) {
		return nil
	}
	seen := make(map[string]bool, len(instances))
	for i := range instances {
		in := &instances[i]
		if count[in.ID] > 1 {
			in.ID += "@" + in.Node
		}
		if seen[in.ID] {
			return fmt.Errorf("element %d: Service.ID: %q stands twice", i, in.ID)
		}
		seen[in.ID] = true
	}
	return nil
}

func (e *element) instance(name string) (registry.Instance, error) {
	var none registry.Instance
	n, s := e.Node, e.Service
	switch {
	case n == nil:
		return none, errors.New("field Node is missing")
	case n.Node == "":
		return none, errors.New("field Node.Node is missing")
	case s == nil:
		return none, errors.New("field Service is missing")
	case s.ID == "":
		return none, errors.New("field Service.ID is missing")
	case !strings.EqualFold(s.Service, name): // Consul's names ignore case
		return none, fmt.Errorf("field Service.Service: %q expected, found %q", name, s.Service)
	}
	health, err := worst(e.Checks)
	if err != nil {
		return none, err
	}
	endpoints, err := s.endpoints(n)
	if err != nil {
		return none, err
	}
	region, zone := e.place()
	return registry.Instance{
		ID: s.ID, Endpoints: endpoints, Health: health, Weight: s.weight(health),
		Version: s.Meta["version"], Node: n.Node, Region: region, Zone: zone,
		Tags: slices.Clip(s.Tags), Metadata: registry.MetadataOf(s.Meta),
	}, nil
}

// place returns region and zone: from the locality of service or node, else
// the datacenter and what the metadata say.
func (e *element) place() (region, zone string) {
	for _, l := range []*locality{e.Service.Locality, e.Node.Locality} {
		if l != nil {
			region, zone = cmp.Or(region, l.Region), cmp.Or(zone, l.Zone)
		}
	}
	for _, meta := range []map[string]string{e.Service.Meta, e.Node.Meta} {
		zone = cmp.Or(zone, meta["zone"], meta["availability_zone"], meta["az"])
	}
	return cmp.Or(region, e.Node.Datacenter), zone
}

// endpoints returns the main endpoint, the further ports, and the tagged
// addresses by name.
func (s *service) endpoints(n *node) ([]registry.Endpoint, error) {
	address := cmp.Or(s.Address, n.Address)
	list := make([]registry.Endpoint, 0, 1+len(s.Ports)+len(s.TaggedAddresses))
	switch {
	case s.SocketPath != "":
		list = append(list, registry.Endpoint{Protocol: "unix", Address: s.SocketPath})
	case address == "":
		return nil, errors.New("Service.Address and Node.Address are missing")
	case s.Port != 0 || len(s.Ports) == 0:
		list = append(list, registry.Endpoint{Address: address, Port: s.Port})
	}
	ports := slices.Clone(s.Ports)
	slices.SortStableFunc(ports, func(a, b port) int { return rank(a) - rank(b) })
	for i, p := range ports {
		if address == "" || p.Port == 0 {
			return nil, fmt.Errorf("Service.Ports[%d]: an address and a port expected", i)
		}
		list = append(list, registry.Endpoint{Name: p.Name, Address: address, Port: p.Port})
	}
	for _, name := range slices.Sorted(maps.Keys(s.TaggedAddresses)) {
		a := s.TaggedAddresses[name]
		if a.Address == "" {
			return nil, fmt.Errorf("Service.TaggedAddresses[%q].Address is missing", name)
		}
		list = append(list, registry.Endpoint{Name: name, Address: a.Address, Port: a.Port})
	}
	return list, nil
}

// rank orders the default port first.
func rank(p port) int {
	if p.Default {
		return 0
	}
	return 1
}

// weight returns the weight in hundredths. What is critical or in maintenance
// keeps the weight that it will have again.
func (s *service) weight(h registry.Health) uint32 {
	switch {
	case s.Weights == nil:
		return registry.DefaultWeight
	case h == registry.HealthWarning:
		return uint32(s.Weights.Warning) * 100
	}
	return uint32(s.Weights.Passing) * 100
}

// severity orders what a check may say.
var severity = map[registry.Health]int{
	registry.HealthPassing: 0, registry.HealthWarning: 1, registry.HealthCritical: 2, registry.HealthMaintenance: 3,
}

// worst returns the health of an instance with these checks; without checks
// Consul counts it as passing.
func worst(checks []check) (registry.Health, error) {
	health := registry.HealthPassing
	for i, c := range checks {
		h, err := registry.ParseHealth(c.Status)
		if _, known := severity[h]; err != nil || !known {
			return 0, fmt.Errorf("Checks[%d].Status: passing, warning or critical expected, found %.40q", i, c.Status)
		}
		if c.CheckID == "_node_maintenance" || strings.HasPrefix(c.CheckID, "_service_maintenance") {
			h = registry.HealthMaintenance
		}
		if severity[h] > severity[health] {
			health = h
		}
	}
	return health, nil
}
