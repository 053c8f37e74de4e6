package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// rss returns the most memory the node ever had, in bytes.
func (n *node) rss() (bytes int) {
	n.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	if err != nil {
		n.t.Skip("no /proc here to read the process's memory from: ", err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(rest, &bytes); err != nil {
		n.t.Fatal(err)
	}
	return bytes << 10
}

// endless writes chunk until the reader is gone or so many bytes are written.
func endless(w io.Writer, chunk []byte, size int) {
	for written := 0; written < size; written += len(chunk) {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

func TestGarbageIsThatRegistrysErrorAlone(t *testing.T) {
	t.Parallel()
	jsonType := func(w http.ResponseWriter) { w.Header().Set("Content-Type", "application/json") }
	chunk := append([]byte(`{"name":"web","instances":[],"x":"`), bytes.Repeat([]byte("x"), 1<<16)...)
	faults := []struct {
		name string
		say  func(w http.ResponseWriter, r *http.Request)
	}{
		{"HTML with 200", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html><body>Down for maintenance</body></html>")
		}},
		{"HTML that says it is JSON", func(w http.ResponseWriter, r *http.Request) {
			jsonType(w)
			fmt.Fprint(w, "<html><body>Down for maintenance</body></html>")
		}},
		{"half an answer", func(w http.ResponseWriter, r *http.Request) {
			jsonType(w)
			w.Header().Set("Content-Length", "4000")
			fmt.Fprint(w, `{"name":"web","instances":[{"id":"web-1","address":"10.2.0.1",`)
		}},
		{"half an answer that ends well", func(w http.ResponseWriter, r *http.Request) {
			jsonType(w)
			fmt.Fprint(w, `{"name":"web","instances":[{"id":"web-1","address":"10.2.0.1",`)
		}},
		{"200 MB", func(w http.ResponseWriter, r *http.Request) {
			jsonType(w)
			w.Header().Set("Content-Length", fmt.Sprint(200<<20))
			endless(w, chunk, 200<<20)
		}},
		{"an endless answer", func(w http.ResponseWriter, r *http.Request) {
			jsonType(w)
			endless(w, chunk, 1<<40)
		}},
		{"an endless trickle", func(w http.ResponseWriter, r *http.Request) {
			jsonType(w)
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, " "); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				<-time.After(50 * time.Millisecond)
			}
		}},
		{"silence", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		{"a reset", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }},
		{"a 500", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "boom", 500) }},
	}
	bad, good := newUpstream(t), newUpstream(t)
	bad.set("web", "web-1")
	good.set("api", "api-1")
	// The bad registry keeps no revision of what it said: each fetch is whole.
	n := start(t, loopback+fmt.Sprintf(`cache: {ttl: 200ms, verify: 10ms, recheck: {min: 50ms, max: 200ms}}
registries:
  - {name: bad, type: httpjson, address: "%s", path: "/s/{name}", list: /names, services: ["web", "new*"], timeout: 1s, retries: 0}
  - {name: good, type: httpjson, address: "%s", path: "/s/{name}", services: ["api"]}
`, bad.URL, good.URL))
	for i, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			n.awaits("all is well", "/v1/services/web", func(a *answer) bool { return !a.Stale && a.ids() == "web-1" })
			bad.setFault(fault.say)
			defer bad.setFault(nil)
			n.awaits("the last good answer is kept and marked", "/v1/services/web", func(a *answer) bool {
				if a.status != 200 || a.ids() != "web-1" {
					t.Errorf("during it: %v", a)
				}
				return a.Stale && a.detail("stale-if-error")
			})
			if a := n.get(fmt.Sprintf("/v1/services/new-%d", i)); a.status != 502 && a.status != 504 {
				t.Errorf("a name that nobody knows yet: %v, want 502 or 504", a)
			}
			if a := n.get("/v1/services/api"); a.status != 200 || a.ids() != "api-1" {
				t.Errorf("the other registry: %v", a)
			}
			eventually(t, "the error is told", func() error {
				for _, r := range n.ask(http.MethodGet, "/v1/registries", "").Registries {
					if r.Name == "bad" && r.LastError == "" || r.Name == "good" && (r.State != "up" || r.LastError != "") {
						return errors.New(fmt.Sprint(r))
					}
				}
				return nil
			})
		})
	}
	n.awaits("it recovers", "/v1/services/web", func(a *answer) bool { return !a.Stale && a.ids() == "web-1" })
}

// The bound is that of the program as it is shipped: the race detector takes
// many times the memory.
func TestGarbageTakesLittleMemory(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.set("web", "web-1")
	chunk := bytes.Repeat([]byte("[1,"), 1<<15)
	path := t.TempDir() + "/edgecache.yaml"
	writeFile(t, path, loopback+fmt.Sprintf(`cache: {ttl: 100ms, recheck: {min: 10ms, max: 20ms}}
registries:
  - {name: bad, type: httpjson, address: "%s", path: "/s/{name}", list: /names, timeout: 2s, retries: 0}
`, u.URL))
	n := startAt(t, shipped(t), path)
	n.awaits("web is served", "/v1/services/web", func(a *answer) bool { return a.ids() == "web-1" })
	u.setFault(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		endless(w, chunk, 200<<20)
	})
	before := u.count("/s/web")
	n.awaits("it was told 200 MB some times", "/v1/services/web", func(a *answer) bool {
		return a.Stale && u.count("/s/web") > before+5
	})
	if got := n.rss(); got > 200<<20 {
		t.Errorf("the node took %d MB, want less than 200", got>>20)
	} else {
		t.Logf("the node took %d MB", got>>20)
	}
}
