package edgecache

import (
	"slices"
	"time"
)

// A Record is what a registry says of one name, as it is made. What is not set,
// or set to "", is not said; what is set twice is said as it was set last.
type Record struct {
	name      string
	instances []Instance   // those that were added last; that they may grow, full ones lie in
	full      [][]Instance // here
	versions  []*Version
	metadata  pairs
	tags      []string
	wishes    []wish
	noStore   bool
	document  []byte
}

type wish struct {
	field string
	after time.Duration
}

// NewRecord returns the record of a name, which is the one that was asked for.
func NewRecord(name string) *Record { return &Record{name: name} }

// Instance adds an instance. No other of the record may have its id, which may be
// "": then it is the address and the port.
func (r *Record) Instance(id string) *Instance {
	if n := len(r.instances); n == cap(r.instances) {
		if n > 0 {
			r.full = append(r.full, r.instances)
		}
		r.instances = make([]Instance, 0, min(max(8, 2*n), 256)) // which stay where they are
	}
	r.instances = append(r.instances, Instance{id: id})
	return &r.instances[len(r.instances)-1]
}

// Version adds a version of what the name stands for.
func (r *Record) Version(version string) *Version {
	v := &Version{version: version}
	r.versions = append(r.versions, v)
	return v
}

// Metadata sets one of the record's metadata.
func (r *Record) Metadata(key, value string) *Record {
	r.metadata.set(key, value)
	return r
}

// Tags adds tags to the record's.
func (r *Record) Tags(tags ...string) *Record {
	r.tags = append(r.tags, tags...)
	return r
}

// TTL wishes how long the record is fresh.
func (r *Record) TTL(d time.Duration) *Record { return r.wish("ttl_ms", d) }

// StaleWhileRevalidate wishes how long it is served while it is looked up again.
func (r *Record) StaleWhileRevalidate(d time.Duration) *Record {
	return r.wish("stale_while_revalidate_ms", d)
}

// StaleIfError wishes how long it is served while the registry is out of order.
func (r *Record) StaleIfError(d time.Duration) *Record { return r.wish("stale_if_error_ms", d) }

func (r *Record) wish(field string, d time.Duration) *Record {
	r.wishes = slices.DeleteFunc(r.wishes, func(w wish) bool { return w.field == field })
	r.wishes = append(r.wishes, wish{field, d})
	return r
}

// NoStore wishes that it is not kept.
func (r *Record) NoStore() *Record {
	r.noStore = true
	return r
}

// Document sets the registry's own JSON, which is served byte by byte.
func (r *Record) Document(json []byte) *Record {
	r.document = json
	return r
}

// JSON returns the record, as look-ups and polls give it to the host.
func (r *Record) JSON() []byte {
	if !alone {
		return r.append(nil)
	}
	b := written
	written = nil
	b = r.append(b[:0])
	if cap(b) <= sizeSpare {
		written = b
	}
	return append(make([]byte, 0, len(b)), b...)
}

var written []byte // room for a record, while none is written; nil: none

func (r *Record) append(b []byte) []byte {
	b = appendString(append(b, `{"name":`...), r.name)
	b = append(b, `,"instances":[`...)
	for i := range r.full {
		b = append(appendInstances(b, r.full[i]), ',')
	}
	b = append(appendInstances(b, r.instances), ']')
	b = r.metadata.append(b)
	b = appendList(b, "tags", r.tags)
	if len(r.versions) > 0 {
		b = append(b, `,"versions":[`...)
		for i, v := range r.versions {
			if i > 0 {
				b = append(b, ',')
			}
			b = v.append(b)
		}
		b = append(b, ']')
	}
	for _, w := range r.wishes {
		b = appendInt(appendName(b, w.field), max(w.after.Milliseconds(), 0))
	}
	if r.noStore {
		b = append(b, `,"no_store":true`...)
	}
	if r.document != nil {
		b = append(append(b, `,"document":`...), r.document...)
	}
	return append(b, '}')
}

func appendInstances(b []byte, list []Instance) []byte {
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = list[i].append(b)
	}
	return b
}

// A Version is one of those that a record has.
type Version struct {
	version, status string
	updated         time.Time
	labels          []string
	metadata        pairs
	document        []byte
}

// Status sets active, deprecated or deleted.
func (v *Version) Status(status string) *Version {
	v.status = status
	return v
}

// Labels adds labels; "latest" is of one version only.
func (v *Version) Labels(labels ...string) *Version {
	v.labels = append(v.labels, labels...)
	return v
}

// Metadata sets one of the version's metadata.
func (v *Version) Metadata(key, value string) *Version {
	v.metadata.set(key, value)
	return v
}

// Updated sets when it was changed.
func (v *Version) Updated(at time.Time) *Version {
	v.updated = at
	return v
}

// Document sets the registry's own JSON of it.
func (v *Version) Document(json []byte) *Version {
	v.document = json
	return v
}

func (v *Version) append(b []byte) []byte {
	b = appendString(append(b, `{"version":`...), v.version)
	b = appendField(b, `,"status":`, v.status)
	b = appendTime(b, "updated", v.updated)
	if v.document != nil {
		b = append(append(b, `,"document":`...), v.document...)
	}
	b = appendList(b, "labels", v.labels)
	return append(v.metadata.append(b), '}')
}
