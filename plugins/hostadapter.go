package plugins

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tetratelabs/wazero/api"

	"github.com/edgecache/edgecache/registry"
)

// adapterFuncs are what adapters may import besides hostFuncs.
var adapterFuncs = map[string]hostFunc{
	"input_get":   {types(i32, i32, i32), types(i32), inCall((*instance).getInput)},
	"output_set":  {types(i32, i32, i32), types(i32), inCall((*instance).setOutput)},
	"emit":        {types(i32, i32, i32, i32, i32), types(i32), inCall((*instance).emit)},
	"http_send":   {types(i32, i32, i32, i32, i32), types(i64), inCall((*instance).sendHTTP)},
	"http_status": {types(i64), types(i32), inCall((*instance).statusHTTP)},
	"http_header": {types(i64, i32, i32, i32, i32), types(i32), inCall((*instance).headerHTTP)},
	"http_read":   {types(i64, i32, i32), types(i32), inCall((*instance).readHTTP)},
	"http_close":  {types(i64), types(i32), inCall((*instance).closeHTTP)},
	"kv_get":      {types(i32, i32, i32, i32), types(i32), (*instance).getKV},
	"kv_set":      {types(i32, i32, i32, i32, i32), types(i32), (*instance).setKV},
	"kv_del":      {types(i32, i32), types(i32), (*instance).delKV},
	"now_ms":      {nil, types(i64), func(_ *instance, stack []uint64) { stack[0] = uint64(time.Now().UnixMilli()) }},
	"deadline_ms": {nil, types(i32), (*instance).deadline},
}

var allAdapterFuncs = func() map[string]hostFunc {
	all := maps.Clone(hostFuncs)
	maps.Copy(all, adapterFuncs)
	return all
}()

// hostFuncsOf returns what a kind of plugin may import.
func hostFuncsOf(kind string) map[string]hostFunc {
	if kind == kindAdapter {
		return allAdapterFuncs
	}
	return hostFuncs
}

// inCall has a function return "unsupported" outside of lookups, lists and polls.
func inCall(f func(*instance, []uint64)) func(*instance, []uint64) {
	return func(i *instance, stack []uint64) {
		if i.call == nil {
			stack[0] = wide(api.EncodeI32(codeUnsupported)) // http_send's result is an i64
			return
		}
		f(i, stack)
	}
}

// give copies a value into the guest's buffer if it fits, and returns its length.
func (i *instance) give(value string, at, capacity uint64) uint64 {
	if len(value) <= int(uint32(capacity)) {
		copy(i.bytes(at, uint64(len(value))), value)
	}
	return uint64(len(value))
}

func (i *instance) deadline(stack []uint64) {
	stack[0] = 0
	if i.call != nil {
		stack[0] = uint64(min(i.call.left(), time.Hour).Milliseconds())
	}
}

func (i *instance) getInput(stack []uint64) {
	var value *string
	switch c := i.call; uint32(stack[0]) {
	case inputName:
		if c.name != "" {
			value = &c.name
		}
	case inputVersion:
		value = c.have
	case inputCursor:
		value = c.from
	}
	if value == nil {
		stack[0] = api.EncodeI32(codeNotFound)
		return
	}
	stack[0] = i.give(*value, stack[1], stack[2])
}

// ends notes why the call will have failed, and returns the guest's code.
func (c *adapterCall) ends(kind string, code int32, format string, args ...any) uint64 {
	if c.fault == nil {
		c.fault = &Failure{kind, fmt.Errorf(format, args...)}
	}
	return api.EncodeI32(code)
}

func (i *instance) setOutput(stack []uint64) {
	c, kind, size := i.call, uint32(stack[0]), uint32(stack[2])
	limit := 0
	switch kind {
	case outputRecord:
		limit = maxOutput
	case outputNames:
		limit = maxNames - c.listed
	case outputCursor, outputVersion:
		limit = maxCursor
	default:
		stack[0] = api.EncodeI32(codeInvalid)
		return
	}
	if int64(size) > int64(limit) {
		stack[0] = c.ends("output", codeTooLarge, "output %d has %d bytes, at most %d expected", kind, size, max(limit, 0))
		return
	}
	b := i.bytes(stack[1], uint64(size))
	stack[0] = codeOK
	switch kind {
	case outputRecord:
		c.record = append([]byte{}, b...)
	case outputNames:
		stack[0] = c.addNames(string(b))
	default:
		text := string(b)
		if !utf8.ValidString(text) {
			stack[0] = c.ends("output", codeInvalid, "output %d is not UTF-8", kind)
			return
		}
		if kind == outputCursor {
			c.next = &text
		} else {
			c.version = &text
		}
	}
}

// addNames takes names, one a line.
func (c *adapterCall) addNames(text string) uint64 {
	c.listed += len(text)
	for name := range strings.Lines(text) {
		name = strings.TrimSuffix(name, "\n")
		if err := registry.CheckName(name); err != nil {
			return c.ends("output", codeInvalid, "name %d, %.100q: %w", len(c.names), name, err)
		}
		c.names = append(c.names, name)
	}
	return codeOK
}

// emit takes what a poll says of a name.
func (i *instance) emit(stack []uint64) {
	c, op := i.call, uint32(stack[0])
	if !c.polls || op > emitAnew {
		stack[0] = api.EncodeI32(codeInvalid)
		return
	}
	if op == emitAnew {
		c.emits, c.emitted = append(c.emits[:0], emitted{op: op}), 0
		stack[0] = codeOK
		return
	}
	name := string(i.bytes(stack[1], uint64(min(uint32(stack[2]), maxOutput))))
	if err := registry.CheckName(name); err != nil {
		stack[0] = c.ends("output", codeInvalid, "emit of %.100q: %w", name, err)
		return
	}
	e := emitted{op: op, name: name}
	if size := uint32(stack[4]); op == emitUpsert {
		if c.emitted += int(size) + len(name); size > maxOutput || c.emitted > maxEmitted {
			stack[0] = c.ends("output", codeTooLarge, "emit of %s: %d bytes, at most %d expected, and %d of a poll", name, size, maxOutput, maxEmitted)
			return
		}
		rec, err := readRecord(name, i.bytes(stack[3], uint64(size)))
		if err != nil {
			stack[0] = c.ends("output", codeInvalid, "emit of %s: %w", name, err)
			return
		}
		c.emitted += max(0, leastCharged*(len(rec.Instances)+len(rec.Versions))-int(size))
		if c.emitted > maxEmitted {
			stack[0] = c.ends("output", codeTooLarge, "emit of %s: more than %d bytes of a poll, an instance being at least %d", name, maxEmitted, leastCharged)
			return
		}
		if e.rec = rec; c.recorded {
			e.text = append(e.text, i.bytes(stack[3], uint64(size))...)
		}
	} else if c.emitted += len(name) + 64; c.emitted > maxEmitted {
		stack[0] = c.ends("output", codeTooLarge, "emit of %s: more than %d bytes of a poll", name, maxEmitted)
		return
	}
	c.emits = append(c.emits, e)
	stack[0] = codeOK
}

// readRecord reads the JSON form of the record of a name.
func readRecord(name string, text []byte) (*registry.Record, error) {
	if len(text) == 0 {
		return nil, errors.New("empty; the JSON form of a record expected")
	}
	if !utf8.Valid(text) {
		return nil, errors.New("not UTF-8")
	}
	rec, err := registry.ParseRecordOf(name, text)
	if err != nil {
		return nil, err
	}
	if rec.Key.Name != name {
		return nil, fmt.Errorf("name: %.100q, and %q was asked", rec.Key.Name, name)
	}
	return rec, nil
}

func (i *instance) kvKey(at, length uint64) (string, bool) {
	if n := uint32(length); n == 0 || n > maxKey {
		return "", false
	}
	return string(i.bytes(at, length)), true
}

func (i *instance) getKV(stack []uint64) {
	if i.kept == nil {
		stack[0] = api.EncodeI32(codeUnsupported)
		return
	}
	key, ok := i.kvKey(stack[0], stack[1])
	if !ok {
		stack[0] = api.EncodeI32(codeInvalid)
		return
	}
	value, ok := i.kept.get(key)
	if !ok {
		stack[0] = api.EncodeI32(codeNotFound)
		return
	}
	stack[0] = i.give(string(value), stack[2], stack[3])
}

func (i *instance) setKV(stack []uint64) {
	if i.kept == nil {
		stack[0] = api.EncodeI32(codeUnsupported)
		return
	}
	key, ok := i.kvKey(stack[0], stack[1])
	switch {
	case !ok:
		stack[0] = api.EncodeI32(codeInvalid)
	case uint32(stack[3]) > maxValue,
		!i.kept.set(key, i.bytes(stack[2], stack[3]), time.Duration(uint32(stack[4]))*time.Millisecond):
		i.charge(maxKeys) // all were looked at for what is over
		stack[0] = api.EncodeI32(codeTooLarge)
	default:
		stack[0] = codeOK
	}
}

func (i *instance) delKV(stack []uint64) {
	if i.kept == nil {
		stack[0] = api.EncodeI32(codeUnsupported)
		return
	}
	key, ok := i.kvKey(stack[0], stack[1])
	if !ok {
		stack[0] = api.EncodeI32(codeInvalid)
		return
	}
	i.kept.del(key)
	stack[0] = codeOK
}
