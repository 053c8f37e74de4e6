package plugins

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/edgecache/edgecache/registry"
)

// TestTheExampleOfTheABI holds docs/plugin-abi.md to what is written: the bytes
// of its example, but for the time.
func TestTheExampleOfTheABI(t *testing.T) {
	doc, err := os.ReadFile("../docs/plugin-abi.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(doc), "## An example")
	rows := regexp.MustCompile(`(?m)^((?:[0-9a-f]{2}| |\.\.8 bytes\.\.)+)   `).FindAllStringSubmatch(example, -1)
	if !ok || len(rows) != 4 {
		t.Fatalf("%d rows of bytes in the example, want 4", len(rows))
	}
	var want []byte
	for _, row := range rows {
		text := strings.ReplaceAll(row[1], "..8 bytes..", strings.Repeat("00", 8))
		b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, b...)
	}
	rec := &registry.Record{Key: registry.Key{Registry: "r", Name: "web"}}
	for _, in := range []struct{ id, zone string }{{"a", "x"}, {"b", "y"}} {
		rec.Instances = append(rec.Instances, registry.Instance{ID: in.id, Zone: in.zone, Endpoints: []registry.Endpoint{{Address: "10.0.0.1", Port: 80}}})
	}
	rec.Seal(1)
	g := &generation{slots: (&Needs{Attrs: []string{attrZoneHash}}).slotList()}
	i := &filterInstance{gen: g, view: make([]byte, arenaSize)}
	e := newFrame(rec, nil)
	e.version = 1
	if size := i.write(e, &registry.Selection{All: true}, 2, zoned("y")); size != (entryOff+len(e.part)+7)&^7 {
		t.Fatal(size)
	}
	clear(i.view[16:24]) // the time
	if got := i.view[:headerSize]; !bytes.Equal(got, want) {
		t.Errorf("the header is\n%s\nthe document says\n%s", hex.Dump(got), hex.Dump(want))
	}
	le := binary.LittleEndian
	if hash := le.Uint32(i.view[64:]); hash != zoneHash("y") || le.Uint32(i.view[68:]) != slotNumeric || le.Uint32(i.view[376:]) != hash {
		t.Errorf("slot 0 is %x, the second instance's hash %x", i.view[64:72], i.view[376:380])
	}
}

type zoned string

func (z zoned) Header(string) (string, bool) { return "", false }
func (z zoned) Query(string) (string, bool)  { return "", false }
func (z zoned) ClientIP() netip.Addr         { return netip.Addr{} }
func (z zoned) ClientZone() string           { return string(z) }

func TestWhatAnswersVaryBy(t *testing.T) {
	_, private := (&Needs{Attrs: []string{attrIP}}).varies()
	vary, _ := (&Needs{Headers: []string{"x-a"}, Attrs: []string{attrZone, attrZoneHash}}).varies()
	if !private || vary != "x-a, edgecache-zone" {
		t.Errorf("private %t, vary %q", private, vary)
	}
}

func TestAnAddressIsWrittenAndNamed(t *testing.T) {
	rec := &registry.Record{Key: registry.Key{Registry: "r", Name: "web"}, Instances: []registry.Instance{{ID: "a"}}}
	rec.Seal(1)
	n := &Needs{Attrs: []string{attrIP}}
	g := &generation{slots: n.slotList(), keySlots: n.keySlots()}
	i := &filterInstance{gen: g, view: make([]byte, arenaSize)}
	e := newFrame(rec, nil)
	keys := map[key]string{}
	for _, text := range []string{"10.0.0.1", "10.0.0.2", "2001:db8::1", "::ffff:10.0.0.1", ""} {
		from := addressed{}
		if text != "" {
			from.addr = netip.MustParseAddr(text)
		}
		sel := registry.Selection{All: true}
		i.write(e, &sel, 1, from)
		off, size := binary.LittleEndian.Uint32(i.view[64:]), binary.LittleEndian.Uint32(i.view[68:])
		if text == "" && off != slotAbsent || text != "" && string(i.view[off:off+size]) != text {
			t.Errorf("%q: %d bytes at %d", text, size, off)
		}
		k := g.keyOf(from, &sel)
		if other, ok := keys[k]; ok {
			t.Errorf("%q and %q have one key", text, other)
		}
		keys[k] = text
	}
}

func TestAZoneIsTakenIntoKeysOnce(t *testing.T) {
	n := &Needs{Attrs: []string{attrZoneHash, attrZone, attrIP}}
	if got := n.keySlots(); len(got) != 2 || len(n.slotList()) != 3 {
		t.Fatal(got)
	}
	g, sel := &generation{keySlots: (&Needs{Attrs: []string{attrZoneHash}}).keySlots()}, registry.Selection{All: true}
	if g.keyOf(zoned("a"), &sel) == g.keyOf(zoned("b"), &sel) || g.keyOf(zoned(""), &sel) == g.keyOf(zoned("a"), &sel) {
		t.Error("two zones have one key")
	}
}

// A key tells texts apart by their length and each of their bytes.
func TestKeysOfOtherTextsDiffer(t *testing.T) {
	seen := [2]map[uint64]string{{}, {}} // by each half of their keys
	for n := range 40 {
		plain := strings.Repeat("a", n)
		texts := []string{plain}
		for at := range n {
			texts = append(texts, plain[:at]+"b"+plain[at+1:])
		}
		for _, text := range texts {
			for half, k := range keyStart.string(text) {
				if other, ok := seen[half][k]; ok {
					t.Errorf("half %d: %q and %q have one key", half, text, other)
				}
				seen[half][k] = text
			}
		}
	}
	if keyStart.string("a").string("") == keyStart.string("").string("a") || keyStart.string("\x00") == keyStart.string("\x00\x00") {
		t.Error("texts of other lengths have one key")
	}
}

func TestWhatCameOnceIsNotRemembered(t *testing.T) {
	var r recent
	e, other := &entryFrame{version: 1}, &entryFrame{version: 2}
	k := keyStart.string("eu-1a")
	if r.again(k, e) || !r.again(k, e) || r.again(k, other) {
		t.Error("a request is remembered the first time, or not the second, or for another record")
	}
}

func TestAMemoHasWhatWasPut(t *testing.T) {
	var m memo
	k := keyStart.string("eu-1a")
	picks := []int32{2, 0}
	if m.get(k) != nil {
		t.Error("an empty memo has something")
	}
	m.put(k, decision{picks: picks})
	picks[0] = 9 // they are the instance's
	if d := m.get(k); d == nil || !slices.Equal(d.picks, []int32{2, 0}) {
		t.Errorf("got %+v", d)
	}
	if m.get(keyStart.string("eu-1b")) != nil {
		t.Error("it has what was not put")
	}
}

type addressed struct {
	zoned
	addr netip.Addr
	long string // each header, but that c is shorter
}

func (a addressed) Header(name string) (string, bool) {
	if name == "c" {
		return a.long[:min(len(a.long), 100)], a.long != ""
	}
	return a.long, a.long != ""
}

func (a addressed) ClientIP() netip.Addr { return a.addr }

// What a client sends is no reason for a call to fail, however large the service.
func TestAttributesThatDoNotFitAreAbsent(t *testing.T) {
	n := &Needs{Headers: []string{"a", "b", "c"}, Attrs: []string{attrIP}}
	i := &filterInstance{gen: &generation{slots: n.slotList()}, view: make([]byte, arenaSize)}
	e := &entryFrame{part: make([]byte, maxEntry-entryOff)}
	slot := func(s int) (off, size uint32) {
		return binary.LittleEndian.Uint32(i.view[headerSize+s*slotSize:]), binary.LittleEndian.Uint32(i.view[headerSize+s*slotSize+4:])
	}
	from := addressed{addr: netip.MustParseAddr("2001:db8:1111:2222:3333:4444:5555:6666"), long: strings.Repeat("x", maxAttr)}
	for _, c := range []struct {
		long string
		want [3]int // bytes of each header, -1: absent
		flag uint16
	}{
		{from.long, [...]int{maxAttr, -1, -1}, flagTooLong},
		{from.long[:maxAttr-200], [...]int{maxAttr - 200, -1, 100}, flagTooLong},
		{from.long[:maxAttr/2], [...]int{maxAttr / 2, maxAttr / 2, -1}, flagTooLong},
		{from.long[:9], [...]int{9, 9, 9}, 0},
		{from.long + "x", [...]int{-1, -1, 100}, flagTooLong},
	} {
		from.long = c.long
		size := i.write(e, &registry.Selection{All: true}, 0, from)
		for s, want := range c.want {
			if off, size := slot(s); (off == slotAbsent) != (want < 0) || want >= 0 && int(size) != want {
				t.Errorf("headers of %d bytes: header %d has %d at %#x, want %d", len(c.long), s, size, off, want)
			}
		}
		if off, n := slot(3); off == slotAbsent || string(i.view[off:off+n]) != from.addr.String() || int(off+n) > size || size > inCap {
			t.Errorf("headers of %d bytes: the address has %d at %#x of %d", len(c.long), n, off, size)
		}
		if flags := binary.LittleEndian.Uint16(i.view[6:]) & flagTooLong; flags != c.flag {
			t.Errorf("headers of %d bytes: flags %d", len(c.long), flags)
		}
	}
}
