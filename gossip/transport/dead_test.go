package transport_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/edgecache/edgecache/gossip/transport"
)

// The end that accepted notices within seconds that nothing comes any more,
// though the connection was never closed.
func TestDeadPeer(t *testing.T) {
	t.Parallel()
	a, b := start(t, transport.Options{}), start(t, transport.Options{})
	listener := listen(t)
	var relay sync.WaitGroup
	defer relay.Wait()
	var frozen atomic.Bool
	pass := func(to, from net.Conn) {
		defer to.Close()
		b := make([]byte, 1<<16)
		for {
			n, err := from.Read(b)
			if err != nil {
				return
			}
			if frozen.Load() {
				continue
			}
			if _, err := to.Write(b[:n]); err != nil {
				io.Copy(io.Discard, from)
				return
			}
		}
	}
	relay.Go(func() {
		from, err := listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", b.Addr().String())
		if err != nil {
			from.Close()
			t.Error(err)
			return
		}
		relay.Go(func() { pass(to, from) })
		pass(from, to)
	})
	if err := dial(t, a, listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	await(t, b.opened)
	frozen.Store(true)
	if err := await(t, b.closed); err == nil {
		t.Error("closed without an error")
	}
	a.Close()
}
