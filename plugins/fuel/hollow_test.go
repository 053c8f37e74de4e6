package fuel_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/edgecache/edgecache/plugins/fuel"
)

func hollow(t testing.TB, binary []byte) []byte {
	t.Helper()
	h, err := fuel.Hollow(binary)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// A hollow module begins with the memory of the whole one, and its functions trap.
func TestAHollowModuleHasAllButItsFunctions(t *testing.T) {
	paths, err := filepath.Glob("../../wasm-examples/*/*/*.wasm")
	if err != nil || len(paths) == 0 {
		t.Fatal("no modules: ", err)
	}
	for _, path := range paths {
		original, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		whole := mustRewrite(t, original).Binary
		r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
		a, err := r.CompileModule(ctx, whole)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		b, err := r.CompileModule(ctx, hollow(t, whole))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for name, f := range a.ExportedFunctions() {
			if g := b.ExportedFunctions()[name]; g == nil || g.Index() != f.Index() || g.Name() != f.Name() {
				t.Errorf("%s: export %s has become %v", path, name, g)
			}
		}
		if len(b.ImportedFunctions()) != len(a.ImportedFunctions()) {
			t.Errorf("%s: %d imports, want %d", path, len(b.ImportedFunctions()), len(a.ImportedFunctions()))
		}
		r.Close(ctx)
	}
	m := instantiate(t, newRuntime(t, "compiler"), hollow(t, mustRewrite(t, hostile(t, "scribble")).Binary))
	counter(m).Set(fuel.Most)
	if _, err := m.ExportedFunction("ec_abi").Call(ctx); err == nil || !strings.Contains(err.Error(), "unreachable") {
		t.Errorf("a hollow function: %v", err)
	}
}

// data is a data segment at an address.
func data(at int32, text string) []byte {
	b := []byte{0, 0x41}
	for ; at >= 64 || at < -64; at >>= 7 {
		b = append(b, byte(at)|0x80)
	}
	return append(append(b, byte(at)&0x7f, 0x0b), sized([]byte(text))...)
}

// withData returns a module of some pages that has segments.
func withData(pages byte, segments [][]byte) []byte {
	return wasm([]byte{0, 0x0b}, map[byte][]byte{5: vector([]byte{0, pages}), 11: vector(segments...)})
}

// Segments are written as one where that makes the same memory.
func TestSegmentsThatAreJoined(t *testing.T) {
	far := strings.Repeat("x", 300)
	for name, test := range map[string]struct {
		segments [][]byte
		want     int // segments
	}{
		"adjoining":    {[][]byte{data(16, "ab"), data(18, "cd"), data(20, "")}, 1},
		"near":         {[][]byte{data(16, "ab"), data(82, "cd"), data(130, far)}, 1},
		"far":          {[][]byte{data(16, "ab"), data(83, "cd")}, 2},
		"out of order": {[][]byte{data(70, "ef"), data(16, "ab"), data(40, "cd")}, 1},
		"overlapping":  {[][]byte{data(16, "abcdef"), data(40, "gh"), data(18, "xy")}, 3},
		"high":         {[][]byte{data(65_500, "ab"), data(65_530, "abcdef")}, 1},
		"many":         {manySegments(), 1922},
		"none":         {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			whole := withData(20, test.segments)
			h := hollow(t, whole)
			a, b := instantiate(t, newRuntime(t, "interpreter"), whole), instantiate(t, newRuntime(t, "interpreter"), h)
			x, _ := a.Memory().Read(0, a.Memory().Size())
			y, _ := b.Memory().Read(0, b.Memory().Size())
			if !bytes.Equal(x, y) || !bytes.Contains(x, []byte("ab")) && test.want > 0 {
				t.Error("its memory is another one")
			}
			if n := segmentsOf(t, h); n != test.want {
				t.Errorf("%d segments, want %d", n, test.want)
			}
		})
	}
}

// manySegments have gaps of more than a joined one may have.
func manySegments() (list [][]byte) {
	for at := int32(0); at < 1_200_000; at += 60 {
		list = append(list, data(at, "ab"))
	}
	return list
}

// A segment that is beyond the memory stays so: no instance comes to be.
func TestASegmentBeyondTheMemory(t *testing.T) {
	for _, segments := range [][][]byte{{data(65_530, "abcdefg")}, {data(-16, "ab")}, {data(65_500, "ab"), data(65_540, "")}} {
		h := hollow(t, withData(1, segments))
		if _, err := newRuntime(t, "interpreter").Instantiate(ctx, h); err == nil || !strings.Contains(err.Error(), "out of bounds") {
			t.Errorf("%x: %v", segments, err)
		}
	}
}

// segmentsOf returns how many segments of data a module has.
func segmentsOf(t *testing.T, module []byte) int {
	t.Helper()
	for at := 8; at < len(module); {
		id := module[at]
		size, n := binary.Uvarint(module[at+1:])
		at += 1 + n
		if id == 11 {
			count, _ := binary.Uvarint(module[at:])
			return int(count)
		}
		at += int(size)
	}
	return 0
}
