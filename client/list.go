package client

import (
	"context"
	"iter"
	"net/url"
	"strconv"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// A ListQuery narrows a list of names. The zero ListQuery asks for all.
type ListQuery struct {
	Registry string
	Prefix   string
	Kind     registry.Kind
	Limit    int    // rows a page, at most 1000; 0: the node's default
	Cursor   string // of an earlier page; "": from the start
}

// A ListPage is one page of names in byte order.
type ListPage struct {
	Services []registry.NameRow `json:"services"`
	Index    uint64             `json:"index"` // when the list last changed
	AgeMS    int64              `json:"age_ms"`
	Stale    bool               `json:"stale"`
	Complete bool               `json:"complete"`         // false: a registry cannot list, or has not yet
	Cursor   string             `json:"cursor,omitempty"` // of the next page; "" at the end
}

// Age returns the time since the registries last confirmed the list.
func (p ListPage) Age() time.Duration { return time.Duration(p.AgeMS) * time.Millisecond }

// ListPage returns the page of names at q.Cursor.
func (c *Client) ListPage(ctx context.Context, q ListQuery) (ListPage, error) {
	v := url.Values{}
	set(v, "prefix", q.Prefix)
	set(v, "kind", string(q.Kind))
	set(v, "cursor", q.Cursor)
	setUint(v, "limit", uint64(max(q.Limit, 0)))
	path := "/v1/services"
	if q.Registry != "" {
		path = "/v1/registries/" + url.PathEscape(q.Registry) + "/services"
	}
	var page ListPage
	_, err := c.call(ctx, call{path: path, query: v}, &page)
	return page, err
}

// List walks all pages from q.Cursor on. An error ends the walk.
func (c *Client) List(ctx context.Context, q ListQuery) iter.Seq2[registry.NameRow, error] {
	return walk(func(cursor string) ([]registry.NameRow, string, error) {
		if cursor != "" {
			q.Cursor = cursor
		}
		page, err := c.ListPage(ctx, q)
		return page.Services, page.Cursor, err
	})
}

// An EntriesQuery narrows a list of cached entries.
type EntriesQuery struct {
	Registry string
	Prefix   string
	State    string // fresh, stale or negative; "": any
	Limit    int    // rows a page; 0: the node's default
}

// Entries walks the entries that the node has cached. An error ends the walk.
func (c *Client) Entries(ctx context.Context, q EntriesQuery) iter.Seq2[registry.EntryRow, error] {
	return walk(func(cursor string) ([]registry.EntryRow, string, error) {
		v := url.Values{}
		set(v, "registry", q.Registry)
		set(v, "prefix", q.Prefix)
		set(v, "state", q.State)
		set(v, "cursor", cursor)
		if q.Limit > 0 {
			v.Set("limit", strconv.Itoa(q.Limit))
		}
		var page struct {
			Entries []registry.EntryRow `json:"entries"`
			Cursor  string              `json:"cursor"`
		}
		_, err := c.call(ctx, call{path: "/v1/entries", query: v}, &page)
		return page.Entries, page.Cursor, err
	})
}

// walk yields the rows of all pages that fetch returns, from cursor "" on.
func walk[T any](fetch func(cursor string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for cursor := ""; ; {
			rows, next, err := fetch(cursor)
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
			if next == "" || next == cursor {
				return
			}
			cursor = next
		}
	}
}
