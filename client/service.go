package client

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// A Service is a node's answer to a lookup: what is known of one name.
type Service struct {
	Name      string            `json:"name"`
	Registry  string            `json:"registry"`
	Kind      registry.Kind     `json:"kind"`
	Revision  string            `json:"revision,omitempty"` // the registry's own, opaque
	Index     uint64            `json:"index"`              // when the content last changed; what Wait takes
	Instances []Instance        `json:"instances"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	Tags      []string          `json:"tags,omitempty"`
	Versions  []Version         `json:"versions,omitempty"` // newest first

	Freshness Freshness `json:"-"`
}

// An Instance is one running copy of a service. Its main endpoint lies flat;
// Endpoints holds all of them if there are several.
type Instance struct {
	ID         string            `json:"id"`
	Address    string            `json:"address,omitempty"` // IP without brackets, host name or socket path
	Port       uint16            `json:"port,omitempty"`
	Protocol   string            `json:"protocol,omitempty"`
	TLS        bool              `json:"tls,omitempty"`
	URL        string            `json:"url,omitempty"`
	Health     string            `json:"health,omitempty"` // passing, warning, draining, critical, maintenance, unknown
	Weight     *float64          `json:"weight,omitempty"` // nil: 1; 0 takes no traffic
	Priority   int               `json:"priority,omitempty"`
	Region     string            `json:"region,omitempty"`
	Zone       string            `json:"zone,omitempty"`
	Node       string            `json:"node,omitempty"`
	Version    string            `json:"version,omitempty"`
	Tags       []string          `json:"tags,omitempty"`
	Metadata   map[string]string `json:"metadata,omitempty"`
	Endpoints  []Endpoint        `json:"endpoints,omitempty"`
	Registered int64             `json:"registered,omitempty"` // Unix ms
}

// An Endpoint is one way to reach an instance. An empty Address is the
// instance's.
type Endpoint struct {
	Name     string `json:"name,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	Address  string `json:"address,omitempty"`
	Port     uint16 `json:"port,omitempty"`
	TLS      bool   `json:"tls,omitempty"`
	URL      string `json:"url,omitempty"`
}

// A Version is one published version of a service, agent or server.
type Version struct {
	Version  string            `json:"version"`
	Status   string            `json:"status,omitempty"`
	Labels   []string          `json:"labels,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Updated  int64             `json:"updated,omitempty"` // Unix ms
}

// Freshness says how well a node knows what it answered.
type Freshness struct {
	Age         time.Duration // since the registry last confirmed the answer
	Stale       bool
	CacheStatus string // the header, RFC 9211: "edgecache; hit; ttl=12"
	ETag        string // names the content, equal on all nodes
	Index       uint64
	Registry    string
	Filters     string // what became of each filter: "zone=applied"
	NotModified bool   // the content is what Query.ETag names; nothing else was sent
}

// Details returns the reasons of Cache-Status, such as "stale-if-error".
func (f Freshness) Details() []string {
	for part := range strings.SplitSeq(f.CacheStatus, ";") {
		if list, ok := strings.CutPrefix(strings.TrimSpace(part), "detail="); ok {
			return strings.FieldsFunc(strings.Trim(list, `"`), func(r rune) bool { return r == ' ' || r == ',' })
		}
	}
	return nil
}

// freshnessOf reads the headers of an answer. Age has the resolution of a
// second there, and Stale is read off the TTL left.
func freshnessOf(h http.Header) Freshness {
	f := Freshness{
		CacheStatus: h.Get("Cache-Status"), ETag: h.Get("ETag"),
		Registry: h.Get("Edgecache-Registry"), Filters: h.Get("Edgecache-Filter"),
	}
	f.Index, _ = strconv.ParseUint(h.Get("Edgecache-Index"), 10, 64) // absent is 0
	if seconds, err := strconv.ParseUint(h.Get("Age"), 10, 31); err == nil {
		f.Age = time.Duration(seconds) * time.Second
	}
	for part := range strings.SplitSeq(f.CacheStatus, ";") {
		if ttl, ok := strings.CutPrefix(strings.TrimSpace(part), "ttl="); ok {
			f.Stale = strings.HasPrefix(ttl, "-")
		}
	}
	return f
}
