package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// Lookup returns what the node knows of name. Nothing left after selection is
// a Service without instances; a name that no registry has is a *Problem that
// matches ErrNotFound.
func (c *Client) Lookup(ctx context.Context, name string, q Query) (*Service, error) {
	return c.service(ctx, name, call{query: q.values(), header: q.header()}, q)
}

// Wait blocks until the content of name is no longer that of index (0 never
// is: the answer comes at once), at most for wait, and returns it; after wait
// it has the same index. A name that does not exist has an index too, in
// [Problem.Index].
func (c *Client) Wait(ctx context.Context, name string, q Query, index uint64, wait time.Duration) (*Service, error) {
	v := q.values()
	v.Set("index", strconv.FormatUint(index, 10))
	v.Set("wait", wait.String())
	return c.service(ctx, name, call{query: v, header: q.header(), wait: wait}, q)
}

// Document returns the registry's own bytes, unchanged, and their media type.
// Of q, what selects instances does not apply.
func (c *Client) Document(ctx context.Context, name string, q Query) (document []byte, mediaType string, err error) {
	a, err := c.view(ctx, name, "document", q)
	return a.body, a.header.Get("Content-Type"), err
}

// Addresses returns one address per instance: host:port, [v6]:port or
// unix:/path.
func (c *Client) Addresses(ctx context.Context, name string, q Query) ([]string, error) {
	a, err := c.view(ctx, name, "addresses", q)
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(a.body)), nil
}

func (c *Client) view(ctx context.Context, name, view string, q Query) (answer, error) {
	q.ETag = "" // a 304 has no body to return
	if err := checkName(name); err != nil {
		return answer{}, err
	}
	v := q.values()
	v.Set("view", view)
	return c.do(ctx, call{path: q.path(name), query: v, header: q.header()})
}

func (c *Client) service(ctx context.Context, name string, k call, q Query) (*Service, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	k.path = q.path(name)
	a, err := c.do(ctx, k)
	if err != nil {
		return nil, err
	}
	s := &Service{}
	if a.status == http.StatusNotModified {
		s.Name, s.Freshness = name, freshnessOf(a.header)
		s.Registry, s.Index, s.Freshness.NotModified = s.Freshness.Registry, s.Freshness.Index, true
		return s, nil
	}
	s, err = decodeService(a.body)
	if err != nil {
		return nil, fmt.Errorf("%s%s: %w (is it an edgecache node?)", c.base, k.path, err)
	}
	age, stale := s.Freshness.Age, s.Freshness.Stale
	s.Freshness = freshnessOf(a.header)
	s.Freshness.Age, s.Freshness.Stale = age, stale
	return s, nil
}

// decodeService reads the JSON form of an answer, with the freshness that
// stands in it.
func decodeService(text []byte) (*Service, error) {
	var form struct {
		AgeMS int64 `json:"age_ms"`
		Stale bool  `json:"stale"`
		Service
	}
	if err := json.Unmarshal(text, &form); err != nil {
		return nil, fmt.Errorf("answer is not a service: %w", err)
	}
	if form.Name == "" {
		return nil, fmt.Errorf("answer is not a service: it has no name")
	}
	s := form.Service
	s.Freshness = Freshness{Age: time.Duration(form.AgeMS) * time.Millisecond, Stale: form.Stale, Index: s.Index, Registry: s.Registry}
	return &s, nil
}

func checkName(name string) error {
	if err := registry.CheckName(name); err != nil {
		return fmt.Errorf("service %q: %w", name, err)
	}
	return nil
}

// A Key names a service, in one registry or (Registry "") resolved or in any.
type Key struct {
	Name     string `json:"name"`
	Registry string `json:"registry,omitempty"`
}

// A BatchResult is one item of a batch: a service, or the *Problem why not.
type BatchResult struct {
	Service *Service
	Err     error
}

// Batch looks up to 1000 keys up in one request; the results are in the order
// of keys. Of q, Registry, ETag and Header do not apply to the items.
func (c *Client) Batch(ctx context.Context, keys []Key, q Query) ([]BatchResult, error) {
	body := map[string]any{"services": keys}
	for name, values := range q.values() {
		if name == "tag" {
			body[name] = values
		} else {
			body[name] = values[0]
		}
	}
	var out struct {
		Results []struct {
			Status  int             `json:"status"`
			Service json.RawMessage `json:"service"`
			Problem *Problem        `json:"problem"`
		} `json:"results"`
	}
	k := call{method: http.MethodPost, path: "/v1/lookup", header: q.header(), body: body}
	k.header.Del("If-None-Match")
	if _, err := c.call(ctx, k, &out); err != nil {
		return nil, err
	}
	if len(out.Results) != len(keys) {
		return nil, fmt.Errorf("batch: %d results for %d services", len(out.Results), len(keys))
	}
	results := make([]BatchResult, len(keys))
	for i, item := range out.Results {
		switch {
		case item.Problem != nil:
			item.Problem.Status = item.Status
			results[i].Err = item.Problem
		case item.Service == nil:
			results[i].Err = &Problem{Status: item.Status}
		default:
			s, err := decodeService(item.Service)
			results[i] = BatchResult{s, err}
		}
	}
	return results, nil
}
