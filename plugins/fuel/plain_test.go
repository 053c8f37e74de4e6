package fuel_test

import (
	"bytes"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/edgecache/edgecache/plugins/fuel"
)

// sum is a module of functions that are large, one of them not valid; -1: none.
func sum(functions, invalid int) []byte {
	const size = 300 << 10
	var types, bodies [][]byte
	for i := range functions {
		body := append([]byte{0}, repeat([]byte{0x01}, size)...)
		if i == invalid {
			body = append(body, 0x1a) // drops what is not there
		}
		types, bodies = append(types, []byte{0}), append(bodies, sized(append(body, 0x0b)))
	}
	return wasm(nil, map[byte][]byte{3: vector(types...), 10: vector(bodies...)})
}

// Each body is validated, a few at a time.
func TestPartsAreValidIfTheModuleIs(t *testing.T) {
	const functions = 6
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer r.Close(ctx)
	for invalid := -1; invalid < functions; invalid++ {
		original := sum(functions, invalid)
		parts, bad := 0, 0
		for part := range mustRewrite(t, original).Plain() {
			if parts++; len(part) > len(original)*3/4 || bytes.Contains(part, []byte(fuel.Export)) {
				t.Fatalf("a part has %d bytes of %d", len(part), len(original))
			}
			if _, err := r.CompileModule(ctx, part); err != nil {
				bad++
			}
		}
		if parts != 2 || (bad == 1) != (invalid >= 0) {
			t.Errorf("function %d is invalid: %d of %d parts are", invalid, bad, parts)
		}
	}
	for part := range mustRewrite(t, wasm([]byte{0, 0x0b}, nil)).Plain() {
		if !bytes.Equal(part, wasm([]byte{0, 0x0b}, nil)) {
			t.Errorf("a small module has become %x", part)
		}
	}
}
