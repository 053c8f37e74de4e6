package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// waiter asks in the background; the answer comes once.
func (n *node) waiter(path string) <-chan *answer {
	done := make(chan *answer, 1)
	go func() {
		a, err := try(http.MethodGet, n.data+path, "")
		if err != nil {
			n.t.Errorf("%s: %v", path, err)
			a = &answer{}
		}
		done <- a
	}()
	return done
}

// waiting waits until so many requests wait on the node.
func (n *node) waiting(want int) {
	n.t.Helper()
	eventually(n.t, "all wait", func() error {
		if got := n.metric("edgecache_http_waiters"); int(got) != want {
			return fmt.Errorf("%v waiters, want %d", got, want)
		}
		return nil
	})
}

// withFile runs a node on a file with these services and returns its path.
func withFile(t *testing.T, services map[string][]string, config string, args ...string) (n *node, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "services.json")
	writeServices(t, path, services)
	return start(t, loopback+config+"registries: [{name: files, type: file, path: "+path+"}]\n", args...), path
}

func TestWaitingFor(t *testing.T) {
	t.Parallel()
	t.Run("a service to appear", func(t *testing.T) {
		n, path := withFile(t, map[string][]string{"web": {"web-1"}}, "")
		absent := n.awaits("absent", "/v1/services/later", func(a *answer) bool { return a.status == 404 })
		index := absent.header.Get("Edgecache-Index")
		if index == "" || index == "0" {
			t.Fatalf("a 404 without an index: %v", absent.header)
		}
		wake := n.waiter("/v1/services/later?wait=20s&index=" + index)
		n.waiting(1)
		writeServices(t, path, map[string][]string{"web": {"web-1"}, "later": {"later-1"}})
		if a := <-wake; a.status != 200 || a.ids() != "later-1" || fmt.Sprint(a.Index) == index {
			t.Errorf("woke with %v", a)
		}
	})
	t.Run("a change that does not come", func(t *testing.T) {
		n, _ := withFile(t, map[string][]string{"web": {"web-1"}}, "")
		was := n.get("/v1/services/web")
		if a := n.get(fmt.Sprintf("/v1/services/web?wait=1s&index=%d", was.Index)); a.status != 200 || a.Index != was.Index {
			t.Errorf("after the wait: %v, want index %d", a, was.Index)
		}
	})
	t.Run("a new name in the list", func(t *testing.T) {
		n, path := withFile(t, map[string][]string{"web": {"web-1"}}, "")
		list := n.awaits("the list", "/v1/services", func(a *answer) bool { return a.Complete && len(a.Services) == 1 })
		wake := n.waiter(fmt.Sprintf("/v1/services?wait=20s&index=%d", list.Index))
		n.waiting(1)
		writeServices(t, path, map[string][]string{"web": {"web-1"}, "api": {"api-1"}})
		if a := <-wake; rows(a) != "api/files web/files" || a.Index <= list.Index {
			t.Errorf("woke with %v", a)
		}
	})
}

func TestTwoThousandWaitersWakeOnOneChange(t *testing.T) {
	t.Parallel()
	const waiters = 2000
	n, path := withFile(t, map[string][]string{"web": {"web-1"}}, "")
	was := n.get("/v1/services/web")
	var awake sync.WaitGroup
	var mu sync.Mutex // protects got
	got := map[string]int{}
	for range waiters {
		awake.Go(func() {
			a, err := try(http.MethodGet, fmt.Sprintf("%s/v1/services/web?wait=60s&index=%d", n.data, was.Index), "")
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			got[fmt.Sprint(a.status, " ", a.ids())]++
		})
	}
	n.waiting(waiters)
	writeServices(t, path, map[string][]string{"web": {"web-1", "web-2"}})
	awake.Wait()
	if got["200 web-1 web-2"] != waiters {
		t.Errorf("woken: %v, want %d with the change", got, waiters)
	}
	n.waiting(0)
}

func TestAWalkUnderChurnMissesNothingThatStays(t *testing.T) {
	t.Parallel()
	const stay = 3000
	services := map[string][]string{}
	for i := range stay {
		services[fmt.Sprintf("s-%04d", i*7919%stay)] = []string{"one"}
	}
	services["ä"], services["Z"] = []string{"one"}, []string{"one"} // the order is that of bytes
	stays := maps.Clone(services)
	n, path := withFile(t, services, "")
	n.awaits("the list", "/v1/services?limit=1", func(a *answer) bool { return a.Complete })
	for walk := range 2 {
		var names []string
		cursor := ""
		for page := 0; page == 0 || cursor != ""; page++ {
			query := "?limit=100"
			if page > 0 {
				query += "&cursor=" + cursor
			}
			a := n.get("/v1/services" + query)
			if a.status != 200 || page > 0 && len(a.Services) == 0 {
				t.Fatalf("page %d: %v", page, a)
			}
			for _, row := range a.Services {
				names = append(names, row.Name)
			}
			cursor = a.Cursor
			if page%3 > 0 {
				continue
			}
			// Before, after and at the cursor one comes and the last one goes.
			for _, at := range []string{"s-0000", "s-2999", a.Services[len(a.Services)-1].Name} {
				delete(services, fmt.Sprintf("%s-%d", at, page-3))
				services[fmt.Sprintf("%s-%d", at, page)] = []string{"one"}
			}
			writeServices(t, path, services)
		}
		if !slices.IsSorted(names) {
			t.Errorf("walk %d is not in byte order", walk)
		}
		if once := slices.Compact(slices.Clone(names)); len(once) != len(names) {
			t.Errorf("walk %d: %d rows for %d names", walk, len(names), len(once))
		}
		stayed := 0
		for _, name := range names {
			if stays[name] != nil {
				stayed++
			}
		}
		if stayed != len(stays) || len(names) == stayed {
			t.Errorf("walk %d saw %d of %d names that were there all the time, %d in all", walk, stayed, len(stays), len(names))
		}
	}
}
