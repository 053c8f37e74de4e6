package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Proxies are what nodes on the loopback advertise in place of themselves. A
// cut holds bytes back, ends and new connections too, as a network does that
// loses packets; they pass once it is healed. Only streams are cut, which all
// records travel on.
type proxies struct {
	t    *testing.T
	list []site
	ctx  context.Context
	wg   sync.WaitGroup

	mu      sync.Mutex // protects the fields below
	pids    []int
	apart   map[int]bool  // these from the others
	changed chan struct{} // closed when apart changes
}

func newProxies(t *testing.T, n int) *proxies {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	p := &proxies{t: t, ctx: ctx, pids: make([]int, n), changed: make(chan struct{})}
	hosts := claimLoopback(t)
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		context.AfterFunc(ctx, func() { l.Close() })
		p.wg.Go(func() { p.accept(l, i) })
		host := fmt.Sprintf("%s.%d", hosts, i+1)
		p.list = append(p.list, site{data: host + ":7400", admin: host + ":7401", peer: host + ":7402", advertise: l.Addr().String()})
	}
	t.Cleanup(func() {
		stop()
		p.wg.Wait()
	})
	return p
}

// claimLoopback returns what addresses of the loopback begin with that nobody
// else uses until the test ends: their ports are taken by no connection.
func claimLoopback(t *testing.T) string {
	t.Helper()
	for i := 1; i < 255; i++ {
		hosts := fmt.Sprintf("127.77.%d", i)
		if l, err := net.Listen("tcp", hosts+".254:7400"); err == nil {
			t.Cleanup(func() { l.Close() })
			return hosts
		}
	}
	t.Fatal("no addresses of the loopback are left for a cluster")
	return ""
}

func (p *proxies) sites() []site   { return p.list }
func (p *proxies) outside() string { return "127.0.0.1" }
func (p *proxies) heal()           { p.cut(nil) }
func (p *proxies) String() string  { return "a cutting proxy" }

func (p *proxies) started(i, pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pids[i] = pid
}

func (p *proxies) cut(some []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.apart = map[int]bool{}
	for _, i := range some {
		p.apart[i] = true
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// pass waits until two nodes are on one side; false at the test's end.
func (p *proxies) pass(a, b int) bool {
	for {
		p.mu.Lock()
		apart, changed := p.apart[a] != p.apart[b], p.changed
		p.mu.Unlock()
		if !apart {
			return p.ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-p.ctx.Done():
			return false
		}
	}
}

func (p *proxies) accept(l net.Listener, to int) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.carry(c, to) })
	}
}

// carry connects one connection to the node that it is meant for.
func (p *proxies) carry(c net.Conn, to int) {
	defer c.Close()
	from, err := p.dialer(c.RemoteAddr().(*net.TCPAddr).Port)
	if err != nil || !p.pass(from, to) {
		return // the dialer is gone
	}
	d, err := net.Dial("tcp", p.list[to].peer)
	if err != nil {
		return
	}
	defer d.Close()
	defer context.AfterFunc(p.ctx, func() { c.Close(); d.Close() })()
	var back sync.WaitGroup
	back.Go(func() { p.pump(c, d, from, to) })
	p.pump(d, c, from, to)
	back.Wait()
}

// pump moves bytes one way, and ends both ways when this one ends.
func (p *proxies) pump(dst, src net.Conn, from, to int) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := src.Read(buffer)
		if !p.pass(from, to) {
			return
		}
		if n > 0 {
			if _, failed := dst.Write(buffer[:n]); failed != nil {
				err = failed
			}
		}
		if err != nil {
			dst.Close()
			src.Close()
			return
		}
	}
}

// dialer returns the node that has a socket on a local port: whose process
// holds the inode that the kernel's table shows.
func (p *proxies) dialer(port int) (int, error) {
	inode, err := inodeOf(port)
	if err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, pid := range p.pids {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, file := range files {
			if target, err := os.Readlink(file); err == nil && target == "socket:["+inode+"]" {
				return i, nil
			}
		}
	}
	return 0, fmt.Errorf("no node has socket %s", inode)
}

// inodeOf finds the socket with a local port in the table of the loopback's
// connections.
func inodeOf(port int) (string, error) {
	file, err := os.Open("/proc/net/tcp")
	if err != nil {
		return "", err
	}
	defer file.Close()
	local := fmt.Sprintf("0100007F:%04X", port)
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) > 9 && f[1] == local {
			return f[9], nil
		}
	}
	return "", errors.New("no such connection")
}
