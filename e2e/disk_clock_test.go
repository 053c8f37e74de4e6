package e2e_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// Whatever the wall clock says at a restart, no answer from disk is younger
// than it was known to be before.
func TestAWallClockThatJumpedAtTheRestartMakesNothingYounger(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	path := configure(t, l.ledgers())
	binary := jumping(t)
	n := startAt(t, binary, path)
	n.fills([]string{"l0-0", "l0-1"})
	number := l.last()
	l.down()
	known := int64(0)
	lastIndex := uint64(0)
	for _, off := range []time.Duration{-time.Hour, 0, time.Hour, -time.Hour, -24 * 365 * time.Hour, 0} {
		a := n.get("/v1/services/l0-0")
		if a.status != http.StatusOK || a.AgeMS < known {
			t.Fatalf("before the restart at %s: %v, want an age from %d ms on", off, a, known)
		}
		known, lastIndex = a.AgeMS, a.Index
		n.invalidates(object{"services": []object{{"name": "r-other"}}}) // what time it is goes to disk with it
		n.kill()
		writeFile(t, filepath.Join(filepath.Dir(path), wallOffset), fmt.Sprint(int64(off/time.Second)))
		n = startAt(t, binary, path)
		for _, name := range []string{"l0-0", "l0-1"} { // in memory before, and not
			a := n.get("/v1/services/" + name)
			if got, err := a.number(); err != nil || got > number || !a.Stale || !a.detail("disk") || a.AgeMS < known {
				t.Errorf("at %s: %v, want an age from %d ms on", off, a, known)
			}
			if name == "l0-0" && a.Index != lastIndex {
				t.Errorf("at %s the index went from %d to %d without a change", off, lastIndex, a.Index)
			}
		}
	}
	// A change after all this is newer for clients than all before.
	l.up()
	n.awaits("fresh again", "/v1/services/l0-0", func(a *answer) bool {
		return a.status == http.StatusOK && !a.Stale && a.Index > lastIndex
	})
}
