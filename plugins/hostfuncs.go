package plugins

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
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
	"fuel_left":     {nil, types(i32), func(i *instance, stack []uint64) { stack[0] = i.fuel.Get() }},
}

// instanceKey is that of the instance in the context of its calls.
type instanceKey struct{}

// link makes what guests import, in a generation's runtime.
func link(ctx context.Context, r wazero.Runtime) error {
	for module, funcs := range map[string]map[string]hostFunc{moduleHost: hostFuncs, moduleWASI: wasiFuncs} {
		b := r.NewHostModuleBuilder(module)
		for name, f := range funcs {
			b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, _ api.Module, stack []uint64) {
				f.call(ctx.Value(instanceKey{}).(*instance), stack)
			}), f.params, f.results).Export(name)
		}
		if _, err := b.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

// charge takes the cost of bytes off the fuel. It may fall below zero: then the
// guest's next look ends it.
func (i *instance) charge(n int) {
	left := int64(api.DecodeI32(i.fuel.Get())) - logFuel - int64(n)
	i.fuel.Set(api.EncodeI32(int32(max(left, -1))))
}

// bytes returns what the guest points at, charged; it aliases the guest's
// memory. A pointer beyond that breaks the contract: the call ends with a trap.
func (i *instance) bytes(at, length uint64) []byte {
	b, ok := i.mod.Memory().Read(uint32(at), uint32(length))
	if !ok {
		panic(fmt.Errorf("the guest passed %d bytes at %d, beyond its memory", uint32(length), uint32(at)))
	}
	i.charge(len(b))
	return b
}

// text returns a copy of what the guest points at, cut to a length.
func (i *instance) text(at, length uint64, most int) string {
	b := i.bytes(at, length)
	return printable(b[:min(len(b), most)])
}

func (i *instance) setError(stack []uint64) { i.said = i.text(stack[0], stack[1], maxErrorText) }

var logLevels = [...]slog.Level{slog.LevelDebug, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}

func (i *instance) log(stack []uint64) {
	level := min(uint32(stack[0]), uint32(len(logLevels)-1))
	i.say(logLevels[level], i.text(stack[1], stack[2], maxLogLine))
}

// say writes a line to the log, no more than some a second.
func (i *instance) say(level slog.Level, line string) {
	if !i.gen.lines.Allow() {
		i.gen.stats.logDropped.Add(1)
		return
	}
	i.gen.logger.Log(context.Background(), level, "plugin: "+line)
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

// getConfig copies the configuration, or what a JSON pointer (RFC 6901) finds in
// it, into the guest's buffer, and returns its length. What does not fit is not
// copied.
func (i *instance) getConfig(stack []uint64) {
	key := string(i.bytes(stack[0], stack[1]))
	value, code := i.gen.config, codeOK
	if key != "" {
		value, code = configAt(value, key)
	}
	if code != codeOK {
		stack[0] = api.EncodeI32(int32(code))
		return
	}
	if len(value) <= int(uint32(stack[3])) {
		copy(i.bytes(stack[2], uint64(len(value))), value)
	}
	stack[0] = uint64(len(value))
}

// configAt returns what a JSON pointer finds: a string's text, of anything else
// its JSON.
func configAt(config []byte, pointer string) ([]byte, int) {
	var value any
	d := json.NewDecoder(bytes.NewReader(config))
	d.UseNumber()
	if d.Decode(&value) != nil {
		return nil, codeNotFound
	}
	if !strings.HasPrefix(pointer, "/") {
		return nil, codeInvalid
	}
	for _, step := range strings.Split(pointer[1:], "/") {
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		var ok bool
		switch v := value.(type) {
		case map[string]any:
			value, ok = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			if ok = err == nil && i >= 0 && i < len(v); ok {
				value = v[i]
			}
		}
		if !ok {
			return nil, codeNotFound
		}
	}
	if s, ok := value.(string); ok {
		return []byte(s), codeOK
	}
	out, err := json.Marshal(value)
	if err != nil {
		return nil, codeInvalid
	}
	return out, codeOK
}
