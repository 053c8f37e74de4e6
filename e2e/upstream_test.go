package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// An upstream is a registry that answers JSON: the names under /names, all
// records under /all, and each record under /s/.
type upstream struct {
	*httptest.Server

	mu       sync.Mutex                               // protects the fields below
	services map[string][]string                      // ids of the instances
	calls    map[string]int                           // by path
	fault    func(http.ResponseWriter, *http.Request) // answers in its place
	version  int                                      // in the metadata of each instance
	padding  string                                   // likewise
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{services: map[string][]string{}, calls: map[string]int{}}
	u.Server = httptest.NewServer(u)
	t.Cleanup(func() {
		u.CloseClientConnections()
		u.Close()
	})
	return u
}

func (u *upstream) set(name string, ids ...string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.services[name] = ids
}

func (u *upstream) remove(name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.services, name)
}

// setFault lets f answer in its place, or nil itself again.
func (u *upstream) setFault(f func(http.ResponseWriter, *http.Request)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fault = f
}

// count returns how often a path was asked for.
func (u *upstream) count(path string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.calls[path]
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.calls[r.URL.Path]++
	fault := u.fault
	u.mu.Unlock()
	if fault != nil {
		fault(w, r)
		return
	}
	u.answer(w, r)
}

// answer is what it says when nothing is wrong with it.
func (u *upstream) answer(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var body any
	name, one := strings.CutPrefix(r.URL.Path, "/s/")
	switch {
	case one && u.services[name] == nil:
		http.NotFound(w, r)
		return
	case one:
		body = u.recordLocked(name)
	case r.URL.Path == "/names":
		body = slices.Collect(maps.Keys(u.services))
	default:
		records := []any{}
		for name := range u.services {
			records = append(records, u.recordLocked(name))
		}
		body = object{"services": records}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // the reader may be gone
}

func (u *upstream) recordLocked(name string) object {
	instances := []object{}
	for i, id := range u.services[name] {
		in := object{"id": id, "address": fmt.Sprintf("10.2.0.%d", i+1), "port": 80}
		if u.version > 0 {
			in["metadata"] = map[string]string{"version": fmt.Sprint(u.version), "padding": u.padding}
		}
		instances = append(instances, in)
	}
	return object{"name": name, "instances": instances}
}

// setVersion changes all records.
func (u *upstream) setVersion(version int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.version, u.padding = version, strings.Repeat("x", 3<<10)
}
