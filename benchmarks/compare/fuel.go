package main

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/edgecache/edgecache/plugins/fuel"
)

var (
	//go:embed testdata/fib.wasm
	fibModule []byte
	//go:embed testdata/copy.wasm
	copyModule []byte
)

// fuelBudget is enough for any call that is measured, initBudget for what comes
// before.
const (
	fuelBudget = 1_000_000
	initBudget = 200_000_000
)

// A guest is a module that is called over and over.
type guest struct {
	name    string
	binary  []byte
	export  string
	prepare func(m api.Module) (call, error) // nil: nothing
}

// A call is what a guest is called with, and what checks its result; nil: nothing
// does.
type call struct {
	argument uint64
	check    func(result uint64) error
}

// A bound is how the CPU of a guest's calls is bounded.
type bound struct {
	name    string
	fuel    bool
	context bool
}

var (
	byFuel    = bound{name: "fuel", fuel: true}
	byContext = bound{name: "wazero's context option", context: true}
	unbounded = bound{name: "no bound"}
)

// fuelPlain compares calls bounded by fuel with calls without a bound: their
// time over that, of the worst guest.
func fuelPlain(ctx context.Context, b *bench) (result, error) { return b.boundCost(ctx, unbounded) }

// fuelContext compares them with calls bounded by wazero's own means.
func fuelContext(ctx context.Context, b *bench) (result, error) { return b.boundCost(ctx, byContext) }

func (b *bench) boundCost(ctx context.Context, theirs bound) (result, error) {
	zone, _, err := b.zoneFilter(ctx, "c")
	if err != nil {
		return result{}, err
	}
	binaryOfZone, err := os.ReadFile(zone)
	if err != nil {
		return result{}, err
	}
	var worst result
	for _, g := range []guest{
		{"zone filter", binaryOfZone, "ec_filter", prepareZone},
		{"fib(5)", fibModule, "run", nil},
		{"copy of 4 KiB", copyModule, "run", nil},
	} {
		r, err := b.compareBounds(ctx, g, byFuel, theirs)
		if err != nil {
			return r, fmt.Errorf("%s: %w", g.name, err)
		}
		b.progress("  %-13s %s over %s: %.2f", g.name, byFuel.name, theirs.name, r.value)
		if r.value > worst.value {
			worst = r
			worst.note = "the worst of three guests is " + g.name
		}
	}
	return worst, nil
}

func (b *bench) compareBounds(ctx context.Context, g guest, ours, theirs bound) (result, error) {
	r := result{sides: []side{{name: g.name + ", " + ours.name}, {name: g.name + ", " + theirs.name}}}
	var calls [2]func(n int) (time.Duration, error)
	for i, how := range [2]bound{ours, theirs} {
		var end func()
		var err error
		if calls[i], end, err = g.start(ctx, how); err != nil {
			return r, err
		}
		defer end()
		if _, err := calls[i](1000); err != nil { // warm up
			return r, err
		}
	}
	took, err := calls[0](1000)
	if err != nil {
		return r, err
	}
	n := max(1000, int(float64(b.duration)/10/float64(took)*1000))
	var ratios []float64
	for round := range b.rounds {
		var times [2]time.Duration
		for i := range calls {
			at := (i + round) % 2
			if times[at], err = calls[at](n); err != nil {
				return r, err
			}
			r.sides[at].samples = append(r.sides[at].samples, sample{rate: float64(n) / times[at].Seconds()})
		}
		ratios = append(ratios, float64(times[0])/float64(times[1]))
	}
	r.summarise(ratios)
	return r, nil
}

// start runs a guest, and returns what calls it n times, and what ends it.
func (g *guest) start(ctx context.Context, how bound) (calls func(n int) (time.Duration, error), end func(), err error) {
	binary := g.binary
	if how.fuel {
		m, err := fuel.Rewrite(binary)
		if err != nil {
			return nil, nil, err
		}
		binary = m.Binary
	}
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCoreFeatures(api.CoreFeaturesV2).WithCloseOnContextDone(how.context))
	cancelled, cancel := context.WithTimeout(ctx, time.Hour) // a deadline, as a caller would have
	end = func() { cancel(); _ = r.Close(ctx) }
	if calls, err = g.calls(cancelled, r, binary); err != nil {
		end()
		return nil, nil, err
	}
	return calls, end, nil
}

// calls runs a guest in a runtime, and returns what calls it n times.
func (g *guest) calls(ctx context.Context, r wazero.Runtime, binary []byte) (func(n int) (time.Duration, error), error) {
	if err := linkGuest(ctx, r); err != nil {
		return nil, err
	}
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, r); err != nil { // for Go
		return nil, err
	}
	m, err := r.InstantiateWithConfig(ctx, binary, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return nil, err
	}
	left, _ := m.ExportedGlobal(fuel.Export).(api.MutableGlobal)
	if left != nil {
		left.Set(initBudget)
	}
	var c call
	if g.prepare != nil {
		if c, err = g.prepare(m); err != nil {
			return nil, err
		}
	}
	f, stack := m.ExportedFunction(g.export), make([]uint64, 1)
	return func(n int) (time.Duration, error) {
		began := time.Now()
		for range n {
			if left != nil {
				left.Set(fuelBudget)
			}
			stack[0] = c.argument
			if err := f.CallWithStack(ctx, stack); err != nil {
				return 0, err
			}
		}
		took := time.Since(began)
		if c.check != nil {
			return took, c.check(stack[0])
		}
		return took, nil
	}, nil
}

// linkGuest makes what plugins import; it does nothing.
func linkGuest(ctx context.Context, r wazero.Runtime) error {
	i32 := api.ValueTypeI32
	nothing := api.GoModuleFunc(func(context.Context, api.Module, []uint64) {})
	none := api.GoModuleFunc(func(_ context.Context, _ api.Module, stack []uint64) { stack[0] = api.EncodeI32(-1) })
	_, err := r.NewHostModuleBuilder("edgecache_v1").
		NewFunctionBuilder().WithGoModuleFunction(nothing, []api.ValueType{i32, i32, i32}, nil).Export("log").
		NewFunctionBuilder().WithGoModuleFunction(nothing, []api.ValueType{i32, i32}, nil).Export("error_set").
		NewFunctionBuilder().WithGoModuleFunction(none, []api.ValueType{i32, i32, i32, i32}, []api.ValueType{i32}).Export("config_get").
		NewFunctionBuilder().WithGoModuleFunction(none, nil, []api.ValueType{i32}).Export("fuel_left").
		NewFunctionBuilder().WithGoModuleFunction(none, nil, []api.ValueType{api.ValueTypeI64}).Export("host_features").
		Instantiate(ctx)
	return err
}

// prepareZone begins the zone filter and gives it a frame.
func prepareZone(m api.Module) (call, error) {
	ctx := context.Background()
	if f := m.ExportedFunction("_initialize"); f != nil {
		if _, err := f.Call(ctx); err != nil {
			return call{}, fmt.Errorf("_initialize: %w", err)
		}
	}
	code, err := m.ExportedFunction("ec_init").Call(ctx)
	if err != nil {
		return call{}, fmt.Errorf("ec_init: %w", err)
	}
	if code[0] != 0 {
		return call{}, fmt.Errorf("ec_init: it returned %d, 0 expected", int32(code[0]))
	}
	arena, err := m.ExportedFunction("ec_arena").Call(ctx, zoneOut+16<<10)
	if err != nil {
		return call{}, fmt.Errorf("ec_arena: %w", err)
	}
	if arena[0] == 0 {
		return call{}, errors.New("ec_arena: it returned 0: no arena")
	}
	frame, at := zoneFrame(), uint32(arena[0])
	if !m.Memory().Write(at, frame) {
		return call{}, fmt.Errorf("its arena at %d is beyond its memory", at)
	}
	return call{uint64(len(frame)), checkZone}, nil
}

// zoneMask has a bit for each instance of zoneFrame that is in the client's zone.
const zoneMask = 0x92492

// checkZone checks that the zone filter has all instances of zoneFrame, those of
// the client's zone first.
func checkZone(verdict uint64) error {
	const mask32, first = 1, 4 << 8
	if verdict&(0xff|first) != mask32|first || verdict>>32 != zoneMask {
		return fmt.Errorf("verdict %#x: MASK32, those of %#x first, expected", verdict, zoneMask)
	}
	return nil
}

// zoneOut is where the zone filter writes, from its frame on.
const zoneOut = 64 << 10

// zoneFrame returns a frame of 20 instances, as docs/plugin-abi.md has it, for a
// client in the second of three zones.
func zoneFrame() []byte {
	const instances, stride, at = filterInstances, 48, 320
	frame := make([]byte, at+instances*stride+16)
	le := binary.LittleEndian
	zones := [3]uint32{}
	for z := range zones {
		zones[z] = at + instances*stride + uint32(5*z)
		copy(frame[zones[z]:], fmt.Sprintf("eu-1%c", 'a'+z))
	}
	hash := func(z int) uint32 {
		h := uint32(2166136261)
		for _, c := range frame[zones[z] : zones[z]+5] {
			h = (h ^ uint32(c)) * 16777619
		}
		return h
	}
	le.PutUint32(frame, 0x31464345)
	le.PutUint16(frame[4:], 64)
	le.PutUint64(frame[8:], 1)
	for off, v := range map[int]uint32{24: instances, 28: at, 36: 64, 40: zoneOut, 44: 16 << 10} {
		le.PutUint32(frame[off:], v)
	}
	le.PutUint16(frame[32:], stride)
	le.PutUint16(frame[34:], 1)
	le.PutUint32(frame[64:], zones[1]) // client.zone
	le.PutUint32(frame[68:], 5)
	for i := range instances {
		row := frame[at+i*stride:]
		le.PutUint32(row[8:], hash(i%3))
		le.PutUint32(row[32:], zones[i%3])
		le.PutUint16(row[36:], 5)
	}
	return frame
}
