package consultest

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	defaultWait = 5 * time.Minute
	maxWait     = 10 * time.Minute
)

// A view makes the answer to a read and tells its index. The catalog is
// locked.
type view func(c *catalog, r *http.Request) (body any, index uint64)

// read serves a view, as a blocking query if the request asks for one.
func (s *Server) read(v view) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		switch dc := q.Get("dc"); {
		case r.Method != http.MethodGet:
			http.Error(w, "method "+r.Method+" not allowed", http.StatusMethodNotAllowed)
			return
		case dc != "" && dc != Datacenter:
			http.Error(w, "No path to datacenter", http.StatusInternalServerError)
			return
		case q.Has("stale") && q.Has("consistent"):
			http.Error(w, "Cannot specify ?stale with ?consistent, conflicting semantics.", http.StatusBadRequest)
			return
		}
		after, wait, problem := blocking(q)
		if problem != "" {
			http.Error(w, problem, http.StatusBadRequest)
			return
		}
		body, index, ok := s.await(r, v, after, wait)
		if !ok {
			panic(http.ErrAbortHandler) // the client is gone or the server stops
		}
		h := w.Header()
		h.Set("X-Consul-Index", strconv.FormatUint(index, 10))
		h.Set("X-Consul-KnownLeader", "true")
		h.Set("X-Consul-LastContact", "0")
		h.Set("X-Consul-Effective-Consistency", consistency(q))
		answer(w, r, body)
	}
}

func consistency(q url.Values) string {
	switch {
	case q.Has("stale"):
		return "stale"
	case q.Has("consistent"):
		return "consistent"
	}
	return "leader"
}

// blocking reads index and wait.
func blocking(q url.Values) (after uint64, wait time.Duration, problem string) {
	wait = defaultWait
	if v := q.Get("index"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return 0, 0, "Invalid index"
		}
		after = n
	}
	if v := q.Get("wait"); v != "" {
		d, err := time.ParseDuration(v)
		if err != nil || d < 0 {
			return 0, 0, "Invalid wait time"
		}
		wait = min(d, maxWait)
	}
	return after, wait + rand.N(wait/16+1), ""
}

// await returns the view's answer once its index is above after, or after
// wait, or once the index began again. ok is false if the request ended.
func (s *Server) await(r *http.Request, v view, after uint64, wait time.Duration) (body any, index uint64, ok bool) {
	c := s.catalog
	c.mu.Lock()
	defer c.mu.Unlock()
	body, index = v(c, r)
	if after == 0 || index > after {
		return body, index, true
	}
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	t := time.NewTimer(wait)
	defer t.Stop()
	for restores := c.restores; index <= after && c.restores == restores; body, index = v(c, r) {
		changed := c.changed
		c.mu.Unlock()
		var end bool
		select {
		case <-changed:
		case <-t.C:
			end = true
		case <-r.Context().Done():
			c.mu.Lock()
			return nil, 0, false
		}
		c.mu.Lock()
		if end {
			body, index = v(c, r)
			break
		}
	}
	return body, index, true
}

func answer(w http.ResponseWriter, r *http.Request, body any) {
	data, err := json.Marshal(body)
	if _, pretty := r.URL.Query()["pretty"]; pretty && err == nil {
		data, err = json.MarshalIndent(body, "", "    ")
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data) // a client that is gone does not matter
}

func (s *Server) routes() {
	s.mux.HandleFunc("/v1/catalog/services", s.read(services))
	s.mux.HandleFunc("/v1/catalog/service/", s.read(rows))
	s.mux.HandleFunc("/v1/health/service/", s.read(health))
	s.mux.HandleFunc("/v1/health/state/", s.read(state))
	s.mux.HandleFunc("GET /v1/agent/self", func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, map[string]any{"Config": map[string]any{"Datacenter": Datacenter, "NodeName": LocalNode, "Server": true, "Version": "1.8.7"}})
	})
	s.mux.HandleFunc("GET /v1/status/leader", func(w http.ResponseWriter, r *http.Request) { answer(w, r, "127.0.0.1:8300") })
	s.mux.HandleFunc("PUT /v1/agent/service/register", s.register)
	s.mux.HandleFunc("PUT /v1/agent/service/deregister/", s.deregister)
	for _, status := range []string{"pass", "warn", "fail"} {
		s.mux.HandleFunc("PUT /v1/agent/check/"+status+"/", s.check("/v1/agent/check/"+status+"/", statuses[status]))
	}
	s.mux.HandleFunc("PUT /v1/agent/check/update/", s.checkUpdate)
}

// services is /v1/catalog/services.
func services(c *catalog, r *http.Request) (any, uint64) {
	list := map[string][]string{}
	for _, in := range c.instances {
		if !onNode(r.URL.Query()) {
			continue
		}
		tags := append(list[in.Name], in.Tags...)
		slices.Sort(tags)
		list[in.Name] = append([]string{}, slices.Compact(tags)...)
	}
	return list, c.names
}

// onNode reports whether the nodes, which have no metadata, match.
func onNode(q url.Values) bool { return !q.Has("node-meta") }

// ofService returns the instances of the service that the request selects, by
// node and id, and the service's index.
func (c *catalog) ofService(r *http.Request, prefix string) ([]*instance, uint64) {
	name, q := tail(r, prefix), r.URL.Query()
	var list []*instance
	for _, in := range c.instances {
		if strings.EqualFold(in.Name, name) && onNode(q) && hasAll(in.Tags, q["tag"]) {
			list = append(list, in)
		}
	}
	slices.SortFunc(list, func(a, b *instance) int {
		if n := strings.Compare(a.Node, b.Node); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	if index, ok := c.services[strings.ToLower(name)]; ok {
		return list, index
	}
	return list, c.gone
}

func hasAll(tags, want []string) bool {
	for _, t := range want {
		if !slices.Contains(tags, t) {
			return false
		}
	}
	return true
}

// health is /v1/health/service/{name}.
func health(c *catalog, r *http.Request) (any, uint64) {
	list, index := c.ofService(r, "/v1/health/service/")
	_, passing := r.URL.Query()["passing"]
	out := []any{}
	for _, in := range list {
		checks := c.checksOf(in)
		if passing && slices.ContainsFunc(checks, func(k wireCheck) bool { return k.Status != Passing }) {
			continue
		}
		out = append(out, map[string]any{"Node": wireNode(in), "Service": wireService(in), "Checks": checks})
	}
	return out, index
}

// rows is /v1/catalog/service/{name}.
func rows(c *catalog, r *http.Request) (any, uint64) {
	list, index := c.ofService(r, "/v1/catalog/service/")
	out := []any{}
	for _, in := range list {
		out = append(out, map[string]any{
			"Node": in.Node, "Address": nodeAddress, "Datacenter": Datacenter, "ServiceID": in.ID, "ServiceName": in.Name,
			"ServiceAddress": in.Address, "ServicePort": in.Port, "ServiceTags": in.Tags, "ServiceMeta": in.Meta,
			"ServiceWeights": in.Weights, "CreateIndex": in.created, "ModifyIndex": in.modified,
		})
	}
	return out, index
}

// state is /v1/health/state/{status}. Its index is that of the checks: nothing
// else moves it.
func state(c *catalog, r *http.Request) (any, uint64) {
	want := tail(r, "/v1/health/state/")
	out := []wireCheck{}
	add := func(k wireCheck) {
		if want == "any" || want == k.Status {
			out = append(out, k)
		}
	}
	for _, node := range slices.Sorted(maps.Keys(c.nodes)) {
		add(wire(node, *c.nodes[node], nil))
	}
	for _, in := range c.instances {
		for _, k := range in.Checks {
			add(wire(in.Node, k, in))
		}
	}
	return out, c.checks
}
