package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// MaxFrame is the greatest length of a frame.
const MaxFrame = 4 << 20

const (
	maxStreams    = 4096
	maxHandshakes = 512 // at once, of peers that are not known yet
	maxHello      = 16 << 10
	maxLabel      = 255
	maxKeys       = 64

	maxQueue      = 4096 // frames of a stream
	maxQueueBytes = 16 << 20
	packBytes     = 64 << 10 // frames sent as one message

	patience    = 3 * time.Second // for a connection, for its handshake and for a hello
	closeWithin = time.Second
)

// Options say who a node is and what it does with streams. Calls about one
// stream are made one at a time, except Overflowed, which may come while
// Received runs; those about different streams are made at the same time.
type Options struct {
	Listen   string          // host:port
	Hello    func() []byte   // what this end says first, asked for each stream; may be nil
	Label    string          // clusters with different labels never meet
	TLS      TLS             // zero: certificates prove nothing
	Keys     func() [][]byte // the keyring, primary first; asked at each handshake; may be nil
	Insecure bool            // serve and dial any address without files and keys

	Opened     func(s *Stream)               // both said hello
	Received   func(s *Stream, frame []byte) // in order; may keep the frame
	Overflowed func(s *Stream)               // frames were dropped; the queue is empty again
	Closed     func(s *Stream, err error)    // last, and once if Opened was called; nil: an end closed it
	Logger     *slog.Logger
}

// TLS names PEM files, all three or none. They are read again when they change.
type TLS struct{ Cert, Key, CA string }

func (o Options) withDefaults() Options {
	if o.Hello == nil {
		o.Hello = func() []byte { return nil }
	}
	if o.Keys == nil {
		o.Keys = func() [][]byte { return nil }
	}
	if o.Opened == nil {
		o.Opened = func(*Stream) {}
	}
	if o.Received == nil {
		o.Received = func(*Stream, []byte) {}
	}
	if o.Overflowed == nil {
		o.Overflowed = func(*Stream) {}
	}
	if o.Closed == nil {
		o.Closed = func(*Stream, error) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func (o Options) validate() error {
	var errs []error
	host, _, err := net.SplitHostPort(o.Listen)
	switch {
	case err != nil:
		errs = append(errs, fmt.Errorf("listen %q: want host:port: %w", o.Listen, err))
	case !o.protected() && !isLoopback(host):
		errs = append(errs, fmt.Errorf("listen %q: %w", o.Listen, ErrUnprotected))
	}
	if len(o.Label) > maxLabel {
		errs = append(errs, fmt.Errorf("label of %d bytes: at most %d", len(o.Label), maxLabel))
	}
	if t := o.TLS; t != (TLS{}) && (t.Cert == "" || t.Key == "" || t.CA == "") {
		errs = append(errs, errors.New("tls: cert, key and ca are needed, all three or none"))
	}
	return errors.Join(errs...)
}

// protected says whether a peer has to prove anything.
func (o Options) protected() bool {
	return o.Insecure || o.TLS != (TLS{}) || len(o.Keys()) > 0
}

// permits returns an error if nothing would protect a connection with an
// address. Keys may have gone since the transport was made.
func (o Options) permits(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err == nil && !isLoopback(host) && !o.protected() {
		return ErrUnprotected
	}
	return nil
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}
