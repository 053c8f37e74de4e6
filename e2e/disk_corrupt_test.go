package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// files returns the files of a store's directory whose names match.
func files(t *testing.T, dir, pattern string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(list) == 0 {
		entries, _ := os.ReadDir(dir) // for the message
		t.Fatalf("no %s in %s: %v, %v", pattern, dir, entries, err)
	}
	return list
}

// flip turns bits of a file over, each few bytes between two shares of it.
func flip(t *testing.T, path string, from, to float64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return // a process that uses it let it go
	}
	if err != nil {
		t.Fatal(err)
	}
	for i := int(from * float64(len(b))); i < int(to*float64(len(b))); i += 37 {
		b[i] ^= 0xff
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0) // in place: a process may have it open
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(b); err != nil {
		t.Error(err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
}

// damages are what may happen to a directory.
var damages = []struct {
	name string
	do   func(t *testing.T, dir string)
}{
	{"bytes of a table", func(t *testing.T, dir string) {
		for _, path := range files(t, dir, "*.sst") {
			flip(t, path, 0, 1)
		}
	}},
	{"the first half of a log", func(t *testing.T, dir string) {
		for _, path := range files(t, dir, "*.log") {
			flip(t, path, 0.01, 0.5)
		}
	}},
	{"one byte of a log", func(t *testing.T, dir string) {
		for _, path := range files(t, dir, "*.log") {
			flip(t, path, 0.3, 0.3001)
		}
	}},
	{"bytes of the manifest", func(t *testing.T, dir string) {
		for _, path := range files(t, dir, "MANIFEST-*") {
			flip(t, path, 0.1, 1)
		}
	}},
	{"the manifest is empty", func(t *testing.T, dir string) {
		for _, path := range files(t, dir, "MANIFEST-*") {
			if err := os.Truncate(path, 0); err != nil {
				t.Error(err)
			}
		}
	}},
	{"nothing says which manifest", func(t *testing.T, dir string) { remove(t, dir, "marker.manifest.*") }},
	{"no manifest", func(t *testing.T, dir string) { remove(t, dir, "MANIFEST-*") }},
	{"no table", func(t *testing.T, dir string) { remove(t, dir, "*.sst") }},
	{"everything of the database", func(t *testing.T, dir string) { remove(t, dir, "*") }},
}

func remove(t *testing.T, dir, pattern string) {
	for _, path := range files(t, dir, pattern) {
		if err := os.RemoveAll(path); err != nil {
			t.Error(err)
		}
	}
}

func TestADamagedDirectory(t *testing.T) {
	t.Parallel()
	for _, damage := range damages {
		t.Run(damage.name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t)
			l.padding = 2 << 10
			n := start(t, l.ledgers())
			all := names(10)
			n.fills(all)
			n.stop()
			n = n.again() // what the log had is in tables now
			n.invalidates(object{"prefixes": []string{"l0-"}, "mode": "hard"})
			for _, name := range all[10:] { // what follows in the log
				n.invalidates(object{"services": []object{{"name": name}}})
				n.awaits("asked again", "/v1/services/"+name, func(a *answer) bool { return a.status == 200 })
			}
			n.invalidates(object{"services": []object{{"name": "r1-0"}}, "mode": "hard"})
			newest := l.last()
			n.kill()
			l.down()
			dir := dirs(t, n.dataDir())[0]
			damage.do(t, dir)

			n = n.again()
			n.awaits("ready", "/readyz", func(a *answer) bool { return a.status == 200 })
			for _, name := range all {
				q := question{l, name, newest, -1}
				if strings.HasPrefix(name, "l0-") || name == "r1-0" {
					q.gone = newest
				}
				if a, _, err := q.put(n); err != nil || a.status != 200 && a.status != 502 {
					t.Errorf("%s: %v, %v", name, a, err)
				}
			}
			l.up()
			goesOn(t, n, l, all, newest)
			keptAside(t, n, dir)
			n.kill()
			l.down()
			n = n.again()
			for _, name := range all {
				question{l, name, newest, newest}.fromDisk(n, 2*time.Second)
			}
		})
	}
}

// goesOn checks that a node whose disk broke works, on disk too, and serves
// nothing as fresh that is as old as newest.
func goesOn(t *testing.T, n *node, l *ledger, all []string, newest int) {
	t.Helper()
	for _, name := range all {
		n.awaits("fresh", "/v1/services/"+name, func(a *answer) bool {
			question{l, name, newest, -1}.put(n)
			return a.status == 200 && !a.Stale
		})
	}
	n.awaitStored("the store is well", func(d *diskState) bool { return d.State == "ok" })
	n.awaits("nothing is degraded", "/readyz", func(a *answer) bool { return a.status == 200 && len(a.Degraded) == 0 })
	n.invalidates(object{"all": true, "mode": "hard"})
	n.fills(all)
}

// keptAside checks that a directory that broke was left, with a note why, and
// that another one is in use.
func keptAside(t *testing.T, n *node, broken string) {
	t.Helper()
	note, err := os.ReadFile(broken + ".broken")
	if err != nil || len(strings.TrimSpace(string(note))) == 0 {
		t.Errorf("the note beside %s: %q, %v", filepath.Base(broken), note, err)
	}
	if _, err := os.Stat(broken); err != nil {
		t.Errorf("the broken directory: %v", err)
	}
	if list := dirs(t, n.dataDir()); len(list) < 2 || list[len(list)-1] == broken {
		t.Errorf("directories: %v, want another one in use than %s", list, broken)
	}
	if log := n.log.String(); !strings.Contains(log, filepath.Base(broken)) {
		t.Errorf("the log does not name %s:\n%s", filepath.Base(broken), log)
	}
}

// What is read of a directory while it is in use may turn out to be damaged.
func TestADirectoryThatIsDamagedWhileInUse(t *testing.T) {
	t.Parallel()
	const entries = 600
	for _, damage := range []struct {
		name string
		do   func(t *testing.T, dir string)
	}{
		{"bytes of the tables", func(t *testing.T, dir string) {
			for _, path := range files(t, dir, "*.sst") {
				flip(t, path, 0, 0.9)
			}
		}},
		{"tables are cut short", func(t *testing.T, dir string) {
			for _, path := range files(t, dir, "*.sst") {
				if err := os.Truncate(path, 100); ignoreGone(err) != nil {
					t.Error(err)
				}
			}
		}},
	} {
		t.Run(damage.name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t)
			l.padding = 16 << 10
			n := start(t, l.ledgers(), "--set", "cache.memory=1MiB") // so that most have to be read
			name := func(i int) string { return fmt.Sprintf("l-%d", i) }
			for i := range entries {
				if a := n.get("/v1/services/" + name(i)); a.status != 200 {
					t.Fatal(a)
				}
			}
			n.awaitWritten(entries)
			n.stop()
			n = n.again()
			newest := l.last()
			n.invalidates(object{"prefixes": []string{"l-1"}, "mode": "hard"})
			dir := dirs(t, n.dataDir())[0]
			damage.do(t, dir)
			l.down()
			for i := range entries {
				q := question{l, name(i), newest, -1}
				if strings.HasPrefix(q.name, "l-1") {
					q.gone = newest
				}
				// To tell that a block is damaged takes the engine a second, and
				// without a registry a lookup has nothing else to wait for.
				if a, _, err := q.put(n); err != nil || a.status != 200 && a.status != 502 && a.status != 504 {
					t.Fatalf("%s: %v, %v", name(i), a, err)
				}
			}
			eventually(t, "the damage is found", func() error {
				if len(dirs(t, n.dataDir())) < 2 {
					return errors.New("the damaged directory is still in use")
				}
				return nil
			})
			l.up()
			few := []string{name(0), name(1), name(2), name(entries - 1)}
			goesOn(t, n, l, few, newest)
			keptAside(t, n, dir)
			newest = l.last()
			n.kill()
			l.down()
			n = n.again()
			for _, name := range few {
				question{l, name, newest, -1}.fromDisk(n, 2*time.Second)
			}
			if a := n.get("/v1/services/" + name(10)); a.status != http.StatusBadGateway {
				t.Errorf("invalidated before the damage: %v", a)
			}
		})
	}
}
