package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/edgecache/edgecache/client"
)

// A faultyDisk is a disk whose fsync of the log of changes fails or hangs.
type faultyDisk struct {
	mu   sync.Mutex // protects the fields below
	err  error
	hang chan struct{} // closed when the disk goes on
}

// set makes fsync return err, or if hang is not nil wait for it.
func (f *faultyDisk) set(err error, hang chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.hang = err, hang
}

func (f *faultyDisk) MaybeError(op errorfs.Op) error {
	if filepath.Ext(op.Path) != ".log" || op.Kind != errorfs.OpFileSync && op.Kind != errorfs.OpFileSyncData && op.Kind != errorfs.OpFileSyncTo {
		return nil
	}
	f.mu.Lock()
	err, hang := f.err, f.hang
	f.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return err
}

func (f *faultyDisk) String() string { return "fsync" }

// faultyNode runs a node whose disk is f, with web in memory, and returns a
// client of its admin port.
func faultyNode(t *testing.T, f *faultyDisk, stall time.Duration) *client.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "services.yaml")
	writeFile(t, path, twoServices)
	admin := runNode(t, fmt.Sprintf(nodeText, t.TempDir(), path), func(cfg *Config) {
		cfg.Store.FS, cfg.Store.Stall, cfg.Store.Reopen = errorfs.Wrap(vfs.Default, f), stall, time.Millisecond
	})
	c, err := client.New(client.Options{Address: admin})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.Lookup(t.Context(), "web", client.Query{}); err != nil {
		t.Fatal(err)
	}
	return c
}

// expectHealthy checks what no disk may harm: the node is ready and answers.
func expectHealthy(t *testing.T, c *client.Client) {
	t.Helper()
	if r, err := c.Ready(t.Context()); err != nil || !r.Ready {
		t.Errorf("ready = %+v, %v", r, err)
	}
	if web, err := c.Lookup(t.Context(), "web", client.Query{}); err != nil || web.Freshness.Stale {
		t.Errorf("lookup = %+v, %v", web, err)
	}
}

// expectNotDurable invalidates and returns the problem that the node answers.
func expectNotDurable(t *testing.T, c *client.Client, timeout time.Duration) *client.Problem {
	t.Helper()
	_, err := c.Invalidate(t.Context(), client.Selectors{Services: client.Names("team/api")}, client.InvalidateOptions{Timeout: timeout})
	p, ok := errors.AsType[*client.Problem](err)
	if !ok || p.Status != 503 || p.Kind() != "not-durable" || !strings.HasPrefix(p.Detail, "invalidation ") {
		t.Fatalf("invalidate = %v, want 503 not-durable", err)
	}
	return p
}

func TestAnInvalidationDoesNotWaitForADiskThatHangs(t *testing.T) {
	f, goOn := &faultyDisk{}, make(chan struct{})
	c := faultyNode(t, f, 50*time.Millisecond)
	release := sync.OnceFunc(func() { f.set(nil, nil); close(goOn) })
	t.Cleanup(release)
	f.set(nil, goOn)
	if p := expectNotDurable(t, c, 10*time.Millisecond); !strings.Contains(p.Detail, "the disk did not confirm it within 10ms") {
		t.Errorf("detail: %s", p.Detail)
	}
	eventually(t, func() string {
		s, err := c.Status(t.Context())
		if err != nil || s.Store == nil || s.Store.State != "slow" || s.Store.Error == "" || !degraded(s.Degraded, "store slow: ") {
			return fmt.Sprintf("status = %+v, %v", s, err)
		}
		return ""
	})
	expectHealthy(t, c)
	if p := expectNotDurable(t, c, time.Minute); !strings.Contains(p.Detail, "a commit lasts") {
		t.Errorf("detail: %s", p.Detail)
	}
	release()
	eventually(t, func() string {
		if _, err := c.Invalidate(t.Context(), client.Selectors{All: true}, client.InvalidateOptions{}); err != nil {
			return fmt.Sprintf("the disk goes on, but: %v", err)
		}
		return ""
	})
}

func TestADeadDiskIsToldAndReplaced(t *testing.T) {
	if os.Getenv(mayLeak) == "" { // a dead directory keeps its goroutines
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.timeout=1m")
		cmd.Env = append(os.Environ(), mayLeak+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	f := &faultyDisk{}
	c := faultyNode(t, f, time.Minute)
	f.set(syscall.EIO, nil)
	p := expectNotDurable(t, c, 5*time.Second)
	if !strings.Contains(p.Detail, "input/output error") {
		t.Errorf("detail: %s", p.Detail)
	}
	expectHealthy(t, c)
	id := strings.TrimSuffix(strings.Fields(p.Detail)[1], ":")
	if conf, err := c.Invalidation(t.Context(), id); err != nil || conf.Done || len(conf.Pending) != 1 {
		t.Errorf("invalidation %s = %+v, %v, want this node pending", id, conf, err)
	}
	f.set(nil, nil)
	eventually(t, func() string {
		s, err := c.Status(context.Background())
		if err != nil || s.Store == nil || s.Store.State != "ok" || len(s.Degraded) > 0 {
			return fmt.Sprintf("the disk is well again, but: %+v, %v", s, err)
		}
		return ""
	})
	if _, err := c.Invalidate(t.Context(), client.Selectors{All: true}, client.InvalidateOptions{}); err != nil {
		t.Error(err)
	}
}

func degraded(reasons []string, prefix string) bool {
	for _, r := range reasons {
		if strings.HasPrefix(r, prefix) {
			return true
		}
	}
	return false
}
