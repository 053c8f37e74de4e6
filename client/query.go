package client

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// A Query narrows a lookup. The zero Query asks for the healthy instances of
// the name, resolved through all registries.
type Query struct {
	Registry string        // that registry alone; "": resolved
	Kind     registry.Kind // only registries of that kind; "": any
	Health   string        // the worst health kept: passing (default), warning or any
	Tags     []string      // all must match
	Version  string        // exact, or "latest"
	Zone     string
	Port     string // the endpoint of that name becomes the main one
	Filter   string // an expression over an instance's JSON names

	// An answer older than MaxAge is not used: the registry is asked first.
	// 0: any age; < 0: the registry is always asked.
	MaxAge     time.Duration
	OnlyCached bool        // no registry is asked
	ETag       string      // of an earlier answer: Freshness.NotModified if it is still the content
	Header     http.Header // further request headers, for the node's filters
}

func (q Query) path(name string) string {
	if q.Registry != "" {
		return "/v1/registries/" + url.PathEscape(q.Registry) + "/services/" + escape(name)
	}
	return "/v1/services/" + escape(name)
}

func (q Query) values() url.Values {
	v := url.Values{}
	q.selection(v)
	set(v, "kind", string(q.Kind))
	switch {
	case q.MaxAge > 0:
		v.Set("max_age", q.MaxAge.String())
	case q.MaxAge < 0:
		v.Set("max_age", "0s")
	}
	return v
}

// selection sets the parameters that choose instances.
func (q Query) selection(v url.Values) {
	set(v, "health", q.Health)
	for _, tag := range q.Tags {
		v.Add("tag", tag)
	}
	set(v, "version", q.Version)
	set(v, "zone", q.Zone)
	set(v, "port", q.Port)
	set(v, "filter", q.Filter)
}

func (q Query) header() http.Header {
	h := q.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	if q.OnlyCached {
		h.Set("Cache-Control", "only-if-cached")
	}
	if q.ETag != "" {
		h.Set("If-None-Match", q.ETag)
	}
	return h
}

func set(v url.Values, name, value string) {
	if value != "" {
		v.Set(name, value)
	}
}

func setUint(v url.Values, name string, value uint64) {
	if value != 0 {
		v.Set(name, strconv.FormatUint(value, 10))
	}
}
