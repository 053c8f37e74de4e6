package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A load is callers that look a service up without pause.
type load struct {
	stop     context.CancelFunc
	callers  sync.WaitGroup
	answered atomic.Int64
	mu       sync.Mutex // protects failed
	failed   []string
}

// underLoad begins a load; ok says which answers are good.
func underLoad(n *node, path string, ok func(a *answer, err error) bool) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{stop: cancel}
	for range 4 {
		l.callers.Go(func() {
			for ctx.Err() == nil {
				a, err := try(http.MethodGet, n.data+path, "")
				if ok(a, err) {
					l.answered.Add(1)
					continue
				}
				l.mu.Lock()
				l.failed = append(l.failed, fmt.Sprint(a, err))
				l.mu.Unlock()
			}
		})
	}
	return l
}

// goOn waits until more requests were answered.
func (l *load) goOn(t *testing.T) {
	t.Helper()
	more := l.answered.Load() + 50
	eventually(t, "the load goes on", func() error {
		if got := l.answered.Load(); got < more {
			return fmt.Errorf("%d answered", got)
		}
		return nil
	})
}

// end stops the load and fails for each request that did.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop()
	l.callers.Wait()
	if len(l.failed) > 0 {
		t.Errorf("%d requests of %d failed; the first: %s", len(l.failed), l.answered.Load(), l.failed[0])
	}
}

func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.json"), filepath.Join(dir, "two.json")
	writeServices(t, one, map[string][]string{"web": {"web-1"}})
	writeServices(t, two, map[string][]string{"web": {"web-2"}, "api": {"api-2"}})
	first := loopback + fmt.Sprintf("registries: [{name: one, type: file, path: %s}]\n", one)
	both := loopback + fmt.Sprintf("cache: {ttl: 7s}\nregistries: [{name: one, type: file, path: %s}, {name: two, type: file, path: %s}]\n", one, two)
	n := start(t, first)
	l := underLoad(n, "/v1/services/web", func(a *answer, err error) bool {
		return err == nil && a.status == 200 && len(a.Instances) == 1
	})
	defer l.stop()
	l.goOn(t)

	reloads := map[string]func() *answer{
		"by signal": func() *answer {
			before := n.metric(`edgecache_node_reloads_total{result="done"}`) + n.metric(`edgecache_node_reloads_total{result="refused"}`)
			n.signal(syscall.SIGHUP)
			eventually(t, "the signal is heeded", func() error {
				if n.metric(`edgecache_node_reloads_total{result="done"}`)+n.metric(`edgecache_node_reloads_total{result="refused"}`) == before {
					return errors.New("no reload counted")
				}
				return nil
			})
			return nil
		},
		"by the API": func() *answer { return n.ask(http.MethodPost, "/v1/config/reload", "") },
	}
	for how, reload := range reloads {
		t.Run(how, func(t *testing.T) {
			writeFile(t, n.config, both)
			if a := reload(); a != nil && a.status != 200 {
				t.Fatalf("reload: %v", a)
			}
			n.awaits("the second registry answers", "/v1/services/api", func(a *answer) bool { return a.ids() == "api-2" })
			l.goOn(t)

			text := n.log.String()
			writeFile(t, n.config, strings.Replace(both, "ttl: 7s", "tll: 7s, negative_ttl: soon", 1))
			bad := reload()
			told := func() string {
				if bad != nil {
					return string(bad.body)
				}
				return strings.TrimPrefix(n.log.String(), text)
			}
			eventually(t, "all mistakes are told", func() error {
				for _, want := range []string{"tll", "ttl", "soon"} {
					if !strings.Contains(told(), want) {
						return fmt.Errorf("no %q in %s", want, told())
					}
				}
				return nil
			})
			if bad != nil && (bad.status != 422 || bad.Type != "urn:edgecache:bad-config") {
				t.Errorf("a bad configuration: %v", bad)
			}
			if a := n.get("/v1/services/api"); a.ids() != "api-2" {
				t.Errorf("the bad configuration changed something: %v", a)
			}
			l.goOn(t)

			text = n.log.String()
			writeFile(t, n.config, strings.Replace(first, "drain: 0s", "drain: 3s", 1))
			bad = reload()
			eventually(t, "the key is named", func() error {
				if !strings.Contains(told(), "http.drain") || !strings.Contains(told(), "restart") {
					return errors.New(told())
				}
				return nil
			})
			if bad != nil && bad.status != 422 {
				t.Errorf("a key that is not live: %v", bad)
			}
			if a := n.get("/v1/services/api"); a.ids() != "api-2" {
				t.Errorf("the refused configuration changed something: %v", a)
			}

			writeFile(t, n.config, first)
			if a := reload(); a != nil && a.status != 200 {
				t.Fatalf("reload: %v", a)
			}
			n.awaits("the second registry is gone", "/v1/services/api", func(a *answer) bool { return a.status == 404 })
			l.goOn(t)
		})
	}
	l.end(t)
}

func TestTerminationUnderLoadFailsNobody(t *testing.T) {
	t.Parallel()
	n, _ := withFile(t, map[string][]string{"web": {"web-1"}}, "", "--set", "http.drain=1s")
	// A request may fail once the listener is closed: it is refused, or cut off
	// if its connection was not accepted yet. None may fail before.
	var unready atomic.Bool
	var early atomic.Int64
	l := underLoad(n, "/v1/services/web", func(a *answer, err error) bool {
		if err == nil {
			return a.status == 200
		}
		if !unready.Load() {
			early.Add(1)
		}
		conn, err := net.Dial("tcp", strings.TrimPrefix(n.data, "http://"))
		if err == nil {
			conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	defer l.stop()
	l.goOn(t)
	n.signal(syscall.SIGTERM)
	eventually(t, "unready", func() error {
		a, err := try(http.MethodGet, n.data+"/readyz", "")
		if err != nil {
			t.Fatalf("gone before it was unready: %v", err)
		}
		if a.status != 503 || a.Ready {
			return errors.New(a.String())
		}
		return nil
	})
	unready.Store(true)
	if a := n.get("/v1/services/web"); a.status != 200 {
		t.Errorf("while it drains: %v", a)
	}
	n.end()
	l.end(t)
	if n.code != 0 {
		t.Errorf("exit code %d, want 0", n.code)
	}
	if early.Load() > 0 {
		t.Errorf("%d requests failed before the node was unready", early.Load())
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(n.data, "http://")); err == nil {
		conn.Close()
		t.Error("somebody still listens")
	}
}

func TestAPauseOfTheProcessCountsAsAge(t *testing.T) {
	t.Parallel()
	const pause = 5 * time.Second
	u := newUpstream(t)
	u.set("web", "web-1")
	n := start(t, loopback+"cache: {refresh_ahead: 0%}\nregistries: [{name: catalog, type: httpjson, address: \""+u.URL+"\", path: \"/s/{name}\"}]\n")
	before := n.get("/v1/services/web")
	if before.status != 200 {
		t.Fatal(before)
	}
	from := time.Now()
	n.signal(syscall.SIGSTOP)
	eventually(t, "the process is stopped", func() error {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.cmd.Process.Pid))
		if err != nil {
			return err
		}
		if fields := strings.Fields(string(stat)); fields[2] != "T" {
			return fmt.Errorf("state %s", fields[2])
		}
		return nil
	})
	waiting := n.waiter("/v1/services/web") // reaches a node that stands still
	<-time.After(time.Until(from.Add(pause)))
	n.signal(syscall.SIGCONT)
	for _, a := range []*answer{<-waiting, n.get("/v1/services/web")} {
		if a.status != 200 || u.count("/s/web") != 1 || a.AgeMS < (pause-500*time.Millisecond).Milliseconds() {
			t.Errorf("after the pause: %v with %d calls, want an age of about %s", a, u.count("/s/web"), pause)
		}
	}
}
