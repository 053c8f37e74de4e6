package protocol_test

import (
	"bytes"
	"reflect"
	"testing"
	"unsafe"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// What parses must, appended, parse to the same again.

func FuzzFrame(f *testing.F) {
	addForms(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := protocol.ParseFrame(data)
		if err != nil || got == nil {
			return
		}
		if n := held(got); n > 10*len(data) {
			t.Errorf("%d bytes are read into %d", len(data), n)
		}
		again, err := protocol.ParseFrame(protocol.AppendFrame(nil, got))
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%+v is read again as %+v, %v", got, again, err)
		}
		if s, ok := got.(protocol.State); ok {
			for _, m := range s.Marks {
				checkRanges(t, m.Logged)
			}
		}
	})
}

func FuzzHello(f *testing.F) {
	addForms(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := protocol.ParseHello(data)
		if err != nil {
			return
		}
		again, err := protocol.ParseHello(protocol.AppendHello(nil, got))
		if err != nil || again != got {
			t.Errorf("%+v is read again as %+v, %v", got, again, err)
		}
	})
}

func FuzzRecord(f *testing.F) {
	addForms(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := protocol.ParseRecord(data)
		if err != nil {
			return
		}
		if !bytes.Equal(got.Raw, data) {
			t.Errorf("%x is passed on as %x", data, got.Raw)
		}
		if got.Change == nil {
			return
		}
		again, err := protocol.ParseRecord(protocol.AppendChange(nil, got.ID, *got.Change))
		if err != nil || again.ID != got.ID || again.Change == nil || *again.Change != *got.Change {
			t.Errorf("%+v is read again as %+v, %v", got, again, err)
		}
	})
}

func FuzzMembers(f *testing.F) {
	addForms(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := protocol.ParseMembers(data)
		if err != nil {
			return
		}
		if n := len(got) * int(unsafe.Sizeof(protocol.Member{})); n > 10*len(data) {
			t.Errorf("%d bytes are read into %d", len(data), n)
		}
		again, err := protocol.ParseMembers(protocol.AppendMembers(nil, got))
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%+v is read again as %+v, %v", got, again, err)
		}
	})
}

func addForms(f *testing.F) {
	for _, form := range forms() {
		f.Add(form.append())
	}
}

// held returns how many bytes the lists of a frame hold.
func held(f protocol.Frame) (n int) {
	switch f := f.(type) {
	case protocol.State:
		n = cap(f.Marks)*int(unsafe.Sizeof(protocol.Mark{})) + cap(f.Members)*int(unsafe.Sizeof(protocol.Member{}))
		for _, m := range f.Marks {
			n += cap(m.Logged) * int(unsafe.Sizeof(protocol.Range{}))
		}
	case protocol.Records:
		n = cap(f.Records) * int(unsafe.Sizeof(protocol.Record{}))
	case protocol.Pulled:
		n = cap(f.Records) * int(unsafe.Sizeof(protocol.Record{}))
	}
	return n
}

// checkRanges fails unless a set is in its one form.
func checkRanges(t *testing.T, set protocol.Ranges) {
	t.Helper()
	least := uint64(1)
	for _, r := range set {
		if r.From < least || r.To < r.From {
			t.Fatalf("%v: %v is not in order, or touches what is before it", set, r)
		}
		least = r.To + 2
	}
}
