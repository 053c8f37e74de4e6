package registrytest_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/edgecache/edgecache/registry/registrytest"
)

func TestFreePortsAreFreeAndDiffer(t *testing.T) {
	next, err := registrytest.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	first, err := strconv.Atoi(next[0])
	if err != nil {
		t.Fatal(err)
	}
	taken := strconv.Itoa(first + 1)
	if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", taken)); err == nil {
		defer l.Close()
	}
	ports, err := registrytest.FreePorts(50)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{next[0]: true, taken: true}
	for _, port := range ports {
		if seen[port] {
			t.Errorf("port %s was returned before, or is taken", port)
		}
		seen[port] = true
		if n, err := strconv.Atoi(port); err != nil || n < 1024 || n >= 32768 {
			t.Errorf("port %s: one between 1024 and 32768 expected", port)
		}
		for _, network := range []string{"tcp", "udp"} {
			if err := listens(network, net.JoinHostPort("127.0.0.1", port)); err != nil {
				t.Error(err)
			}
		}
	}
}

func listens(network, address string) error {
	if network == "udp" {
		p, err := net.ListenPacket(network, address)
		if err != nil {
			return err
		}
		return p.Close()
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	return l.Close()
}
