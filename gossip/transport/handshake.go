package transport

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"
)

// What the ends say once TLS is up. The one that accepted begins, so that a
// peer whose certificate it refuses reads the alert and not a reset.
//
//	accepted: label, nonce
//	dialed:   label, nonce, proofs
//	accepted: verdict, proofs if it is welcome
//
// A label is its length in a byte and itself, proofs are their number in a byte
// and 32 bytes each.
const (
	welcome    = 0
	otherLabel = 1
	noKey      = 2

	nonceSize = 32
	proofText = "edgecache peer v1"
)

// A session is a connection in the handshake.
type session struct {
	conn     *tls.Conn
	keys     [][]byte
	exported []byte    // known to the two ends of this TLS session alone
	nonces   [2][]byte // of the end that dialed and of the other
	label    string
}

// handshake makes a connection one with a peer that was let in, or closes it.
func (t *Transport) handshake(ctx context.Context, raw net.Conn, dialed bool) (*tls.Conn, error) {
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	stopClosed := context.AfterFunc(t.ctx, func() { raw.Close() })
	defer stopClosed()
	raw.SetDeadline(time.Now().Add(patience))
	conn, err := t.welcome(raw, dialed)
	switch {
	case !stop():
		err = context.Cause(ctx)
	case t.ctx.Err() != nil:
		err = ErrClosed
	case err != nil:
		err = explain(err)
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	if dialed {
		return conn, raw.SetDeadline(time.Time{})
	}
	return conn, raw.SetDeadline(time.Now().Add(patience)) // gRPC lifts it after its own greeting
}

func (t *Transport) welcome(raw net.Conn, dialed bool) (*tls.Conn, error) {
	if err := t.options.permits(raw.RemoteAddr().String()); err != nil {
		return nil, err
	}
	s := session{label: t.options.Label, keys: t.options.Keys()}
	if len(s.keys) > maxKeys {
		s.keys = s.keys[:maxKeys]
	}
	if dialed {
		s.conn = tls.Client(raw, t.certificates.config())
	} else {
		s.conn = tls.Server(raw, t.certificates.config())
	}
	if err := s.conn.Handshake(); err != nil {
		return nil, err
	}
	state := s.conn.ConnectionState()
	if state.NegotiatedProtocol != protocol {
		return nil, fmt.Errorf("%w: its protocol is %q, not %q", ErrStranger, state.NegotiatedProtocol, protocol)
	}
	var err error
	if s.exported, err = state.ExportKeyingMaterial("EXPORTER-edgecache-peer", nil, 32); err != nil {
		return nil, err
	}
	if dialed {
		return s.conn, s.dial()
	}
	return s.conn, s.accept()
}

func (s *session) dial() error {
	mine, greeting := s.greeting()
	label, theirs, err := s.readGreeting()
	if err != nil {
		return err
	}
	s.nonces = [2][]byte{mine, theirs}
	if label != s.label {
		// The peer is told the label, and no proof, to see for itself.
		s.conn.Write(append(greeting, 0))
		return s.otherLabel(label)
	}
	if _, err := s.conn.Write(s.appendProofs(greeting, "client")); err != nil {
		return err
	}
	verdict, err := s.read(1)
	if err != nil {
		return err
	}
	switch verdict[0] {
	case welcome:
		return s.verify("server")
	case otherLabel:
		return fmt.Errorf("%w, says the peer", ErrLabel)
	case noKey:
		return fmt.Errorf("%w, says the peer", ErrKeys)
	}
	return fmt.Errorf("%w: verdict %d", ErrStranger, verdict[0])
}

func (s *session) accept() error {
	mine, greeting := s.greeting()
	if _, err := s.conn.Write(greeting); err != nil {
		return err
	}
	label, theirs, err := s.readGreeting()
	if err != nil {
		return err
	}
	s.nonces = [2][]byte{theirs, mine}
	proven := s.verify("client") // read even if the label is another: unread bytes reset the connection
	if label != s.label {
		s.conn.Write([]byte{otherLabel})
		return s.otherLabel(label)
	}
	if proven != nil {
		s.conn.Write([]byte{noKey})
		return proven
	}
	_, err = s.conn.Write(s.appendProofs([]byte{welcome}, "server"))
	return err
}

func (s *session) otherLabel(theirs string) error {
	return fmt.Errorf("%w: the peer has %q, this node %q", ErrLabel, theirs, s.label)
}

// greeting returns a new nonce, and the greeting that tells it.
func (s *session) greeting() (nonce, greeting []byte) {
	nonce = make([]byte, nonceSize)
	rand.Read(nonce)
	greeting = append([]byte{byte(len(s.label))}, s.label...)
	return nonce, append(greeting, nonce...)
}

func (s *session) readGreeting() (label string, nonce []byte, err error) {
	n, err := s.read(1)
	if err != nil {
		return "", nil, err
	}
	b, err := s.read(int(n[0]) + nonceSize)
	if err != nil {
		return "", nil, err
	}
	return string(b[:n[0]]), b[n[0]:], nil
}

func (s *session) appendProofs(b []byte, role string) []byte {
	b = append(b, byte(len(s.keys)))
	for _, key := range s.keys {
		b = append(b, s.proof(key, role)...)
	}
	return b
}

// proof is of a fixed length but for the label, so no two inputs read alike.
func (s *session) proof(key []byte, role string) []byte {
	h := hmac.New(sha256.New, key)
	io.WriteString(h, proofText+role)
	h.Write(s.exported)
	io.WriteString(h, s.label)
	h.Write(s.nonces[0])
	h.Write(s.nonces[1])
	return h.Sum(nil)
}

// verify reads the peer's proofs and returns an error unless one is of a key
// that this end has, or neither end has any.
func (s *session) verify(role string) error {
	n, err := s.read(1)
	if err != nil {
		return err
	}
	proofs, err := s.read(int(n[0]) * sha256.Size)
	if err != nil {
		return err
	}
	if len(s.keys) == 0 && len(proofs) == 0 {
		return nil
	}
	for _, key := range s.keys {
		want := s.proof(key, role)
		for p := proofs; len(p) > 0; p = p[sha256.Size:] {
			if hmac.Equal(want, p[:sha256.Size]) {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: the peer has %d, this node %d", ErrKeys, n[0], len(s.keys))
}

func (s *session) read(n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(s.conn, b)
	return b, err
}
