package main

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/valyala/fasthttp"

	"github.com/edgecache/edgecache/registry"
)

// serveHandler runs a handler until the test ends and returns its URL.
func serveHandler(t *testing.T, h fasthttp.RequestHandler) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &fasthttp.Server{Handler: h}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Shutdown(), <-ended); err != nil {
			t.Error(err)
		}
	})
	return "http://" + listener.Addr().String()
}

func TestACrawlAsksForEachNameOnce(t *testing.T) {
	var mu sync.Mutex // protects asked
	asked := map[string]int{}
	url := serveHandler(t, func(ctx *fasthttp.RequestCtx) {
		mu.Lock()
		defer mu.Unlock()
		asked[strings.TrimPrefix(string(ctx.Path()), "/v1/services/")]++
	})
	done, err := crawl{url: url, name: crawlName, from: 5, to: 105, callers: 7}.run(t.Context())
	if err != nil || done != 100 || len(asked) != 100 || asked[crawlName(5)] != 1 || asked[crawlName(104)] != 1 {
		t.Errorf("%d names, %d of them different, %v; want 100", done, len(asked), err)
	}
	failing := serveHandler(t, func(ctx *fasthttp.RequestCtx) { ctx.Error("no", fasthttp.StatusBadGateway) })
	if _, err := (crawl{url: failing, name: crawlName, to: 1, callers: 1}).run(t.Context()); err == nil || !strings.Contains(err.Error(), "502") {
		t.Errorf("error = %v, want the status", err)
	}
}

func TestAQuickOriginSaysTheSame(t *testing.T) {
	b := &bench{}
	o, err := b.newQuickOrigin()
	if err != nil {
		t.Fatal(err)
	}
	if err := serves("http://" + o.address + originPath + name)(); err != nil {
		t.Error(err)
	}
	local.CloseIdleConnections()
	if err := errors.Join(o.down(), b.close()); err != nil {
		t.Error(err)
	}
	if _, _, err := get("http://" + o.address + originPath + name); err == nil {
		t.Error("down, and it answers")
	}
}

func TestASlowFileSystemDelaysFiles(t *testing.T) {
	const delay = 20 * time.Millisecond
	fs := slowFS(delay)
	began := time.Now()
	f, err := fs.Create(filepath.Join(t.TempDir(), "file"), vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write([]byte("text"))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 3*delay {
		t.Errorf("create, write and fsync took %s, each %s", took, delay)
	}
}

func TestABuiltNodeWritesWhatComesToDisk(t *testing.T) {
	synced := &syncTimes{FS: vfs.Default}
	c, err := openCache(t.TempDir(), synced, instantly)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	}()
	if err := c.Upsert(t.Context(), documentOf("fed")); err != nil {
		t.Fatal(err)
	}
	q := registry.Query{Name: "fed", MaxAge: -1, Select: registry.DefaultSelect}
	a, err := c.Lookup(t.Context(), &q)
	if err != nil || !a.Hit || string(a.Record.Document) != document || len(a.Record.Instances) != 6 {
		t.Fatalf("%+v, %v", a, err)
	}
	limit := time.Now().Add(10 * time.Second)
	for c.store.Status().Entries == 0 {
		if time.Now().After(limit) {
			t.Fatal("nothing reached the store")
		}
		pause(t.Context(), time.Millisecond)
	}
	before := time.Now()
	if err := c.Invalidate(t.Context(), &registry.Invalidation{Mode: registry.ModeHard, Selectors: []registry.Selector{{All: true}}}); err != nil {
		t.Fatal(err)
	}
	if synced.last().Before(before) {
		t.Error("no fsync was noted")
	}
}
