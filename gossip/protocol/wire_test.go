package protocol_test

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/edgecache/edgecache/gossip/protocol"
	"github.com/edgecache/edgecache/registry"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// A form is a value with its binary form.
type form struct {
	name   string
	value  any
	append func() []byte
	parse  func([]byte) (any, error)
}

func helloForm(name string, h protocol.Hello) form {
	return form{name, h, func() []byte { return protocol.AppendHello(nil, h) },
		func(b []byte) (any, error) { return protocol.ParseHello(b) }}
}

func frameForm(name string, f protocol.Frame) form {
	return form{name, f, func() []byte { return protocol.AppendFrame(nil, f) },
		func(b []byte) (any, error) { return protocol.ParseFrame(b) }}
}

func recordForm(name string, r protocol.Record) form {
	return form{name, r, func() []byte { return r.Raw },
		func(b []byte) (any, error) { return protocol.ParseRecord(b) }}
}

func membersForm(list []protocol.Member) form {
	return form{"members", list, func() []byte { return protocol.AppendMembers(nil, list) },
		func(b []byte) (any, error) { return protocol.ParseMembers(b) }}
}

// forms has one of each, with all fields set.
func forms() []form {
	id := protocol.RecordID{EpochID: protocol.EpochID{Origin: 0x0123456789abcdef, Epoch: 0xfedcba9876543210}, Seq: 7}
	members := []protocol.Member{
		{ID: 1, Entry: 1, In: true, Name: "edge-1", Address: "10.0.0.1:7946"},
		{ID: 0x0123456789abcdef, Entry: 300, In: true, Out: true, Name: "edge-2", Address: "[fd00::2]:7946"},
	}
	records := []protocol.Record{invalidation(id, "rest"), change(id, members[1])}
	return []form{
		helloForm("hello", protocol.Hello{Major: 1, Minor: 0, Node: id.Origin, Epoch: id.Epoch, Name: "edge-1", Address: "10.0.0.1:7946"}),
		helloForm("hello-minor-1", protocol.Hello{Major: 1, Minor: 1, Node: id.Origin, Epoch: id.Epoch, Name: "edge-1", Address: "10.0.0.1:7946",
			Gossip: "10.0.0.1:7947", Zone: "eu-1a", Version: "1.2.3"}),
		frameForm("records", protocol.Records{Records: records}),
		frameForm("state-minor-2", protocol.State{Beacon: 300, Echo: 299, Full: true, Entered: true, Members: members, Marks: []protocol.Mark{
			{EpochID: id.EpochID, Start: 5, Hard: 3, Logged: protocol.Ranges{{From: 1, To: 1000}, {From: 1002, To: 1002}, {From: 5000, To: 6000}}, Newest: 900},
			{EpochID: protocol.EpochID{Origin: 1, Epoch: 2}, Start: 1},
		}}),
		frameForm("pull", protocol.Pull{EpochID: id.EpochID, Range: protocol.Range{From: 7, To: 4102}}),
		frameForm("pulled", protocol.Pulled{EpochID: id.EpochID, Range: protocol.Range{From: 7, To: 8}, Start: 5, Hard: 3, Records: records}),
		frameForm("refused", protocol.Refused{Reason: protocol.ReasonRestored}),
		recordForm("change", records[1]),
		membersForm(members),
	}
}

// invalidation returns a record of the header that stays, and something.
func invalidation(id protocol.RecordID, rest string) protocol.Record {
	inv := registry.Invalidation{Origin: uint64(id.Origin), Epoch: id.Epoch, Seq: id.Seq, Mode: registry.ModeVerify,
		Selectors: []registry.Selector{{Tag: rest}}}
	return protocol.Record{ID: id, Raw: registry.AppendInvalidation(nil, &inv)}
}

func change(id protocol.RecordID, m protocol.Member) protocol.Record {
	return protocol.Record{ID: id, Change: &m, Raw: protocol.AppendChange(nil, id, m)}
}

func TestBinaryFormsAreGolden(t *testing.T) {
	for _, f := range forms() {
		path := filepath.Join("testdata", f.name+".v1")
		if *update {
			if err := os.WriteFile(path, f.append(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.append(); !bytes.Equal(got, want) {
			t.Errorf("%s differs: nodes of version 1 would not understand each other (-update rewrites it)\n got: %x\nwant: %x", path, got, want)
		}
		if got, err := f.parse(want); err != nil || !reflect.DeepEqual(got, f.value) {
			t.Errorf("%s is read as %+v, %v; want %+v", path, got, err, f.value)
		}
	}
}

func TestAStateOfMinorVersion1MayBeHardToItsEnd(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "state.v1"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := protocol.ParseFrame(data)
	s, ok := f.(protocol.State)
	if err != nil || !ok || len(s.Marks) != 2 || s.Marks[0].Newest != 6000 || s.Marks[1].Newest != 0 {
		t.Errorf("%+v, %v; want two marks, the newest 6000 and 0", f, err)
	}
}

func TestRoundTrips(t *testing.T) {
	for seed := range uint64(3000) {
		g := generator{rand.New(rand.NewPCG(seed, 1))}
		for _, f := range []form{
			helloForm("hello", g.hello()), frameForm("frame", g.frame()), recordForm("record", g.record()), membersForm(g.members()),
		} {
			data := f.append()
			got, err := f.parse(data)
			if err != nil || !reflect.DeepEqual(got, f.value) {
				t.Fatalf("seed %d: %s %+v is read as %+v, %v", seed, f.name, f.value, got, err)
			}
		}
	}
}

// A generator makes valid values.
type generator struct{ *rand.Rand }

// number is small or great, with all lengths alike.
func (g generator) number() uint64 { return g.Uint64() >> g.IntN(64) }

func (g generator) seq() uint64 { return max(1, g.number()>>1) }

func (g generator) bool() bool { return g.IntN(2) == 0 }

func (g generator) text() string {
	if g.IntN(20) == 0 {
		return strings.Repeat("x", 1024)
	}
	b := make([]byte, g.IntN(20))
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return string(b)
}

func (g generator) epoch() protocol.EpochID {
	return protocol.EpochID{Origin: protocol.NodeID(g.number()), Epoch: g.number()}
}

func (g generator) span() protocol.Range {
	a, b := g.seq(), g.seq()
	return protocol.Range{From: min(a, b), To: max(a, b)}
}

func (g generator) hello() protocol.Hello {
	h := protocol.Hello{Major: protocol.Major, Minor: uint16(g.number()), Node: protocol.NodeID(g.number()), Epoch: g.number(),
		Name: g.text(), Address: g.text()}
	if h.Minor > 0 {
		h.Gossip, h.Zone, h.Version = g.text(), g.text(), g.text()
	}
	return h
}

func (g generator) member() protocol.Member {
	return protocol.Member{ID: protocol.NodeID(g.number()), Entry: g.number(), In: g.bool(), Out: g.bool(), Name: g.text(), Address: g.text()}
}

func (g generator) members() (list []protocol.Member) {
	for range g.IntN(4) {
		list = append(list, g.member())
	}
	return list
}

func (g generator) record() protocol.Record {
	id := protocol.RecordID{EpochID: g.epoch(), Seq: g.seq()}
	if g.bool() {
		return change(id, g.member())
	}
	return invalidation(id, g.text()+"x")
}

func (g generator) records() (list []protocol.Record) {
	for range g.IntN(4) {
		list = append(list, g.record())
	}
	return list
}

func (g generator) marks() (list []protocol.Mark) {
	for range g.IntN(4) {
		m := protocol.Mark{EpochID: g.epoch(), Start: g.seq(), Hard: g.number() >> 1, Newest: g.number() >> 1}
		for range g.IntN(6) {
			r := g.span()
			m.Logged.Add(r.From, min(r.To, r.From+g.number()>>32))
		}
		list = append(list, m)
	}
	return list
}

func (g generator) frame() protocol.Frame {
	switch g.IntN(5) {
	case 0:
		return protocol.Records{Records: g.records()}
	case 1:
		return protocol.State{Beacon: g.number(), Echo: g.number(), Full: g.bool(), Entered: g.bool(), Marks: g.marks(), Members: g.members()}
	case 2:
		return protocol.Pull{EpochID: g.epoch(), Range: g.span()}
	case 3:
		return protocol.Pulled{EpochID: g.epoch(), Range: g.span(), Start: g.seq(), Hard: g.number() >> 1, Records: g.records()}
	}
	return protocol.Refused{Reason: protocol.Reason(g.Uint32())}
}
