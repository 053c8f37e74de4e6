package edgecache

import (
	"errors"
	"io"
	"slices"
	"strings"
	"time"
)

// MaxBody is how long an answer's body may be, decompressed.
const MaxBody = 8 << 20

// A Request is sent to where manifest and operator both allow it. Redirects are
// not followed. "${secret.NAME}" in a header's value becomes the secret of that
// name, if the operator bound it to that host; the adapter never sees it.
type Request struct {
	head    string // its lines, each with its end
	line    int    // length of the first one
	body    []byte
	timeout time.Duration
	wrong   string
}

// NewRequest returns a request. Path segments and parameters of the URL are
// escaped by the caller: see [Escape].
func NewRequest(method, url string) *Request {
	r := &Request{head: method + " " + url + "\n", line: len(method) + 1 + len(url)}
	if method == "" || blank(url) || blank(method) {
		r.wrong = "a method and a URL without blanks expected"
	}
	return r
}

// Escape returns text as a segment of a path or a value of a query: what is not
// a-z, 0-9 or one of -._~@ is escaped.
func Escape(text string) string {
	const hex = "0123456789ABCDEF"
	i := 0
	for i < len(text) && unreserved(text[i]) {
		i++
	}
	if i == len(text) {
		return text
	}
	b := append(make([]byte, 0, 3*len(text)), text[:i]...)
	for ; i < len(text); i++ {
		if c := text[i]; unreserved(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

func unreserved(c byte) bool {
	return c|0x20-'a' < 26 || c-'0' < 10 || c == '-' || c == '.' || c == '_' || c == '~' || c == '@'
}

// blank reports whether there are blanks in a text.
func blank(text string) bool {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c == 0x7f {
			return true
		}
	}
	return false
}

// Header adds a header.
func (r *Request) Header(name, value string) *Request {
	if name == "" || blank(name) || strings.Contains(name, ":") || strings.ContainsAny(value, "\r\n\x00") {
		r.wrong = "header " + name + ": no line feeds expected, and no blanks in its name"
	}
	r.head += name + ": " + value + "\n"
	return r
}

// Body sets what is sent, 1 MiB at most.
func (r *Request) Body(body []byte) *Request {
	r.body = body
	return r
}

// Timeout sets how long the host waits for the answer's head; 0 is until the
// call's deadline.
func (r *Request) Timeout(d time.Duration) *Request {
	r.timeout = d
	return r
}

// Send sends the request, and returns once the answer's head is there, whatever
// its status.
func (r *Request) Send() (*Response, error) {
	line := r.head[:r.line]
	if r.wrong != "" {
		return nil, Failed(ErrInvalid, "%q: %s", line, r.wrong)
	}
	handle := hostSend(r.head, r.body, milliseconds(r.timeout))
	if handle <= 0 {
		code := Code(min(handle, -1))
		if code == errNotFound {
			code = ErrInternal
		}
		return nil, Failed(code, "%s: %v", line, code)
	}
	return &Response{handle: handle, line: line}, nil
}

// A Response is an answer. It is closed when it is no longer needed, for a call
// may have only a few; what is open when the call ends is closed by the host.
type Response struct {
	handle int64
	line   string
	reader *JSON // the first; nil: none
}

// Status returns the answer's status.
func (r *Response) Status() int { return int(hostStatus(r.handle)) }

// Header returns a header of the answer, "" if it is not there. Several values
// are joined by line feeds.
func (r *Response) Header(name string) string {
	value, _ := read(func(buffer []byte) int { return hostHeader(r.handle, name, buffer) })
	return value
}

// Read reads more of the body: a Response is an io.Reader.
func (r *Response) Read(buffer []byte) (int, error) {
	if len(buffer) == 0 {
		return 0, nil
	}
	switch n := hostRead(r.handle, buffer); {
	case n > 0:
		return int(n), nil
	case n == 0:
		return 0, io.EOF
	default:
		return 0, Failed(Code(n), "%s: its body: %v", r.line, Code(n))
	}
}

// JSON returns a reader of the body, which can be used until the answer is closed.
func (r *Response) JSON() *JSON { return NewJSON(r) }

// Bytes returns the rest of the body.
func (r *Response) Bytes() ([]byte, error) {
	all := make([]byte, 0, 4<<10)
	for {
		n, err := r.Read(all[len(all):cap(all)])
		switch all = all[:len(all)+n]; {
		case len(all) > MaxBody:
			return nil, Failed(ErrTooLarge, "%s: its body has more than %d bytes", r.line, MaxBody)
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		case len(all) == cap(all):
			all = slices.Grow(all, len(all))
		}
	}
}

// Text returns the rest of the body.
func (r *Response) Text() (string, error) {
	all, err := r.Bytes()
	return string(all), err
}

// Close ends the answer.
func (r *Response) Close() error {
	if r.handle == 0 {
		return errors.New("closed twice")
	}
	hostClose(r.handle)
	r.handle = 0
	if r.reader != nil {
		r.reader.close()
	}
	return nil
}
