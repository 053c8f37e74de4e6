package store

import (
	"encoding/binary"
	"errors"
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

// parseExpiryKey reads a whole key of the expiry index.
func parseExpiryKey(b []byte) (expires int64, k registry.Key, err error) {
	if len(b) < 9 {
		return 0, k, fmt.Errorf("expiry key %q: cut short", b)
	}
	k, err = parseKey(b[9:])
	return int64(binary.BigEndian.Uint64(b[1:])), k, err
}

// The kinds of wide selectors in keys of generations.
const (
	kindTag      = 't'
	kindPrefix   = 'p'
	kindRegistry = 'r'
	kindAll      = 'a'
)

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

func parseGenerationKey(b []byte) (registry.Selector, error) {
	if len(b) < 3 {
		return registry.Selector{}, fmt.Errorf("generation key %q: cut short", b)
	}
	k, err := parseKey(b[2:])
	s := registry.Selector{Key: registry.Key{Registry: k.Registry}}
	switch b[1] {
	case kindTag:
		s.Tag = k.Name
	case kindPrefix:
		s.Prefix = k.Name
	case kindRegistry:
	case kindAll:
		s.All = true
	default:
		err = errors.Join(err, fmt.Errorf("generation key %q: kind %q is not known", b, b[1]))
	}
	return s, err
}

func appendEpochKey(dst []byte, origin, epoch uint64) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, familyEpoch), origin)
	return binary.BigEndian.AppendUint64(dst, epoch)
}

func appendJournalKey(dst []byte, origin, epoch, seq uint64) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, familyJournal), origin)
	dst = binary.BigEndian.AppendUint64(dst, epoch)
	return binary.BigEndian.AppendUint64(dst, seq)
}

func appendNumberKey(dst []byte, name string) []byte {
	return append(append(dst, familyNumber), name...)
}

// positions are, by mode, the newest position of an invalidation: a mark or a
// generation. ModeNone has none.
type positions [registry.ModeHard + 1]uint64

// over returns the strictest mode whose position lies above began.
func (p *positions) over(began uint64) registry.Mode {
	for m := registry.ModeHard; m > registry.ModeNone; m-- {
		if p[m] > began {
			return m
		}
	}
	return registry.ModeNone
}

func (p *positions) newest() uint64 {
	return max(p[registry.ModeSoft], p[registry.ModeVerify], p[registry.ModeHard])
}

// raise makes p at least as great as q.
func (p *positions) raise(q *positions) {
	for m := range p {
		p[m] = max(p[m], q[m])
	}
}

const positionsVersion = 1

func (p *positions) append(dst []byte) []byte {
	dst = append(dst, positionsVersion)
	for m := registry.ModeSoft; m <= registry.ModeHard; m++ {
		dst = binary.AppendUvarint(dst, p[m])
	}
	return dst
}

func parsePositions(b []byte) (p positions, err error) {
	if len(b) == 0 || b[0] != positionsVersion {
		return p, fmt.Errorf("positions %x: version %d expected", b, positionsVersion)
	}
	rest := b[1:]
	for m := registry.ModeSoft; m <= registry.ModeHard; m++ {
		v, n := binary.Uvarint(rest)
		if n <= 0 {
			return p, fmt.Errorf("positions %x: cut short", b)
		}
		p[m], rest = v, rest[n:]
	}
	if len(rest) > 0 {
		return p, fmt.Errorf("positions %x: bytes follow the end", b)
	}
	return p, nil
}
