package store

import (
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"github.com/edgecache/edgecache/registry"
)

// The expiry index has lists of entries that expire at about the same time: a
// key for each would be half of all keys that are written and compacted. A list
// is looked at as a whole, so it is short.
const (
	listKeys  = 64
	listBytes = 64 << 10 // of its entries
	listTime  = 1000     // ms by which they may expire before the last, with which all are looked at
)

// An expiry is an entry that is to be in the expiry index.
type expiry struct {
	at    int64 // Unix ms
	key   registry.Key
	bytes int // of the entry
}

func compareExpiries(a, b expiry) int {
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.key.Registry, b.key.Registry), cmp.Compare(a.key.Name, b.key.Name))
}

// setExpiries sets the lists of some entries, which it reorders.
func setExpiries(all []expiry, set func(key, value []byte)) {
	slices.SortFunc(all, compareExpiries)
	all = slices.CompactFunc(all, func(a, b expiry) bool { return a.at == b.at && a.key == b.key })
	var key, value []byte
	for len(all) > 0 {
		n := 0
		for bytes := 0; n < len(all) && n < listKeys && bytes < listBytes && all[n].at-all[0].at <= listTime; n++ {
			bytes += all[n].bytes
		}
		key = appendListKey(key[:0], all[n-1].at, rand.Uint64())
		value = appendList(value[:0], all[:n])
		set(key, value)
		all = all[n:]
	}
}

// appendListKey appends the key of a list, which has no registry and a number
// that no other list of its time has.
func appendListKey(dst []byte, expires int64, number uint64) []byte {
	return binary.BigEndian.AppendUint64(appendExpiryKey(dst, expires, registry.Key{}), number)
}

// parseExpiry reads a key of the expiry index with its value: a list, or the
// one entry that older programs put into the key.
func parseExpiry(key, value []byte) (expires int64, keys []registry.Key, err error) {
	expires, k, err := parseExpiryKey(key)
	if err != nil || k.Registry != "" {
		return expires, []registry.Key{k}, err
	}
	keys, err = parseList(value)
	return expires, keys, err
}

// A list is its version, how many entries it has, and their registries and names.
func appendList(dst []byte, list []expiry) []byte {
	dst = binary.AppendUvarint(append(dst, listVersion), uint64(len(list)))
	for i := range list {
		for _, text := range [...]string{list[i].key.Registry, list[i].key.Name} {
			dst = append(binary.AppendUvarint(dst, uint64(len(text))), text...)
		}
	}
	return dst
}

func parseList(value []byte) (keys []registry.Key, err error) {
	r := read(value, listVersion)
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		keys = append(keys, registry.Key{Registry: r.text(), Name: r.text()})
	}
	return keys, r.end("list of entries that expire")
}
