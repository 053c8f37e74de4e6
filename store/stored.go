package store

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/s2"

	"github.com/edgecache/edgecache/registry"
)

// A stored entry is its version, when it was used and expires, and the entry in
// the registry's binary form: as it is, or as a Snappy block, so that it goes
// through the WAL, memtables and compactions as a third of its bytes.
const (
	storedPlain  = 1
	storedPacked = 2

	leastPacked = 512 // what is smaller has little that repeats
	mostPacked  = 64 << 20
)

// scratch has room for entries that are packed or unpacked.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

const mostScratch = 1 << 20 // more is not kept

func putScratch(room *[]byte) {
	if cap(*room) <= mostScratch {
		scratch.Put(room)
	}
}

func appendStored(dst []byte, e *registry.Stored) []byte {
	room := scratch.Get().(*[]byte)
	defer putScratch(room)
	entry := registry.AppendEntry((*room)[:0], &e.Entry)
	*room = entry
	if len(entry) < leastPacked || len(entry) > mostPacked {
		return append(appendStoredHead(dst, storedPlain, e), entry...)
	}
	dst = appendStoredHead(dst, storedPacked, e)
	at := len(dst)
	dst = slices.Grow(dst, s2.MaxEncodedLen(len(entry)))
	block := s2.EncodeSnappy(dst[at:cap(dst)], entry)
	return dst[:at+len(block)]
}

func appendStoredHead(dst []byte, version byte, e *registry.Stored) []byte {
	dst = append(dst, version)
	dst = binary.AppendVarint(dst, e.Used)
	return binary.AppendVarint(dst, e.Expires)
}

// readStored reads the head of a stored entry: when it was used and expires.
func readStored(value []byte) (r *reader, packed bool, used, expires int64) {
	r = &reader{rest: value}
	v := r.byte()
	if r.err == nil && v != storedPlain && v != storedPacked {
		r.err = fmt.Errorf("version %d, only versions %d and %d are known", v, storedPlain, storedPacked)
	}
	return r, v == storedPacked, r.varint(), r.varint()
}

// parseStored reads a stored entry; nothing of it aliases value.
func parseStored(value []byte) (*registry.Stored, error) {
	r, packed, used, expires := readStored(value)
	e := &registry.Stored{Used: used, Expires: expires}
	if r.err == nil && packed {
		room := scratch.Get().(*[]byte)
		defer putScratch(room)
		*room, r.err = unpacked(*room, r.rest)
		r.rest = *room
	}
	if r.err == nil {
		entry, err := registry.ParseEntry(r.rest)
		if err != nil {
			r.err = err
		} else {
			e.Entry = *entry
		}
	}
	r.rest = nil
	if err := r.end("entry"); err != nil {
		return nil, err
	}
	return e, nil
}

// unpacked returns what a block holds, in room if it has as much.
func unpacked(room, block []byte) ([]byte, error) {
	n, err := s2.DecodedLen(block)
	if err == nil && n > mostPacked {
		err = fmt.Errorf("%d bytes when unpacked, at most %d are expected", n, mostPacked)
	}
	if err != nil {
		return room, err
	}
	return s2.Decode(room[:cap(room)], block)
}
