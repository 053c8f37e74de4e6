package registry

import (
	"cmp"
	"iter"
	"slices"
)

// A Pair is a key of Metadata with its value.
type Pair struct{ Key, Value string }

// Metadata are what a registry says beyond the fields of this model: pairs
// sorted by key, each key once, nil if there are none. [MetadataOf] makes them
// of a map.
//
// They are pairs and no map because a node holds a list of them for every
// instance of a registry: a Go map of a single pair takes 336 bytes, a pair 32.
type Metadata []Pair

// MetadataOf returns the pairs of a map; nil for an empty one.
func MetadataOf(m map[string]string) Metadata {
	if len(m) == 0 {
		return nil
	}
	out := make(Metadata, 0, len(m))
	for k, v := range m {
		out = append(out, Pair{k, v})
	}
	out.sort()
	return out
}

// Get returns the value of a key and whether there is one.
func (m Metadata) Get(key string) (string, bool) {
	i, found := slices.BinarySearchFunc(m, key, func(p Pair, key string) int { return cmp.Compare(p.Key, key) })
	if !found {
		return "", false
	}
	return m[i].Value, true
}

// All returns the keys and values, in the order of the keys.
func (m Metadata) All() iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for i := range m {
			if !yield(m[i].Key, m[i].Value) {
				return
			}
		}
	}
}

// Sorted reports whether the keys rise, as they must.
func (m Metadata) Sorted() bool {
	for i := 1; i < len(m); i++ {
		if m[i-1].Key >= m[i].Key {
			return false
		}
	}
	return true
}

func (m Metadata) sort() {
	slices.SortFunc(m, func(a, b Pair) int { return cmp.Compare(a.Key, b.Key) })
}
