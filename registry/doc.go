// Package registry holds the nouns of edgecache and nothing that acts on its
// own: keys, records, invalidations, the interfaces that adapters, faces and
// the engine meet at, and the one JSON form and one binary form of a record.
//
// # Vocabulary
//
// A registry is a system of record: Consul, a file, an HTTP endpoint. It lists
// services; a service has instances, an instance has endpoints. A record is
// what one registry says of one name. A document is the registry's own raw
// bytes, never changed. A key is a registry and a name. A source answers
// lookups from a registry; an adapter is a source that we ship.
//
// A lookup that finds nothing usable in memory starts a fill: one flight per
// key fetches the record and stores it. What is stored is an entry: a record,
// or a proof that the registry has none. An entry is fresh, stale or negative.
// A position orders what one node applied; an invalidation takes a position
// and raises the generation of each of its selectors to it; a fill that began
// below a generation is older than it. A mode (soft, verify, hard) says what
// may still be served of what an invalidation covers.
//
// Records are immutable once sealed: whoever holds one may read it for ever
// and must not change it.
package registry
