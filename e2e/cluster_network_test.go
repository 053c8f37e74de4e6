package e2e_test

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var networkKind = flag.String("cluster.network", "auto",
	"how nodes of a cluster are connected: namespaces (needs root), proxy, or auto: namespaces where they can be made")

// A network connects the nodes of a cluster so that they can be cut off from
// each other, while clients and the registry reach all of them.
type network interface {
	sites() []site
	outside() string // host that the nodes reach this process at

	// started says which process runs a node now.
	started(i, pid int)
	// cut parts some nodes from all others.
	cut(some []int)
	heal()
}

// A site is where one node runs.
type site struct {
	inside      []string // the command that others are run by there
	data, admin string   // host:port of its listeners
	peer        string
	advertise   string // by which the others reach peer
}

// newNetwork makes a network that lasts until the test ends.
func newNetwork(t *testing.T, n int) network {
	t.Helper()
	if *networkKind == "proxy" {
		return newProxies(t, n)
	}
	spaces, err := newNamespaces(t, n)
	if err == nil {
		return spaces
	}
	if *networkKind == "namespaces" {
		t.Fatal(err)
	}
	t.Logf("no network namespaces here, a proxy cuts the streams instead: %v", err)
	return newProxies(t, n)
}

// wrap returns a program that runs another one at the site.
func (s site) wrap(t *testing.T, binary string) string {
	t.Helper()
	if len(s.inside) == 0 {
		return binary
	}
	path := filepath.Join(t.TempDir(), filepath.Base(binary))
	script := fmt.Sprintf("#!/bin/sh\nexec %s %s \"$@\"\n", strings.Join(s.inside, " "), binary)
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// Namespaces are one network namespace for each node. Its interface "front"
// leads to this process, "peers" to a switch: a namespace with two bridges,
// which are the two sides of a cut.
type namespaces struct {
	t      *testing.T
	number int // of the network, in all its names and addresses
	nodes  int
}

func newNamespaces(t *testing.T, n int) (*namespaces, error) {
	s := &namespaces{t: t, nodes: n}
	if err := s.claim(); err != nil {
		return nil, err
	}
	t.Cleanup(s.remove)
	if err := s.build(); err != nil {
		return nil, err
	}
	return s, nil
}

// claim finds a number that no other network has, by making its front bridge.
func (s *namespaces) claim() error {
	taken := map[string]bool{}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	for _, a := range addresses {
		ip, _, _ := net.ParseCIDR(a.String())
		taken[ip.String()] = true
	}
	for s.number = 1; s.number < 255; s.number++ {
		if taken[s.outside()] || exists("/run/netns/"+s.space("s")) {
			continue
		}
		if err = ip("link add %s type bridge", s.space("")); err == nil {
			return nil
		}
		if !strings.Contains(err.Error(), "File exists") {
			return err
		}
	}
	return err
}

func (s *namespaces) build() error {
	front, middle := s.space(""), s.space("s")
	commands := []string{
		"addr add " + s.outside() + "/24 dev " + front,
		"link set " + front + " up",
		"netns add " + middle,
		"-n " + middle + " link add name side-a type bridge",
		"-n " + middle + " link add name side-b type bridge",
		"-n " + middle + " link set side-a up",
		"-n " + middle + " link set side-b up",
	}
	for i := range s.nodes {
		name := s.space(fmt.Sprint(i + 1))
		commands = append(commands,
			"netns add "+name,
			"link add "+name+" type veth peer name front netns "+name,
			"link set "+name+" master "+front+" up",
			"-n "+middle+" link add "+port(i)+" type veth peer name peers netns "+name,
			"-n "+middle+" link set "+port(i)+" master side-a up",
			"-n "+name+" addr add "+s.frontOf(i)+"/24 dev front",
			"-n "+name+" addr add "+s.peerOf(i)+"/24 dev peers",
			"-n "+name+" link set lo up",
			"-n "+name+" link set front up",
			"-n "+name+" link set peers up",
			"netns exec "+name+" true")
	}
	for _, c := range commands {
		if err := ip("%s", c); err != nil {
			return err
		}
	}
	return nil
}

func (s *namespaces) remove() {
	names := []string{s.space("s")}
	for i := range s.nodes {
		names = append(names, s.space(fmt.Sprint(i+1)))
	}
	for _, name := range names {
		if exists("/run/netns/" + name) {
			s.must("netns del %s", name)
		}
	}
	s.must("link del %s", s.space(""))
}

func (s *namespaces) must(format string, args ...any) {
	s.t.Helper()
	if err := ip(format, args...); err != nil {
		s.t.Error(err)
	}
}

// space names the namespace of a node or of the switch; "" is the front bridge.
func (s *namespaces) space(of string) string { return fmt.Sprintf("ec%d-%s", s.number, of) }

func (s *namespaces) outside() string      { return fmt.Sprintf("198.18.%d.254", s.number) }
func (s *namespaces) frontOf(i int) string { return fmt.Sprintf("198.18.%d.%d", s.number, i+1) }
func (s *namespaces) peerOf(i int) string  { return fmt.Sprintf("198.19.%d.%d", s.number, i+1) }
func (s *namespaces) started(int, int)     {}
func (s *namespaces) String() string       { return "network namespaces" }
func port(i int) string                    { return fmt.Sprintf("p%d", i+1) }
func exists(path string) bool              { _, err := os.Stat(path); return err == nil }

func (s *namespaces) sites() (list []site) {
	for i := range s.nodes {
		list = append(list, site{
			inside: []string{"ip", "netns", "exec", s.space(fmt.Sprint(i + 1))},
			data:   s.frontOf(i) + ":7400", admin: s.frontOf(i) + ":7401",
			peer: s.peerOf(i) + ":7402", advertise: s.peerOf(i) + ":7402",
		})
	}
	return list
}

func (s *namespaces) cut(some []int) {
	for _, i := range some {
		s.must("-n %s link set %s master side-b", s.space("s"), port(i))
	}
}

func (s *namespaces) heal() {
	for i := range s.nodes {
		s.must("-n %s link set %s master side-a", s.space("s"), port(i))
	}
}

// ip runs the command of that name.
func ip(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if out, err := exec.Command("ip", strings.Fields(text)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", text, err, strings.TrimSpace(string(out)))
	}
	return nil
}
