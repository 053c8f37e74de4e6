package registry

import (
	"strconv"
	"sync/atomic"
	"time"
)

// A Record is what one registry says of one name. A Source makes it; the
// engine seals it; from then on it is immutable and handled by pointer only.
type Record struct {
	Key       Key
	Kind      Kind // its registry's; set by the engine before Seal
	Revision  Revision
	Index     uint64     // when the content last changed, see [Clock]; set once, by Seal
	Instances []Instance // in the registry's order; empty is a value: it exists and has none
	Versions  []Version  // newest first; nil where the registry has none
	Metadata  Metadata
	Document  []byte   // the registry's own bytes, unchanged; nil if not kept
	MediaType string   // of Document
	Tags      []string // surrogate keys: an invalidation may name one
	Wishes    Freshness

	hash      uint64 // content hash; set by Seal
	size      uint32 // see Size; set by Seal
	servable  bool   // every instance is kept by the default selection; set by Seal
	fragments atomic.Pointer[Fragments]
	derived   atomic.Pointer[derived]
}

// A Revision orders and compares what one registry says of one name. The zero
// value does neither.
type Revision struct {
	Epoch uint64 // clock reading at the registry's last reset (its index went back); orders first
	Order uint64 // rises with each change: Consul index, etcd revision, zxid; 0: not ordered
	Token string // equal means unchanged: ETag, content hash
}

// Compare returns -1, 0 or +1 and true if both revisions are ordered, else
// 0 and false.
func (r Revision) Compare(other Revision) (int, bool) {
	if r.Order == 0 || other.Order == 0 {
		return 0, false
	}
	switch {
	case r.Epoch != other.Epoch:
		if r.Epoch < other.Epoch {
			return -1, true
		}
		return 1, true
	case r.Order < other.Order:
		return -1, true
	case r.Order > other.Order:
		return 1, true
	}
	return 0, true
}

// String returns what people know the revision by: its order, else its token.
func (r Revision) String() string {
	if r.Order != 0 {
		return strconv.FormatUint(r.Order, 10)
	}
	return r.Token
}

// Unsaid is the value of a Freshness window of which the registry says nothing.
const Unsaid time.Duration = -1

// Freshness is what a registry asks of caches. A window below zero is not
// said; zero is a wish. The zero Freshness asks for no caching at all, so
// adapters start from [NoWishes].
type Freshness struct {
	TTL, StaleWhileRevalidate, StaleIfError time.Duration
	NoStore                                 bool // for the callers waiting now, never kept
}

// NoWishes is the Freshness of a registry that says nothing.
var NoWishes = Freshness{TTL: Unsaid, StaleWhileRevalidate: Unsaid, StaleIfError: Unsaid}

// A Version is one published version of a service, agent or server.
type Version struct {
	Version, Status string   // active, deprecated, deleted; "" not said
	Labels          []string // latest, stable …; at most one version of a record is latest
	Metadata        Metadata
	Document        []byte
	MediaType       string
	Updated         int64 // Unix ms; 0 unknown
}

// LabelLatest marks the version that a client gets if it names none.
const LabelLatest = "latest"

// Latest returns the version labelled latest, else "".
func (r *Record) Latest() string {
	for i := range r.Versions {
		for _, l := range r.Versions[i].Labels {
			if l == LabelLatest {
				return r.Versions[i].Version
			}
		}
	}
	return ""
}

// Seal makes the record immutable under the given index (see [Clock.Next]).
// It must be called once, before the record is shared. Strings and lists are
// copied, so that nothing but the documents and the key aliases what the record
// was made of.
func (r *Record) Seal(index uint64) { r.SealHashed(index, r.ContentHash()) }

// SealHashed is Seal for a caller that knows the record's [Record.ContentHash].
func (r *Record) SealHashed(index, hash uint64) {
	r.Index, r.hash = index, hash
	r.compact()
	r.servable = true
	for i := range r.Instances {
		if !r.Instances[i].Health.Within(HealthPassing) {
			r.servable = false
			break
		}
	}
}

// Hash returns the content hash of a sealed record. It is equal on all nodes
// and covers what clients see, but neither Index nor Revision nor Wishes.
func (r *Record) Hash() uint64 { return r.hash }

// WithIndex returns a sealed copy of a sealed record under another index. The
// copy shares the record's content.
func (r *Record) WithIndex(index uint64) *Record {
	return &Record{
		Key: r.Key, Kind: r.Kind, Revision: r.Revision, Index: index, Instances: r.Instances, Versions: r.Versions,
		Metadata: r.Metadata, Document: r.Document, MediaType: r.MediaType, Tags: r.Tags, Wishes: r.Wishes,
		hash: r.hash, size: r.size, servable: r.servable,
	}
}

// An Entry is what the store keeps and peers send: a record, or a proof of
// absence (Record nil).
type Entry struct {
	Key
	Record   *Record
	Began    uint64 // position before its fetch was sent
	Verified int64  // Unix ms: start of the last fetch that confirmed it
	Empties  uint8  // unconfirmed empty answers in a row
	Mode     Mode   // strictest invalidation that covered it when this was written
}

// A Stored is an entry as the store keeps it.
type Stored struct {
	Entry
	Used    int64 // Unix ms of the last lookup it answered; 0: none known
	Expires int64 // Unix ms from which on it may not be served any more
}

// A Confirmed says newer things of a stored entry whose record did not change.
type Confirmed struct {
	Key
	Index    uint64 // of the record that it is about; any other is not touched
	Began    uint64
	Verified int64
	Empties  uint8
	Mode     Mode
	Used     int64
	Expires  int64
}
