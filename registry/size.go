package registry

import (
	"strconv"
	"unsafe"
)

// Size returns the bytes that the record is charged in a memory budget: itself,
// its strings and documents, and its JSON form whether built or not, so that a
// hit never changes it. It is an estimate, made without building anything.
func (r *Record) Size() int {
	n := int(unsafe.Sizeof(*r)) + sizeText(r.Key.Registry) + sizeText(r.Key.Name) + sizeText(r.MediaType) +
		sizeText(r.Revision.Token) + len(r.Document) + sizeTexts(r.Tags) + sizeMetadata(r.Metadata)
	for i := range r.Instances {
		n += sizeInstance(&r.Instances[i])
	}
	for i := range r.Versions {
		v := &r.Versions[i]
		n += int(unsafe.Sizeof(*v)) + sizeText(v.Version) + sizeText(v.Status) + len(v.Document) + sizeText(v.MediaType) +
			sizeTexts(v.Labels) + sizeMetadata(v.Metadata)
	}
	fragments := int(unsafe.Sizeof(Fragments{})) + sizeText(`W/"0123456789abcdef"`) + 16 + 4*len(r.Instances)
	return n + fragments + r.sizeJSON()
}

func sizeInstance(in *Instance) int {
	n := int(unsafe.Sizeof(*in)) + sizeText(in.ID) + sizeText(in.Version) + sizeText(in.Node) + sizeText(in.Region) +
		sizeText(in.Zone) + sizeTexts(in.Tags) + sizeMetadata(in.Metadata)
	for i := range in.Endpoints {
		e := &in.Endpoints[i]
		n += int(unsafe.Sizeof(*e)) + sizeText(e.Name) + sizeText(e.Protocol) + sizeText(e.Address) + sizeText(e.URL)
	}
	return n
}

// sizeText returns what the bytes of a string take, in whole words.
func sizeText(s string) int { return (len(s) + 7) &^ 7 }

func sizeTexts(list []string) int {
	n := 0
	for _, s := range list {
		n += int(unsafe.Sizeof(s)) + sizeText(s)
	}
	return n
}

func sizeMetadata(m Metadata) int {
	n := 0
	for i := range m {
		n += int(unsafe.Sizeof(m[i])) + sizeText(m[i].Key) + sizeText(m[i].Value)
	}
	return n
}

// sizeJSON estimates the length of the record's JSON: exact but for escapes
// and trailing zeros.
func (r *Record) sizeJSON() int {
	n := len(`"name":"","index":1234567890123456,"instances":[]}`) + len(r.Key.Name) +
		sizeField("registry", r.Key.Registry) + sizeField("kind", string(r.Kind)) +
		sizeRevision(r.Revision) +
		sizeFieldMetadata(r.Metadata) + sizeFieldList("tags", r.Tags)
	for i := range r.Instances {
		n += sizeJSONInstance(&r.Instances[i]) + 1
	}
	for i := range r.Versions {
		v := &r.Versions[i]
		n += len(`{"version":"","updated":"2006-01-02T15:04:05.999Z"},`) + len(v.Version) +
			sizeField("status", v.Status) + sizeFieldList("labels", v.Labels) + sizeFieldMetadata(v.Metadata)
	}
	return n
}

func sizeJSONInstance(in *Instance) int {
	n := len(`{"id":"","health":"passing","weight":1}`) + len(in.ID) + sizeField("region", in.Region) +
		sizeField("zone", in.Zone) + sizeField("node", in.Node) + sizeField("version", in.Version) +
		sizeFieldList("tags", in.Tags) + sizeFieldMetadata(in.Metadata)
	if in.Registered != 0 {
		n += len(`,"registered":"2006-01-02T15:04:05.999Z"`)
	}
	if len(in.Endpoints) == 0 {
		return n
	}
	main := &in.Endpoints[0]
	n += sizeField("address", main.Address) + sizeReach(main)
	if len(in.Endpoints) == 1 && main.Name == "" {
		return n
	}
	n += len(`,"endpoints":[]`)
	for i := range in.Endpoints {
		e := &in.Endpoints[i]
		n += len(`{},`) + sizeField("name", e.Name) + sizeReach(e)
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

// digits returns how many decimal digits n has.
func digits(n uint64) int {
	var buf [20]byte
	return len(strconv.AppendUint(buf[:0], n, 10))
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
	n := len(name) + len(`,"":[]`)
	for _, s := range list {
		n += len(s) + len(`"",`)
	}
	return n
}

func sizeFieldMetadata(m Metadata) int {
	if len(m) == 0 {
		return 0
	}
	n := len(`,"metadata":{}`)
	for i := range m {
		n += len(m[i].Key) + len(m[i].Value) + len(`"":"",`)
	}
	return n
}
