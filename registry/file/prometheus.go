package file

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/edgecache/edgecache/registry"
)

// serviceLabels are the labels that may name the service of a target group:
// the first that is there does. The others become metadata.
var serviceLabels = []string{"__meta_edgecache_service", "service", "job"}

// A group is one target group of a file_sd file.
type group struct {
	file    string
	service string
	targets []registry.Endpoint
	labels  map[string]string // without the one that names the service
	raw     json.RawMessage
}

// parseGroups reads a list of target groups.
func parseGroups(data []byte) ([]group, error) {
	var raws []json.RawMessage
	if err := json.Unmarshal(data, &raws); err != nil || raws == nil {
		return nil, fmt.Errorf(`a list of target groups expected, as in [{"targets": ["10.0.0.1:9100"], "labels": {"job": "node"}}]`)
	}
	groups := make([]group, 0, len(raws))
	for i, raw := range raws {
		g, err := parseGroup(raw)
		if err != nil {
			return nil, fmt.Errorf("[%d]%w", i, err)
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// parseGroup reads one group. Its errors begin where a path goes on.
func parseGroup(raw json.RawMessage) (group, error) {
	g := group{raw: raw}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		return g, fmt.Errorf(": an object with targets and labels expected")
	}
	var targets []string
	var labels map[string]any
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		var err error
		switch name {
		case "targets":
			err = json.Unmarshal(fields[name], &targets)
		case "labels":
			err = json.Unmarshal(fields[name], &labels)
		default:
			return g, fmt.Errorf(".%s: unknown field; targets and labels are known", name)
		}
		if err != nil {
			return g, fmt.Errorf(".%s: %w", name, err)
		}
	}
	if fields["targets"] == nil {
		return g, fmt.Errorf(": targets expected")
	}
	if err := g.setLabels(labels); err != nil {
		return g, err
	}
	for i, target := range targets {
		endpoint, err := parseTarget(target)
		if err != nil {
			return g, fmt.Errorf(".targets[%d]: %w", i, err)
		}
		g.targets = append(g.targets, endpoint)
	}
	return g, nil
}

func (g *group) setLabels(labels map[string]any) error {
	g.labels = make(map[string]string, len(labels))
	for name, value := range labels {
		switch value := value.(type) {
		case string:
			g.labels[name] = value
		case bool, float64: // YAML without quotes
			text, _ := json.Marshal(value)
			g.labels[name] = string(text)
		default:
			return fmt.Errorf(".labels.%s: a text expected", name)
		}
	}
	for _, label := range serviceLabels {
		if name, ok := g.labels[label]; ok {
			if err := registry.CheckName(name); err != nil {
				return fmt.Errorf(".labels.%s: %w", label, err)
			}
			g.service = name
			delete(g.labels, label)
			return nil
		}
	}
	return fmt.Errorf(": no label names the service; one of %s expected", strings.Join(serviceLabels, ", "))
}

// parseTarget reads host:port, [v6]:port or a host alone.
func parseTarget(target string) (registry.Endpoint, error) {
	if addr, err := netip.ParseAddr(strings.Trim(target, "[]")); err == nil {
		return registry.Endpoint{Address: addr.String()}, nil
	}
	host, port := target, ""
	if strings.ContainsAny(target, ":[]") {
		var err error
		if host, port, err = net.SplitHostPort(target); err != nil {
			return registry.Endpoint{}, fmt.Errorf("%q: host:port expected", target)
		}
	}
	if host == "" || strings.ContainsAny(host, "/ \t\r\n?#@") {
		return registry.Endpoint{}, fmt.Errorf("%q: host:port expected, without scheme and path", target)
	}
	if port == "" {
		return registry.Endpoint{Address: host}, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return registry.Endpoint{}, fmt.Errorf("%q: a port from 0 to 65535 expected", target)
	}
	return registry.Endpoint{Address: host, Port: uint16(n)}, nil
}

// A service is all groups of one name, in the order of the files.
type service struct{ groups []group }

// unite gathers the groups of each service: one job may be spread over many
// groups and files.
func unite(groups []group) []service {
	var services []service
	at := map[string]int{}
	for _, g := range groups {
		i, ok := at[g.service]
		if !ok {
			i = len(services)
			at[g.service] = i
			services = append(services, service{})
		}
		services[i].groups = append(services[i].groups, g)
	}
	return services
}

// record makes the record of a service. A target that comes twice counts once,
// with the labels of its first group.
func (s service) record(document bool) *registry.Record {
	rec := &registry.Record{Key: registry.Key{Name: s.groups[0].service}, Wishes: registry.NoWishes}
	seen := map[string]bool{}
	var raws []json.RawMessage
	for _, g := range s.groups {
		raws = append(raws, g.raw)
		for _, endpoint := range g.targets {
			id := net.JoinHostPort(endpoint.Address, strconv.Itoa(int(endpoint.Port)))
			if seen[id] {
				continue
			}
			seen[id] = true
			in := registry.Instance{ID: id, Endpoints: []registry.Endpoint{endpoint}, Weight: registry.DefaultWeight,
				Metadata: registry.MetadataOf(g.labels)}
			rec.Instances = append(rec.Instances, in)
		}
	}
	if document {
		rec.Document, _ = json.Marshal(raws) // valid JSON each
		rec.MediaType = "application/json"
	}
	return rec
}
