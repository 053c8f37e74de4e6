package edgecache

import (
	"io"
	"strconv"
)

// JSON reads JSON strictly, piece by piece, as it comes: a document need not fit
// into memory. It spends a fraction of the fuel that encoding/json does.
//
// A value of another type than is asked for is stepped over, and the error says
// where it is; reading may go on behind it. After any other error nothing more
// can be read.
type JSON struct {
	from     io.Reader
	buffer   []byte
	pos, end int   // buffer[pos:end] is not read yet
	mark     int   // what is kept from here on; -1: nothing
	before   int64 // bytes before the buffer
	escaped  bool  // the last string has escapes
	fatal    *jsonError
	strings  *[128]string // that were made, each at a place of its own
}

// spare is what readers of answers leave to those of the next ones: answers of one
// registry are much alike, and so are the strings in them.
var spare []JSON

const (
	mostSpare = 4        // as many as there are open answers
	sizeSpare = 64 << 10 // of a buffer
)

// NewJSON returns a reader of one document. That of a [Response] can be used until
// the answer is closed.
func NewJSON(from io.Reader) *JSON {
	p := &JSON{from: from, mark: -1}
	r, ok := from.(*Response)
	if ok && r.reader == nil {
		r.reader = p
		if n := len(spare) - 1; n >= 0 {
			p.buffer, p.strings = spare[n].buffer, spare[n].strings
			spare = spare[:n]
			return p
		}
	}
	p.buffer, p.strings = make([]byte, 16<<10), new([128]string)
	return p
}

// close ends a reader whose answer is closed, and keeps what it used.
func (p *JSON) close() {
	if p.fatal == nil {
		p.fatal = &jsonError{text: "the answer is closed", cause: ErrClosed}
	}
	if len(spare) < mostSpare && len(p.buffer) <= sizeSpare {
		spare = append(spare, JSON{buffer: p.buffer, strings: p.strings})
	}
	p.buffer, p.pos, p.end = nil, 0, 0
}

// Object reads an object, and calls f at the value of each member. What f does not
// read is skipped. After a value of a wrong type, or Unexpected, it goes on, and
// returns the first of these errors; any other error ends it.
func (p *JSON) Object(f func(key string) error) error {
	if err := p.opens('{', "an object"); err != nil {
		return err
	}
	var first error
	for more := p.next() != '}'; more && p.fatal == nil; more = p.follows('}') {
		key := p.key()
		if p.fatal != nil {
			break
		}
		start := p.offset()
		err := f(key)
		if err == nil && p.fatal == nil && p.offset() != start {
			continue
		}
		if stop := p.after(err, start, key, -1, &first); stop != nil {
			return stop
		}
	}
	return p.closes(first)
}

// Array reads a list, and calls f at each element. It goes on after errors as
// Object does.
func (p *JSON) Array(f func(i int) error) error {
	if err := p.opens('[', "a list"); err != nil {
		return err
	}
	var first error
	i := 0
	for more := p.next() != ']'; more && p.fatal == nil; more = p.follows(']') {
		start := p.offset()
		if stop := p.after(f(i), start, "", i, &first); stop != nil {
			return stop
		}
		i++
	}
	return p.closes(first)
}

// after looks at what was made of a value, and returns what ends the object or
// list that it is in.
func (p *JSON) after(err error, start int64, key string, i int, first *error) error {
	if err == nil && p.fatal == nil {
		if p.offset() == start {
			err = p.Skip()
		}
		if err == nil {
			return nil
		}
	}
	if i >= 0 {
		key = "[" + strconv.Itoa(i) + "]"
	}
	if p.fatal != nil {
		p.fatal.in(key)
		return p.fatal
	}
	found, ok := err.(*jsonError)
	if !ok {
		return err
	}
	if *first == nil {
		found.in(key)
		*first = found
	}
	if p.offset() == start { // it was not read, which Unexpected does not say
		return asError(p.skip())
	}
	return nil
}

func (p *JSON) opens(brace byte, wanted string) error {
	if p.next() != brace {
		return p.mismatch(wanted)
	}
	p.pos++
	return nil
}

func (p *JSON) closes(first error) error {
	if p.fatal != nil {
		return p.fatal
	}
	p.pos++
	return first
}

// follows steps over a comma, and reports whether there was one; else the brace
// must be there.
func (p *JSON) follows(brace byte) bool {
	if p.fatal == nil && p.steps(',') { // as mostly
		return true
	}
	switch p.next() {
	case ',':
		p.pos++
		p.next()
		return true
	case brace:
		return false
	}
	p.wrong(`"," or "` + string(brace) + `" expected`)
	return false
}

// steps steps over a byte, and reports whether it was there, without blanks around it.
func (p *JSON) steps(c byte) bool {
	if p.pos+1 < p.end && p.buffer[p.pos] == c && p.buffer[p.pos+1] > ' ' {
		p.pos++
		return true
	}
	return false
}

// key reads a member's name and its colon.
func (p *JSON) key() string {
	raw, ok := p.name()
	if !ok {
		return ""
	}
	var key string
	if p.escaped {
		key = unescaped(raw)
	} else {
		key = p.made(raw)
	}
	p.colon()
	return key
}

// name reads a member's name, as it stands.
func (p *JSON) name() ([]byte, bool) {
	if p.next() != '"' {
		p.wrong("a member's name expected")
		return nil, false
	}
	return p.quoted()
}

func (p *JSON) colon() {
	if p.steps(':') { // as mostly
		return
	}
	if p.next() != ':' {
		p.wrong(`":" expected`)
		return
	}
	p.pos++
	p.next()
}

// String reads a string. Bytes that are not UTF-8 become U+FFFD.
func (p *JSON) String() (string, error) {
	if p.next() != '"' {
		return "", p.mismatch("a string")
	}
	raw, ok := p.quoted()
	switch {
	case !ok:
		return "", p.fatal
	case p.escaped:
		return unescaped(raw), nil
	}
	return p.made(raw), nil
}

// Text reads a string, a number, true or false as text, for registries whose
// encoders differ; null is "".
func (p *JSON) Text() (string, error) {
	switch c := p.next(); {
	case c == '"':
		return p.String()
	case c == '{' || c == '[' || p.fatal != nil:
		return "", p.mismatch("a string")
	case c == 'n':
		return "", p.Skip()
	}
	raw, ok := p.literal()
	if !ok {
		return "", p.fatal
	}
	return p.made(raw), nil
}

// Int reads a whole number.
func (p *JSON) Int() (int64, error) {
	if n, ok := p.small(); ok {
		return n, nil
	}
	raw, err := p.number()
	if err != nil {
		return 0, err
	}
	n, wrong := strconv.ParseInt(raw, 10, 64)
	if wrong != nil {
		return 0, Unexpected("a whole number expected, found %s", raw)
	}
	return n, nil
}

// Float reads a number.
func (p *JSON) Float() (float64, error) {
	raw, err := p.number()
	if err != nil {
		return 0, err
	}
	n, wrong := strconv.ParseFloat(raw, 64)
	if wrong != nil {
		return 0, Unexpected("%s is out of range", raw)
	}
	return n, nil
}

func (p *JSON) number() (string, error) {
	if c := p.next(); c != '-' && (c < '0' || c > '9') {
		return "", p.mismatch("a number")
	}
	raw, ok := p.literal()
	if !ok {
		return "", p.fatal
	}
	return string(raw), nil
}

// Bool reads true or false.
func (p *JSON) Bool() (bool, error) {
	if c := p.next(); c != 't' && c != 'f' {
		return false, p.mismatch("true or false")
	}
	raw, ok := p.literal()
	if !ok {
		return false, p.fatal
	}
	return raw[0] == 't', nil
}

// Null steps over null, and reports whether it was there.
func (p *JSON) Null() bool {
	return p.next() == 'n' && p.Skip() == nil
}

// Kind returns the first byte of what is next: { [ " t f n, a minus or a digit; 0
// if nothing is.
func (p *JSON) Kind() byte { return p.next() }

// Skip steps over a value.
func (p *JSON) Skip() error { return asError(p.skip()) }

// Raw reads a value as it stands.
func (p *JSON) Raw() ([]byte, error) {
	p.next()
	p.mark = p.pos
	defer func() { p.mark = -1 }()
	if err := p.skip(); err != nil {
		return nil, err
	}
	return append([]byte(nil), p.buffer[p.mark:p.pos]...), nil
}

// Err returns what ended reading; nil if nothing did.
func (p *JSON) Err() error { return asError(p.fatal) }

// End checks that nothing follows.
func (p *JSON) End() error {
	p.space()
	switch {
	case p.fatal != nil:
		return p.fatal
	case p.pos < p.end:
		return p.wrong("the end expected")
	}
	return nil
}
