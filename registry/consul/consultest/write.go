package consultest

import (
	"encoding/json"
	"net/http"
)

const (
	nodeAddress = "127.0.0.1"
	maxBody     = 1 << 20
)

// statuses are the statuses that an agent's check updates set.
var statuses = map[string]string{"pass": Passing, "warn": Warning, "fail": Critical}

// wireCheck is a check in Consul's answers.
type wireCheck struct {
	Node, CheckID, Name, Status, Notes, Output, ServiceID, ServiceName string
	ServiceTags                                                        []string
	Type                                                               string
	CreateIndex, ModifyIndex                                           uint64
}

func wire(node string, k Check, in *instance) wireCheck {
	w := wireCheck{Node: node, CheckID: k.CheckID, Name: k.Name, Status: k.Status, Output: k.Output,
		ServiceTags: []string{}, CreateIndex: k.modified, ModifyIndex: k.modified}
	if in != nil {
		w.ServiceID, w.ServiceName, w.Type = in.ID, in.Name, "ttl"
		w.ServiceTags = append(w.ServiceTags, in.Tags...)
	}
	return w
}

// checksOf returns the checks of the instance's node and its own.
func (c *catalog) checksOf(in *instance) []wireCheck {
	list := []wireCheck{wire(in.Node, *c.nodes[in.Node], nil)}
	for _, k := range in.Checks {
		list = append(list, wire(in.Node, k, in))
	}
	return list
}

func wireNode(in *instance) map[string]any {
	return map[string]any{
		"ID": "", "Node": in.Node, "Address": nodeAddress, "Datacenter": Datacenter,
		"TaggedAddresses": map[string]string{"lan": nodeAddress, "wan": nodeAddress},
		"Meta":            map[string]string{}, "CreateIndex": 5, "ModifyIndex": 6,
	}
}

func wireService(in *instance) map[string]any {
	s := map[string]any{
		"ID": in.ID, "Service": in.Name, "Tags": append([]string{}, in.Tags...), "Address": in.Address, "Meta": in.Meta,
		"Port": in.Port, "Weights": in.Weights, "EnableTagOverride": false,
		"Proxy": map[string]any{"MeshGateway": map[string]any{}, "Expose": map[string]any{}}, "Connect": map[string]any{},
		"CreateIndex": in.created, "ModifyIndex": in.modified,
	}
	if in.TaggedAddresses != nil {
		s["TaggedAddresses"] = in.TaggedAddresses
	}
	if in.SocketPath != "" {
		s["SocketPath"] = in.SocketPath
	}
	return s
}

func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	var in Instance
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&in); err != nil {
		http.Error(w, "Request decode failed: "+err.Error(), http.StatusBadRequest)
		return
	}
	if in.Name == "" {
		http.Error(w, "Missing service name", http.StatusBadRequest)
		return
	}
	s.Put(in)
}

func (s *Server) deregister(_ http.ResponseWriter, r *http.Request) {
	s.Remove(tail(r, "/v1/agent/service/deregister/"))
}

func (s *Server) check(prefix, status string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.setCheck(w, tail(r, prefix), status, r.URL.Query().Get("note"))
	}
}

func (s *Server) checkUpdate(w http.ResponseWriter, r *http.Request) {
	var body struct{ Status, Output string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&body); err != nil {
		http.Error(w, "Request decode failed: "+err.Error(), http.StatusBadRequest)
		return
	}
	switch body.Status {
	case Passing, Warning, Critical:
		s.setCheck(w, tail(r, "/v1/agent/check/update/"), body.Status, body.Output)
	default:
		http.Error(w, "Invalid check status: '"+body.Status+"'", http.StatusBadRequest)
	}
}

func (s *Server) setCheck(w http.ResponseWriter, id, status, output string) {
	if !s.SetCheck(id, status, output) {
		http.Error(w, `CheckID "`+id+`" does not have associated TTL`, http.StatusInternalServerError)
	}
}
