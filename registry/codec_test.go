package registry_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/edgecache/edgecache/registry"
)

func fullEntry() *registry.Entry {
	rec := sealed(full(), 890211220766725)
	return &registry.Entry{Key: rec.Key, Record: rec, Began: 1 << 40, Verified: 1767268800250, Empties: 2, Mode: registry.ModeVerify}
}

func fullInvalidation() *registry.Invalidation {
	return &registry.Invalidation{
		Origin: 0x0123456789abcdef, Epoch: 42, Seq: 7, Mode: registry.ModeVerify, At: 1767268800250,
		Selectors: []registry.Selector{
			{Key: registry.Key{Registry: "consul", Name: "web"}},
			{Tag: "payments"},
			{Key: registry.Key{Registry: "consul"}, Prefix: "team/"},
			{Key: registry.Key{Registry: "agents"}},
			{All: true},
		},
		Versions: []registry.Revision{{Order: 1532}, {Token: "x"}, {Epoch: 1, Order: 2, Token: "y"}, {}, {}},
	}
}

func TestBinaryFormsAreGolden(t *testing.T) {
	entry := fullEntry()
	golden(t, "entry.v2", registry.AppendEntry(nil, entry))
	golden(t, "absent.v2", registry.AppendEntry(nil, &registry.Entry{Key: entry.Key, Began: 5, Verified: 6}))
	golden(t, "invalidation.v1", registry.AppendInvalidation(nil, fullInvalidation()))
}

func TestEntriesOfVersion1AreRead(t *testing.T) {
	for _, name := range []string{"entry.v1", "absent.v1"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		old, err := registry.ParseEntry(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := fullEntry()
		if want.Mode = registry.ModeNone; name == "absent.v1" {
			want = &registry.Entry{Key: want.Key, Began: 5, Verified: 6}
		}
		if !bytes.Equal(registry.AppendEntry(nil, old), registry.AppendEntry(nil, want)) {
			t.Errorf("%s is read as %+v, want %+v", name, old, want)
		}
	}
}

func TestEntryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := &registry.Entry{
			Began: rapid.Uint64().Draw(t, "began"), Verified: rapid.Int64().Draw(t, "verified"), Empties: rapid.Uint8().Draw(t, "empties"),
			Mode: registry.Mode(rapid.IntRange(0, int(registry.ModeHard)).Draw(t, "mode")),
		}
		want.Key = registry.Key{Registry: text.Draw(t, "registry"), Name: text.Draw(t, "name")}
		if rapid.Bool().Draw(t, "present") {
			want.Record = recordGen.Draw(t, "record")
			want.Record.Wishes.TTL = 5e9
			want.Record.Seal(rapid.Uint64().Draw(t, "index"))
		}
		data := registry.AppendEntry([]byte("x"), want)[1:]
		got, err := registry.ParseEntry(data)
		if err != nil {
			t.Fatal(err)
		}
		for i := range data {
			data[i] = 0xee // the entry must not alias data
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v\n%+v\nwant %+v\n%+v", got, got.Record, want, want.Record)
		}
	})
}

func TestEntryOfAnotherVersionIsRefused(t *testing.T) {
	data := registry.AppendEntry(nil, fullEntry())
	data[0] = 3
	if _, err := registry.ParseEntry(data); err == nil || err.Error() != "entry: codec version 3, only versions 1 to 2 are known" {
		t.Errorf("ParseEntry of version 3: %v", err)
	}
}

func TestDamagedEntriesAreErrors(t *testing.T) {
	data := registry.AppendEntry(nil, fullEntry())
	for n := range data {
		if _, err := registry.ParseEntry(data[:n]); err == nil {
			t.Errorf("the first %d of %d bytes parse", n, len(data))
		}
	}
	if _, err := registry.ParseEntry(append(data, 0)); err == nil {
		t.Error("a byte too many parses")
	}
	for i := range data {
		for _, b := range []byte{0x00, 0x01, 0x7f, 0x80, 0xff, data[i] + 1, data[i] - 1} {
			damaged := bytes.Clone(data)
			damaged[i] = b
			e, err := registry.ParseEntry(damaged)
			if err == nil && damaged[0] == data[0] && !bytes.Equal(registry.AppendEntry(nil, e), damaged) {
				t.Errorf("byte %d = %#x: what parses is appended differently", i, b)
			}
		}
	}
}

func TestEntryCannotAskForMuchMemory(t *testing.T) {
	// No documents, an index and a revision, and then counts of 2^62.
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f}
	for _, fields := range [][]byte{
		{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0},                            // spans
		{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},                // document
		{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},          // tags
		{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},       // metadata
		{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},    // instances
		{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, // versions
	} {
		text := append(fields, huge...)
		data := append([]byte{1, 0, 0, 0, byte(len(text))}, text...)
		_, err := registry.ParseEntry(data)
		if err == nil || !strings.Contains(err.Error(), "announced") {
			t.Errorf("%s: %v, want an error about what is announced", hex.EncodeToString(data), err)
		}
	}
}

func TestEntryHasOneForm(t *testing.T) {
	rec := sealed(&registry.Record{
		Key:      registry.Key{Name: "web"},
		Metadata: registry.Metadata{{"a", ""}, {"b", ""}},
		Instances: []registry.Instance{{
			ID: "web-1", Health: registry.HealthMaintenance, Weight: 1<<32 - 1, Endpoints: []registry.Endpoint{{Port: 65535, TLS: true}},
		}},
	}, 7)
	good := registry.AppendEntry(nil, &registry.Entry{Key: rec.Key, Record: rec, Began: 1 << 14, Verified: 1})
	for name, edit := range map[string][2]string{
		"number with a zero behind": {"\x80\x80\x01\x02", "\x81\x80\x00\x02"},
		"not true or false":         {"\x00\x00\xff\xff\x03\x01", "\x00\x00\xff\xff\x03\x02"},
		"port beyond 16 bits":       {"\xff\xff\x03", "\xff\xff\x07"},
		"weight beyond 32 bits":     {"\xff\xff\xff\xff\x0f", "\xff\xff\xff\xff\x1f"},
		"unknown health":            {"\x05\xff\xff\xff\xff\x0f", "\x06\xff\xff\xff\xff\x0f"},
		"map out of order":          {"\x01a\x00\x01b\x00", "\x01b\x00\x01a\x00"},
		"key twice":                 {"\x01a\x00\x01b\x00", "\x01a\x00\x01a\x00"},
	} {
		data := bytes.Replace(good, []byte(edit[0]), []byte(edit[1]), 1)
		if bytes.Equal(data, good) {
			t.Errorf("%s: %q is not in %q", name, edit[0], good)
		}
		if e, err := registry.ParseEntry(data); err == nil {
			t.Errorf("%s: parses as %+v", name, e.Record)
		}
	}
}

func TestSpanOutsideOfTheDocumentIsRefused(t *testing.T) {
	entry := fullEntry()
	entry.Record.Instances[0].Raw.Len = uint32(len(entry.Record.Document))
	if _, err := registry.ParseEntry(registry.AppendEntry(nil, entry)); err == nil || err.Error() != "entry: span 0 lies outside of the document" {
		t.Errorf("ParseEntry: %v", err)
	}
}

func TestInvalidationRoundTrip(t *testing.T) {
	for _, versions := range [][]registry.Revision{fullInvalidation().Versions, nil} {
		want := fullInvalidation()
		want.Versions = versions
		got, err := registry.ParseInvalidation(registry.AppendInvalidation(nil, want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

func TestUnknownPartsOfAnInvalidationCoverMore(t *testing.T) {
	const header = 26
	one := func(registryName string) []byte {
		return registry.AppendInvalidation(nil, &registry.Invalidation{
			Origin: 1, Epoch: 2, Seq: 3, Mode: registry.ModeSoft,
			Selectors: []registry.Selector{{Key: registry.Key{Registry: registryName, Name: "web"}}},
		})
	}
	parse := func(data []byte) *registry.Invalidation {
		t.Helper()
		inv, err := registry.ParseInvalidation(data)
		if err != nil {
			t.Fatal(err)
		}
		if inv.Origin != 1 || inv.Epoch != 2 || inv.Seq != 3 {
			t.Errorf("id %s, want 1/2/3", inv.ID())
		}
		return inv
	}
	data := one("consul")
	data[25] = 9
	if inv := parse(data); inv.Mode != registry.ModeHard {
		t.Errorf("unknown mode reads as %s, want hard", inv.Mode)
	}
	for registryName, want := range map[string]registry.Selector{
		"consul": {Key: registry.Key{Registry: "consul"}}, "": {All: true},
	} {
		data = one(registryName)
		data[header+2] = 77 // the kind, after the count and the selector's length
		if inv := parse(data); len(inv.Selectors) != 1 || inv.Selectors[0] != want {
			t.Errorf("unknown kind in registry %q reads as %+v, want %+v", registryName, inv.Selectors, want)
		}
	}
	data = one("consul")
	data[0] = 2
	data = append(data[:header], "no form that we know"...)
	if inv := parse(data); len(inv.Selectors) != 1 || !inv.Selectors[0].All || inv.Mode != registry.ModeSoft {
		t.Errorf("a newer version reads as %+v, want all, soft", inv)
	}
	data = one("consul")
	for n := range data {
		if _, err := registry.ParseInvalidation(data[:n]); err == nil {
			t.Errorf("the first %d of %d bytes parse", n, len(data))
		}
	}
}

func TestVersionsOfAnInvalidationAreOnePerSelector(t *testing.T) {
	inv := fullInvalidation()
	inv.Versions = inv.Versions[:2]
	if _, err := registry.ParseInvalidation(registry.AppendInvalidation(nil, inv)); err == nil {
		t.Error("2 versions of 5 selectors parse")
	}
}

func FuzzParseEntry(f *testing.F) {
	entry := fullEntry()
	f.Add(registry.AppendEntry(nil, entry))
	f.Add(registry.AppendEntry(nil, &registry.Entry{Key: entry.Key}))
	if old, err := os.ReadFile("testdata/entry.v1"); err == nil {
		f.Add(old)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := registry.ParseEntry(data)
		if err != nil {
			return
		}
		if again := registry.AppendEntry(nil, e); data[0] == again[0] && !bytes.Equal(again, data) {
			t.Fatalf("parsed %x\nappended %x", data, again)
		}
		if e.Record != nil {
			if e.Record.Hash() != e.Record.ContentHash() {
				t.Fatal("sealed under another hash than its content's")
			}
			answer(e.Record, nil)
			e.Record.Size()
		}
	})
}

func FuzzParseInvalidation(f *testing.F) {
	f.Add(registry.AppendInvalidation(nil, fullInvalidation()))
	f.Fuzz(func(t *testing.T, data []byte) {
		inv, err := registry.ParseInvalidation(data)
		if err != nil {
			return
		}
		again, err := registry.ParseInvalidation(registry.AppendInvalidation(nil, inv))
		if err != nil || !reflect.DeepEqual(again, inv) {
			t.Fatalf("%+v\n%+v %v", inv, again, err)
		}
	})
}
