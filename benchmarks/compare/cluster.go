package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/gossip"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/store"
)

// oneProcess is the note of figures whose nodes are in one process.
const oneProcess = "nodes of one process, with streams and disks of their own, which share two cores"

// A member is a node of a cluster within this process.
type member struct {
	durable
	node    *gossip.Node
	name    string
	dir     string
	peers   string   // host:port of its streams
	join    []string // of others
	records int      // most that its journal keeps; 0: as many as by default
	log     *watched
}

// A watched journal notes what a node took as gone.
type watched struct {
	*store.Store
	mu   sync.Mutex       // protects the field below
	gone map[epoch]uint64 // up to which sequence everything was invalidated instead
}

func (w *watched) Raise(mode registry.Mode, a registry.Applied, instead []registry.EpochState) error {
	w.mu.Lock()
	for _, e := range instead {
		w.gone[epoch{e.Origin, e.Epoch}] = e.Start - 1
	}
	w.mu.Unlock()
	return w.Store.Raise(mode, a, instead)
}

func (w *watched) goneOf(id epoch) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gone[id]
}

// open starts the member, again with what it left on disk if it ran before.
func (m *member) open() (err error) {
	var opened []func() error
	defer func() {
		for i := len(opened) - 1; err != nil && i >= 0; i-- {
			err = errors.Join(err, opened[i]())
		}
	}()
	so := store.Defaults()
	so.Dir, so.Records = m.dir, m.records
	if m.store, err = store.Open(so); err != nil {
		return err
	}
	opened = append(opened, m.store.Close)
	m.log = &watched{Store: m.store, gone: map[epoch]uint64{}}
	o := gossip.Defaults()
	o.PeerListen, o.Join, o.Name, o.ReadyAfter, o.Log = m.peers, m.join, m.name, time.Minute, m.log
	o = o.WithListeners()
	if m.node, err = gossip.New(o); err != nil {
		return err
	}
	co := cache.Defaults()
	co.TTL = time.Hour
	co.Node, co.Store, co.Journal, co.Clock, co.Cluster = m.name, m.store, m.store, m.store.Clock(), m.node
	co.Registries = []cache.Registry{{Name: registryName, Type: "synthetic", Kind: registry.KindService, Source: registry.SourceFunc(instantly)}}
	if m.Cache, err = cache.New(co); err != nil {
		return err
	}
	if err = m.Open(); err != nil {
		return err
	}
	opened = append(opened, m.Close, m.node.Close)
	if err = m.node.Open(m.Cache); err != nil {
		return err
	}
	m.peers = m.node.Address() // the same when it runs again
	return nil
}

// end stops the member as a node is stopped that comes back.
func (m *member) end() error { return errors.Join(m.node.Close(), m.durable.close()) }

// issue invalidates one name.
func (m *member) issue(ctx context.Context, name string) (*registry.Invalidation, error) {
	inv := &registry.Invalidation{Mode: registry.ModeVerify, Selectors: []registry.Selector{{Key: registry.Key{Registry: registryName, Name: name}}}}
	return inv, m.Invalidate(ctx, inv)
}

// A cluster is members that know each other.
type cluster []*member

// openCluster starts members below dir, of which all but the first join by it,
// and waits until they are one cluster.
func openCluster(ctx context.Context, dir string, count, records int) (c cluster, err error) {
	for i := range count {
		m := &member{name: fmt.Sprintf("edge-%d", i+1), peers: "127.0.0.1:0", records: records}
		m.dir = filepath.Join(dir, m.name)
		if i > 0 {
			m.join = []string{c[0].peers}
		}
		if err = m.open(); err != nil {
			return nil, errors.Join(err, c.end())
		}
		c = append(c, m)
		if err = m.enters(ctx); err != nil {
			return nil, errors.Join(err, c.end())
		}
	}
	if err = c.settle(ctx); err != nil {
		return nil, errors.Join(err, c.end())
	}
	return c, nil
}

// enters waits until the member is synced.
func (m *member) enters(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	return poll(ctx, func() error {
		if !m.node.Synced() {
			return fmt.Errorf("%s is not synced", m.name)
		}
		return nil
	})
}

func (c cluster) end() error {
	var errs []error
	for _, m := range c {
		errs = append(errs, m.end())
	}
	return errors.Join(errs...)
}

// report ends the cluster of a child and prints what the child found. What the
// end says is none of it.
func (c cluster) report(found any, err error) error {
	if closing := c.end(); closing != nil {
		fmt.Fprintln(os.Stderr, "compare:", closing)
	}
	return printFound(found, err)
}

// printFound has a child print what it found, unless it failed.
func printFound(found any, err error) error {
	if err != nil {
		return firstOf(err)
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

// settle waits until every member is synced and sees that no other lacks
// anything.
func (c cluster) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	return poll(ctx, func() error {
		for _, m := range c {
			if err := m.sees(ctx, len(c)); err != nil {
				return err
			}
		}
		return nil
	})
}

const settleLimit = time.Minute

// sees tells what is wrong with the members in the eyes of this one.
func (m *member) sees(ctx context.Context, count int) error {
	if !m.node.Synced() {
		return fmt.Errorf("%s is not synced", m.name)
	}
	list := m.node.Members(ctx)
	if len(list) != count {
		return fmt.Errorf("%s sees %d members, %d expected", m.name, len(list), count)
	}
	for _, v := range list {
		if v.State != "alive" || !v.Synced || v.Lag > 0 {
			return fmt.Errorf("%s sees %s %s, synced %v, %d behind", m.name, v.Name, v.State, v.Synced, v.Lag)
		}
	}
	return nil
}

// journal returns what a member has logged: of each epoch the last sequence,
// and how many below it are missing.
func (m *member) journal() (map[epoch]logged, error) {
	list := map[epoch]logged{}
	err := m.store.Epochs(func(e registry.EpochState) bool {
		if e.Last > 0 {
			list[epoch{e.Origin, e.Epoch}] = logged{e.Last, e.Last + 1 - max(e.Start, 1) - e.Count}
		}
		return true
	})
	return list, err
}

type (
	epoch  struct{ origin, epoch uint64 }
	logged struct{ last, missing uint64 }
)

// same tells which member has not logged what another has, or lacks some.
func (c cluster) same() error {
	first, err := c[0].journal()
	if err != nil {
		return err
	}
	for id, l := range first {
		if l.missing > 0 {
			return fmt.Errorf("%s lacks %d records of %x", c[0].name, l.missing, id.origin)
		}
	}
	for _, m := range c[1:] {
		list, err := m.journal()
		if err != nil {
			return err
		}
		for id := range list {
			if _, ok := first[id]; !ok {
				return fmt.Errorf("%s has an epoch of %x that %s lacks", m.name, id.origin, c[0].name)
			}
		}
		for id, l := range first {
			if list[id] != l {
				return fmt.Errorf("%s has logged up to %d of %x without %d, %s all up to %d", m.name, list[id].last, id.origin, list[id].missing, c[0].name, l.last)
			}
		}
	}
	return nil
}
