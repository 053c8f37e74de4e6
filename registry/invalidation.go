package registry

import (
	"fmt"
	"strconv"
	"strings"
)

// Mode says what may still be served of what an invalidation covers. Modes
// are ordered: the strictest one counts.
type Mode uint8

// The modes. ModeNone covers nothing.
const (
	ModeNone   Mode = iota
	ModeSoft        // the old answer, stale, at once while it is fetched
	ModeVerify      // the old answer only if the registry cannot be reached
	ModeHard        // never the old answer
)

func (m Mode) String() string {
	switch m {
	case ModeSoft:
		return "soft"
	case ModeVerify:
		return "verify"
	case ModeHard:
		return "hard"
	}
	return "none"
}

// ParseMode returns the mode of that name; "" is verify.
func ParseMode(s string) (Mode, error) {
	switch s {
	case "", "verify":
		return ModeVerify, nil
	case "soft":
		return ModeSoft, nil
	case "hard":
		return ModeHard, nil
	}
	return 0, fmt.Errorf("mode %q: soft, verify or hard expected", s)
}

// A Selector covers entries by exactly one of name, tag, prefix, registry
// (Key.Registry alone) or all, within Key.Registry or, if that is empty, in
// every registry.
type Selector struct {
	Key    Key
	Tag    string
	Prefix string
	All    bool
}

// ByKey reports whether the selector covers one name.
func (s Selector) ByKey() bool { return s.Key.Name != "" }

// Covers reports whether the selector covers the entry of that key whose
// record has these surrogate keys. Absence has none.
func (s Selector) Covers(k Key, tags []string) bool {
	if s.Key.Registry != "" && s.Key.Registry != k.Registry {
		return false
	}
	switch {
	case s.Key.Name != "":
		return s.Key.Name == k.Name
	case s.Tag != "":
		for _, t := range tags {
			if t == s.Tag {
				return true
			}
		}
		return false
	case s.Prefix != "":
		return strings.HasPrefix(k.Name, s.Prefix)
	}
	return s.All || s.Key.Registry != ""
}

// An Invalidation is one request to forget: one id, applied whole.
type Invalidation struct {
	Origin, Epoch, Seq uint64
	Mode               Mode
	Selectors          []Selector
	Versions           []Revision // what a watch saw, one per selector; nil otherwise
	At                 int64      // Unix ms, for people
}

// ID returns the invalidation's id, opaque to clients.
func (inv *Invalidation) ID() string {
	b := make([]byte, 0, 2*16+20+2)
	b = append(strconv.AppendUint(b, inv.Origin, 16), '/')
	b = append(strconv.AppendUint(b, inv.Epoch, 16), '/')
	return string(strconv.AppendUint(b, inv.Seq, 10))
}

// Applied is what an invalidation came to on one node, for its journal: what
// it raised, and at which position. Its selectors name registries of this node,
// in place of any and of a merge.
type Applied struct {
	Position uint64
	Keys     []Key      // single names
	Wide     []Selector // tags, prefixes, registries, all
}

// A Received is a peer's record, and what it came to here. Its invalidation has
// no selectors if the record is about something else.
type Received struct {
	Inv *Invalidation
	Raw []byte // its binary form as received
	Applied
}

// An EpochState is what a journal has of one epoch of one node.
type EpochState struct {
	Origin, Epoch uint64
	Start         uint64 // records below were truncated, or never expected
	Last          uint64 // the greatest sequence logged or truncated
	Hard          uint64 // the greatest sequence below Start of a hard invalidation; 0: none known
	Newest        uint64 // likewise up to Last; not below Hard
	Count         uint64 // records kept: if fewer than from Start to Last, there are holes
}
