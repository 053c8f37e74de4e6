package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
)

// hosted builds the module and opens it as a node does.
func hosted(t *testing.T, base string) *plugins.Adapter {
	t.Helper()
	kit, _ := filepath.Glob("../../../pdk/go/adapter/*.go")
	own, _ := filepath.Glob("*.go")
	for _, path := range append(kit, own...) { // go test remembers results by what the test itself opened
		if _, err := os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	module := filepath.Join(t.TempDir(), "eureka.wasm")
	build := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-buildmode=c-shared", "-ldflags=-s -w", "-o", module, ".")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local", "GOPROXY=off", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	host, err := plugins.NewHost(nil, plugins.HostOptions{Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(host.Close)
	o := plugins.AdapterDefaults()
	o.Name, o.Plugin, o.Manifest = "eureka", module, "../eureka.yaml"
	o.Config, o.Allow, o.Poll, o.Pool, o.Timeout = map[string]any{"url": base}, registry.Strings{base[:len(base)-len("/eureka")]}, 100*time.Millisecond, 1, time.Minute
	a, err := host.OpenAdapter(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() }) // which always is nil
	return a
}

// TestARealServerFollowedByAHost runs the module in a host: a node's look-ups, its
// list and its watch.
func TestARealServerFollowedByAHost(t *testing.T) {
	base := eureka(t)
	register(t, base, "WEB", "web-1", "10.0.0.1")
	register(t, base, "WEB", "web-2", "10.0.0.2")
	register(t, base, "DB", "db-1", "10.0.0.3")
	a := hosted(t, base)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	watching, stop := context.WithCancel(ctx)
	next, ended := watched(watching, t, a)
	next("db db-1=passing", "web web-1=passing web-2=passing", "synced")
	does(t, "PUT", base+"/apps/WEB/web-2/status?value=OUT_OF_SERVICE", "")
	next("web web-1=passing web-2=maintenance")
	does(t, "DELETE", base+"/apps/DB/db-1", "")
	next("db is gone")
	stop()
	<-ended

	record, err := a.Lookup(ctx, "Web", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := toldBy(registry.Event{Name: record.Key.Name, Record: record}); got != "Web web-1=passing web-2=maintenance" {
		t.Errorf("the look-up found %s", got)
	}
	if _, err := a.Lookup(ctx, "Web", record); !errors.Is(err, registry.ErrNotModified) {
		t.Errorf("what is held ended in %v", err)
	}
	if _, err := a.Lookup(ctx, "db", nil); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("db, which is gone: %v", err)
	}
	if names, err := a.List(ctx); err != nil || fmt.Sprint(names) != "[web]" {
		t.Errorf("the list is %q, %v", names, err)
	}
}

// watched watches an adapter; next expects events.
func watched(ctx context.Context, t *testing.T, a *plugins.Adapter) (next func(want ...string), ended chan error) {
	events, ended := make(chan string, 1000), make(chan error, 1)
	go func() {
		ended <- a.Watch(ctx, registry.Revision{}, nil, func(e registry.Event) {
			if e.Kind != registry.EventAlive {
				events <- toldBy(e)
			}
		})
	}()
	return func(want ...string) {
		t.Helper()
		for _, want := range want {
			select {
			case got := <-events:
				if got != want {
					t.Errorf("the watch told %s, want %s", got, want)
				}
			case err := <-ended:
				ended <- err
				t.Fatalf("the watch ended before it told %s: %v", want, err)
			}
		}
	}, ended
}

func toldBy(e registry.Event) string {
	switch {
	case e.Kind == registry.EventSynced:
		return "synced"
	case e.Kind == registry.EventDelete:
		return e.Name + " is gone"
	}
	text := e.Name
	for i := range e.Record.Instances {
		in := &e.Record.Instances[i]
		text += fmt.Sprintf(" %s=%s", in.ID, in.Health)
	}
	return text
}
