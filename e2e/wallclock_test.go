package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// wallOffset is a file in the node's working directory: it says by how many
// seconds the wall clock is off when it starts.
const wallOffset = "wall-offset"

// jumps is added to the program: SIGUSR1 puts its wall clock an hour forward,
// SIGUSR2 an hour back.
const jumps = `package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	_ "unsafe"
)

//go:linkname jump time.wallJump
func jump(seconds int64)

func init() {
	if text, err := os.ReadFile("` + wallOffset + `"); err == nil {
		var seconds int64
		if _, err := fmt.Sscan(string(text), &seconds); err != nil {
			panic(err)
		}
		jump(seconds)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for s := range signals {
			if jump(3600); s == syscall.SIGUSR2 {
				jump(-7200)
			}
			fmt.Fprintln(os.Stderr, "the wall clock jumped")
		}
	}()
}
`

// wallJump is added to package time, and each reading of the wall clock then
// takes it in. The monotonic clock goes on as it does when a real one is set.
const wallJump = `
var wallOffset atomic.Int64

//go:linkname wallJump
func wallJump(seconds int64) { wallOffset.Add(seconds) }
`

// goroot returns where the Go in use lives.
func goroot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// jumping builds a node whose wall clock can be made to jump, without touching
// the machine's: nothing else sets the clock of one process that asks the
// kernel without a call.
func jumping(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(goroot(t), "src", "time", "time.go")
	text, err := os.ReadFile(source)
	if err != nil {
		t.Skip("no source of the standard library to build a clock that jumps from: ", err)
	}
	const reading = "sec, nsec, mono := runtimeNow()\n"
	changed := strings.Replace(string(text), reading, reading+"\tsec += wallOffset.Load()\n", 1)
	changed = strings.Replace(changed, "import (\n", "import (\n\t\"sync/atomic\"\n", 1) + wallJump
	if !strings.Contains(changed, "wallOffset.Load()") {
		t.Skipf("time.Now of %s is not the one this test knows how to change", runtime.Version())
	}
	command, err := filepath.Abs("../cmd/edgecache/jumps.go")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(object{"Replace": map[string]string{
		source: filepath.Join(dir, "time.go"), command: filepath.Join(dir, "jumps.go"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"time.go": changed, "jumps.go": jumps, "overlay.json": string(overlay)} {
		writeFile(t, filepath.Join(dir, name), text)
	}
	path := filepath.Join(dir, "edgecache")
	build := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-ldflags", "-checklinkname=0", "-o", path, "../cmd/edgecache")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build -overlay: %v\n%s", err, out)
	}
	return path
}

func TestJumpsOfTheWallClockChangeNoAge(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.set("web", "web-1")
	path := filepath.Join(t.TempDir(), "edgecache.yaml")
	writeFile(t, path, loopback+`cache: {ttl: 10m, stale_if_error: 30m, negative_ttl: 5m, refresh_ahead: 0%}
registries: [{name: catalog, type: httpjson, address: "`+u.URL+`", path: "/s/{name}"}]
`)
	n := startAt(t, jumping(t), path)
	wall := func() time.Time {
		a := n.get("/healthz")
		at, err := http.ParseTime(a.header.Get("Date"))
		if err != nil {
			t.Fatalf("Date: %v", err)
		}
		return at
	}
	started := time.Now()
	before := n.get("/v1/services/web")
	if a := n.get("/v1/services/ghost"); before.status != 200 || a.status != 404 {
		t.Fatalf("%v, %v", before, a)
	}
	last := before.Index
	for jump, to := range []struct {
		signal syscall.Signal
		off    time.Duration
	}{{syscall.SIGUSR1, time.Hour}, {syscall.SIGUSR2, 0}, {syscall.SIGUSR2, -time.Hour}} {
		n.signal(to.signal)
		eventually(t, "the clock jumped", func() error {
			if off := time.Until(wall()); off < to.off-time.Minute || off > to.off+time.Minute {
				return fmt.Errorf("it is off by %s, want %s", off, to.off)
			}
			return nil
		})
		calls := u.count("/s/web")
		a := n.get("/v1/services/web")
		if a.status != 200 || a.Stale || a.AgeMS < 0 || a.AgeMS > time.Since(started).Milliseconds() || u.count("/s/web") != calls {
			t.Errorf("at %s: %v after %s, with %d calls more", to.off, a, time.Since(started), u.count("/s/web")-calls)
		}
		if a.Index != last {
			t.Errorf("at %s the index went from %d to %d without a change", to.off, last, a.Index)
		}
		if a := n.get("/v1/services/ghost"); a.status != 404 || u.count("/s/ghost") != 1 {
			t.Errorf("at %s: %v after %d calls", to.off, a, u.count("/s/ghost"))
		}
		u.set("web", fmt.Sprintf("web-%d", jump+2))
		if a := n.ask(http.MethodPost, "/v1/refresh", `{"services":[{"name":"web"}]}`); a.status != 200 {
			t.Fatal(a)
		}
		if a = n.get("/v1/services/web"); a.Index <= last || a.Stale || a.AgeMS > time.Since(started).Milliseconds() {
			t.Errorf("at %s, after a change: %v, want an index above %d", to.off, a, last)
		}
		last = a.Index
	}
}
