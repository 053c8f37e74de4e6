package transport

import (
	"encoding/binary"
	"fmt"
	"io"

	"google.golang.org/grpc/mem"
)

// A codec makes one message of several frames, each behind its length.
type codec struct{}

func (codec) Name() string { return "edgecache" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	frames := *v.(*[][]byte)
	size := 0
	for _, f := range frames {
		size += binary.MaxVarintLen32 + len(f)
	}
	pool := mem.DefaultBufferPool()
	b := pool.Get(size)
	out := (*b)[:0]
	for _, f := range frames {
		out = binary.AppendUvarint(out, uint64(len(f)))
		out = append(out, f...)
	}
	*b = out
	return mem.BufferSlice{mem.NewBuffer(b, pool)}, nil
}

// Unmarshal copies each frame: who keeps one does not keep its neighbours.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	frames := v.(*[][]byte)
	r := data.Reader()
	defer r.Close()
	for r.Remaining() > 0 {
		n, err := binary.ReadUvarint(r)
		if err != nil {
			return fmt.Errorf("length of a frame: %w", err)
		}
		if n > uint64(r.Remaining()) {
			return fmt.Errorf("frame of %d bytes in a message with %d left", n, r.Remaining())
		}
		if len(*frames) == maxQueue {
			return fmt.Errorf("message of more than %d frames", maxQueue)
		}
		frame := make([]byte, n)
		if _, err := io.ReadFull(r, frame); err != nil {
			return err
		}
		*frames = append(*frames, frame)
	}
	return nil
}
