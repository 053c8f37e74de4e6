package registrytest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
)

// The ports below those that systems pick from for outgoing connections (32768
// on Linux, 49152 elsewhere), which would take a port from a process that is
// about to start, or to start again.
const (
	leastPort = 10_000
	portLimit = 32_768
	portTries = 10_000
)

// lastPort is where the search for the next port begins, so that none is found
// twice.
var lastPort atomic.Uint32

func init() { lastPort.Store(rand.Uint32N(portLimit - leastPort)) }

// FreePorts returns ports of loopback that nobody has in use now, and that it
// has not returned in this process.
func FreePorts(n int) (ports []string, err error) {
	for range portTries {
		if len(ports) == n {
			return ports, nil
		}
		port := strconv.Itoa(int(leastPort + lastPort.Add(1)%(portLimit-leastPort)))
		if err = unused(port); err == nil {
			ports = append(ports, port)
		}
	}
	return nil, fmt.Errorf("%d free ports of loopback not found: %w", n, err)
}

func unused(port string) error {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return err
	}
	p, err := net.ListenPacket("udp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return errors.Join(err, l.Close())
	}
	return errors.Join(l.Close(), p.Close())
}
