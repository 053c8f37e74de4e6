package fuel_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"github.com/edgecache/edgecache/plugins/fuel"
)

var refill = fuel.Import{Module: "host", Name: "more"}

// counts imports host.more of a type, counts to n in a loop, and returns n.
func counts(n uint64, kind byte) []byte {
	name := func(s string) []byte { return append(uleb(uint64(len(s))), s...) }
	body := []byte{
		1, 1, 0x7f, // a local
		0x03, 0x40, // loop
		0x20, 0, 0x41, 1, 0x6a, 0x22, 0, // add one
	}
	body = append(body, append([]byte{0x41}, uleb(n)...)...)
	body = append(body, 0x48, 0x0d, 0, 0x0b, 0x20, 0, 0x0b) // again while less; end; the local
	return wasm(body, map[byte][]byte{
		1: vector([]byte{0x60, 0, 1, 0x7f}, []byte{0x60, 0, 0}, []byte{0x60, 1, 0x7f, 1, 0x7f}),
		2: vector(append(append(name("host"), name("more")...), 0, kind)),
		3: vector([]byte{0}),
		7: vector(append(name("count"), 0, 1)),
	})
}

func TestAGuestIsRefilledUntilItsHostHasEnough(t *testing.T) {
	const slice, n = 1_000, 30_000
	m, err := fuel.RewriteRefilled(counts(n, 0), refill)
	if err != nil || !m.Refill {
		t.Fatal(err, m)
	}
	enough := errors.New("that was enough")
	for engine := range engines {
		for _, most := range []int{1 << 20, 10} {
			r := newRuntime(t, engine)
			refills := 0
			more := api.GoModuleFunc(func(_ context.Context, guest api.Module, stack []uint64) {
				if refills++; refills > most {
					panic(enough)
				}
				if l := left(guest); l >= 0 || l < -slice {
					t.Errorf("%d left at a refill", l)
				}
				counter(guest).Set(slice)
				stack[0] = slice
			})
			b := r.NewHostModuleBuilder("host").NewFunctionBuilder().WithGoModuleFunction(more, nil, []api.ValueType{api.ValueTypeI32}).Export("more")
			if _, err := b.Instantiate(ctx); err != nil {
				t.Fatal(err)
			}
			guest := instantiate(t, r, m.Binary)
			counter(guest).Set(slice)
			results, err := guest.ExportedFunction("count").Call(ctx)
			switch {
			case most > 10 && (err != nil || results[0] != n || refills < n/slice || refills > 10*n/slice):
				t.Errorf("%s: %v, %v after %d refills", engine, results, err, refills)
			case most == 10 && (!errors.Is(err, enough) || refills != 11):
				t.Errorf("%s: %v after %d refills, want an end after 11", engine, err, refills)
			}
		}
	}
}

func TestOnlyTheRightImportRefills(t *testing.T) {
	for kind := byte(1); kind <= 2; kind++ {
		if m, err := fuel.RewriteRefilled(counts(1, kind), refill); err != nil || m.Refill {
			t.Errorf("type %d: %v, %+v", kind, err, m)
		}
	}
	if m, err := fuel.RewriteRefilled(counts(1, 0), fuel.Import{Module: "host", Name: "other"}); err != nil || m.Refill {
		t.Error(err, m)
	}
	if m, err := fuel.Rewrite(counts(1, 0)); err != nil || m.Refill {
		t.Error(err, m)
	}
}
