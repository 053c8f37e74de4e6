package fuel_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/edgecache/edgecache/plugins/fuel"
)

var ctx = context.Background()

// engines are wazero's two.
var engines = map[string]func() wazero.RuntimeConfig{
	"compiler": wazero.NewRuntimeConfigCompiler, "interpreter": wazero.NewRuntimeConfigInterpreter,
}

// runtime returns a runtime that has what guests import.
func newRuntime(t testing.TB, engine string) wazero.Runtime {
	t.Helper()
	r := wazero.NewRuntimeWithConfig(ctx, engines[engine]().WithCoreFeatures(api.CoreFeaturesV2).WithMemoryLimitPages(256))
	t.Cleanup(func() { r.Close(ctx) })
	i32 := api.ValueTypeI32
	log := api.GoModuleFunc(func(context.Context, api.Module, []uint64) {})
	b := r.NewHostModuleBuilder("edgecache_v1").NewFunctionBuilder().WithGoModuleFunction(log, []api.ValueType{i32, i32, i32}, nil).Export("log")
	if _, err := b.Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	return r
}

func instantiate(t testing.TB, r wazero.Runtime, binary []byte) api.Module {
	t.Helper()
	m, err := r.InstantiateWithConfig(ctx, binary, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close(ctx) })
	return m
}

func mustRewrite(t testing.TB, binary []byte) *fuel.Module {
	t.Helper()
	m, err := fuel.Rewrite(binary)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func counter(m api.Module) api.MutableGlobal {
	return m.ExportedGlobal(fuel.Export).(api.MutableGlobal)
}

func left(m api.Module) int32 { return api.DecodeI32(counter(m).Get()) }

func TestGuestsThatWouldRunForEverStop(t *testing.T) {
	const budget = 500_000
	for _, name := range []string{"loop", "looptable", "exptree", "recurse", "growpages", "growonce", "growtable", "bulk", "walk", "unwind", "init", "start"} {
		binary := hostile(t, name)
		for engine := range engines {
			t.Run(name+" "+engine, func(t *testing.T) {
				export := map[string]string{"init": "ec_init", "start": fuel.Start}[name]
				if export == "" {
					export = "ec_filter"
				}
				rewritten := mustRewrite(t, binary)
				m := instantiate(t, newRuntime(t, engine), rewritten.Binary)
				f := m.ExportedFunction(export)
				counter(m).Set(budget)
				_, err := f.Call(ctx, make([]uint64, len(f.Definition().ParamTypes()))...)
				if err != nil && engine == "interpreter" && strings.Contains(err.Error(), "stack overflow") {
					return // its stack is the smaller bound
				}
				if err == nil || !strings.Contains(err.Error(), "unreachable") {
					t.Fatalf("ended with %v, want a trap", err)
				}
				least := int32(-10_000)
				if strings.HasPrefix(name, "grow") || name == "bulk" {
					least = -1 << 29 // what they move costs that much
				}
				if n := left(m); n >= 0 || n < least {
					t.Errorf("%d left, want less than none, and at least %d", n, least)
				}
			})
		}
	}
}

func hostile(t testing.TB, name string) []byte {
	t.Helper()
	binary, err := os.ReadFile(filepath.Join("..", "testdata", "hostile", name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// outcome is what a call showed of itself.
type outcome struct {
	results []uint64
	trap    string
	memory  []byte
}

func (o outcome) diff(p outcome) error {
	switch {
	case o.trap != p.trap:
		return fmt.Errorf("trap %q and %q", o.trap, p.trap)
	case fmt.Sprint(o.results) != fmt.Sprint(p.results):
		return fmt.Errorf("results %v and %v", o.results, p.results)
	case !bytes.Equal(o.memory, p.memory):
		return errors.New("memories differ")
	}
	return nil
}

func call(t testing.TB, m api.Module, args ...uint64) (o outcome) {
	t.Helper()
	results, err := m.ExportedFunction("f").Call(ctx, args...)
	o.results = results
	if err != nil {
		o.trap, _, _ = strings.Cut(err.Error(), "\n")
	}
	o.memory, _ = m.Memory().Read(0, m.Memory().Size())
	return o
}

// agree checks that a random program and what became of it do the same, on both
// engines, and that a small budget bounds the latter.
func agree(t testing.TB, choices []byte, a, b uint64) {
	p := &program{choices: choices}
	binary := p.module()
	rewritten := mustRewrite(t, binary)
	dearest := 2*fuel.Dearest(binary) + p.moved()
	for engine := range engines {
		r := newRuntime(t, engine)
		want := call(t, instantiate(t, r, binary), a, b)
		m := instantiate(t, r, rewritten.Binary)
		counter(m).Set(fuel.Most)
		got := call(t, m, a, b)
		if err := got.diff(want); err != nil && left(m) >= 0 {
			t.Fatalf("%s: rewritten and original: %v\n%x", engine, err, binary)
		}
		used := fuel.Most - left(m)
		for part := range int32(6) {
			budget := used / 6 * part
			m = instantiate(t, r, rewritten.Binary)
			counter(m).Set(uint64(budget))
			if call(t, m, a, b); left(m) > budget || left(m) < -dearest {
				t.Fatalf("%s: %d left of %d, at least -%d expected\n%x", engine, left(m), budget, dearest, binary)
			}
		}
		r.Close(ctx)
	}
}

func TestRewrittenProgramsDoTheSame(t *testing.T) {
	programs := 300
	if testing.Short() {
		programs = 50
	}
	for seed := range uint64(programs) {
		rng := rand.New(rand.NewPCG(seed, 1))
		choices := make([]byte, 50+rng.IntN(500))
		for i := range choices {
			choices[i] = byte(rng.Uint32())
		}
		agree(t, choices, rng.Uint64()>>32, rng.Uint64())
	}
}

func FuzzRewrittenProgramDoesTheSame(f *testing.F) {
	f.Add([]byte("a loop and a table"), uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, choices []byte, a, b uint64) { agree(t, choices, a&0xffffffff, b) })
}

// FuzzRewrite gives the rewriter anything. What was valid must stay so.
func FuzzRewrite(f *testing.F) {
	names, err := filepath.Glob("../testdata/hostile/*.wasm")
	if err != nil || len(names) == 0 {
		f.Fatal("no modules: ", err)
	}
	for _, name := range names {
		binary, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(binary)
	}
	f.Add((&program{choices: []byte("some program")}).module())
	f.Fuzz(func(t *testing.T, binary []byte) {
		rewritten, err := fuel.Rewrite(binary)
		if err != nil {
			return
		}
		r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2).WithMemoryLimitPages(256))
		defer r.Close(ctx)
		for part := range rewritten.Plain() {
			if _, err := r.CompileModule(ctx, part); err != nil {
				return
			}
		}
		if _, err := r.CompileModule(ctx, rewritten.Binary); err != nil {
			t.Fatalf("a valid module became invalid: %v", err)
		}
		if _, err := r.CompileModule(ctx, hollow(t, rewritten.Binary)); err != nil {
			t.Fatalf("a valid module became invalid without its functions: %v", err)
		}
		if _, err := fuel.Rewrite(rewritten.Binary); err == nil || !strings.Contains(err.Error(), fuel.Export) {
			t.Fatalf("rewritten twice: %v", err)
		}
	})
}
