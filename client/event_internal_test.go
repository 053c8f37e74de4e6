package client

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func readFrames(t *testing.T, r io.Reader) ([]frame, *frameReader) {
	t.Helper()
	f := newFrameReader(r)
	var out []frame
	for {
		got, err := f.next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatalf("next: %v", err)
			}
			return out, f
		}
		out = append(out, got)
	}
}

func TestFramesFollowTheEventStreamFormat(t *testing.T) {
	for _, tc := range []struct {
		name, stream string
		want         []frame
	}{
		{"event, data, id", "event: upsert\ndata: {}\nid: 7\n\n", []frame{{"upsert", "{}", "7"}}},
		{"no event name", "data: x\n\n", []frame{{"message", "x", ""}}},
		{"several data lines", "data: a\ndata:b\ndata\n\n", []frame{{"message", "a\nb\n", ""}}},
		{"only one leading space goes", "data:  a\n\n", []frame{{"message", " a", ""}}},
		{"CRLF", "event: a\r\ndata: b\r\n\r\n", []frame{{"a", "b", ""}}},
		{"CR", "event: a\rdata: b\r\r", []frame{{"a", "b", ""}}},
		{"mixed ends", "event: a\r\ndata: b\n\r\ndata: c\r\n\r", []frame{{"a", "b", ""}, {"message", "c", ""}}},
		{"byte order mark", "\ufeffdata: a\n\n", []frame{{"message", "a", ""}}},
		{"comments and unknown fields", ": ping\n\nfoo: bar\ndata: a\n: x\n\n", []frame{{"message", "a", ""}}},
		{"an id lasts", "id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", []frame{{"message", "a", "1"}, {"message", "b", "1"}, {"message", "c", ""}}},
		{"an id with NUL is ignored", "id: 1\n\nid: 2\x00\ndata: a\n\n", []frame{{"message", "a", "1"}}},
		{"an event without data", "event: reset\n\n", []frame{{"reset", "", ""}}},
		{"cut off at the end", "data: a\n\ndata: b\n", []frame{{"message", "a", ""}}},
		{"empty", "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(tc.stream), iotest.OneByteReader(strings.NewReader(tc.stream))} {
				got, _ := readFrames(t, r)
				if len(got) != len(tc.want) {
					t.Fatalf("frames of %q = %q, want %q", tc.stream, got, tc.want)
				}
				for i := range got {
					if got[i] != tc.want[i] {
						t.Errorf("frame %d of %q = %q, want %q", i, tc.stream, got[i], tc.want[i])
					}
				}
			}
		})
	}
}

func TestRetryIsReadAndNonsenseIgnored(t *testing.T) {
	_, f := readFrames(t, strings.NewReader("retry: 250\nretry: -1\nretry: soon\n\n"))
	if f.retry != 250*time.Millisecond {
		t.Errorf("retry = %s, want 250ms", f.retry)
	}
}

func TestAnEndlessEventIsRefused(t *testing.T) {
	for _, endless := range []string{"x", "data: x\n"} {
		f := newFrameReader(endlessReader(endless))
		f.limit = 1000
		if _, err := f.next(); !errors.Is(err, errEventTooLong) {
			t.Errorf("next on %q without end: %v, want %v", endless, err, errEventTooLong)
		}
	}
}

// An endlessReader repeats itself.
type endlessReader string

func (r endlessReader) Read(p []byte) (int, error) { return copy(p, r), nil }

func FuzzFrames(f *testing.F) {
	f.Add("event: upsert\ndata: {\"name\":\"web\"}\nid: 7\n\n")
	f.Add("\ufeff: ping\r\n\r\nretry: 1000\revent:a\rdata\r\r")
	f.Add("event: delete\ndata: null\n\nevent: synced\ndata: [1]\n\n")
	f.Add("event: unavailable\ndata: {\"status\":502}\n\n")
	f.Fuzz(func(t *testing.T, stream string) {
		whole, _ := readFrames(t, strings.NewReader(stream))
		split, _ := readFrames(t, iotest.OneByteReader(strings.NewReader(stream)))
		if len(whole) != len(split) {
			t.Fatalf("%d frames at once, %d byte by byte", len(whole), len(split))
		}
		for i, got := range whole {
			if got != split[i] {
				t.Errorf("frame %d: %q at once, %q byte by byte", i, got, split[i])
			}
			if strings.ContainsAny(got.event+got.id, "\r\n") {
				t.Errorf("frame %d has a line end in %q or %q", i, got.event, got.id)
			}
			event, err := decodeEvent(got)
			if err == nil && event.Kind == Upsert && event.Service == nil {
				t.Errorf("upsert of %q has no service", got.data)
			}
		}
	})
}
