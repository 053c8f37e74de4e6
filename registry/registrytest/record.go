package registrytest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/edgecache/edgecache/registry"
)

// instance returns the suite's instance number n of a service, at the port.
func instance(n int, port uint16) registry.Instance {
	return registry.Instance{
		ID: fmt.Sprintf("i-%d", n), Health: registry.HealthPassing, Weight: registry.DefaultWeight,
		Endpoints: []registry.Endpoint{{Address: fmt.Sprintf("10.0.0.%d", n), Port: port}},
	}
}

// malformed returns what is wrong with a record that a source made of name.
func malformed(rec *registry.Record, name string) string {
	if rec == nil {
		return "no record and no error"
	}
	if rec.Key.Name != name {
		return fmt.Sprintf("record of %q for name %q", rec.Key.Name, name)
	}
	if rec.Index != 0 {
		return "record is sealed: that is the engine's part"
	}
	if !rec.Metadata.Sorted() {
		return "metadata of the record are not sorted by key"
	}
	seen := map[string]bool{}
	for i, in := range rec.Instances {
		switch {
		case in.ID == "":
			return fmt.Sprintf("instance %d has no id", i)
		case seen[in.ID]:
			return fmt.Sprintf("two instances have the id %q", in.ID)
		case len(in.Endpoints) == 0:
			return fmt.Sprintf("instance %q has no endpoint", in.ID)
		case !in.Metadata.Sorted():
			return fmt.Sprintf("instance %q has metadata that are not sorted by key", in.ID)
		}
		seen[in.ID] = true
	}
	return ""
}

// holds reports whether rec has exactly these instances, in any order.
func (c *checker) holds(rec *registry.Record, want ...registry.Instance) bool {
	if rec == nil || len(rec.Instances) != len(want) {
		return false
	}
	return slices.Equal(c.lines(rec.Instances), c.lines(want))
}

// lines returns what the suite compares of instances, sorted.
func (c *checker) lines(instances []registry.Instance) []string {
	var lines []string
	for _, in := range instances {
		e := in.Main()
		line := fmt.Sprintf("%s:%d", e.Address, e.Port)
		if !c.h.OwnIDs {
			line = in.ID + "=" + line
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

func (c *checker) describe(rec *registry.Record) string {
	if rec == nil {
		return "none"
	}
	return fmt.Sprintf("[%s] revision %+v", strings.Join(c.lines(rec.Instances), " "), rec.Revision)
}

// clone returns a copy that shares nothing with rec. Index and all that
// sealing made are not copied.
func clone(rec *registry.Record) *registry.Record {
	out := &registry.Record{
		Key: rec.Key, Revision: rec.Revision, Metadata: slices.Clone(rec.Metadata),
		Document: slices.Clone(rec.Document), MediaType: rec.MediaType,
		Tags: slices.Clone(rec.Tags), Wishes: rec.Wishes,
		Instances: cloneInstances(rec.Instances), Versions: slices.Clone(rec.Versions),
	}
	for i := range out.Versions {
		v := &out.Versions[i]
		v.Labels, v.Metadata, v.Document = slices.Clone(v.Labels), slices.Clone(v.Metadata), slices.Clone(v.Document)
	}
	return out
}

func cloneInstances(instances []registry.Instance) []registry.Instance {
	out := slices.Clone(instances)
	for i := range out {
		in := &out[i]
		in.Endpoints, in.Tags, in.Metadata = slices.Clone(in.Endpoints), slices.Clone(in.Tags), slices.Clone(in.Metadata)
	}
	return out
}

// sameContent reports whether clients would see the same in both.
func sameContent(a, b *registry.Record) bool {
	return reflect.DeepEqual(a.Instances, b.Instances) && reflect.DeepEqual(a.Versions, b.Versions) &&
		slices.Equal(a.Metadata, b.Metadata) && string(a.Document) == string(b.Document) && slices.Equal(a.Tags, b.Tags)
}

// spoil overwrites all that the receiver of a record may change. Documents
// are read-only for everybody.
func spoil(rec *registry.Record) {
	rec.Key.Name, rec.Revision = "spoiled", registry.Revision{}
	spoilMetadata(rec.Metadata)
	spoilStrings(rec.Tags)
	for i := range rec.Versions {
		v := &rec.Versions[i]
		spoilMetadata(v.Metadata)
		spoilStrings(v.Labels)
		v.Version, v.Status = "spoiled", "spoiled"
	}
	for i := range rec.Instances {
		in := &rec.Instances[i]
		spoilMetadata(in.Metadata)
		spoilStrings(in.Tags)
		for j := range in.Endpoints {
			in.Endpoints[j] = registry.Endpoint{Address: "spoiled"}
		}
		in.ID, in.Zone = "spoiled", "spoiled"
	}
	rec.Instances = append(rec.Instances[:0], instance(99, 99))
}

func spoilMetadata(m registry.Metadata) {
	for i := range m {
		m[i] = registry.Pair{Key: "spoiled", Value: "spoiled"}
	}
}

func spoilStrings(s []string) {
	for i := range s {
		s[i] = "spoiled"
	}
}
