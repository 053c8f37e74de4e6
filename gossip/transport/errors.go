package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// Why a peer is refused, or refuses.
var (
	ErrLabel       = errors.New("another label")
	ErrKeys        = errors.New("no key in common")
	ErrCertificate = errors.New("certificate")
	ErrStranger    = errors.New("not an edgecache peer")
	ErrUnprotected = errors.New("not a loopback address: needs tls files, a keyring or insecure")
	ErrClosed      = errors.New("transport closed")
	ErrBusy        = errors.New("too many peers")

	errRefused = errors.New("refused by the peer")
)

// explain says which of the above a failed handshake means. The alerts that
// TLS sends have no values to compare with.
func explain(err error) error {
	var record tls.RecordHeaderError
	var timeout net.Error
	text := err.Error()
	switch {
	case refusal(err):
		return err
	case errors.As(err, &record):
		return fmt.Errorf("%w: it does not speak TLS", ErrStranger)
	case strings.Contains(text, "certificate"):
		if strings.Contains(text, "remote error") {
			return fmt.Errorf("%w: the peer refuses ours: %w", ErrCertificate, err)
		}
		return fmt.Errorf("%w: %w", ErrCertificate, err)
	case strings.Contains(text, "tls: "):
		return fmt.Errorf("%w: %w", ErrStranger, err)
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%w: no handshake within %v", ErrStranger, patience)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it closed the connection in the handshake", ErrStranger)
	}
	return err
}

// refusal says whether an error is about who the peer is.
func refusal(err error) bool {
	for _, target := range []error{ErrLabel, ErrKeys, ErrCertificate, ErrStranger, ErrUnprotected, ErrBusy, errRefused} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

const (
	refusedEvery  = time.Minute
	refusedAtMost = 1024 // addresses remembered
)

// logRefused logs a refusal, once per address and minute.
func (t *Transport) logRefused(address string, err error) {
	if !refusal(err) {
		return
	}
	now := time.Now()
	t.mu.Lock()
	last, known := t.refused[address]
	if known && now.Sub(last) < refusedEvery {
		t.mu.Unlock()
		return
	}
	if len(t.refused) >= refusedAtMost {
		clear(t.refused)
	}
	t.refused[address] = now
	t.mu.Unlock()
	t.options.Logger.Warn("peer refused", "address", address, "error", err)
}
