package protocol

import (
	"encoding/binary"
	"errors"
)

// The binary form of records, in journals and frames, and of the members on
// disk. The first byte is the version.
//
//	record  = version, origin, epoch, seq (8 bytes each), mode (1 byte), rest
//	change  = a record of mode 0x20 whose rest is a member
//	member  = id, entry, bits (1 in, 2 out), name, address
//	members = version, list of members
//
// A record's header, and the fields of a change, stay for ever; newer versions
// add behind them. The rest of an invalidation is the business of package
// registry.
const (
	recordVersion  = 1
	membersVersion = 1

	// Of modes, the protocol needs to know which are not hard; registry has them.
	modeSoft    = 1
	modeMembers = 0x20 // in place of an invalidation's mode

	recordHeader = 1 + 3*8 + 1
)

const (
	bitIn = 1 << iota
	bitOut
)

// AppendChange appends the binary form of the record of a change of a member.
// The member's strings must not exceed 1 KiB.
func AppendChange(dst []byte, id RecordID, m Member) []byte {
	dst = appendEpochID(append(dst, recordVersion), id.EpochID)
	dst = binary.BigEndian.AppendUint64(dst, id.Seq)
	return appendMember(append(dst, modeMembers), m)
}

// ParseRecord reads what the protocol needs of a record's binary form, which
// becomes its Raw: it must not be changed afterwards. Nothing else aliases it.
func ParseRecord(raw []byte) (Record, error) {
	if len(raw) < recordHeader || raw[0] == 0 {
		return Record{}, errors.New("record: version, origin, epoch, seq and mode expected first")
	}
	d := decode(raw)
	d.byte()
	r := Record{ID: RecordID{EpochID: d.epochID(), Seq: d.uint64()}, Raw: raw}
	if r.ID.Seq == 0 || r.ID.Seq > mostSeq {
		d.fail("sequence %d, 1 to %d expected", r.ID.Seq, uint64(mostSeq))
	}
	if d.byte() == modeMembers {
		m := d.member()
		r.Change = &m
	}
	if d.err != nil {
		return Record{}, d.failed("record " + r.ID.String())
	}
	return r, nil
}

// mayBeHard reports whether a record is a hard invalidation, or one of a mode
// that is not known here.
func (r Record) mayBeHard() bool {
	if r.Change != nil {
		return false
	}
	if len(r.Raw) < recordHeader {
		return true
	}
	mode := r.Raw[recordHeader-1]
	return mode != modeSoft && mode != byte(ModeVerify)
}

// AppendMembers appends the binary form of members, to be kept on disk. Their
// strings must not exceed 1 KiB.
func AppendMembers(dst []byte, list []Member) []byte {
	return appendMembers(append(dst, membersVersion), list)
}

// ParseMembers reads the binary form of members. Nothing of them aliases data.
func ParseMembers(data []byte) ([]Member, error) {
	d := decode(data)
	if version := d.byte(); version != membersVersion {
		d.fail("version %d, only version %d is known", version, membersVersion)
	}
	list := d.members()
	if len(d.data) > 0 {
		d.fail("%d bytes follow the end", len(d.data))
	}
	if d.err != nil {
		return nil, d.failed("members")
	}
	return list, nil
}

func appendMembers(dst []byte, list []Member) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, m := range list {
		dst = appendMember(dst, m)
	}
	return dst
}

func (d *decoder) members() []Member {
	n := d.count("members", leastMember)
	if n == 0 {
		return nil
	}
	list := make([]Member, n)
	for i := range list {
		list[i] = d.member()
	}
	return list
}

func appendMember(dst []byte, m Member) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.ID))
	dst = binary.AppendUvarint(dst, m.Entry)
	dst = append(dst, bit(bitIn, m.In)|bit(bitOut, m.Out))
	dst = appendText(dst, m.Name)
	return appendText(dst, m.Address)
}

func (d *decoder) member() Member {
	m := Member{ID: NodeID(d.uint64()), Entry: d.uvarint()}
	bits := d.byte()
	m.In, m.Out = bits&bitIn != 0, bits&bitOut != 0
	m.Name, m.Address = d.text(), d.text()
	return m
}
