package registry

import (
	"crypto/sha256"
	"encoding/binary"
)

// ContentHash returns a hash of what clients see of the record: key, kind,
// document, metadata, tags, versions, instances in their order. It is equal on
// all nodes and versions of edgecache that speak the same codec.
func (r *Record) ContentHash() uint64 {
	return r.hashContent(appendContent(make([]byte, 0, 1024), r))
}

// hashContent returns the content hash, given the record's canonical bytes.
func (r *Record) hashContent(content []byte) uint64 {
	h := sha256.New()
	h.Write(content)
	h.Write(r.Document)
	for i := range r.Versions {
		h.Write(r.Versions[i].Document)
	}
	var sum [sha256.Size]byte
	return binary.BigEndian.Uint64(h.Sum(sum[:0]))
}
