package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/edgecache/edgecache/registry"
)

// The first byte of each value is the version of its family's form. A form
// that is not known is refused: a newer program wrote it, or nobody did.
const (
	listVersion      = 1
	confirmedVersion = 1
	positionsVersion = 1
	recordVersion    = 1
	epochVersion     = 2 // 1 had no Newest
	identityVersion  = 1
	numberVersion    = 1
)

// errUnreadable marks values that cannot be read, but whose bytes are those
// that were written as far as the engine can tell.
var errUnreadable = errors.New("unreadable")

// A reader reads the fields of a value. After the first error it returns zeros.
type reader struct {
	rest []byte
	err  error
}

// read begins to read a value that must have the given version.
func read(value []byte, version byte) *reader {
	r := &reader{rest: value}
	if v := r.byte(); r.err == nil && v != version {
		r.err = fmt.Errorf("version %d, only version %d is known", v, version)
	}
	return r
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = errors.New(what)
	}
	r.rest = nil
}

func (r *reader) byte() byte {
	if r.err != nil || len(r.rest) == 0 {
		r.fail("cut short")
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if r.err != nil || n <= 0 || n > 1 && r.rest[n-1] == 0 {
		r.fail("a number is cut short or not in its shortest form")
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (r *reader) text() string {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.fail("cut short")
		return ""
	}
	text := string(r.rest[:n])
	r.rest = r.rest[n:]
	return text
}

func (r *reader) mode() registry.Mode {
	m := registry.Mode(r.byte())
	if m > registry.ModeHard {
		r.fail(fmt.Sprintf("mode %d is not known", m))
		return 0
	}
	return m
}

// end returns the error met so far, or one if bytes are left.
func (r *reader) end(what string) error {
	if r.err == nil && len(r.rest) > 0 {
		r.err = errors.New("bytes follow the end")
	}
	if r.err != nil {
		return fmt.Errorf("%w %s: %w", errUnreadable, what, r.err)
	}
	return nil
}

// indexOf returns the index that confirmations of an entry carry: its record's,
// or 0 of absence.
func indexOf(e *registry.Entry) uint64 {
	if e.Record == nil {
		return 0
	}
	return e.Record.Index
}

func appendConfirmed(dst []byte, c *registry.Confirmed) []byte {
	dst = append(dst, confirmedVersion)
	dst = binary.AppendUvarint(dst, c.Index)
	dst = binary.AppendUvarint(dst, c.Began)
	dst = binary.AppendVarint(dst, c.Verified)
	dst = append(dst, c.Empties, byte(c.Mode))
	dst = binary.AppendVarint(dst, c.Used)
	return binary.AppendVarint(dst, c.Expires)
}

// parseConfirmed reads a confirmation; its key is that of its value's.
func parseConfirmed(value []byte) (c registry.Confirmed, err error) {
	r := read(value, confirmedVersion)
	c.Index, c.Began, c.Verified = r.uvarint(), r.uvarint(), r.varint()
	c.Empties, c.Mode = r.byte(), r.mode()
	c.Used, c.Expires = r.varint(), r.varint()
	return c, r.end("confirmation")
}

// positions are, by mode, the newest position of an invalidation: a mark or a
// generation. ModeNone has none.
type positions [registry.ModeHard + 1]uint64

// at returns the positions of one invalidation.
func at(m registry.Mode, position uint64) (p positions) {
	p[m] = position
	return p
}

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

func (p *positions) append(dst []byte) []byte {
	dst = append(dst, positionsVersion)
	for m := registry.ModeSoft; m <= registry.ModeHard; m++ {
		dst = binary.AppendUvarint(dst, p[m])
	}
	return dst
}

func parsePositions(value []byte) (p positions, err error) {
	r := read(value, positionsVersion)
	for m := registry.ModeSoft; m <= registry.ModeHard; m++ {
		p[m] = r.uvarint()
	}
	return p, r.end("positions")
}

// A record of the journal is the position at which the invalidation was
// applied here, and its binary form as received.
func appendRecord(dst []byte, position uint64, raw []byte) []byte {
	return append(binary.AppendUvarint(append(dst, recordVersion), position), raw...)
}

// parseRecord reads a record; raw is a part of value.
func parseRecord(value []byte) (position uint64, raw []byte, err error) {
	r := read(value, recordVersion)
	position = r.uvarint()
	raw, r.rest = r.rest, nil
	return position, raw, r.end("record of an invalidation")
}

func appendEpoch(dst []byte, e *epochState) []byte {
	dst = append(dst, epochVersion)
	for _, n := range [...]uint64{e.Start, e.Last, e.Hard, e.Count, e.oldest, e.Newest} {
		dst = binary.AppendUvarint(dst, n)
	}
	return dst
}

func parseEpoch(value []byte) (e epochState, err error) {
	version := byte(epochVersion)
	if len(value) > 0 && value[0] == 1 {
		version = 1
	}
	r := read(value, version)
	e.Start, e.Last, e.Hard, e.Count, e.oldest = r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint()
	if e.Newest = e.Last; version > 1 { // any may be hard
		e.Newest = r.uvarint()
	}
	return e, r.end("state of an epoch")
}

func appendIdentity(dst []byte, identity string) []byte {
	return append(append(dst, identityVersion), identity...)
}

func parseIdentity(value []byte) (string, error) {
	r := read(value, identityVersion)
	identity := string(r.rest)
	r.rest = nil
	return identity, r.end("identity")
}

func appendNumber(dst []byte, n uint64) []byte {
	return binary.AppendUvarint(append(dst, numberVersion), n)
}

func parseNumber(value []byte) (uint64, error) {
	r := read(value, numberVersion)
	n := r.uvarint()
	return n, r.end("number")
}
