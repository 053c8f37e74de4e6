package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// A node whose directory died goes on in a fresh one, whose journal numbers
// anew. What it acknowledges from then on must be on the other nodes as before.
func TestAFreshDirectoryAcknowledgesNothingThatOthersLack(t *testing.T) {
	t.Parallel()
	disk, err := tinyDisk(t, 192<<20)
	if err != nil {
		t.Skip("no small file system here to fill, mounting one needs root: ", err)
	}
	filling := newFiller(t, disk)
	f := newFleet(t, outfit{nodes: 3, binary: program, dirs: map[int]string{0: filepath.Join(disk, "data")}})
	state := func() (d diskState, err error) {
		a, err := f.send(deadline, http.MethodGet, f.sites[0].admin+"/v1/status", nil)
		if err != nil || a.Store == nil {
			return d, errors.Join(err, errors.New("no store in the status"))
		}
		return *a.Store, nil
	}
	eventually(t, "the directory dies", func() error {
		for range 100 {
			filling.leave(0)
			if _, err := f.invalidate(0, "s", "verify", "local", deadline); err != nil {
				return nil
			}
		}
		return errors.New("what is written to a full disk is acknowledged")
	})
	filling.free()
	eventually(t, "a fresh directory is in use", func() error {
		d, err := state()
		if err == nil && d.State != "ok" {
			err = fmt.Errorf("the store is %+v", d)
		}
		return err
	})
	f.pause(1)
	defer f.goOn(1)
	began := time.Now()
	c, err := f.invalidate(0, "s", "verify", "all", 8*time.Second)
	if err != nil || slices.Contains(c.Confirmed, "edge-2") || !slices.Contains(c.Fenced, "edge-2") {
		t.Errorf("after %s: %+v, %v; and edge-2 stood still", time.Since(began).Round(time.Millisecond), c, err)
	}
}
