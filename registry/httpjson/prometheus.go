package httpjson

import (
	"encoding/json"
	"fmt"

	"github.com/edgecache/edgecache/registry"
)

// A targetGroup is one group of Prometheus' HTTP service discovery.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// targetGroups adds the targets of a group, or of a list of groups, as
// instances that have the group's labels as metadata. A target that was seen
// in an earlier group is left out.
func targetGroups(part json.RawMessage, seen map[string]bool, add func(...registry.Instance) error) error {
	var groups []targetGroup
	var err error
	if kindOf(part) == '[' {
		err = json.Unmarshal(part, &groups)
	} else {
		groups = make([]targetGroup, 1)
		err = json.Unmarshal(part, &groups[0])
	}
	if err != nil {
		return fmt.Errorf("target group: %w", err)
	}
	for g, group := range groups {
		for t, target := range group.Targets {
			if seen[target] {
				continue
			}
			seen[target] = true
			in, err := instanceOfTarget(target, group.Labels)
			if err != nil {
				return fmt.Errorf("group %d: targets[%d]%w", g, t, err)
			}
			if err := add(in); err != nil {
				return err
			}
		}
	}
	return nil
}

func instanceOfTarget(target string, labels map[string]string) (registry.Instance, error) {
	e := registry.Endpoint{Address: target}
	if scheme := labels["__scheme__"]; scheme != "" {
		e.Protocol, e.TLS = scheme, scheme == "https"
	}
	if err := settle(&e, false); err != nil {
		return registry.Instance{}, err
	}
	in := registry.Instance{ID: target, Endpoints: []registry.Endpoint{e}, Weight: registry.DefaultWeight, Metadata: registry.MetadataOf(labels)}
	return in, nil
}
