package edgecache

import (
	"fmt"
	"time"
)

// A Code says what kind of failure an error is: errors.Is(err, ErrTimeout).
type Code int32

// Codes of failures.
const (
	ErrUnavailable Code = -2  // connection refused or broken, a DNS failure, a registry that is out of order
	ErrTimeout     Code = -3  // the deadline or timeout is over
	ErrDenied      Code = -4  // the operator did not allow that host or address
	ErrInvalid     Code = -5  // what the call was given
	ErrTooLarge    Code = -6  // too large, too many
	ErrInternal    Code = -7  // what should not be: an answer that makes no sense
	ErrUnsupported Code = -8  // not of this host, or this registry
	ErrRateLimited Code = -9  // too often
	ErrClosed      Code = -10 // no such handle

	errNotFound Code = -1
)

var codeNames = [...]string{"not found", "unavailable", "timed out", "denied", "invalid", "too large", "internal error", "unsupported", "rate limited", "closed"}

func (c Code) Error() string {
	if i := -int(c) - 1; i >= 0 && i < len(codeNames) {
		return codeNames[i]
	}
	return fmt.Sprintf("code %d", int32(c))
}

type failure struct {
	code Code
	text string
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.code }

// Failed returns an error of a code. Its text says what happened, for operators.
func Failed(code Code, format string, args ...any) error {
	return &failure{code, fmt.Sprintf(format, args...)}
}

// Level is that of a line in the host's log.
type Level int32

// Levels, least first.
const (
	Trace Level = iota
	Debug
	Info
	Warn
	Error
)

// Log writes a line to the host's log, which takes some 100 a second of a plugin.
func Log(level Level, text string) { hostLog(level, text) }

// Config returns the configuration at a JSON pointer (RFC 6901), "" being all of
// it: a string's text, of anything else its JSON.
func Config(pointer string) (value string, ok bool) {
	return read(func(buffer []byte) int { return hostConfig(pointer, buffer) })
}

// Now returns the host's time, in milliseconds.
func Now() time.Time { return time.UnixMilli(hostNow()) }

// Deadline returns how much time the call has left.
func Deadline() time.Duration { return time.Duration(hostDeadline()) * time.Millisecond }

// KVGet returns a value that was kept on this node. All that is kept may be lost.
func KVGet(key string) (value []byte, ok bool) {
	text, ok := read(func(buffer []byte) int { return hostKVGet(key, buffer) })
	return []byte(text), ok
}

// KVSet keeps a value, 64 KiB at most, for so long; 0 is for good.
func KVSet(key string, value []byte, ttl time.Duration) error {
	if code := hostKVSet(key, value, milliseconds(ttl)); code != 0 {
		return Failed(Code(code), "keeping %q, %d bytes: %v", key, len(value), Code(code))
	}
	return nil
}

// KVDel forgets a value.
func KVDel(key string) { hostKVDel(key) }

func input(slot int32) (value string, ok bool) {
	return read(func(buffer []byte) int { return hostInput(slot, buffer) })
}

var scratch []byte // of read, while nobody reads; nil: none

// read reads what a host function copies into a buffer that is large enough.
func read(from func([]byte) int) (text string, ok bool) {
	buffer := scratch
	if alone {
		scratch = nil
	}
	if buffer == nil {
		buffer = make([]byte, 256)
	}
	n := from(buffer)
	if n > len(buffer) {
		buffer = make([]byte, n)
		n = from(buffer)
	}
	if ok = n >= 0 && n <= len(buffer); ok {
		text = string(buffer[:n])
	}
	if alone && len(buffer) <= sizeSpare {
		scratch = buffer
	}
	return text, ok
}

// milliseconds rounds up, so that what is not 0 stays so.
func milliseconds(d time.Duration) int32 {
	const most = 1<<31 - 1
	return int32(min((max(d, 0)+time.Millisecond-1)/time.Millisecond, most))
}
