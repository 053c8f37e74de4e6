package protocol_test

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/edgecache/edgecache/gossip/protocol"
)

func TestNewerMinorVersionsAreUnderstood(t *testing.T) {
	for kind := range 256 {
		known := kind >= 1 && kind <= 5
		if f, err := protocol.ParseFrame([]byte{byte(kind), 0xff, 0xff}); !known && (f != nil || err != nil) {
			t.Errorf("kind %d is read as %v, %v; it should be skipped", kind, f, err)
		}
	}
	for _, f := range forms() {
		data := append(f.append(), "a new field"...)
		got, err := f.parse(data)
		switch {
		case f.name == "members": // are kept by this version for itself
			if err == nil || !strings.Contains(err.Error(), "11 bytes follow the end") {
				t.Errorf("members with bytes behind them: %v", err)
			}
			continue
		case f.name == "change":
			r := got.(protocol.Record)
			if !bytes.Equal(r.Raw, data) {
				t.Errorf("a change is passed on as %q, it came as %q", r.Raw, data)
			}
			r.Raw = f.value.(protocol.Record).Raw
			got = r
		}
		if err != nil || !reflect.DeepEqual(got, f.value) {
			t.Errorf("%s with a new field is read as %+v, %v; want %+v", f.name, got, err, f.value)
		}
	}
}

func TestNewerMajorVersionIsReadForItsRefusal(t *testing.T) {
	got, err := protocol.ParseHello([]byte{0, 2, 0, 3, 'x'})
	if want := (protocol.Hello{Major: 2, Minor: 3}); got != want || err != nil {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if _, err := protocol.ParseHello([]byte{0, 0, 0, 3}); err == nil {
		t.Error("major version 0 is read")
	}
}

func TestWhatIsCutShortIsRefused(t *testing.T) {
	for _, f := range forms() {
		data := f.append()
		for n := range data {
			if got, err := f.parse(data[:n]); err == nil {
				t.Errorf("%s: %d of %d bytes are read as %+v", f.name, n, len(data), got)
			}
		}
	}
}

func TestOnlyRawAliases(t *testing.T) {
	for _, f := range forms() {
		data := f.append()
		got, err := f.parse(bytes.Clone(data))
		if err != nil {
			t.Fatal(err)
		}
		aliased := bytes.Clone(data)
		changed, _ := f.parse(aliased)
		for i := range aliased {
			aliased[i] = 0xee
		}
		if !reflect.DeepEqual(withoutRaw(changed), withoutRaw(got)) {
			t.Errorf("%s: %+v became %+v", f.name, got, changed)
		}
	}
	f, err := protocol.ParseFrame(frameOf(forms(), "records"))
	if err != nil {
		t.Fatal(err)
	}
	if raw := f.(protocol.Records).Records[0].Raw; cap(raw) != len(raw) {
		t.Errorf("appending to the first record would overwrite the next: %d bytes, room for %d", len(raw), cap(raw))
	}
}

func frameOf(list []form, name string) []byte {
	for _, f := range list {
		if f.name == name {
			return f.append()
		}
	}
	return nil
}

func withoutRaw(v any) any {
	strip := func(list []protocol.Record) {
		for i := range list {
			list[i].Raw = nil
		}
	}
	switch v := v.(type) {
	case protocol.Records:
		strip(v.Records)
	case protocol.Pulled:
		strip(v.Records)
	case protocol.Record:
		v.Raw = nil
		return v
	}
	return v
}

// Counts of 2^62 with little behind them.
func TestHostileCountsAllocateNothing(t *testing.T) {
	huge := binary.AppendUvarint(nil, 1<<62)
	id := strings.Repeat("i", 16)
	member := strings.Repeat("m", 8) + "\x01\x01"
	header := "\x01" + id + "\x00\x00\x00\x00\x00\x00\x00\x01\x20"
	for name, data := range map[string]string{
		"records":              "\x01",
		"bytes of a record":    "\x01\x01",
		"marks":                "\x02\x00\x00\x00",
		"ranges":               "\x02\x00\x00\x00\x01" + id + "\x01\x00",
		"members":              "\x02\x00\x00\x00\x00",
		"bytes of a string":    "\x02\x00\x00\x00\x00\x01" + member,
		"records of a pulled":  "\x04" + id + "\x00\x00\x01\x00",
		"bytes of a string in": "\x01\x01\x40" + header + member,
	} {
		frame := append(append([]byte(data), huge...), strings.Repeat("\x00", 64)...)
		_, err := refusedCheaply(t, func() (any, error) { return protocol.ParseFrame(frame) })
		what, _, _ := strings.Cut(name, " of a pulled")
		if what = strings.TrimSuffix(what, " in"); err == nil || !strings.Contains(err.Error(), "4611686018427387904 "+what+" announced") {
			t.Errorf("%s: %v", name, err)
		}
	}
	few := append([]byte{1, 4}, make([]byte, 100)...) // of 27 bytes at least
	if _, err := protocol.ParseFrame(few); err == nil || !strings.Contains(err.Error(), "4 records announced, 100 bytes are left") {
		t.Errorf("four records in 100 bytes: %v", err)
	}
	list := append([]byte{1}, huge...)
	if _, err := refusedCheaply(t, func() (any, error) { return protocol.ParseMembers(list) }); err == nil {
		t.Error("2^62 members are read")
	}
	hello := append(append([]byte{0, 1, 0, 0}, id...), huge...)
	if _, err := refusedCheaply(t, func() (any, error) { return protocol.ParseHello(hello) }); err == nil {
		t.Error("a name of 2^62 bytes is read")
	}
}

func refusedCheaply(t *testing.T, parse func() (any, error)) (any, error) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	v, err := parse()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
		t.Errorf("%d bytes were allocated", n)
	}
	return v, err
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	const most = 1<<63 - 1
	mark := func(start, hard uint64, logged ...protocol.Range) protocol.Frame {
		return protocol.State{Marks: []protocol.Mark{{Start: start, Hard: hard, Logged: logged}}}
	}
	record := func(r protocol.Record) protocol.Frame { return protocol.Records{Records: []protocol.Record{r}} }
	seq := func(seq uint64) protocol.RecordID { return protocol.RecordID{Seq: seq} }
	long := strings.Repeat("x", 1025)
	for _, c := range []struct {
		frame protocol.Frame
		want  string
	}{
		{mark(0, 0), "start 0, 1 to 9223372036854775807 expected"},
		{mark(1, most+1), "hard 9223372036854775808, 0 to 9223372036854775807 expected"},
		{mark(1, 0, protocol.Range{From: 0, To: 1}), "a range from 1+18446744073709551615"},
		{mark(1, 0, protocol.Range{From: 5, To: 4}), "a range from 1+4 of 18446744073709551615 more sequences"},
		{mark(1, 0, protocol.Range{From: 5, To: most + 1}), "9223372036854775807 is the last"},
		{mark(1, 0, protocol.Range{From: 4, To: 5}, protocol.Range{From: 6, To: 7}), "a range from 7+18446744073709551615"},
		{mark(1, 0, protocol.Range{From: 7, To: 8}, protocol.Range{From: 3, To: 4}), "a range from 10+18446744073709551609"},
		{mark(1, 0, protocol.Range{From: 7, To: most}, protocol.Range{From: most + 2, To: most + 2}), "a range from 9223372036854775809+0"},
		{protocol.Pull{}, "a range from 1+18446744073709551615"},
		{protocol.Pull{Range: protocol.Range{From: 2, To: 1}}, "a range from 1+1 of 18446744073709551615 more"},
		{protocol.Pulled{Range: protocol.Range{From: 1, To: 1}}, "start 0, 1 to"},
		{protocol.State{Members: []protocol.Member{{Name: long}}}, "a string of 1025 bytes, at most 1024 expected"},
		{record(change(seq(1), protocol.Member{Address: long})), "a string of 1025 bytes, at most 1024 expected"},
		{record(invalidation(seq(0), "x")), "record 0/0/0: byte 25: sequence 0, 1 to 9223372036854775807 expected"},
		{record(invalidation(seq(most+1), "x")), "sequence 9223372036854775808, 1 to"},
		{record(protocol.Record{Raw: make([]byte, 26)}), "record: version, origin, epoch, seq and mode expected first"},
	} {
		_, err := protocol.ParseFrame(protocol.AppendFrame(nil, c.frame))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v; want %q", c.frame, err, c.want)
		}
	}
}
