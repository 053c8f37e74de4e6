package plugins

import (
	"encoding/binary"
	"testing"

	"github.com/tetratelabs/wazero/api"
)

// pages are a memory that notes what is written.
type pages struct {
	api.Memory
	bytes   []byte
	written map[uint32]bool // pages of 4 KiB
}

func (p *pages) Size() uint32 { return uint32(len(p.bytes)) }

func (p *pages) ReadUint32Le(at uint32) (uint32, bool) {
	return binary.LittleEndian.Uint32(p.bytes[at:]), true
}

func (p *pages) WriteUint32Le(at, word uint32) bool {
	binary.LittleEndian.PutUint32(p.bytes[at:], word)
	p.written[at/4096] = true
	return true
}

func TestTouchedIsEachPageAndNothingChanges(t *testing.T) {
	for _, size := range []int{0, 65536, 3 * 65536} {
		m := &pages{bytes: make([]byte, size), written: map[uint32]bool{}}
		for i := range m.bytes {
			m.bytes[i] = byte(i/7 + 1)
		}
		touch(m)
		for i, b := range m.bytes {
			if b != byte(i/7+1) {
				t.Fatalf("byte %d has changed", i)
			}
		}
		if len(m.written) != size/4096 {
			t.Errorf("%d pages of %d were touched", len(m.written), size/4096)
		}
	}
}
