package httpjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/edgecache/edgecache/registry"
)

// A mapping makes records of JSON.
type mapping struct {
	native     bool
	prometheus bool
	nameSaid   bool // documents say their name, at itemName
	itemName   pointer
	instances  pointer
	health     map[string]string

	id, address, port, protocol, tls, url, status, weight pointer
	version, region, zone, node, tags, metadata           pointer
}

func newMapping(o *Options) *mapping {
	f := o.Fields
	return &mapping{
		native: o.native(), prometheus: o.Format == formatPrometheus,
		nameSaid: o.ItemName != "" && o.List == "", itemName: mustPointer(o.ItemName), instances: mustPointer(o.Instances), health: o.HealthValues,
		id: mustPointer(f.ID), address: mustPointer(f.Address), port: mustPointer(f.Port), protocol: mustPointer(f.Protocol),
		tls: mustPointer(f.TLS), url: mustPointer(f.URL), status: mustPointer(f.Health), weight: mustPointer(f.Weight),
		version: mustPointer(f.Version), region: mustPointer(f.Region), zone: mustPointer(f.Zone), node: mustPointer(f.Node),
		tags: mustPointer(f.Tags), metadata: mustPointer(f.Metadata),
	}
}

// record makes a record of the parts, all that the registry has of the name.
// Nothing of it aliases the parts.
func (m *mapping) record(name string, parts []json.RawMessage) (*registry.Record, error) {
	if m.native {
		return nativeRecord(name, parts)
	}
	rec := &registry.Record{Key: registry.Key{Name: name}, Wishes: registry.NoWishes}
	add := func(list ...registry.Instance) error {
		if len(rec.Instances)+len(list) > registry.MaxInstances {
			return fmt.Errorf("more than %d instances", registry.MaxInstances)
		}
		rec.Instances = append(rec.Instances, list...)
		return nil
	}
	seen := map[string]bool{}
	for _, part := range parts {
		var err error
		if m.prometheus {
			err = targetGroups(part, seen, add)
		} else {
			err = m.part(name, part, add)
		}
		if err != nil {
			return nil, err
		}
	}
	at := make(map[string]int, len(rec.Instances))
	for i := range rec.Instances {
		id := rec.Instances[i].ID
		if first, twice := at[id]; twice {
			return nil, fmt.Errorf("instances[%d].id: %q is taken by instance %d", i, short(id), first)
		}
		at[id] = i
	}
	return rec, nil
}

func nativeRecord(name string, parts []json.RawMessage) (*registry.Record, error) {
	for _, part := range parts[1:] {
		if !bytes.Equal(part, parts[0]) {
			return nil, fmt.Errorf("name %q comes twice, with different content", name)
		}
	}
	rec, err := registry.ParseRecord(parts[0])
	if err != nil {
		return nil, err
	}
	if rec.Key.Name != name {
		return nil, fmt.Errorf("name: %q, which was not asked for", rec.Key.Name)
	}
	return rec, nil
}

// part adds the instances of one part.
func (m *mapping) part(name string, part json.RawMessage, add func(...registry.Instance) error) error {
	if m.nameSaid && kindOf(part) == '{' {
		raw, err := m.itemName.raw(part)
		if err != nil {
			return fmt.Errorf("item_name: %w", err)
		}
		if said, err := nameOf(raw); err != nil || said != name {
			return fmt.Errorf("item_name: %s: %s, which was not asked for", m.itemName, short(string(raw)))
		}
	}
	list, err := m.instances.raw(part)
	if err != nil {
		return fmt.Errorf("instances: %w", err)
	}
	i := 0
	one := func(raw json.RawMessage) error {
		in, err := m.instance(raw)
		if err != nil {
			return fmt.Errorf("instances[%d]%w", i, err)
		}
		i++
		return add(in)
	}
	switch kindOf(list) {
	case '[':
		return each(list, func(_ string, raw json.RawMessage) error { return one(raw) })
	case '{':
		return one(list)
	case 'n':
		return nil // some servers write an empty list so
	}
	return fmt.Errorf("instances: %s: a list expected, found %s", m.instances, short(string(list)))
}

// A fieldError is the error of a field of an instance.
type fieldError struct {
	field string
	at    pointer
	err   error
}

func (e *fieldError) Error() string {
	if e.at == nil {
		return fmt.Sprintf(".%s: %v", e.field, e.err)
	}
	return fmt.Sprintf(".%s (%s): %v", e.field, e.at, e.err)
}

func (e *fieldError) Unwrap() error { return e.err }

// A reader reads the fields of one instance and keeps the first error.
type reader struct {
	v   any
	err error
}

// read sets dst to the field if a pointer to it is set.
func read[T any](r *reader, field string, p pointer, dst *T, convert func(any) (T, error)) {
	if len(p) == 0 || r.err != nil {
		return
	}
	v, _ := p.value(r.v)
	got, err := convert(v)
	if err != nil {
		r.err = &fieldError{field, p, err}
		return
	}
	*dst = got
}

// instance makes one instance. Its errors begin with the field.
func (m *mapping) instance(raw json.RawMessage) (registry.Instance, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	r := reader{}
	in := registry.Instance{Weight: registry.DefaultWeight}
	if err := dec.Decode(&r.v); err != nil {
		return in, fmt.Errorf(": %w", err)
	}
	switch r.v.(type) {
	case map[string]any, []any:
	default:
		return in, fmt.Errorf(": %w", mismatch("an object", r.v))
	}
	e := registry.Endpoint{}
	read(&r, "id", m.id, &in.ID, text)
	read(&r, "address", m.address, &e.Address, text)
	read(&r, "port", m.port, &e.Port, port)
	read(&r, "protocol", m.protocol, &e.Protocol, text)
	read(&r, "tls", m.tls, &e.TLS, boolean)
	read(&r, "url", m.url, &e.URL, text)
	read(&r, "health", m.status, &in.Health, func(v any) (registry.Health, error) { return health(v, m.health) })
	read(&r, "weight", m.weight, &in.Weight, weight)
	read(&r, "version", m.version, &in.Version, text)
	read(&r, "region", m.region, &in.Region, text)
	read(&r, "zone", m.zone, &in.Zone, text)
	read(&r, "node", m.node, &in.Node, text)
	read(&r, "tags", m.tags, &in.Tags, tags)
	read(&r, "metadata", m.metadata, &in.Metadata, metadata)
	if r.err != nil {
		return in, r.err
	}
	if err := settle(&e, len(m.port) > 0); err != nil {
		return in, err
	}
	in.Endpoints = []registry.Endpoint{e}
	if in.ID == "" {
		in.ID = defaultID(e)
	}
	return in, nil
}

// settle fills what the endpoint's URL or host:port says and checks it.
func settle(e *registry.Endpoint, portSaid bool) error {
	if e.URL != "" {
		if err := fromURL(e); err != nil {
			return err
		}
	}
	if host, digits, err := net.SplitHostPort(e.Address); err == nil && !portSaid && e.Protocol != "unix" {
		p, err := port(digits)
		if err != nil {
			return &fieldError{"address", nil, err}
		}
		e.Address, e.Port = host, p
	}
	if inner, ok := strings.CutPrefix(e.Address, "["); ok {
		e.Address, _ = strings.CutSuffix(inner, "]")
	}
	return checkAddress(e)
}

func checkAddress(e *registry.Endpoint) error {
	bad := func(format string, args ...any) error {
		return &fieldError{"address", nil, fmt.Errorf(format, args...)}
	}
	switch {
	case e.Address == "" && e.URL == "":
		return bad("missing, and there is no url")
	case !oneLine(e.Address):
		return bad("%q has a control character", short(e.Address))
	case e.Protocol == "unix":
		return nil
	case strings.ContainsAny(e.Address, " /[]\t"):
		return bad("%q: a host name or an IP address expected", short(e.Address))
	case strings.Contains(e.Address, ":"):
		if _, err := netip.ParseAddr(e.Address); err != nil {
			return bad("%q: a host name or an IP address expected", short(e.Address))
		}
	}
	return nil
}

// fromURL takes from the URL what the endpoint lacks.
func fromURL(e *registry.Endpoint) error {
	u, err := url.Parse(e.URL)
	if err != nil || u.Scheme == "" || !oneLine(e.URL) {
		return &fieldError{"url", nil, fmt.Errorf("%q: an absolute URL expected", short(e.URL))}
	}
	if e.Address != "" {
		return nil
	}
	e.Address = u.Hostname()
	if e.Protocol == "" {
		e.Protocol = u.Scheme
	}
	e.TLS = e.TLS || u.Scheme == "https"
	switch {
	case e.Port != 0:
	case u.Port() != "":
		if e.Port, err = port(u.Port()); err != nil {
			return &fieldError{"url", nil, err}
		}
	case u.Scheme == "http":
		e.Port = 80
	case u.Scheme == "https":
		e.Port = 443
	}
	return nil
}

func defaultID(e registry.Endpoint) string {
	switch {
	case e.URL != "":
		return e.URL
	case e.Port == 0:
		return e.Address
	}
	return net.JoinHostPort(e.Address, strconv.Itoa(int(e.Port)))
}

// nameOf reads the name of a service.
func nameOf(raw json.RawMessage) (string, error) {
	var name string
	if kindOf(raw) != '"' || json.Unmarshal(raw, &name) != nil || name == "" {
		return "", errors.New("a name expected, found " + short(string(raw)))
	}
	return name, nil
}
