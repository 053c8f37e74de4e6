package store

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// What is written under a clock that is ahead seems younger after a restart.
func TestNowIsNotAheadAfterOpeningTookLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Defaults()
		o.Dir, o.FS = "data", vfs.NewMem()
		s, err := Open(o)
		if err == nil {
			err = s.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		o.FS = errorfs.Wrap(o.FS, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpCreate && strings.Contains(op.Path, "MANIFEST") {
				time.Sleep(5 * time.Second)
			}
			return nil
		}))
		began := time.Now()
		if s, err = Open(o); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if took := time.Since(began); took < 5*time.Second {
			t.Fatalf("opening took %s: nothing was tested", took)
		}
		if got, want := s.Now(), time.Now().UnixMilli(); got != want {
			t.Errorf("Now is %d ms off the wall clock", got-want)
		}
	})
}
