package plugins

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"sync/atomic"

	"github.com/edgecache/edgecache/registry"
)

// An entryFrame is what frames say of a record: made once, copied to each
// instance that is asked about it.
type entryFrame struct {
	version  uint64
	part     []byte // instances, then strings; it begins at entryOff
	n        int    // instances
	zones    []zoneAt
	name     uint32 // offset
	nameSize uint32
	memo     memo
	err      error // why there is none
}

// A zoneAt is where a zone of the record lies: the client's, if it is the same,
// is given there, so that guests compare offsets.
type zoneAt struct {
	zone string
	hash uint32
	off  uint32
}

var frameVersions atomic.Uint64

// frameOf returns the frame of a record, made at first use and kept with it.
func (g *generation) frameOf(rec *registry.Record) *entryFrame {
	if e := rec.Derived(g.owner); e != nil {
		return e.(*entryFrame)
	}
	return rec.Derive(g.owner, newFrame(rec, g.module.Manifest.Needs.Meta)).(*entryFrame)
}

// newFrame encodes a record, with some metadata of each instance.
func newFrame(rec *registry.Record, meta []string) *entryFrame {
	e := &entryFrame{version: frameVersions.Add(1), n: len(rec.Instances)}
	if e.n > maxInstances {
		e.err = fmt.Errorf("%s has %d instances, a filter is asked about %d at most", rec.Key, e.n, maxInstances)
		return e
	}
	w := frameWriter{part: make([]byte, e.n*instanceStride), seen: map[string]uint32{}}
	e.name, e.nameSize = w.string(rec.Key.Name)
	for i := range rec.Instances {
		w.instance(i, &rec.Instances[i], meta)
	}
	e.part = w.part
	for i := range rec.Instances {
		if zone := rec.Instances[i].Zone; zone != "" && e.zoneAt(zone) == nil {
			e.zones = append(e.zones, zoneAt{zone, zoneHash(zone), w.seen[zone]})
		}
	}
	// What an attribute may take is left free: a frame fits or does not whatever
	// a client sends.
	if size := entryOff + len(e.part); size > maxEntry {
		e.err, e.part = fmt.Errorf("%s takes %d bytes in a filter's frame, at most %d fit", rec.Key, size, maxEntry), nil
	}
	return e
}

// zoneAt returns where a zone lies, nil if no instance is in it.
func (e *entryFrame) zoneAt(zone string) *zoneAt {
	for i := range e.zones {
		if e.zones[i].zone == zone {
			return &e.zones[i]
		}
	}
	return nil
}

type frameWriter struct {
	part []byte
	seen map[string]uint32 // offset of a string that is there already
}

// string adds a string and returns where it lies in the arena.
func (w *frameWriter) string(s string) (off, size uint32) {
	off, ok := w.seen[s]
	if !ok {
		off = uint32(entryOff + len(w.part))
		w.part = append(w.part, s...)
		w.seen[s] = off
	}
	return off, uint32(len(s))
}

func (w *frameWriter) instance(i int, in *registry.Instance, meta []string) {
	var row [instanceStride]byte
	at := in.Main()
	put16, put32 := binary.LittleEndian.PutUint16, binary.LittleEndian.PutUint32
	put := func(off, size int, s string) {
		o, n := w.string(s)
		put32(row[off:], o)
		put16(row[size:], uint16(min(n, 0xffff)))
	}
	id := fnv.New64a()
	_, _ = id.Write([]byte(in.ID))
	binary.LittleEndian.PutUint64(row[0:], id.Sum64())
	put32(row[8:], zoneHash(in.Zone))
	put32(row[12:], in.Weight)
	put(16, 20, at.Address)
	put16(row[22:], at.Port)
	row[24] = byte(in.Health)
	if at.TLS {
		row[25] = instanceTLS
	}
	put(44, 26, in.Version)
	put(32, 36, in.Zone)
	put(40, 38, in.ID)
	if len(meta) > 0 {
		put32(row[28:], w.pairs(in, meta))
	}
	copy(w.part[i*instanceStride:], row[:])
}

// pairs adds where the values of an instance's metadata lie, and returns where
// that is said.
func (w *frameWriter) pairs(in *registry.Instance, meta []string) uint32 {
	slots := make([]byte, len(meta)*slotSize)
	for k, key := range meta {
		off, size := uint32(slotAbsent), uint32(0)
		if value, ok := in.Metadata.Get(key); ok {
			off, size = w.string(value)
		}
		binary.LittleEndian.PutUint32(slots[k*slotSize:], off)
		binary.LittleEndian.PutUint32(slots[k*slotSize+4:], size)
	}
	for len(w.part)%4 != 0 {
		w.part = append(w.part, 0)
	}
	off := uint32(entryOff + len(w.part))
	w.part = append(w.part, slots...)
	return off
}

// zoneHash is FNV-1a, of 32 bits.
func zoneHash(zone string) uint32 {
	h := uint32(2166136261)
	for i := range len(zone) {
		h = (h ^ uint32(zone[i])) * 16777619
	}
	return h
}
