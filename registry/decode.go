package registry

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

var errCutShort = errors.New("cut short")

// A decoder reads the binary form. After the first error it returns zeros; no
// list is made longer than the bytes that are left could fill.
type decoder struct {
	text      string // strings are parts of it
	pos       int
	documents []byte // not read yet
	err       error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
}

func (d *decoder) byte() byte {
	if d.err == nil && d.pos >= len(d.text) {
		d.err = errCutShort
	}
	if d.err != nil {
		return 0
	}
	d.pos++
	return d.text[d.pos-1]
}

func (d *decoder) bool() bool {
	b := d.byte()
	if b > 1 {
		d.fail("byte %d: 0 or 1 expected", d.pos-1)
	}
	return b == 1
}

func (d *decoder) mode() Mode {
	m := Mode(d.byte())
	if m > ModeHard {
		d.fail("byte %d: mode %d is not known", d.pos-1, m)
	}
	return m
}

func (d *decoder) uvarint() uint64 {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		b := d.byte()
		if shift == 63 && b > 1 || shift > 0 && b == 0 {
			break // more than 64 bits, or not the shortest form
		}
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	d.fail("byte %d: not a number", d.pos)
	return 0
}

func (d *decoder) varint() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (d *decoder) duration() time.Duration { return time.Duration(d.varint()) }

func (d *decoder) uint32() uint32 { return uint32(d.atMost(math.MaxUint32)) }

func (d *decoder) uint16() uint16 { return uint16(d.atMost(math.MaxUint16)) }

func (d *decoder) atMost(limit uint64) uint64 {
	v := d.uvarint()
	if v > limit {
		d.fail("byte %d: %d is more than %d", d.pos, v, limit)
		return 0
	}
	return v
}

// count reads the length of a list whose elements have at least size bytes.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if d.err == nil && n > uint64((len(d.text)-d.pos)/size) {
		d.fail("byte %d: %d elements announced, %d bytes are left", d.pos, n, len(d.text)-d.pos)
		return 0
	}
	return int(n)
}

func (d *decoder) string() string {
	n := d.count(1)
	d.pos += n
	return d.text[d.pos-n : d.pos]
}

func (d *decoder) strings() []string {
	n := d.count(1)
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = d.string()
	}
	return list
}

func (d *decoder) metadata() Metadata {
	n := d.count(2)
	if n == 0 {
		return nil
	}
	m := make(Metadata, n)
	for i := range m {
		m[i] = Pair{d.string(), d.string()}
	}
	if d.err == nil && !m.Sorted() {
		d.fail("byte %d: metadata keys in rising order expected", d.pos)
	}
	return m
}

func (d *decoder) revision() Revision {
	return Revision{Epoch: d.uvarint(), Order: d.uvarint(), Token: d.string()}
}

// document returns a copy of the next n-1 bytes of documents; nil for 0.
func (d *decoder) document(n uint64) []byte {
	if n == 0 || d.err != nil {
		return nil
	}
	if n-1 > uint64(len(d.documents)) {
		d.fail("document of %d bytes announced, %d are left", n-1, len(d.documents))
		return nil
	}
	document := append([]byte{}, d.documents[:n-1]...)
	d.documents = d.documents[n-1:]
	return document
}

// key returns a key that does not keep the rest of the text alive.
func (d *decoder) key() Key {
	return Key{Registry: strings.Clone(d.string()), Name: strings.Clone(d.string())}
}

func (d *decoder) kind() Kind {
	read := Kind(d.string())
	for _, k := range []Kind{KindService, KindAgent, KindMCP} {
		if read == k {
			return k
		}
	}
	return Kind(strings.Clone(string(read)))
}

// content reads what appendContent wrote into r.
func (d *decoder) content(r *Record) {
	r.Key = d.key()
	r.Kind = d.kind()
	r.Document = d.document(d.uvarint())
	r.MediaType = d.string()
	r.Tags = d.strings()
	r.Metadata = d.metadata()
	if n := d.count(12); n > 0 {
		r.Instances = make([]Instance, n)
	}
	for i := range r.Instances {
		d.instance(&r.Instances[i])
	}
	if n := d.count(7); n > 0 {
		r.Versions = make([]Version, n)
	}
	for i := range r.Versions {
		r.Versions[i] = Version{
			Version: d.string(), Status: d.string(), Labels: d.strings(), Metadata: d.metadata(),
			Document: d.document(d.uvarint()), MediaType: d.string(), Updated: d.varint(),
		}
	}
}

func (d *decoder) instance(in *Instance) {
	in.ID = d.string()
	if n := d.count(6); n > 0 {
		in.Endpoints = make([]Endpoint, n)
	}
	for i := range in.Endpoints {
		in.Endpoints[i] = Endpoint{
			Name: d.string(), Protocol: d.string(), Address: d.string(), Port: d.uint16(), TLS: d.bool(), URL: d.string(),
		}
	}
	in.Health = Health(d.byte())
	if in.Health > HealthMaintenance {
		d.fail("byte %d: health %d is not known", d.pos-1, in.Health)
	}
	in.Weight = d.uint32()
	in.Priority = d.uint16()
	in.Version = d.string()
	in.Node = d.string()
	in.Region = d.string()
	in.Zone = d.string()
	in.Tags = d.strings()
	in.Metadata = d.metadata()
	in.Registered = d.varint()
}
