package registry

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The binary form of entries and invalidations, on disk and between peers. Its
// first byte is the version. An entry has exactly one form in a version: what
// parses is, appended again, the same bytes. Version 1 of an entry had no mode.
//
//	entry        = version, length of text (4 bytes), text, documents
//	invalidation = version, origin, epoch, seq (8 bytes each), mode, selectors, versions, at
//
// Documents come last so that the text is read as one string, out of which the
// strings of a record are copied, without their bytes.
const (
	entryVersion        = 2
	invalidationVersion = 1
)

const entryHeader = 1 + 4

// AppendEntry appends the binary form of an entry; its record must be sealed.
func AppendEntry(dst []byte, e *Entry) []byte {
	start := len(dst)
	dst = append(dst, entryVersion, 0, 0, 0, 0)
	dst = appendText(dst, e.Registry)
	dst = appendText(dst, e.Name)
	dst = binary.AppendUvarint(dst, e.Began)
	dst = binary.AppendVarint(dst, e.Verified)
	dst = append(dst, e.Empties, byte(e.Mode), byte(boolBit(e.Record != nil)))
	if e.Record != nil {
		dst = appendRecord(dst, e.Record)
	}
	binary.BigEndian.PutUint32(dst[start+1:], uint32(len(dst)-start-entryHeader))
	if e.Record != nil {
		dst = append(dst, e.Record.Document...)
		for i := range e.Record.Versions {
			dst = append(dst, e.Record.Versions[i].Document...)
		}
	}
	return dst
}

// appendRecord appends what clients do not see of a record and then its content.
func appendRecord(dst []byte, r *Record) []byte {
	dst = binary.AppendUvarint(dst, r.Index)
	dst = binary.AppendUvarint(dst, r.Revision.Epoch)
	dst = binary.AppendUvarint(dst, r.Revision.Order)
	dst = appendText(dst, r.Revision.Token)
	dst = binary.AppendVarint(dst, int64(r.Wishes.TTL))
	dst = binary.AppendVarint(dst, int64(r.Wishes.StaleWhileRevalidate))
	dst = binary.AppendVarint(dst, int64(r.Wishes.StaleIfError))
	dst = append(dst, byte(boolBit(r.Wishes.NoStore)))
	raws := 0
	for i := range r.Instances {
		if r.Instances[i].Raw != (Span{}) {
			raws++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(raws))
	for i := range r.Instances {
		if raw := r.Instances[i].Raw; raw != (Span{}) {
			dst = binary.AppendUvarint(dst, uint64(i))
			dst = binary.AppendUvarint(dst, uint64(raw.Off))
			dst = binary.AppendUvarint(dst, uint64(raw.Len))
		}
	}
	return appendContent(dst, r)
}

// ParseEntry reads the binary form of an entry. Its record is sealed under the
// stored index; the content hash is computed from the bytes read, because it
// names content in ETags and so must not be believed. Nothing of the entry
// aliases data.
func ParseEntry(data []byte) (*Entry, error) {
	if len(data) < entryHeader {
		return nil, errors.New("entry: cut short in its header")
	}
	version := data[0]
	if version == 0 || version > entryVersion {
		return nil, fmt.Errorf("entry: codec version %d, only versions 1 to %d are known", version, entryVersion)
	}
	length := binary.BigEndian.Uint32(data[1:])
	if uint64(length) > uint64(len(data)-entryHeader) {
		return nil, fmt.Errorf("entry: text of %d bytes announced, %d are there", length, len(data)-entryHeader)
	}
	text := data[entryHeader : entryHeader+int(length)]
	d := decoder{text: string(text), documents: data[entryHeader+int(length):]}
	e := &Entry{Key: d.key()}
	e.Began = d.uvarint()
	e.Verified = d.varint()
	e.Empties = d.byte()
	if version > 1 {
		e.Mode = d.mode()
	}
	if d.bool() {
		e.Record = parseRecord(&d, text)
	}
	if d.err == nil && (d.pos != len(d.text) || len(d.documents) != 0) {
		d.err = errors.New("bytes follow the end")
	}
	if d.err != nil {
		return nil, fmt.Errorf("entry: %w", d.err)
	}
	if e.Record != nil && e.Record.Key == e.Key {
		e.Record.Key = e.Key // one copy of its strings is enough
	}
	return e, nil
}

func parseRecord(d *decoder, text []byte) *Record {
	index := d.uvarint()
	r := &Record{Revision: d.revision()}
	r.Wishes = Freshness{
		TTL: d.duration(), StaleWhileRevalidate: d.duration(), StaleIfError: d.duration(), NoStore: d.bool(),
	}
	type raw struct {
		instance uint64
		span     Span
	}
	raws := make([]raw, d.count(3))
	for i := range raws {
		raws[i] = raw{d.uvarint(), Span{Off: d.uint32(), Len: d.uint32()}}
	}
	content := d.pos
	d.content(r)
	for i, raw := range raws {
		switch {
		case raw.instance >= uint64(len(r.Instances)) || i > 0 && raw.instance <= raws[i-1].instance || raw.span == Span{}:
			d.fail("span %d: instances in rising order expected", i)
		case uint64(raw.span.Off)+uint64(raw.span.Len) > uint64(len(r.Document)):
			d.fail("span %d lies outside of the document", i)
		default:
			r.Instances[raw.instance].Raw = raw.span
		}
	}
	if d.err == nil {
		r.SealHashed(index, r.hashContent(text[content:]))
	}
	return r
}

// Selectors as written. The first two fields of each, kind and registry, stay
// for ever: a kind that is not known covers the registry.
const (
	selectName = iota + 1
	selectTag
	selectPrefix
	selectRegistry
	selectAll
)

const (
	modeAt             = 1 + 3*8
	invalidationHeader = modeAt + 1

	// membersMark stands in place of the mode in records that change the
	// members of the cluster, see package gossip/protocol.
	membersMark = 0x20
)

// ModeOf returns the mode of an invalidation in binary form, by its header: hard
// if it is not known here, none of a change of the members.
func ModeOf(raw []byte) Mode {
	switch {
	case !IsInvalidation(raw):
		return ModeNone
	case len(raw) <= modeAt || Mode(raw[modeAt]) != ModeSoft && Mode(raw[modeAt]) != ModeVerify:
		return ModeHard
	}
	return Mode(raw[modeAt])
}

// IsInvalidation reports whether a record of a journal is an invalidation, and
// not a change of the members.
func IsInvalidation(raw []byte) bool { return len(raw) <= modeAt || raw[modeAt] != membersMark }

// AppendInvalidation appends the binary form of an invalidation. Its mode must
// be set, and each selector must cover something.
func AppendInvalidation(dst []byte, inv *Invalidation) []byte {
	dst = append(dst, invalidationVersion)
	dst = binary.BigEndian.AppendUint64(dst, inv.Origin)
	dst = binary.BigEndian.AppendUint64(dst, inv.Epoch)
	dst = binary.BigEndian.AppendUint64(dst, inv.Seq)
	dst = append(dst, byte(inv.Mode))
	dst = binary.AppendUvarint(dst, uint64(len(inv.Selectors)))
	for i := range inv.Selectors {
		dst = appendSelector(dst, &inv.Selectors[i])
	}
	dst = binary.AppendUvarint(dst, uint64(len(inv.Versions)))
	for _, v := range inv.Versions {
		dst = binary.AppendUvarint(dst, v.Epoch)
		dst = binary.AppendUvarint(dst, v.Order)
		dst = appendText(dst, v.Token)
	}
	return binary.AppendVarint(dst, inv.At)
}

func appendSelector(dst []byte, s *Selector) []byte {
	kind, text := byte(selectRegistry), ""
	switch {
	case s.Key.Name != "":
		kind, text = selectName, s.Key.Name
	case s.Tag != "":
		kind, text = selectTag, s.Tag
	case s.Prefix != "":
		kind, text = selectPrefix, s.Prefix
	case s.All:
		kind = selectAll
	}
	body := append(make([]byte, 0, 64), kind)
	body = appendText(body, s.Key.Registry)
	if kind <= selectPrefix {
		body = appendText(body, text)
	}
	return appendText(dst, string(body))
}

// ParseInvalidation reads the binary form of an invalidation. What a newer
// version wrote is read as covering more, never less: a selector that cannot
// be read as its registry or all, an unknown mode as hard. So a parsed
// invalidation is not what to pass on: pass on the bytes.
func ParseInvalidation(data []byte) (*Invalidation, error) {
	if len(data) < invalidationHeader || data[0] == 0 {
		return nil, errors.New("invalidation: version, origin, epoch, seq and mode expected first")
	}
	inv := &Invalidation{
		Origin: binary.BigEndian.Uint64(data[1:]),
		Epoch:  binary.BigEndian.Uint64(data[9:]),
		Seq:    binary.BigEndian.Uint64(data[17:]),
		Mode:   Mode(data[modeAt]),
	}
	if inv.Mode > ModeHard || inv.Mode == ModeNone {
		inv.Mode = ModeHard
	}
	if data[0] != invalidationVersion {
		inv.Selectors = []Selector{{All: true}}
		return inv, nil
	}
	d := decoder{text: string(data[invalidationHeader:])}
	for range d.count(2) {
		inv.Selectors = append(inv.Selectors, parseSelector(d.string()))
	}
	for range d.count(3) {
		inv.Versions = append(inv.Versions, d.revision())
	}
	inv.At = d.varint()
	switch {
	case d.err != nil:
	case d.pos != len(d.text):
		d.err = errors.New("bytes follow the end")
	case inv.Versions != nil && len(inv.Versions) != len(inv.Selectors):
		d.err = fmt.Errorf("%d versions of %d selectors", len(inv.Versions), len(inv.Selectors))
	}
	if d.err != nil {
		return nil, fmt.Errorf("invalidation %s: %w", inv.ID(), d.err)
	}
	return inv, nil
}

func parseSelector(body string) Selector {
	d := decoder{text: body}
	kind := d.byte()
	s := Selector{Key: Key{Registry: d.string()}}
	if d.err != nil {
		return Selector{All: true}
	}
	var text string
	if kind >= selectName && kind <= selectPrefix {
		text = d.string()
	}
	readable := d.err == nil && d.pos == len(body)
	switch {
	case kind == selectName && readable && text != "":
		s.Key.Name = text
	case kind == selectTag && readable && text != "":
		s.Tag = text
	case kind == selectPrefix && readable && text != "":
		s.Prefix = text
	default:
		s.All = kind == selectAll && readable || s.Key.Registry == ""
	}
	return s
}
