package edgecache

import (
	"errors"
	"io"
	"strconv"
)

// maxDepth is how deep objects and lists may lie in each other where they are
// skipped.
const maxDepth = 256

func (p *JSON) offset() int64 { return p.before + int64(p.pos) }

// fill reads more, when all was read, and reports whether there was any.
func (p *JSON) fill() bool {
	keep := p.pos
	if p.mark >= 0 {
		keep = p.mark
	}
	p.before += int64(keep)
	p.end = copy(p.buffer, p.buffer[keep:p.end])
	p.pos -= keep
	if p.mark >= 0 {
		p.mark = 0
	}
	if p.end == len(p.buffer) {
		if p.end >= MaxBody {
			p.early(Failed(ErrTooLarge, "a value has more than %d bytes", MaxBody))
			return false
		}
		p.buffer = append(p.buffer, make([]byte, len(p.buffer))...)
	}
	for range 100 {
		n, err := p.from.Read(p.buffer[p.end:])
		p.end += n
		if n > 0 {
			return true
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				p.early(err)
			}
			return false
		}
	}
	p.early(io.ErrNoProgress)
	return false
}

// space steps over blanks.
func (p *JSON) space() {
	for {
		for p.pos < p.end {
			switch p.buffer[p.pos] {
			case ' ', '\t', '\r', '\n':
				p.pos++
			default:
				return
			}
		}
		if p.fatal != nil || !p.fill() {
			return
		}
	}
}

// next returns the byte that follows blanks, without reading it; 0 at the end,
// which is an error.
func (p *JSON) next() byte {
	if i := p.pos; i < p.end && p.buffer[i] > ' ' && p.fatal == nil {
		return p.buffer[i]
	}
	return p.later()
}

// later is next where it is not there, or a blank is.
func (p *JSON) later() byte {
	if p.fatal != nil {
		return 0
	}
	if p.space(); p.pos < p.end {
		return p.buffer[p.pos]
	}
	p.early(io.EOF)
	return 0
}

// read reads a byte.
func (p *JSON) read() (byte, bool) {
	if p.pos == p.end && !p.fill() {
		p.early(io.EOF)
		return 0, false
	}
	p.pos++
	return p.buffer[p.pos-1], true
}

// quoted returns what is between the quotes, until the next call.
func (p *JSON) quoted() ([]byte, bool) {
	p.pos++
	b := p.buffer[:p.end]
	if i := plain(b, p.pos); i < len(b) && b[i] == '"' { // mostly all of it is there
		raw := b[p.pos:i]
		p.pos, p.escaped = i+1, false
		return raw, true
	}
	outer := p.mark
	if outer < 0 {
		p.mark = p.pos
	}
	from := p.pos - p.mark
	ok := p.scan()
	raw := p.buffer[p.mark+from : max(p.pos-1, p.mark+from)]
	if outer < 0 {
		p.mark = -1
	}
	return raw, ok
}

// scan steps over the rest of a string and its quote.
func (p *JSON) scan() bool {
	p.escaped = false
	for {
		b := p.buffer[:p.end]
		i := plain(b, p.pos)
		p.pos = i
		if i == len(b) {
			if !p.fill() {
				p.early(io.EOF)
				return false
			}
			continue
		}
		switch b[i] {
		case '"':
			p.pos++
			return true
		case '\\':
			p.pos++
			if p.escaped = true; !p.escape() {
				return false
			}
		default:
			p.wrong("a string has no control characters")
			return false
		}
	}
}

func (p *JSON) escape() bool {
	c, ok := p.read()
	if !ok {
		return false
	}
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			h, ok := p.read()
			if !ok {
				return false
			}
			if _, err := strconv.ParseUint(string(rune(h)), 16, 8); err != nil {
				p.wrong("four hexadecimal digits expected")
				return false
			}
		}
		return true
	}
	p.wrong("a string has no such escape")
	return false
}

// literal returns a number, true, false or null, until the next call.
func (p *JSON) literal() ([]byte, bool) {
	b, i := p.buffer[:p.end], p.pos
	if i < len(b) && b[i] >= '1' && b[i] <= '9' { // mostly it is a plain number, all of it there
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		if i < len(b) && (b[i] == ',' || b[i] == '}' || b[i] == ']') {
			raw := b[p.pos:i]
			p.pos = i
			return raw, true
		}
	}
	outer := p.mark
	if outer < 0 {
		p.mark = p.pos
	}
	from := p.pos - p.mark
	for p.pos < p.end || p.fill() {
		c := p.buffer[p.pos]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '.' || c == '-' || c == '+' || c == 'E') {
			break
		}
		p.pos++
	}
	raw := p.buffer[p.mark+from : p.pos]
	if outer < 0 {
		p.mark = -1
	}
	switch {
	case p.fatal != nil:
		return nil, false
	case isNumber(raw), string(raw) == "true", string(raw) == "false", string(raw) == "null":
		return raw, true
	case p.pos == p.end: // and the input's, so that it may be the half of something
		p.early(io.EOF)
		return nil, false
	}
	p.pos -= len(raw)
	p.wrong("a value expected")
	return nil, false
}

// skip steps over a value.
func (p *JSON) skip() *jsonError {
	switch p.next() {
	case '{', '[':
		return p.skipDeep()
	case '"':
		p.pos++
		p.scan()
	default:
		p.literal()
	}
	return p.fatal
}

// What skipDeep expects.
const (
	aValue = iota
	aValueOrEnd
	aName
	aNameOrEnd
	aColon
	aCommaOrEnd
)

// skipDeep steps over an object or list, without going down into it.
func (p *JSON) skipDeep() *jsonError {
	var open [maxDepth]byte // the braces that are to come
	depth, state := 0, aValue
	for p.pos < p.end || p.fill() {
		c := p.buffer[p.pos]
		switch {
		case c == ' ' || c == '\n' || c == '\r' || c == '\t':
			p.pos++
		case state == aColon:
			if c != ':' {
				return p.wrong(`":" expected`)
			}
			p.pos++
			state = aValue
		case depth > 0 && c == open[depth-1] && state != aValue && state != aName:
			p.pos++
			if depth--; depth == 0 {
				return nil
			}
			state = aCommaOrEnd
		case state == aCommaOrEnd:
			if c != ',' {
				return p.wrong(`"," or "` + string(open[depth-1]) + `" expected`)
			}
			p.pos++
			if state = aValue; open[depth-1] == '}' {
				state = aName
			}
		case c == '"':
			p.pos++
			p.scan()
			state = [...]int{aValue: aCommaOrEnd, aValueOrEnd: aCommaOrEnd, aName: aColon, aNameOrEnd: aColon}[state]
		case state == aName || state == aNameOrEnd:
			return p.wrong("a member's name expected")
		case c == '{' || c == '[':
			if depth == maxDepth {
				return p.wrong("objects and lists lie too deep in each other")
			}
			p.pos++
			open[depth] = c + 2 // } or ]
			depth++
			if state = aValueOrEnd; c == '{' {
				state = aNameOrEnd
			}
		default:
			p.literal()
			state = aCommaOrEnd
		}
		if p.fatal != nil {
			return p.fatal
		}
	}
	p.early(io.EOF)
	return p.fatal
}
