package plugins

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/edgecache/edgecache/registry"
)

// A filterInstance is an instance with the arena that its frames are in.
type filterInstance struct {
	instance
	gen    *generation
	filter api.Function
	memory api.Memory
	arena  uint32
	size   uint32           // of the memory when view was taken
	view   []byte           // of the arena
	head   [headerSize]byte // of frames of the last entry
	last   *entryFrame
	whole  bool // last is there with all its instances, in order
	picks  []int32
	recent recent

	at     int    // its place in the pool
	before uint64 // calls that others made there
}

// instantiate runs a guest up to where it can be called.
func (g *generation) instantiate() (*filterInstance, error) {
	began := time.Now()
	i := &filterInstance{gen: g, picks: make([]int32, 0, maxInstances)}
	if err := g.start(&i.instance); err != nil {
		return nil, err
	}
	if err := i.findArena(); err != nil {
		i.close()
		return nil, err
	}
	i.filter, i.memory = i.mod.ExportedFunction(exportFilter), i.mod.Memory()
	i.look()
	g.starts.Store(int64(time.Since(began)))
	return i, nil
}

// findArena asks the guest where frames go.
func (i *filterInstance) findArena() error {
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
	return nil
}

// look takes the view of the arena anew: a memory that grew has moved.
func (i *filterInstance) look() {
	i.size = i.memory.Size()
	i.view, _ = i.memory.Read(i.arena, arenaSize) // within it: memories do not shrink
	i.last = nil
}

// ask asks the guest about a selection. After an error the instance must not
// be used again.
func (i *filterInstance) ask(e *entryFrame, rec *registry.Record, sel *registry.Selection, attrs registry.Attrs) (verdict uint64, n int, err error) {
	if i.memory.Size() != i.size {
		i.look()
	}
	n = sel.Len(rec)
	size := i.write(e, sel, n, attrs)
	budget := i.gen.budget(n)
	if i.said != "" || i.output != "" {
		i.said, i.output = "", ""
	}
	i.fuel.Set(uint64(budget))
	i.stack[0] = uint64(size)
	if err := i.filter.CallWithStack(i.ctx, i.stack[:]); err != nil {
		return 0, n, i.explain(err, budget)
	}
	if i.memory.Size() != i.size {
		i.look() // the verdict may lie in what grew
	}
	return i.stack[0], n, nil
}

// write writes the frame of a call and returns its length.
func (i *filterInstance) write(e *entryFrame, sel *registry.Selection, n int, attrs registry.Attrs) (size int) {
	le, h := binary.LittleEndian, i.view[:headerSize]
	flags := i.writeEntry(e, sel)
	size, tooLong := i.writeSlots(e, attrs)
	if tooLong {
		flags |= flagTooLong
	}
	copy(h, i.head[:])
	le.PutUint16(h[6:], flags)
	le.PutUint64(h[16:], uint64(i.gen.clock.now()))
	le.PutUint32(h[24:], uint32(n))
	return size
}

// makeHead makes what headers of an entry's frames have in common.
func (i *filterInstance) makeHead(e *entryFrame) {
	le, h := binary.LittleEndian, i.head[:]
	le.PutUint32(h[0:], frameMagic)
	le.PutUint16(h[4:], headerSize)
	le.PutUint64(h[8:], e.version)
	le.PutUint32(h[28:], entryOff)
	le.PutUint16(h[32:], instanceStride)
	le.PutUint16(h[34:], uint16(len(i.gen.slots)))
	le.PutUint32(h[36:], headerSize)
	le.PutUint32(h[40:], inCap)
	le.PutUint32(h[44:], outCap)
	le.PutUint32(h[48:], e.name)
	le.PutUint32(h[52:], e.nameSize)
	i.last = e
}

// writeEntry writes what of a record's frame is not there yet.
func (i *filterInstance) writeEntry(e *entryFrame, sel *registry.Selection) (flags uint16) {
	h, known := i.view, i.last == e
	if known && i.whole && sel.All {
		return flagUnchanged
	}
	if !known {
		i.makeHead(e)
	}
	if sel.All {
		copy(h[entryOff:], e.part)
	} else {
		if !known {
			copy(h[entryOff+e.n*instanceStride:], e.part[e.n*instanceStride:])
		}
		for at, p := range sel.Picks {
			copy(h[entryOff+at*instanceStride:], e.part[int(p)*instanceStride:(int(p)+1)*instanceStride])
		}
	}
	i.whole = sel.All
	return 0
}

// writeSlots writes the attributes of a call, their texts behind the record, and
// returns where the frame ends.
func (i *filterInstance) writeSlots(e *entryFrame, attrs registry.Attrs) (size int, tooLong bool) {
	t := tail{arena: i.view, end: (entryOff + len(e.part) + 7) &^ 7, entry: e}
	for s := range i.gen.slots {
		off, length := i.gen.slots[s].write(&t, attrs)
		binary.LittleEndian.PutUint64(i.view[headerSize+s*slotSize:], uint64(length)<<32|uint64(off))
	}
	return t.end, t.tooLong
}

// grown reports whether the guest's memory is twice what it was at first: time
// to begin anew.
func (i *filterInstance) grown() bool { return i.size >= 2*i.first }
