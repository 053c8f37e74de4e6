package plugins

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"regexp"
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
	i := &instance{gen: g, view: make([]byte, arenaSize)}
	e := newFrame(rec, nil)
	e.version = 1
	size, err := i.write(e, &registry.Selection{All: true}, 2, zoned("y"))
	if err != nil || size != (entryOff+len(e.part)+7)&^7 {
		t.Fatal(size, err)
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
	g := &generation{slots: (&Needs{Attrs: []string{attrIP}}).slotList()}
	i := &instance{gen: g, view: make([]byte, arenaSize)}
	e := newFrame(rec, nil)
	keys := map[key]string{}
	for _, text := range []string{"10.0.0.1", "10.0.0.2", "2001:db8::1", "::ffff:10.0.0.1", ""} {
		from := addressed{}
		if text != "" {
			from.addr = netip.MustParseAddr(text)
		}
		sel := registry.Selection{All: true}
		if _, err := i.write(e, &sel, 1, from); err != nil {
			t.Fatal(err)
		}
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

type addressed struct {
	zoned
	addr netip.Addr
}

func (a addressed) ClientIP() netip.Addr { return a.addr }
