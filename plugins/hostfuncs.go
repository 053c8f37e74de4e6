package plugins

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// A hostFunc is what guests may import. Its arguments are on the stack, and its
// result takes their place.
type hostFunc struct {
	params, results []api.ValueType
	call            func(i *instance, stack []uint64)
}

func types(t ...api.ValueType) []api.ValueType { return t }

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)

var hostFuncs = map[string]hostFunc{
	"log":           {types(i32, i32, i32), nil, (*instance).log},
	"error_set":     {types(i32, i32), nil, (*instance).setError},
	"config_get":    {types(i32, i32, i32, i32), types(i32), (*instance).getConfig},
	"host_features": {nil, types(i64), func(_ *instance, stack []uint64) { stack[0] = 0 }},
	"fuel_left":     {nil, types(i32), (*instance).fuelLeft},
}

// instanceKey is that of the instance in the context of its calls.
type instanceKey struct{}

// link makes what guests of a kind import, in a program's runtime.
func link(ctx context.Context, r wazero.Runtime, kind string) error {
	for module, funcs := range map[string]map[string]hostFunc{moduleHost: hostFuncsOf(kind), moduleWASI: wasiFuncs} {
		b := r.NewHostModuleBuilder(module)
		for name, f := range funcs {
			b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, _ api.Module, stack []uint64) {
				i := ctx.Value(instanceKey{}).(*instance)
				if i.call != nil {
					i.call.refill(i)
				} else {
					i.refund()
				}
				f.call(i, stack)
			}), f.params, f.results).Export(name)
		}
		if _, err := b.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

// fuelLeft tells what is left; an adapter has just got its next slice.
func (i *instance) fuelLeft(stack []uint64) {
	stack[0] = i.fuel.Get()
	if c := i.call; c != nil {
		stack[0] = uint64(min(c.total-c.spent, math.MaxInt32))
	}
}

var errNoFuel = errors.New("no fuel is left")

// charge takes the cost of bytes off the fuel, before anything is done with them.
// It panics, which ends the call, if too little is left; an adapter's call ends at
// the next call of the host.
func (i *instance) charge(n int) {
	if c := i.call; c != nil {
		c.spent += logFuel + int64(n)
		return
	}
	left := int64(api.DecodeI32(i.fuel.Get())) - logFuel - int64(n)
	if left < 0 {
		left += int64(i.draw(int32(min(-left, math.MaxInt32))))
	}
	if left < 0 {
		left += int64(i.draw(int32(min(-left, initFuel))))
	}
	i.fuel.Set(api.EncodeI32(int32(max(left, -1))))
	if left < 0 {
		panic(errNoFuel)
	}
}

// bytes returns what the guest points at, charged; it aliases the guest's
// memory. A pointer beyond that breaks the contract: the call ends with a trap.
func (i *instance) bytes(at, length uint64) []byte {
	b, ok := i.mod.Memory().Read(uint32(at), uint32(length))
	if !ok {
		panic(beyond(at, length))
	}
	i.charge(len(b))
	return b
}

func beyond(at, length uint64) error {
	return fmt.Errorf("the guest passed %d bytes at %d, beyond its memory", uint32(length), uint32(at))
}

func (i *instance) setError(stack []uint64) {
	text := i.bytes(stack[0], stack[1])
	i.said = printable(text[:min(len(text), maxErrorText)])
}

var logLevels = [...]slog.Level{slog.LevelDebug, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}

func (i *instance) log(stack []uint64) {
	level := min(uint32(stack[0]), uint32(len(logLevels)-1))
	i.say(logLevels[level], i.bytes(stack[1], stack[2]))
}

// say writes a line to the log, no more than some a second.
func (i *instance) say(level slog.Level, line []byte) {
	if !i.prog.lines.Allow() {
		i.prog.stats.logDropped.Add(1)
		return
	}
	i.prog.logger.Log(context.Background(), level, "plugin: "+printable(line[:min(len(line), maxLogLine)]))
}

// printable returns a guest's text without what would end a line or move a cursor.
func printable(b []byte) string {
	if !utf8.Valid(b) {
		b = bytes.ToValidUTF8(b, []byte("\ufffd"))
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, string(b)))
}

// getConfig copies the configuration, or what a JSON pointer finds in it, into the
// guest's buffer, and returns its length. What does not fit is not copied, and
// costs as much.
func (i *instance) getConfig(stack []uint64) {
	found, code := i.prog.settings.at(string(i.bytes(stack[0], stack[1])))
	if code != codeOK {
		stack[0] = api.EncodeI32(int32(code))
		return
	}
	i.charge(len(found.text))
	if size := uint32(len(found.text)); size <= uint32(stack[3]) && !i.mod.Memory().Write(uint32(stack[2]), found.text) {
		panic(beyond(stack[2], uint64(size)))
	}
	stack[0] = uint64(len(found.text))
}
