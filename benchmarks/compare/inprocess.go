package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/cache"
	httpd "github.com/edgecache/edgecache/http"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
	"github.com/edgecache/edgecache/store"
)

// A built says how a node is put together that runs in a child, with a
// registry that is a function of the same process.
type built struct {
	Dir     string        `json:"dir"`     // of the store; "": without a disk
	Data    string        `json:"data"`    // address of its data port
	Control string        `json:"control"` // address of its control, see control
	Delay   time.Duration `json:"delay"`   // of each operation of the store's file system
}

// startBuilt runs a node in a child of this program.
func (b *bench) startBuilt(ctx context.Context, label string, how built) (*node, error) {
	ports, err := registrytest.FreePorts(2)
	if err != nil {
		return nil, err
	}
	how.Data, how.Control = "127.0.0.1:"+ports[0], "127.0.0.1:"+ports[1]
	text, err := json.Marshal(how)
	if err != nil {
		return nil, err
	}
	path, err := b.write(label+".json", string(text))
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	n := &node{data: "http://" + how.Data, admin: "http://" + how.Control}
	ready := func() error {
		_, _, err := get(n.service(name))
		return err
	}
	n.process, err = b.start(ctx, ready, self, "node", path)
	return n, err
}

// feed has so many new entries a second come to a node of startBuilt from now
// on, within its process, and returns how many came so far, and how many its
// store holds.
func (n *node) feed(rate int) (f fedSoFar, err error) {
	body, _, err := get(n.admin + "/feed?rate=" + strconv.Itoa(rate))
	if err == nil {
		_, err = fmt.Sscan(string(body), &f.came, &f.stored)
	}
	return f, err
}

type fedSoFar struct{ came, stored int64 }

// serveBuilt is the child.
func serveBuilt(ctx context.Context, args []string) (err error) {
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var how built
	if err := json.Unmarshal(text, &how); err != nil {
		return err
	}
	fs := vfs.FS(nil)
	if how.Delay > 0 {
		fs = slowFS(how.Delay)
	}
	c, err := openCache(how.Dir, fs, instantly)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	o := httpd.Defaults()
	o.Listen, o.Drain = how.Data, 0
	a := httpd.AdminDefaults()
	a.Listen = "127.0.0.1:0"
	server, err := httpd.New(o, a, httpd.Deps{Answerer: &registry.Answerer{Engine: c.Cache}, Control: c.Cache, Ready: c.Ready, Node: "built"})
	if err != nil {
		return err
	}
	if err := server.Open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	f := &feeder{cache: c}
	go f.run(ctx)
	listener, err := net.Listen("tcp", how.Control)
	if err != nil {
		return err
	}
	control := &http.Server{Handler: f, ReadHeaderTimeout: startLimit}
	go func() { _ = control.Serve(listener) }() // ends with the process
	<-ctx.Done()
	return control.Close()
}

// A durable is a cache with a store, or without.
type durable struct {
	*cache.Cache
	store *store.Store // nil: without
}

// openCache opens a cache over a registry that is a function, with a store in
// dir (fs nil: on the disk), or without if dir is "".
func openCache(dir string, fs vfs.FS, source registry.SourceFunc) (durable, error) {
	o := cache.Defaults()
	o.TTL = time.Hour
	o.Memory = 8 << 30 // nothing goes
	o.Registries = []cache.Registry{{Name: registryName, Type: "synthetic", Kind: registry.KindService, Source: source}}
	d := durable{}
	if dir != "" {
		so := store.Defaults()
		so.Dir, so.FS = dir, fs
		var err error
		if d.store, err = store.Open(so); err != nil {
			return d, err
		}
		o.Store, o.Journal, o.Clock = d.store, d.store, d.store.Clock()
	}
	var err error
	if d.Cache, err = cache.New(o); err == nil {
		err = d.Open()
	}
	if err != nil && d.store != nil {
		err = errors.Join(err, d.store.Close())
	}
	return d, err
}

func (d durable) close() error {
	err := d.Close()
	if d.store != nil {
		err = errors.Join(err, d.store.Close())
	}
	return err
}

// report prints what a child found. What the end of the store says is none of
// it.
func (d durable) report(found any) error {
	err := json.NewEncoder(os.Stdout).Encode(found)
	if closing := d.close(); closing != nil {
		fmt.Fprintln(os.Stderr, "compare:", closing)
	}
	return err
}

// registryName is the one registry of openCache.
const registryName = "r"

// instantly is a registry that answers every name with document at once.
func instantly(_ context.Context, name string, _ *registry.Record) (*registry.Record, error) {
	return documentOf(name), nil
}

// documentOf returns document under another name, as an adapter reads it.
func documentOf(name string) *registry.Record {
	return &registry.Record{
		Key: registry.Key{Registry: registryName, Name: name}, Instances: parsed.Instances, Metadata: parsed.Metadata,
		Document: []byte(document), MediaType: "application/json", Tags: parsed.Tags, Wishes: parsed.Wishes,
	}
}

// parsed is what document says; Seal copies all of it.
var parsed = func() *registry.Record {
	rec, err := registry.ParseRecord([]byte(document))
	if err != nil {
		panic(err) // a constant of this program
	}
	return rec
}()

// A feeder has new entries come at a rate, as a feed of changes brings them.
type feeder struct {
	cache durable
	rate  atomic.Int64 // a second; 0: none
	done  atomic.Int64
}

// ServeHTTP sets the rate and answers how many entries came so far.
func (f *feeder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rate, err := strconv.ParseInt(r.URL.Query().Get("rate"), 10, 64)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.rate.Store(rate)
	stored := uint64(0)
	if f.cache.store != nil {
		stored = f.cache.store.Status().Entries
	}
	fmt.Fprintln(w, f.done.Load(), stored)
}

// feedTick is how often a feeder sets to work; what was missed is made up for.
const feedTick = 2 * time.Millisecond

func (f *feeder) run(ctx context.Context) {
	tick := time.NewTicker(feedTick)
	defer tick.Stop()
	last, owed := time.Now(), 0.0
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := time.Now()
		owed = min(owed+float64(f.rate.Load())*now.Sub(last).Seconds(), newEntries)
		last = now
		for ; owed >= 1; owed-- {
			rec := documentOf(fmt.Sprintf("fed-%09d", f.done.Add(1)))
			if err := f.cache.Upsert(ctx, rec); err != nil && ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "feed:", err)
			}
		}
	}
}
