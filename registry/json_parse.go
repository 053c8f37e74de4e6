package registry

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxInstances is how many instances a record may have.
const MaxInstances = 10_000

// mediaTypeJSON is the media type of a document given inside JSON.
const mediaTypeJSON = "application/json"

var recordFields = []string{
	"name", "instances", "metadata", "tags", "versions",
	"ttl_ms", "stale_while_revalidate_ms", "stale_if_error_ms", "no_store", "document",
	"age_ms", "stale", "registry", "kind", "index", "revision", // of answers: ignored
}

var instanceFields = []string{
	"id", "address", "port", "protocol", "tls", "url", "endpoints", "health", "weight", "priority",
	"version", "node", "region", "zone", "tags", "metadata", "registered",
}

var versionFields = []string{"version", "status", "labels", "metadata", "updated", "document"}

// ParseRecord reads the native JSON form of a record, unsealed and without a
// registry. What only answers have (age_ms, stale, registry, kind, index,
// revision) is ignored, null is the same as absent. An error names the field
// by its path, as in `instances[3].port: …`. Nothing of the record aliases data.
func ParseRecord(data []byte) (*Record, error) { return ParseRecordOf("", data) }

// ParseRecordOf is [ParseRecord] for what need not say its name.
func ParseRecordOf(name string, data []byte) (*Record, error) {
	p, err := newParser(data)
	if err != nil {
		return nil, err
	}
	p.name = name
	if utf8.Valid(data) {
		p.text = string(data) // sealing copies what is used of it
	}
	return p.record()
}

// ParseRecords reads a list of records, bare or as {"services": […]}. A name
// that comes twice is an error.
func ParseRecords(data []byte) ([]*Record, error) {
	p, err := newParser(data)
	if err != nil {
		return nil, err
	}
	if p.peek() == '[' {
		return p.records()
	}
	var list []*Record
	found := false
	err = p.object([]string{"services"}, func(string) (err error) {
		found = true
		list, err = p.records()
		return err
	})
	if err == nil && !found {
		err = p.errorf("a list of services expected, as in {\"services\": [{\"name\": \"web\", …}]}")
	}
	return list, err
}

func (p *parser) records() ([]*Record, error) {
	var list []*Record
	at := map[string]int{}
	err := p.array(func(i int) error {
		r, err := p.record()
		if err != nil {
			return err
		}
		if first, twice := at[r.Key.Name]; twice {
			return p.errorf("name %q is taken by service %d of the list", r.Key.Name, first)
		}
		at[r.Key.Name] = i
		list = append(list, r)
		return nil
	})
	return list, err
}

func (p *parser) record() (*Record, error) {
	r := &Record{Wishes: NoWishes}
	named := false
	err := p.object(recordFields, func(field string) (err error) {
		switch field {
		case "name":
			named = true
			if r.Key.Name, err = p.string(); err != nil {
				return err
			}
			if err := CheckName(r.Key.Name); err != nil {
				return p.errorf("%w", err)
			}
			r.Key.Name = strings.Clone(r.Key.Name) // which sealing does not
		case "instances":
			r.Instances, err = p.instances()
		case "metadata":
			r.Metadata, err = p.metadata()
		case "tags":
			r.Tags, err = p.strings()
		case "versions":
			r.Versions, err = p.versions()
		case "ttl_ms":
			r.Wishes.TTL, err = p.milliseconds()
		case "stale_while_revalidate_ms":
			r.Wishes.StaleWhileRevalidate, err = p.milliseconds()
		case "stale_if_error_ms":
			r.Wishes.StaleIfError, err = p.milliseconds()
		case "no_store":
			r.Wishes.NoStore, err = p.bool()
		case "document":
			r.Document, r.MediaType = bytes.Clone(p.raw()), mediaTypeJSON
		default:
			p.raw()
		}
		return err
	})
	if !named {
		r.Key.Name = p.name
	}
	if err == nil && r.Key.Name == "" {
		err = p.errorf("name expected")
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (p *parser) instances() ([]Instance, error) {
	const few = 16 // of which no table is made
	var list []Instance
	var at map[string]int // of the ids of more
	taken := func(id string) int {
		if len(list) < few {
			return indexOfID(list, id)
		}
		if at == nil {
			at = make(map[string]int, 2*few)
			for i := range list {
				at[list[i].ID] = i
			}
		}
		if first, twice := at[id]; twice {
			return first
		}
		at[id] = len(list)
		return -1
	}
	err := p.array(func(i int) error {
		if i >= MaxInstances {
			return p.errorf("more than %d instances", MaxInstances)
		}
		in, err := p.instance()
		if err != nil {
			return err
		}
		if first := taken(in.ID); first >= 0 {
			return p.errorf("id %q is taken by instance %d", in.ID, first)
		}
		if list == nil {
			list = make([]Instance, 0, 8)
		}
		list = append(list, in)
		return nil
	})
	return list, err
}

func (p *parser) instance() (Instance, error) {
	in := Instance{Weight: DefaultWeight}
	var flat Endpoint
	var list []Endpoint
	err := p.object(instanceFields, func(field string) (err error) {
		switch field {
		case "id":
			in.ID, err = p.string()
		case "endpoints":
			list, err = p.endpointList()
		case "health":
			err = p.health(&in.Health)
		case "weight":
			in.Weight, err = p.weight()
		case "priority":
			in.Priority, err = p.uint16()
		case "version":
			in.Version, err = p.string()
		case "node":
			in.Node, err = p.string()
		case "region":
			in.Region, err = p.string()
		case "zone":
			in.Zone, err = p.string()
		case "tags":
			in.Tags, err = p.strings()
		case "metadata":
			in.Metadata, err = p.metadata()
		case "registered":
			in.Registered, err = p.time()
		default:
			err = p.endpointField(&flat, field)
		}
		return err
	})
	if err != nil {
		return in, err
	}
	if in.Endpoints, err = p.unite(flat, list); err != nil {
		return in, err
	}
	if in.ID == "" {
		in.ID = in.Endpoints[0].defaultID()
	}
	return in, nil
}

func (p *parser) versions() ([]Version, error) {
	var list []Version
	latest := -1
	err := p.array(func(i int) error {
		v, err := p.version()
		if err != nil {
			return err
		}
		if slices.Contains(v.Labels, LabelLatest) {
			if latest >= 0 {
				return p.errorf("version %d is the latest already", latest)
			}
			latest = i
		}
		list = append(list, v)
		return nil
	})
	return list, err
}

func (p *parser) version() (v Version, err error) {
	err = p.object(versionFields, func(field string) (err error) {
		switch field {
		case "version":
			v.Version, err = p.string()
		case "status":
			if v.Status, err = p.string(); err != nil {
				return err
			}
			switch v.Status {
			case "", "active", "deprecated", "deleted":
			default:
				err = p.errorf("%q: active, deprecated or deleted expected", v.Status)
			}
		case "labels":
			v.Labels, err = p.strings()
		case "metadata":
			v.Metadata, err = p.metadata()
		case "updated":
			v.Updated, err = p.time()
		case "document":
			v.Document, v.MediaType = bytes.Clone(p.raw()), mediaTypeJSON
		}
		return err
	})
	if err == nil && v.Version == "" {
		err = p.errorf("version expected")
	}
	return v, err
}

// metadata reads an object of strings; other values are kept as compact JSON.
func (p *parser) metadata() (Metadata, error) {
	var m Metadata
	err := p.members(func(key string) error {
		key = strings.Clone(key)
		if p.peek() == '"' {
			m = append(m, Pair{key, p.unquote()})
			return nil
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, p.raw()); err != nil {
			return p.errorf("%w", err)
		}
		m = append(m, Pair{key, compact.String()})
		return nil
	})
	if err != nil {
		return nil, err
	}
	m.sort()
	for i := 1; i < len(m); i++ {
		if m[i].Key == m[i-1].Key {
			p.push(len(p.path), m[i].Key)
			return nil, p.errorf("given twice")
		}
	}
	return m, nil
}

func indexOfID(list []Instance, id string) int {
	for i := range list {
		if list[i].ID == id {
			return i
		}
	}
	return -1
}
