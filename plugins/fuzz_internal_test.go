package plugins

import (
	"encoding/binary"
	"os"
	"testing"

	"github.com/edgecache/edgecache/registry"
)

func FuzzManifest(f *testing.F) {
	for _, path := range []string{"../wasm-examples/zone-affinity/zone.yaml", "testdata/hostile/hostile.yaml"} {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("name: {}\nkind: [filter]\nlimits: -1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ParseManifest(text)
		if (m == nil) == (err == nil) {
			t.Fatalf("%v, %v", m, err)
		}
		if err == nil && (m.Limits.Fuel <= 0 || m.Limits.Fuel > mostAdapterFuel || m.Limits.MemoryPages == 0 || m.Limits.MemoryPages > adapterPages || len(m.Needs.slotList()) > maxSlots) {
			t.Errorf("it is taken: %+v", m)
		}
	})
}

// FuzzVerdict gives the host any verdict, and anything in the guest's memory:
// what is left is always a part of what there was.
func FuzzVerdict(f *testing.F) {
	for _, v := range []uint64{0, 1 | 5<<32, 1 | 4<<8 | 5<<32, 2 | 1<<32, 2 | 4<<8 | 1<<32, 3 | 2<<32, 5 | 403<<16 | 3<<32, 255} {
		f.Add(v, []byte{1, 0, 0, 0}, uint8(3), true)
	}
	g := &generation{program: &program{name: "x"}, may: mays}
	f.Fuzz(func(t *testing.T, verdict uint64, out []byte, n uint8, all bool) {
		rec := &registry.Record{Key: registry.Key{Registry: "r", Name: "web"}, Instances: make([]registry.Instance, int(n)+2)}
		sel := registry.Selection{All: all}
		if !all {
			for p := range int32(n) {
				sel.Picks = append(sel.Picks, int32(n)-p)
			}
		}
		before := sel.Len(rec)
		i := &filterInstance{gen: g, view: make([]byte, arenaSize), picks: make([]int32, 0, maxInstances)}
		copy(i.view[inCap:], out)
		var d decision
		err := i.decide(&d, verdict, before, i.picks)
		if err != nil {
			return
		}
		err = d.apply(rec, &sel, 0)
		seen := map[int32]bool{}
		for _, p := range sel.Picks {
			if p < 0 || int(p) >= len(rec.Instances) || seen[p] || !all && (p == 0 || int(p) > int(n)) {
				t.Fatalf("verdict %#x leaves %v of %d", verdict, sel.Picks, before)
			}
			seen[p] = true
		}
		if verdict>>8&verdictFirst != 0 && sel.Len(rec) != before {
			t.Fatalf("verdict %#x leaves %d of %d", verdict, sel.Len(rec), before)
		}
		if d.deny != nil && err != d.deny { //nolint:errorlint // apply returns it as it is
			t.Fatalf("denied with %v", err)
		}
	})
}

// FuzzFrame encodes any record: all that the frame points at lies within it.
func FuzzFrame(f *testing.F) {
	f.Add("web", "id", "zone", "10.0.0.1", "1.0", "value", uint8(3))
	f.Fuzz(func(t *testing.T, name, id, zone, address, version, value string, n uint8) {
		rec := &registry.Record{Key: registry.Key{Registry: "r", Name: name}}
		for range n {
			rec.Instances = append(rec.Instances, registry.Instance{ID: id, Zone: zone, Version: version,
				Endpoints: []registry.Endpoint{{Address: address}}, Metadata: registry.MetadataOf(map[string]string{"k": value})})
		}
		e := newFrame(rec, []string{"k", "absent"})
		if e.err != nil {
			return
		}
		le, end := binary.LittleEndian, uint32(entryOff+len(e.part))
		within := func(off, size uint32) {
			if off != slotAbsent && (off < entryOff || off+size > end || off+size < off) {
				t.Fatalf("%d bytes at %d, the part ends at %d", size, off, end)
			}
		}
		within(e.name, e.nameSize)
		for i := range e.n {
			row := e.part[i*instanceStride:]
			for _, at := range [][2]int{{16, 20}, {44, 26}, {32, 36}, {40, 38}} {
				within(le.Uint32(row[at[0]:]), uint32(le.Uint16(row[at[1]:])))
			}
			slots := e.part[le.Uint32(row[28:])-entryOff:]
			within(le.Uint32(slots), le.Uint32(slots[4:]))
			within(le.Uint32(slots[8:]), le.Uint32(slots[12:]))
		}
	})
}
