package store

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/edgecache/edgecache/registry"
)

// The families of keys, see the package comment.
const (
	familyEntry      = 'e'
	familyConfirmed  = 's'
	familyMark       = 'm'
	familyExpiry     = 'x'
	familyGeneration = 'g'
	familyJournal    = 'l'
	familyEpoch      = 'w'
	familyIdentity   = 'i'
	familyNumber     = 'n'
)

// The numbers kept.
const (
	numberFormat   = "format"   // of the store, formatVersion
	numberNode     = "node"     // this node's id, drawn once
	numberPosition = "position" // no position at or above it was used
	numberClock    = "clock"    // no index above it was given
	numberWall     = "wall"     // Unix ms of the newest reading of Now
	numberEntries  = "entries"  // how many there are; written, not merged
)

// formatVersion is what this program writes. It reads every one below.
const formatVersion = 1

// appendKey appends the key of family f for a registry's name.
func appendKey(dst []byte, f byte, k registry.Key) []byte {
	dst = append(dst, f)
	dst = append(dst, k.Registry...)
	dst = append(dst, 0)
	return append(dst, k.Name...)
}

// parseKey reads what appendKey wrote, without the family.
func parseKey(b []byte) (registry.Key, error) {
	reg, name, ok := strings.Cut(string(b), "\x00")
	if !ok {
		return registry.Key{}, fmt.Errorf("key %q: a registry and a name expected", b)
	}
	return registry.Key{Registry: strings.Clone(reg), Name: strings.Clone(name)}, nil
}

func appendExpiryKey(dst []byte, expires int64, k registry.Key) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, familyExpiry), uint64(max(expires, 0)))
	return append(append(append(dst, k.Registry...), 0), k.Name...)
}

// parseExpiryKey reads a whole key of the expiry index; a list's has no registry.
func parseExpiryKey(b []byte) (expires int64, k registry.Key, err error) {
	if len(b) < 9 {
		return 0, k, fmt.Errorf("expiry key %q: cut short", b)
	}
	if expires = int64(binary.BigEndian.Uint64(b[1:])); expires < 0 {
		return 0, k, fmt.Errorf("expiry key %q: the time is too great", b)
	}
	k, err = parseKey(b[9:])
	return expires, k, err
}

// The kinds of wide selectors in keys of generations.
const (
	kindTag      = 't'
	kindPrefix   = 'p'
	kindRegistry = 'r'
	kindAll      = 'a'
)

// canonical returns the form of a wide selector that its key gives back: all
// of one registry is the registry.
func canonical(s registry.Selector) registry.Selector {
	s.All = s.All && s.Key.Registry == "" && s.Tag == "" && s.Prefix == ""
	return s
}

// appendGenerationKey appends the key of a wide selector's generation.
func appendGenerationKey(dst []byte, s registry.Selector) []byte {
	kind, text := byte(kindAll), ""
	switch {
	case s.Tag != "":
		kind, text = kindTag, s.Tag
	case s.Prefix != "":
		kind, text = kindPrefix, s.Prefix
	case s.Key.Registry != "":
		kind = kindRegistry
	}
	dst = append(dst, familyGeneration, kind)
	dst = append(append(dst, s.Key.Registry...), 0)
	return append(dst, text...)
}

// parseGenerationKey reads a whole key of a generation.
func parseGenerationKey(b []byte) (registry.Selector, error) {
	if len(b) < 3 {
		return registry.Selector{}, fmt.Errorf("generation key %q: cut short", b)
	}
	k, err := parseKey(b[2:])
	if err != nil {
		return registry.Selector{}, err
	}
	s := registry.Selector{Key: registry.Key{Registry: k.Registry}}
	switch {
	case b[1] == kindTag && k.Name != "":
		s.Tag = k.Name
	case b[1] == kindPrefix && k.Name != "":
		s.Prefix = k.Name
	case b[1] == kindRegistry && k.Registry != "" && k.Name == "":
	case b[1] == kindAll && k == registry.Key{}:
		s.All = true
	default:
		return s, fmt.Errorf("generation key %q: not a tag, prefix, registry or all", b)
	}
	return s, nil
}

func appendEpochKey(dst []byte, origin, epoch uint64) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, familyEpoch), origin)
	return binary.BigEndian.AppendUint64(dst, epoch)
}

func parseEpochKey(b []byte) (id epochID, err error) {
	if len(b) != 1+8+8 {
		return id, fmt.Errorf("epoch key %x: 17 bytes expected", b)
	}
	return epochID{binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint64(b[9:])}, nil
}

// parseJournalKey reads a whole key of the journal.
func parseJournalKey(b []byte) (id epochID, seq uint64, err error) {
	if len(b) != 1+8+8+8 {
		return id, 0, fmt.Errorf("journal key %x: 25 bytes expected", b)
	}
	return epochID{binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint64(b[9:])}, binary.BigEndian.Uint64(b[17:]), nil
}

func appendJournalKey(dst []byte, origin, epoch, seq uint64) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, familyJournal), origin)
	dst = binary.BigEndian.AppendUint64(dst, epoch)
	return binary.BigEndian.AppendUint64(dst, seq)
}

func appendIdentityKey(dst []byte, registryName string) []byte {
	return append(append(dst, familyIdentity), registryName...)
}

func appendNumberKey(dst []byte, name string) []byte {
	return append(append(dst, familyNumber), name...)
}
