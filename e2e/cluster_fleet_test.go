package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Versions is a registry in which each service has a version, 0 at first.
type versions struct {
	address string

	mu  sync.Mutex // protects now
	now map[string]int
}

func newVersions(t *testing.T, host string) *versions {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	v := &versions{address: l.Addr().String(), now: map[string]int{}}
	server := &http.Server{Handler: v}
	go func() { _ = server.Serve(l) }() // ends with Close
	t.Cleanup(func() { _ = server.Close() })
	return v
}

// next gives a service its next version and returns it.
func (v *versions) next(service string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now[service]++
	return v.now[service]
}

func (v *versions) of(service string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.now[service]
}

// ServeHTTP answers with what is so when it is asked; some answers take a while
// to arrive, and are old then.
func (v *versions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	service := r.URL.Path[1:]
	version := v.of(service)
	if rand.IntN(8) == 0 {
		<-time.After(rand.N(30 * time.Millisecond))
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(object{"name": service, "instances": []object{ // the reader may be gone
		{"id": "one", "address": "10.2.0.1", "port": 80, "metadata": object{"version": strconv.Itoa(version)}}}})
}

// A fleet is a cluster whose nodes are at fixed addresses, whatever becomes of
// their processes.
type fleet struct {
	t        *testing.T
	network  network
	sites    []site
	versions *versions
	nodes    []*node   // that run or ran last
	ran      [][]*node // and all before them
	client   *http.Client
}

// An outfit is what the nodes of a fleet run with.
type outfit struct {
	nodes  int
	binary string
	drain  time.Duration
	dirs   map[int]string // of data; the others have their own
}

// newFleet starts a cluster and waits until all nodes are synced.
func newFleet(t *testing.T, o outfit) *fleet {
	t.Helper()
	f := &fleet{t: t, network: newNetwork(t, o.nodes), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	t.Cleanup(f.client.CloseIdleConnections)
	t.Cleanup(f.tellTroubles)
	f.sites = f.network.sites()
	f.versions = newVersions(t, f.network.outside())
	var join []string
	for _, s := range f.sites {
		join = append(join, strconv.Quote(s.advertise))
	}
	for i, s := range f.sites {
		dir := o.dirs[i]
		if dir == "" {
			dir = "data"
		}
		host, _, _ := net.SplitHostPort(s.admin)
		config := configure(t, fmt.Sprintf(`node: {name: edge-%d, data_dir: %q}
http: {listen: %q, drain: %s}
admin: {listen: %q, hosts: [%q], insecure: true}
gossip: {peer_listen: %q, advertise: %q, join: [%s], insecure: true}
cache: {ttl: 10m, refresh_ahead: 0%%, recheck: {min: 100ms, max: 500ms}}
registries: [{name: versions, type: httpjson, address: "http://%s", path: "/{name}", rate: 0, retries: 0, timeout: 2s}]
`, i+1, dir, s.data, o.drain, s.admin, host, s.peer, s.advertise, strings.Join(join, ", "), f.versions.address))
		f.nodes, f.ran = append(f.nodes, nil), append(f.ran, nil)
		f.launched(i, launch(t, s.wrap(t, o.binary), config))
	}
	for _, n := range f.nodes {
		n.serves()
	}
	eventually(t, "all nodes are synced", f.synced)
	return f
}

// tellTroubles logs what the nodes warned of, if the test failed.
func (f *fleet) tellTroubles() {
	if !f.t.Failed() {
		return
	}
	for i, processes := range f.ran {
		for life, n := range processes {
			for line := range strings.Lines(n.log.String()) {
				if !strings.Contains(line, "level=INFO") {
					f.t.Logf("edge-%d, life %d: %s", i+1, life+1, line)
				}
			}
		}
	}
}

// synced tells which node is not.
func (f *fleet) synced() error {
	for i, s := range f.sites {
		a, err := f.send(patience, http.MethodGet, s.admin+"/v1/status", nil)
		if err != nil {
			return err
		}
		var status struct{ Synced bool }
		if err := json.Unmarshal(a.body, &status); err != nil || !status.Synced {
			return fmt.Errorf("edge-%d is not: %v", i+1, a)
		}
	}
	return nil
}

// kill ends a node by kill -9.
func (f *fleet) kill(i int) {
	f.t.Helper()
	f.nodes[i].kill()
	if text := f.nodes[i].log.String(); strings.Contains(text, "DATA RACE") {
		f.t.Errorf("edge-%d: %s", i+1, text)
	}
}

// restart runs a node that ended on what it left on disk.
func (f *fleet) restart(i int) {
	f.t.Helper()
	old := f.nodes[i]
	f.launched(i, launch(f.t, old.binary, old.config, old.args...))
	f.nodes[i].serves()
}

func (f *fleet) launched(i int, n *node) {
	n.told = 500 // one of many
	f.nodes[i], f.ran[i] = n, append(f.ran[i], n)
	f.network.started(i, n.cmd.Process.Pid)
}

// pause stops a node's process, which goOn has go on.
func (f *fleet) pause(i int) { f.nodes[i].signal(syscall.SIGSTOP) }
func (f *fleet) goOn(i int)  { f.nodes[i].signal(syscall.SIGCONT) }

// send asks a node for something; the answer's body is JSON.
func (f *fleet) send(limit time.Duration, method, url string, body object) (*answer, error) {
	ctx, cancel := context.WithTimeout(f.t.Context(), limit)
	defer cancel()
	var content io.Reader
	if body != nil {
		content = strings.NewReader(text(body))
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+url, content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	a := &answer{status: res.StatusCode, header: res.Header}
	if a.body, err = io.ReadAll(res.Body); err != nil {
		return nil, err
	}
	if bytes.HasPrefix(a.body, []byte("{")) {
		err = json.Unmarshal(a.body, a)
	}
	return a, err
}

const patience = time.Second // with a node that may be gone

// lookup returns the version that a node answers with, and whether it calls it
// fresh.
func (f *fleet) lookup(i int, service string, limit time.Duration) (version int, fresh bool, err error) {
	a, err := f.send(limit, http.MethodGet, f.sites[i].data+"/v1/services/"+service, nil)
	if err != nil {
		return 0, false, err
	}
	if a.status != http.StatusOK || len(a.Instances) != 1 {
		return 0, false, errors.New(a.String())
	}
	version, err = strconv.Atoi(a.Instances[0].Metadata["version"])
	return version, !a.Stale && !a.detail("unsynced"), err
}

// invalidate has a node invalidate a service; the error says why that was not
// acknowledged.
func (f *fleet) invalidate(i int, service, mode, wait string, limit time.Duration) (c confirmation, err error) {
	a, err := f.send(limit+patience, http.MethodPost, f.sites[i].admin+"/v1/invalidate",
		object{"services": []object{{"name": service}}, "mode": mode, "wait": wait, "timeout": limit.String()})
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(a.body, &c); err != nil || a.status != http.StatusOK {
		return c, errors.New(a.String())
	}
	return c, nil
}

// settled tells what is missing until all nodes hear each other, are synced and
// have logged the same.
func (f *fleet) settled() error {
	for i, s := range f.sites {
		a, err := f.send(patience, http.MethodGet, s.admin+"/v1/members", nil)
		if err != nil {
			return err
		}
		var seen struct {
			Members []struct {
				Name, State string
				Synced      bool
				Lag         int
			}
		}
		if err := json.Unmarshal(a.body, &seen); err != nil {
			return err
		}
		var alive []string
		for _, m := range seen.Members {
			if m.State == "left" {
				continue // an identity that a node had before
			}
			if m.State != "alive" || !m.Synced || m.Lag > 0 {
				return fmt.Errorf("edge-%d sees %s %s, synced %v, %d behind", i+1, m.Name, m.State, m.Synced, m.Lag)
			}
			alive = append(alive, m.Name)
		}
		if slices.Sort(alive); len(slices.Compact(alive)) != len(f.sites) {
			return fmt.Errorf("edge-%d sees %q", i+1, alive)
		}
	}
	return nil
}

// sameInTheEnd checks that after all faults an invalidation is confirmed by all
// nodes, and that all have what it is about.
func (f *fleet) sameInTheEnd(services []string) {
	f.t.Helper()
	eventually(f.t, "all nodes have the same", f.settled)
	for _, service := range services {
		var version int
		eventually(f.t, service+" is invalidated, with all nodes well", func() error {
			version = f.versions.next(service)
			c, err := f.invalidate(0, service, "verify", "all", deadline)
			if err != nil { // a slow disk, perhaps: to be repeated, as the answer says
				return err
			}
			if len(c.Confirmed) != len(f.sites) || len(c.Fenced)+len(c.Pending) > 0 {
				f.t.Errorf("%s, with all nodes well: %+v", service, c)
			}
			return nil
		})
		for i := range f.sites {
			eventually(f.t, service+" is fresh again", func() error {
				switch got, fresh, err := f.lookup(i, service, patience); {
				case err != nil:
					return err
				case !fresh:
					return fmt.Errorf("edge-%d: not fresh", i+1)
				case got != version:
					f.t.Fatalf("edge-%d: %s is %d, and %d was acknowledged", i+1, service, got, version)
				}
				return nil
			})
		}
	}
}
