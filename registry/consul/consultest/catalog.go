package consultest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// The statuses of a check.
const (
	Passing  = "passing"
	Warning  = "warning"
	Critical = "critical"
)

// An Instance is one instance of a service, in the form in which agents
// register it.
type Instance struct {
	ID              string // "": the name
	Name            string
	Address         string // "": the node's
	Port            uint16
	SocketPath      string
	Tags            []string
	Meta            map[string]string
	TaggedAddresses map[string]Address
	Weights         *Weights
	Check           *Check
	Checks          []Check

	Node string `json:"-"` // "": LocalNode
}

// An Address is a tagged address.
type Address struct {
	Address string
	Port    uint16
}

// Weights are an instance's weights for DNS.
type Weights struct{ Passing, Warning int }

// A Check is a check of an instance.
type Check struct {
	CheckID, Name, Status, Output, TTL string

	modified uint64
}

type instance struct {
	Instance
	created, modified uint64
}

// key is where an instance is registered: its id is unique on its node.
type key struct{ node, id string }

// A catalog is what a Consul server knows. Instances are never changed in
// place: a clone of the catalog shares them.
type catalog struct {
	mu        sync.Mutex // protects the fields below
	index     uint64
	instances map[key]*instance
	nodes     map[string]*Check // the serfHealth check of each node
	services  map[string]uint64 // index of the last change of each service, lower-case
	gone      uint64            // of the last service that vanished
	checks    uint64            // of the last change of any check
	names     uint64            // of the last change of the services table
	restores  uint64            // how often the index began again
	changed   chan struct{}     // closed at each change
}

func newCatalog() *catalog {
	return &catalog{
		index: 10, instances: map[key]*instance{}, nodes: map[string]*Check{}, services: map[string]uint64{},
		gone: 10, checks: 10, names: 10, changed: make(chan struct{}),
	}
}

func (c *catalog) clone() *catalog {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &catalog{
		index: c.index, instances: maps.Clone(c.instances), nodes: maps.Clone(c.nodes), services: maps.Clone(c.services),
		gone: c.gone, checks: c.checks, names: c.names, changed: make(chan struct{}),
	}
}

// commitLocked ends a change: everybody who waits looks again.
func (c *catalog) commitLocked() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Put registers instances, each in place of the one with its id and node. They
// become visible together, as in a transaction.
func (s *Server) Put(instances ...Instance) {
	c := s.catalog
	c.mu.Lock()
	defer c.mu.Unlock()
	c.index++
	for _, in := range instances {
		c.putLocked(in)
	}
	c.commitLocked()
}

func (c *catalog) putLocked(in Instance) {
	in.ID, in.Node = cmp.Or(in.ID, in.Name), cmp.Or(in.Node, LocalNode)
	if in.Weights == nil {
		in.Weights = &Weights{1, 1}
	}
	if in.Check != nil {
		in.Checks = append([]Check{*in.Check}, in.Checks...)
		in.Check = nil
	}
	in.Checks = slices.Clone(in.Checks)
	for i := range in.Checks {
		k := &in.Checks[i]
		k.CheckID = cmp.Or(k.CheckID, checkID(in.ID, i, len(in.Checks)))
		k.Name, k.Status, k.modified = cmp.Or(k.Name, "Service '"+in.Name+"' check"), cmp.Or(k.Status, Critical), c.index
		c.checks = c.index
	}
	if c.nodes[in.Node] == nil {
		c.nodes[in.Node] = &Check{CheckID: "serfHealth", Name: "Serf Health Status", Status: Passing, Output: "Agent alive and reachable", modified: c.index}
		c.checks = c.index
	}
	at, created := key{in.Node, in.ID}, c.index
	if old := c.instances[at]; old != nil {
		created = old.created
		if old.Name != in.Name {
			c.removeLocked(at)
		}
	}
	c.instances[at] = &instance{Instance: in, created: created, modified: c.index}
	c.services[strings.ToLower(in.Name)], c.names = c.index, c.index
}

func checkID(id string, i, n int) string {
	if n == 1 {
		return "service:" + id
	}
	return fmt.Sprintf("service:%s:%d", id, i+1)
}

// Remove deregisters the instances of that id on every node, together. It
// reports whether there was one.
func (s *Server) Remove(ids ...string) bool {
	return s.RemoveWhere(func(in Instance) bool { return slices.Contains(ids, in.ID) })
}

// RemoveService deregisters all instances of the services, together.
func (s *Server) RemoveService(names ...string) bool {
	return s.RemoveWhere(func(in Instance) bool { return slices.Contains(names, in.Name) })
}

// RemoveWhere deregisters the instances that which accepts, together. It
// reports whether there was one.
func (s *Server) RemoveWhere(which func(Instance) bool) bool {
	c := s.catalog
	c.mu.Lock()
	defer c.mu.Unlock()
	var at []key
	for k, in := range c.instances {
		if which(in.Instance) {
			at = append(at, k)
		}
	}
	if len(at) == 0 {
		return false
	}
	c.index++
	for _, k := range at {
		c.removeLocked(k)
	}
	c.commitLocked()
	return true
}

func (c *catalog) removeLocked(at key) {
	in := c.instances[at]
	delete(c.instances, at)
	name := strings.ToLower(in.Name)
	if len(in.Checks) > 0 {
		c.checks = c.index
	}
	c.names, c.services[name] = c.index, c.index
	for _, other := range c.instances {
		if strings.EqualFold(other.Name, in.Name) {
			return
		}
	}
	delete(c.services, name)
	c.gone = c.index
}

// SetHealth sets the status of all checks of the instances of that id. It
// reports whether there was a check.
func (s *Server) SetHealth(id, status string) bool {
	return s.update(func(in *instance, k *Check) bool { return in.ID == id }, status, "")
}

// SetCheck sets the status and output of one check.
func (s *Server) SetCheck(checkID, status, output string) bool {
	return s.update(func(_ *instance, k *Check) bool { return k.CheckID == checkID }, status, output)
}

func (s *Server) update(which func(*instance, *Check) bool, status, output string) bool {
	c := s.catalog
	c.mu.Lock()
	defer c.mu.Unlock()
	next, found := c.index+1, false
	for at, in := range c.instances {
		for i := range in.Checks {
			if !which(in, &in.Checks[i]) {
				continue
			}
			found = true
			if in.Checks[i].Status == status && in.Checks[i].Output == output {
				continue
			}
			fresh := *in
			fresh.Checks = slices.Clone(in.Checks)
			k := &fresh.Checks[i]
			k.Status, k.Output, k.modified = status, output, next
			in = &fresh
			c.instances[at], c.index, c.checks, c.services[strings.ToLower(in.Name)] = in, next, next, next
		}
	}
	if c.index == next {
		c.commitLocked()
	}
	return found
}

// SetNode sets the health of a node: critical as when its agent fails. Its
// instances stay listed.
func (s *Server) SetNode(node, status string) {
	c := s.catalog
	c.mu.Lock()
	defer c.mu.Unlock()
	c.index++
	c.nodes[node] = &Check{CheckID: "serfHealth", Name: "Serf Health Status", Status: status, modified: c.index}
	c.checks = c.index
	for _, in := range c.instances {
		if in.Node == node {
			c.services[strings.ToLower(in.Name)] = c.index
		}
	}
	c.commitLocked()
}

// Reset lets the index start again, as after a restored snapshot, without the
// services named. Blocking queries return at once.
func (s *Server) Reset(without ...string) {
	c := s.catalog
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.instances
	c.restores++
	c.index, c.gone, c.checks, c.names = 2, 2, 2, 2
	c.instances, c.services = map[key]*instance{}, map[string]uint64{}
	for at, in := range old {
		if slices.Contains(without, in.Name) {
			continue
		}
		fresh := *in
		fresh.created, fresh.modified = c.index, c.index
		c.instances[at], c.services[strings.ToLower(in.Name)] = &fresh, c.index
	}
	c.commitLocked()
}

// Index returns the index of the last change.
func (s *Server) Index() uint64 {
	s.catalog.mu.Lock()
	defer s.catalog.mu.Unlock()
	return s.catalog.index
}
