package registry

import (
	"math"
	"math/bits"
	"unsafe"
)

// Size returns the bytes that a sealed record is charged in a memory budget:
// itself, its strings and documents, and its JSON form whether built or not, so
// that a hit never changes it. It is an estimate, made by Seal.
func (r *Record) Size() int { return int(r.size) }

// measure returns the size of a record, given what was packed of it. Key and
// Kind are the engine's.
func (r *Record) measure(p *packer) uint32 {
	n := allocated(int(unsafe.Sizeof(*r))) +
		allocated(len(r.Instances)*int(unsafe.Sizeof(Instance{}))) +
		allocated(len(r.Versions)*int(unsafe.Sizeof(Version{}))) +
		allocated(p.endpoints.count*int(unsafe.Sizeof(Endpoint{}))) +
		allocated(p.texts.count*int(unsafe.Sizeof(""))) +
		allocated(p.pairs.count*int(unsafe.Sizeof(Pair{}))) +
		allocated(p.length) + allocated(cap(r.Document)) +
		allocated(int(unsafe.Sizeof(Fragments{}))) + allocated(r.sizeFragments())
	for i := range r.Versions {
		n += allocated(cap(r.Versions[i].Document))
	}
	return uint32(min(n, math.MaxUint32))
}

// allocated returns about what the allocator takes for n bytes: its steps are
// an eighth of the power of two below.
func allocated(n int) int {
	if n == 0 {
		return 0
	}
	step := max(16, 1<<bits.Len(uint(n-1))>>4)
	return (n + step - 1) / step * step
}

// sizeFragments estimates the length of the text of the record's fragments.
func (r *Record) sizeFragments() int {
	return endSize*len(r.Instances) + r.sizeJSON() + len(`W/"0123456789abcdef"`)
}

// sizeJSON estimates the length of the record's JSON: exact but for escapes
// and the fractions of times.
func (r *Record) sizeJSON() int {
	n := len(`"name":"","index":,"instances":[]}`) + len(r.Key.Name) + digits(r.Index) +
		sizeField("registry", r.Key.Registry) + sizeField("kind", string(r.Kind)) +
		sizeRevision(r.Revision) +
		sizeFieldMetadata(r.Metadata) + sizeFieldList("tags", r.Tags)
	for i := range r.Instances {
		n += sizeJSONInstance(&r.Instances[i])
	}
	n += max(len(r.Instances)-1, 0) // commas
	if len(r.Versions) > 0 {
		n += len(`,"versions":[]`) + len(r.Versions) - 1
	}
	for i := range r.Versions {
		v := &r.Versions[i]
		n += len(`{"version":""}`) + len(v.Version) + sizeField("status", v.Status) + sizeFieldList("labels", v.Labels) +
			sizeFieldMetadata(v.Metadata) + sizeFieldTime("updated", v.Updated)
	}
	return n
}

func sizeJSONInstance(in *Instance) int {
	n := len(`{"id":"","health":"","weight":}`) + len(in.ID) + len(in.Health.String()) + sizeWeight(in.Weight) +
		sizePriority(in.Priority) + sizeField("region", in.Region) +
		sizeField("zone", in.Zone) + sizeField("node", in.Node) + sizeField("version", in.Version) +
		sizeFieldList("tags", in.Tags) + sizeFieldMetadata(in.Metadata) + sizeFieldTime("registered", in.Registered)
	if len(in.Endpoints) == 0 {
		return n
	}
	main := &in.Endpoints[0]
	n += sizeField("address", main.Address) + sizeReach(main)
	if len(in.Endpoints) == 1 && main.Name == "" {
		return n
	}
	n += len(`,"endpoints":[]`) + len(in.Endpoints) - 1
	for i := range in.Endpoints {
		e := &in.Endpoints[i]
		n += len(`}`) + sizeField("name", e.Name) + sizeReach(e)
		if e.Address != main.Address || e.URL != "" {
			n += sizeField("address", e.Address)
		}
	}
	return n
}

func sizeReach(e *Endpoint) int {
	n := sizeField("protocol", e.Protocol) + sizeField("url", e.URL)
	if e.Port != 0 {
		n += len(`,"port":`) + digits(uint64(e.Port))
	}
	if e.TLS {
		n += len(`,"tls":true`)
	}
	return n
}

func sizeRevision(r Revision) int {
	if r.Order != 0 {
		return len(`,"revision":""`) + digits(r.Order)
	}
	return sizeField("revision", r.Token)
}

func sizeWeight(hundredths uint32) int {
	var buf [16]byte
	return len(appendWeight(buf[:0], hundredths))
}

func sizePriority(p uint16) int {
	if p == 0 {
		return 0
	}
	return len(`,"priority":`) + digits(uint64(p))
}

func sizeFieldTime(name string, ms int64) int {
	if ms <= 0 {
		return 0
	}
	return len(name) + len(`,"":"2006-01-02T15:04:05.999Z"`)
}

// digits returns how many decimal digits n has.
func digits(n uint64) int {
	count := 1
	for ; n >= 10; n /= 10 {
		count++
	}
	return count
}

func sizeField(name, value string) int {
	if value == "" {
		return 0
	}
	return len(name) + len(value) + len(`,"":""`)
}

func sizeFieldList(name string, list []string) int {
	if len(list) == 0 {
		return 0
	}
	n := len(name) + len(`,"":[]`) - len(`,`)
	for _, s := range list {
		n += len(s) + len(`"",`)
	}
	return n
}

func sizeFieldMetadata(m Metadata) int {
	if len(m) == 0 {
		return 0
	}
	n := len(`,"metadata":{}`) - len(`,`)
	for i := range m {
		n += len(m[i].Key) + len(m[i].Value) + len(`"":"",`)
	}
	return n
}
