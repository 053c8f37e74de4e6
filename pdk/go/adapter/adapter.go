package edgecache

import (
	"errors"
	"math"
	"strings"
	"time"
)

// What an adapter registered.
var adapter struct {
	start  func() error
	lookup func(name, held string) (Answer, error)
	list   func(cursor string) (names []string, next string, err error)
	poll   func(*Poll) (time.Duration, error)
}

// What the module exports: the files wasm_list.go and wasm_poll.go say so.
var exportsList, exportsPoll bool

// Adapter registers an adapter, in an init function.
//
// start runs once for each instance of the module: its error says why the
// configuration does not do. It may be nil.
//
// lookup looks a name up. held is the version that the host holds, "" if none.
//
// list returns all names, or some and a cursor, with which it is called again;
// the first cursor is "". It may be nil, see the package's documentation.
//
// poll tells of changes since its last call, and returns how long the host may
// wait until the next. It may be nil likewise.
func Adapter(start func() error, lookup func(name, held string) (Answer, error),
	list func(cursor string) (names []string, next string, err error), poll func(*Poll) (time.Duration, error)) {
	adapter.start, adapter.lookup, adapter.list, adapter.poll = start, lookup, list, poll
}

// An Answer is what a look-up ends in: Found, NotModified or NotFound.
type Answer struct {
	kind    uint8
	record  []byte
	version string
}

const (
	answerFound = iota + 1
	answerNotModified
	answerNotFound
)

// Found is an answer: the record, as JSON, and its version, such as an ETag. Of a
// record whose version is "" the content is the version.
func Found(record []byte, version string) Answer {
	return Answer{answerFound, record, version}
}

// NotModified is an answer: the version that the host holds is still right.
func NotModified() Answer { return Answer{kind: answerNotModified} }

// NotFound is an answer: the registry said that there is no such name.
func NotFound() Answer { return Answer{kind: answerNotFound} }

// A Poll is one call of an adapter's poll.
type Poll struct {
	Cursor string // of the last call's Next; "": this is the first of a watch, which tells of all names

	refused error
}

// Upsert says that the name's record is now this JSON.
func (p *Poll) Upsert(name string, record []byte) { p.emit(0, name, record) }

// Delete says that the name is gone.
func (p *Poll) Delete(name string) { p.emit(1, name, nil) }

// Invalidate says that the name changed: the host looks it up.
func (p *Poll) Invalidate(name string) { p.emit(2, name, nil) }

// Again begins anew: what this call tells from here on is all there is.
func (p *Poll) Again() { p.emit(3, "", nil) }

// Next sets the cursor of the next call.
func (p *Poll) Next(cursor string) {
	p.keep(hostOutput(outputCursor, []byte(cursor)), "the cursor", "")
}

// What the host refuses fails the poll when it ends.
func (p *Poll) emit(op int32, name string, record []byte) {
	p.keep(hostEmit(op, name, record), "a change of ", name)
}

func (p *Poll) keep(code int32, what, name string) {
	if code != 0 && p.refused == nil {
		p.refused = Failed(Code(code), "the host refuses %s%s", what, name)
	}
}

const (
	inputName    = 0
	inputVersion = 2
	inputCursor  = 3

	outputRecord  = 0
	outputNames   = 1
	outputCursor  = 2
	outputVersion = 3
)

// doStart is what ec_init does.
func doStart() int32 {
	a := &adapter
	switch {
	case a.lookup == nil:
		hostError("no adapter: edgecache.Adapter was not called in an init function, or without a lookup")
	case a.list == nil && exportsList:
		hostError("the adapter has no list, but the module exports one: build it with -tags nolist")
	case a.poll == nil && exportsPoll:
		hostError("the adapter has no poll, but the module exports one: build it with -tags nopoll")
	case a.start == nil:
		return 0
	default:
		err := a.start()
		if err == nil {
			return 0
		}
		hostError(err.Error())
	}
	return int32(ErrInvalid)
}

// doLookup is what ec_lookup does.
func doLookup() int32 {
	name, _ := input(inputName)
	held, _ := input(inputVersion)
	a, err := adapter.lookup(name, held)
	switch {
	case err != nil:
		return fail(err)
	case a.kind == answerNotModified:
		return 1
	case a.kind == answerNotFound:
		return int32(errNotFound)
	case a.kind != answerFound:
		return fail(errors.New("lookup returned no answer: Found, NotModified, NotFound or an error expected"))
	}
	if code := hostOutput(outputRecord, a.record); code != 0 {
		return fail(Failed(Code(code), "the record has %d bytes", len(a.record)))
	}
	if a.version != "" {
		if code := hostOutput(outputVersion, []byte(a.version)); code != 0 {
			return fail(Failed(Code(code), "the version has %d bytes", len(a.version)))
		}
	}
	return 0
}

// doList is what ec_list does.
func doList() int32 {
	cursor, _ := input(inputCursor)
	names, next, err := adapter.list(cursor)
	if err != nil {
		return fail(err)
	}
	const most = 64 << 10
	var lines []byte
	for i, name := range names {
		if strings.Contains(name, "\n") {
			return fail(Failed(ErrInvalid, "the name %q has a line feed", name))
		}
		lines = append(append(lines, name...), '\n')
		if len(lines) < most && i < len(names)-1 {
			continue
		}
		if code := hostOutput(outputNames, lines); code != 0 {
			return fail(Failed(Code(code), "the host refuses %d names", len(names)))
		}
		lines = lines[:0]
	}
	if next != "" {
		if code := hostOutput(outputCursor, []byte(next)); code != 0 {
			return fail(Failed(Code(code), "the cursor has %d bytes", len(next)))
		}
	}
	return 0
}

// doPoll is what ec_poll does.
func doPoll() int32 {
	cursor, _ := input(inputCursor)
	p := Poll{Cursor: cursor}
	wait, err := adapter.poll(&p)
	if err == nil {
		err = p.refused
	}
	if err != nil {
		return fail(err)
	}
	return int32(min(max(wait.Milliseconds(), 0), math.MaxInt32))
}

// fail tells an error to the host, and returns its code.
func fail(err error) int32 {
	hostError(err.Error())
	var code Code
	if !errors.As(err, &code) || code >= errNotFound {
		code = ErrInternal // a name is not there only if lookup says so
	}
	return int32(code)
}
