package client

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
)

// maxEvent bounds the bytes of one event, against a runaway server.
const maxEvent = 64 << 20

var errEventTooLong = errors.New("event of the watch is too long")

// A frame is one event of a text/event-stream, as it came.
type frame struct {
	event string // "message" if the stream names none
	data  string // lines joined by \n
	id    string // the last id of the stream so far
}

// A frameReader reads a text/event-stream as the HTML standard says, except
// that an event without data counts: ours may have none.
type frameReader struct {
	r      *bufio.Reader
	line   []byte
	began  bool // the first line was read
	skipLF bool // the line before ended with \r
	limit  int  // bytes of one event
	id     string
	retry  time.Duration // what the server asked for last; 0: nothing
}

func newFrameReader(r io.Reader) *frameReader {
	return &frameReader{r: bufio.NewReaderSize(r, 16<<10), limit: maxEvent}
}

// next returns the next event. An event that the stream's end cuts off is
// dropped: its error is io.EOF or what the stream's reader returned.
func (f *frameReader) next() (frame, error) {
	out := frame{event: "message"}
	var data strings.Builder
	seen, lines := false, 0
	for {
		line, err := f.readLine()
		if err != nil {
			return frame{}, err
		}
		if len(line) == 0 {
			if !seen {
				continue
			}
			out.data, out.id = data.String(), f.id
			return out, nil
		}
		field, value, _ := strings.Cut(string(line), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			out.event, seen = value, true
		case "data":
			if lines++; lines > 1 {
				data.WriteByte('\n')
			}
			if data.Len()+len(value) > f.limit {
				return frame{}, errEventTooLong
			}
			data.WriteString(value)
			seen = true
		case "id":
			if !strings.ContainsRune(value, 0) {
				f.id = value
			}
		case "retry":
			if ms, err := strconv.ParseUint(value, 10, 31); err == nil {
				f.retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
}

// readLine returns the next line without its end: \n, \r or \r\n. It is valid
// until the next call.
func (f *frameReader) readLine() ([]byte, error) {
	f.line = f.line[:0]
	for {
		b, err := f.r.ReadByte()
		if err != nil {
			return nil, err
		}
		skip := f.skipLF && b == '\n'
		f.skipLF = false
		switch {
		case skip:
		case b == '\n' || b == '\r':
			f.skipLF = b == '\r'
			line := f.line
			if !f.began {
				f.began = true
				line = []byte(strings.TrimPrefix(string(line), "\ufeff"))
			}
			return line, nil
		case len(f.line) >= f.limit:
			return nil, errEventTooLong
		default:
			f.line = append(f.line, b)
		}
	}
}
