package plugins

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/edgecache/edgecache/plugins/fuel"
	"github.com/edgecache/edgecache/registry"
)

// An instance is one run of a guest. Whoever took it from the pool is alone
// with it.
type instance struct {
	gen     *generation
	ctx     context.Context
	mod     api.Module
	fuel    api.MutableGlobal
	filter  api.Function
	idle    api.Function // nil: none
	arena   uint32
	size    uint32 // of the memory when view was taken
	first   uint32 // likewise, after ec_init
	view    []byte // of the arena
	last    *entryFrame
	whole   bool // last is there with all its instances, in order
	stack   [1]uint64
	picks   []int32
	calls   uint64
	cleaned uint64 // calls when ec_idle was called
	said    string // by error_set
	output  string // what it printed first
}

// A Failure is what went wrong in a guest, in words for its author.
type Failure struct {
	Kind string // fuel, trap, exit, verdict, guest, frame, busy, broken
	Err  error
}

func (f *Failure) Error() string { return f.Err.Error() }

func (f *Failure) Unwrap() error { return f.Err }

// instantiate runs a guest up to where it can be called.
func (g *generation) instantiate() (*instance, error) {
	i := &instance{gen: g, picks: make([]int32, 0, maxInstances)}
	i.ctx = context.WithValue(context.Background(), instanceKey{}, i)
	var err error
	i.mod, err = g.runtime.InstantiateModule(i.ctx, g.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return nil, fmt.Errorf("instantiation: %w", err)
	}
	i.fuel = i.mod.ExportedGlobal(fuel.Export).(api.MutableGlobal)
	if err := i.begin(); err != nil {
		i.close()
		return nil, err
	}
	return i, nil
}

// begin calls what a guest does before its first call, on one budget.
func (i *instance) begin() error {
	i.fuel.Set(initFuel)
	for _, export := range [...]string{fuel.Start, "_initialize", exportABI, exportInit} {
		f := i.mod.ExportedFunction(export)
		if f == nil {
			continue
		}
		results, err := f.Call(i.ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", export, i.explain(err, initFuel))
		}
		switch export {
		case exportABI:
			if v := uint32(results[0]); v>>16 != abiMajor || v&0xffff > abiMinor {
				return fmt.Errorf("%s: it was built for ABI %d.%d, this host has %d.%d", export, v>>16, v&0xffff, abiMajor, abiMinor)
			}
		case exportInit:
			if code := api.DecodeI32(results[0]); code != codeOK {
				return fmt.Errorf("%s: it returned %d: %s", export, code, orNothing(i.said))
			}
		}
	}
	results, err := i.mod.ExportedFunction(exportArena).Call(i.ctx, arenaSize)
	if err != nil {
		return fmt.Errorf("%s: %w", exportArena, i.explain(err, initFuel))
	}
	i.arena, i.first = uint32(results[0]), i.mod.Memory().Size()
	switch end := uint64(i.arena) + arenaSize; {
	case i.arena == 0:
		return fmt.Errorf("%s: it returned 0, no arena of %d bytes", exportArena, arenaSize)
	case i.arena%16 != 0 || i.arena < arenaLeast:
		return fmt.Errorf("%s: it returned %d; a multiple of 16, at least %d, is expected", exportArena, i.arena, arenaLeast)
	case end > uint64(i.first):
		return fmt.Errorf("%s: its arena would end at %d, its memory ends at %d", exportArena, end, i.first)
	}
	i.filter, i.idle = i.mod.ExportedFunction(exportFilter), i.mod.ExportedFunction(exportIdle)
	i.look()
	return nil
}

func orNothing(said string) string {
	if said == "" {
		return "error_set was not called"
	}
	return said
}

// look takes the view of the arena anew: a memory that grew has moved.
func (i *instance) look() {
	i.size = i.mod.Memory().Size()
	i.view, _ = i.mod.Memory().Read(i.arena, arenaSize) // within it: memories do not shrink
	i.last = nil
}

// call asks the guest about a selection. After an error the instance must not
// be used again.
func (i *instance) call(e *entryFrame, rec *registry.Record, sel *registry.Selection, attrs registry.Attrs) (verdict uint64, n int, err error) {
	if i.mod.Memory().Size() != i.size {
		i.look()
	}
	n = sel.Len(rec)
	size, err := i.write(e, sel, n, attrs)
	if err != nil {
		return 0, 0, &Failure{"frame", err}
	}
	budget := i.gen.budget(n)
	i.said, i.output = "", ""
	i.fuel.Set(uint64(budget))
	i.stack[0] = uint64(size)
	if err := i.filter.CallWithStack(i.ctx, i.stack[:]); err != nil {
		return 0, n, i.explain(err, budget)
	}
	if i.mod.Memory().Size() != i.size {
		i.look() // the verdict may lie in what grew
	}
	return i.stack[0], n, nil
}

// write writes the frame of a call and returns its length.
func (i *instance) write(e *entryFrame, sel *registry.Selection, n int, attrs registry.Attrs) (size int, err error) {
	le, h := binary.LittleEndian, i.view
	flags := i.writeEntry(e, sel)
	size, tooLong, err := i.writeSlots(e, attrs)
	if err != nil {
		return 0, err
	}
	if tooLong {
		flags |= flagTooLong
	}
	le.PutUint32(h[0:], frameMagic)
	le.PutUint16(h[4:], headerSize)
	le.PutUint16(h[6:], flags)
	le.PutUint64(h[8:], e.version)
	le.PutUint64(h[16:], uint64(time.Now().UnixMilli()))
	le.PutUint32(h[24:], uint32(n))
	le.PutUint32(h[28:], entryOff)
	le.PutUint16(h[32:], instanceStride)
	le.PutUint16(h[34:], uint16(len(i.gen.slots)))
	le.PutUint32(h[36:], headerSize)
	le.PutUint32(h[40:], inCap)
	le.PutUint32(h[44:], outCap)
	le.PutUint32(h[48:], e.name)
	le.PutUint32(h[52:], e.nameSize)
	le.PutUint64(h[56:], 0)
	return size, nil
}

// writeEntry writes what of a record's frame is not there yet.
func (i *instance) writeEntry(e *entryFrame, sel *registry.Selection) (flags uint16) {
	h := i.view
	switch {
	case i.last == e && i.whole && sel.All:
		flags = flagUnchanged
	case sel.All:
		copy(h[entryOff:], e.part)
	default:
		if i.last != e {
			copy(h[entryOff+e.n*instanceStride:], e.part[e.n*instanceStride:])
		}
		for at, p := range sel.Picks {
			copy(h[entryOff+at*instanceStride:], e.part[int(p)*instanceStride:(int(p)+1)*instanceStride])
		}
	}
	i.last, i.whole = e, sel.All
	return flags
}

// writeSlots writes the attributes of a call, their texts behind the record, and
// returns where the frame ends.
func (i *instance) writeSlots(e *entryFrame, attrs registry.Attrs) (size int, tooLong bool, err error) {
	le, h := binary.LittleEndian, i.view
	size = (entryOff + len(e.part) + 7) &^ 7
	for s := range i.gen.slots {
		v := i.gen.slots[s].of(attrs)
		off, length := uint32(slotAbsent), uint32(0)
		switch {
		case v.tooLong:
			tooLong = true
		case v.absent:
		case v.numeric:
			off, length = v.number, slotNumeric
		case i.gen.slots[s].kind == slotZone && e.zoneOff(v.text) > 0:
			off, length = e.zoneOff(v.text), uint32(len(v.text))
		default:
			if size+max(len(v.text), maxAddr) > inCap {
				return 0, false, fmt.Errorf("the attributes do not fit into the frame, beside %d bytes of %d instances", len(e.part), e.n)
			}
			n := copy(h[size:], v.text)
			if v.addr.IsValid() {
				n = len(v.addr.AppendTo(h[size:size:inCap]))
			}
			off, length = uint32(size), uint32(n)
			size += n
		}
		le.PutUint32(h[headerSize+s*slotSize:], off)
		le.PutUint32(h[headerSize+s*slotSize+4:], length)
	}
	return size, tooLong, nil
}

// explain says in an author's terms how a call ended.
func (i *instance) explain(err error, budget int32) error {
	if e, ok := errors.AsType[exit](err); ok {
		return &Failure{"exit", errors.Join(e, i.lastWords())}
	}
	if left := api.DecodeI32(i.fuel.Get()); left < 0 {
		return &Failure{"fuel", fmt.Errorf("out of fuel: %d used of %d; limits.fuel and limits.fuel_per_instance of the manifest raise it, to %d at most", int64(budget)-int64(left), budget, mostFuel)}
	}
	lines := strings.Split(err.Error(), "\n")
	reason := strings.TrimSuffix(strings.TrimPrefix(lines[0], "wasm error: "), " (recovered by wazero)")
	var trace []string
	for _, line := range lines[1:] {
		if line = strings.TrimSpace(line); line != "" && line != "wasm stack trace:" && len(trace) < 4 {
			trace = append(trace, line)
		}
	}
	text := fmt.Errorf("trap: %s, in %s", reason, strings.Join(trace, " < "))
	return &Failure{"trap", errors.Join(text, i.lastWords())}
}

// lastWords returns what the guest said of its end; nil if nothing.
func (i *instance) lastWords() error {
	switch {
	case i.said != "":
		return fmt.Errorf("it said: %s", i.said)
	case i.output != "":
		return fmt.Errorf("it printed: %s", i.output)
	}
	return nil
}

// grown reports whether the guest's memory is twice what it was at first: time
// to begin anew.
func (i *instance) grown() bool { return i.size >= 2*i.first }

func (i *instance) close() { _ = i.mod.Close(i.ctx) }
