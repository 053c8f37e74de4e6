package edgecache

import (
	"errors"
	"fmt"
	"io"
)

// A jsonError is one of a document or, if it is not the reader's fatal one, of a
// value in it.
type jsonError struct {
	path, text string
	cause      error
}

func (e *jsonError) Error() string {
	if e.path == "" {
		return e.text
	}
	return e.path + ": " + e.text
}

func (e *jsonError) Unwrap() error { return e.cause }

// in adds where the value of the error's path is.
func (e *jsonError) in(step string) {
	switch {
	case e.path == "" || e.path[0] == '[':
		e.path = step + e.path
	default:
		e.path = step + "." + e.path
	}
}

// Unexpected returns an error of a value that was read, for an Object or Array
// that is to go on: they add where the value is.
func Unexpected(format string, args ...any) error {
	return &jsonError{text: fmt.Sprintf(format, args...)}
}

// wrong says that this is no JSON.
func (p *JSON) wrong(what string) *jsonError {
	if p.fatal == nil {
		p.fatal = &jsonError{text: fmt.Sprintf("no JSON at byte %d: %s", p.offset()+1, what), cause: ErrInternal}
	}
	return p.fatal
}

// early says why there is no more.
func (p *JSON) early(err error) {
	if p.fatal != nil {
		return
	}
	p.fatal = &jsonError{text: "the answer ends too early", cause: ErrUnavailable}
	if !errors.Is(err, io.EOF) {
		p.fatal.text, p.fatal.cause = err.Error(), err
	}
}

// mismatch steps over a value that is not what is wanted.
func (p *JSON) mismatch(wanted string) error {
	found := "a number"
	switch p.next() {
	case '{':
		found = "an object"
	case '[':
		found = "a list"
	case '"':
		found = "a string"
	case 't', 'f':
		found = "a boolean"
	case 'n':
		found = "null"
	}
	if err := p.skip(); err != nil {
		return err
	}
	return Unexpected("%s expected, found %s", wanted, found)
}

func asError(e *jsonError) error {
	if e == nil {
		return nil
	}
	return e
}
