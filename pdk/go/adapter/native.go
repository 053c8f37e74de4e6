//go:build !wasip1

package edgecache

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
)

// An Exchange is what a registry answers to a request, in a test.
type Exchange struct {
	Request string            // "GET http://registry.test/web"
	Headers map[string]string // that the request must have, of any case; others are not looked at
	Body    string            // that it must have; "": any

	Status        int // 0: 200
	AnswerHeaders map[string]string
	Answer        string
	Broken        Code // what reading the body ends in; 0: its end
	Error         Code // instead of an answer: ErrUnavailable, ErrTimeout, ErrDenied
}

// A Result is what a look-up ended in, in a test. One that failed has a code.
type Result struct {
	Record, Version       string
	NotModified, NotFound bool
	Code                  Code
	Error                 string
}

// An Emit is what a poll told, in a test: upsert, delete, invalidate or again.
type Emit struct{ Op, Name, Record string }

// A Followed is what a poll ended in, in a test. One that failed has a code.
type Followed struct {
	Emits  []Emit
	Cursor string
	Wait   time.Duration
	Code   Code
	Error  string
}

var native struct {
	config any
	said   string
	log    []string

	exchanges []Exchange
	used      map[string]int // exchanges of a request line
	requested []string
	live      func(head string, body []byte, timeout time.Duration) (*answer, Code)

	inputs  map[int32]string
	outputs map[int32]string
	emits   []Emit
	open    map[int64]*answer
	handles int64
	kept    map[string]kept
}

const alone = false // tests may run at once

type kept struct {
	value   string
	expires time.Time // zero: never
}

// Start runs the adapter's start with a configuration, as JSON. What a test
// said of exchanges, what was kept and logged is forgotten; what the adapter has
// in its own variables is not. Tests are not for concurrent use.
func Start(config string) error {
	native.config, native.said, native.log = nil, "", nil
	native.exchanges, native.used, native.requested, native.live = nil, nil, nil, nil
	native.kept = map[string]kept{}
	if config != "" {
		if err := json.Unmarshal([]byte(config), &native.config); err != nil {
			return err
		}
	}
	if doStart() != 0 {
		return errors.New(native.said)
	}
	return nil
}

// Exchanges says what the registry answers from now on. Those of one request line
// are used in order, the last one again and again.
func Exchanges(list ...Exchange) {
	native.exchanges, native.used, native.live = list, map[string]int{}, nil
}

// Lookup asks the adapter for a name.
func Lookup(name, held string) (r Result) {
	begin(map[int32]string{inputName: name, inputVersion: held})
	code := doLookup()
	end()
	switch code {
	case 0:
		r.Record, r.Version = native.outputs[outputRecord], native.outputs[outputVersion]
		if !json.Valid([]byte(r.Record)) {
			return Result{Code: ErrInvalid, Error: "the record is no JSON: " + r.Record}
		}
	case 1:
		r.NotModified = true
	case int32(errNotFound):
		r.NotFound = true
	default:
		r.Code, r.Error = Code(code), native.said
	}
	return r
}

// List asks the adapter for all names.
func List() (names []string, err error) {
	for cursor := ""; ; {
		begin(map[int32]string{inputCursor: cursor})
		code := doList()
		end()
		if code != 0 {
			return nil, Failed(Code(code), "%s", native.said)
		}
		lines := native.outputs[outputNames]
		names = append(names, strings.FieldsFunc(lines, func(c rune) bool { return c == '\n' })...)
		if cursor = native.outputs[outputCursor]; cursor == "" {
			return names, nil
		}
	}
}

// Follow polls once; "" is the cursor of the first poll of a watch.
func Follow(cursor string) (f Followed) {
	begin(map[int32]string{inputCursor: cursor})
	wait := doPoll()
	end()
	if wait < 0 {
		return Followed{Code: Code(wait), Error: native.said}
	}
	return Followed{Emits: native.emits, Cursor: native.outputs[outputCursor], Wait: time.Duration(wait) * time.Millisecond}
}

// Logged returns what the adapter wrote to the log since Start.
func Logged() []string { return native.log }

// Requested returns the lines of all requests since Start.
func Requested() []string { return native.requested }

func begin(inputs map[int32]string) {
	native.said, native.inputs, native.outputs, native.emits = "", inputs, map[int32]string{}, nil
	native.open = map[int64]*answer{}
}

// end closes what the call left open.
func end() {
	for handle := range native.open {
		hostClose(handle)
	}
}

// copied copies a value as the host does.
func copied(value string, ok bool, buffer []byte) int {
	if !ok {
		return -1
	}
	if len(value) <= len(buffer) {
		copy(buffer, value)
	}
	return len(value)
}

func hostLog(_ Level, line string) { native.log = append(native.log, line) }

func hostError(text string) { native.said = text }

func hostConfig(pointer string, buffer []byte) int {
	value, ok := find(native.config, pointer)
	return copied(value, ok, buffer)
}

func hostInput(slot int32, buffer []byte) int {
	value := native.inputs[slot]
	return copied(value, value != "", buffer)
}

func hostOutput(kind int32, value []byte) int32 {
	if kind == outputNames {
		native.outputs[kind] += string(value)
	} else {
		native.outputs[kind] = string(value)
	}
	return 0
}

func hostEmit(op int32, name string, record []byte) int32 {
	if name == "" && op != 3 || op == 0 && !json.Valid(record) {
		return int32(ErrInvalid)
	}
	names := [...]string{"upsert", "delete", "invalidate", "again"}
	native.emits = append(native.emits, Emit{names[op], name, string(record)})
	return 0
}

func hostKVGet(key string, buffer []byte) int {
	k, ok := native.kept[key]
	return copied(k.value, ok && (k.expires.IsZero() || time.Now().Before(k.expires)), buffer)
}

func hostKVSet(key string, value []byte, ttl int32) int32 {
	if len(key) > 256 || len(value) > 64<<10 {
		return int32(ErrTooLarge)
	}
	k := kept{value: string(value)}
	if ttl > 0 {
		k.expires = time.Now().Add(time.Duration(ttl) * time.Millisecond)
	}
	native.kept[key] = k
	return 0
}

func hostKVDel(key string) { delete(native.kept, key) }

func hostNow() int64 { return time.Now().UnixMilli() }

// hostDeadline is always what a call has at its beginning.
func hostDeadline() int32 { return int32(callDeadline.Milliseconds()) }

// takes reports whether an exchange is for a request.
func (x *Exchange) takes(line string, headers map[string]string, body []byte) bool {
	for name, value := range x.Headers {
		if headers[strings.ToLower(name)] != value {
			return false
		}
	}
	return x.Request == line && (x.Body == "" || x.Body == string(body))
}

// scripted finds the answer to a request; there is none, so that a test fails, if
// no exchange is for it.
func scripted(line string, headers map[string]string, body []byte) (*Exchange, bool) {
	var fit []*Exchange
	for i := range native.exchanges {
		if x := &native.exchanges[i]; x.takes(line, headers, body) {
			fit = append(fit, x)
		}
	}
	if len(fit) == 0 {
		return nil, false
	}
	n := native.used[line]
	native.used[line] = n + 1
	return fit[min(n, len(fit)-1)], true
}

// hosts says which headers are the host's.
func hosts(name string) bool {
	return strings.HasPrefix(name, "proxy-") || slices.Contains([]string{"host", "connection", "content-length", "transfer-encoding",
		"upgrade", "te", "trailer", "keep-alive", "expect", "accept-encoding"}, name)
}
