package gossip

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry"
)

func copyFrames() [][]byte {
	k := registry.Key{Registry: "consul", Name: "web"}
	rec := &registry.Record{Key: k, Kind: registry.KindService, Wishes: registry.NoWishes, Document: []byte(`{}`),
		Instances: []registry.Instance{{ID: "a", Endpoints: []registry.Endpoint{{Address: "10.0.0.1", Port: 80}}}}}
	rec.Seal(7)
	full := registry.Copy{Entry: registry.Entry{Key: k, Record: rec, Mode: registry.ModeSoft, Empties: 1}, Age: time.Second, Fresh: true, Provisional: true}
	return [][]byte{
		appendAsk(nil, 1, registry.Ask{Key: k, Source: "print", Younger: -1}),
		appendAsk(nil, 1<<60, registry.Ask{Key: k, Source: "print", Younger: time.Minute, Any: true}),
		appendFilling(nil, 2), appendNone(nil, 3),
		appendCopy(nil, kindCopy, 4, full, "print"),
		appendCopy(nil, kindPush, 0, registry.Copy{Entry: registry.Entry{Key: k}}, "print"),
	}
}

// encode is the inverse of parseCopyFrame.
func encode(f copyFrame) []byte {
	switch f.kind {
	case kindAsk:
		return appendAsk(nil, f.number, f.ask)
	case kindFilling:
		return appendFilling(nil, f.number)
	case kindNone:
		return appendNone(nil, f.number)
	}
	return appendCopy(nil, f.kind, f.number, f.copy, f.ask.Source)
}

func TestCopyFramesSurviveTheirForm(t *testing.T) {
	for i, data := range copyFrames() {
		f, err := parseCopyFrame(data)
		if err != nil || !aboutCopies(data) {
			t.Fatalf("frame %d: %v", i, err)
		}
		if again := encode(f); !bytes.Equal(again, data) {
			t.Errorf("frame %d: %x, appended again %x", i, data, again)
		}
		if newer, err := parseCopyFrame(append(bytes.Clone(data), 1, 2, 3)); err != nil || newer.number != f.number || !reflect.DeepEqual(newer.ask, f.ask) {
			t.Errorf("frame %d of a newer version: %+v, %v", i, newer, err)
		}
		for n := range data {
			if _, err := parseCopyFrame(data[:n]); err == nil {
				t.Errorf("frame %d: %d of %d bytes are taken for a whole one", i, n, len(data))
			}
		}
	}
}

func FuzzCopyFrame(f *testing.F) {
	for _, data := range copyFrames() {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := parseCopyFrame(data)
		if err != nil || !aboutCopies(data) {
			return
		}
		again, err := parseCopyFrame(encode(frame))
		if err != nil || again.kind != frame.kind || again.number != frame.number || !reflect.DeepEqual(again.ask, frame.ask) {
			t.Errorf("%+v became %+v, %v", frame, again, err)
		}
	})
}
