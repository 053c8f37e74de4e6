package httpjson

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/fetch"
)

const (
	maxPages        = 10_000
	maxItems        = 1_000_000
	defaultMaxBytes = 32 << 20
)

// A lister lets one caller at a time fetch the list. Those who wait share what
// a fetch brought that began after they came; never one that ran already,
// which may have been answered before what they want to see.
type lister struct {
	sequence atomic.Uint64
	turn     chan struct{} // holds one value while a caller fetches; protects the fields below

	began   uint64    // sequence at the start of the last fetch
	at      time.Time // of that start
	through bool      // it asked for the registry's latest state
	err     error     // of it
	good    *listing
	skipped int // names of the last listing that cannot be names
}

// A listing is a complete list; it is never changed.
type listing struct {
	items        map[string][]json.RawMessage
	etag, date   string            // of a list of one page
	sum          [sha256.Size]byte // of the body of the first page
	pages        int
	wishes       registry.Freshness
	skipped      int
	skippedFirst error
}

func (l *listing) sortedNames() []string { return slices.Sorted(maps.Keys(l.items)) }

func (s *Source) lookupInList(ctx context.Context, name string, have *registry.Record) (*registry.Record, error) {
	l, err := s.listing(ctx)
	if err != nil {
		return nil, err
	}
	parts := l.items[name]
	if parts == nil {
		return nil, fmt.Errorf("registry %s: not in the list: %w", s.options.Name, registry.ErrNotFound)
	}
	rec, err := s.recordOf(l, name, have)
	if err == nil && rec == nil {
		return nil, registry.ErrNotModified
	}
	return rec, err
}

// recordOf makes the record of a name in the list; nil if have is the same.
func (s *Source) recordOf(l *listing, name string, have *registry.Record) (*registry.Record, error) {
	parts := l.items[name]
	content := make([][]byte, len(parts))
	for i, part := range parts {
		content[i] = part
	}
	revision := s.hash(content...)
	if have != nil && have.Revision == revision {
		return nil, nil
	}
	rec, err := s.mapping.record(name, parts)
	if err != nil {
		return nil, s.unreadable(name, err)
	}
	s.finish(rec, l.wishes, revision)
	if s.options.Documents && rec.Document == nil && len(parts) == 1 {
		rec.Document, rec.MediaType = parts[0], mediaTypeJSON
	}
	return rec, nil
}

// listing returns a list whose fetch began after this call.
func (s *Source) listing(ctx context.Context) (*listing, error) {
	l := &s.list
	came := l.sequence.Add(1)
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, s.ended(ctx)
	}
	defer func() { <-l.turn }()
	if l.began > came && (l.through || !registry.IsReadThrough(ctx)) {
		return l.good, l.err
	}
	began, at := l.sequence.Add(1), time.Now()
	got, err := s.fetchList(ctx, l.good)
	if err != nil && ctx.Err() != nil {
		return nil, err // this caller's own end: the next one tries for itself
	}
	l.began, l.at, l.through, l.err = began, at, registry.IsReadThrough(ctx), err
	if err != nil {
		return nil, err
	}
	l.good = got
	if got.skipped != l.skipped {
		l.skipped = got.skipped
		s.options.Logger.Warn("names in the list cannot be names and are left out",
			"registry", s.options.Name, "names", got.skipped, "first", got.skippedFirst)
	}
	return got, nil
}

// fetchList fetches all pages. It returns good itself if nothing changed.
func (s *Source) fetchList(ctx context.Context, good *listing) (*listing, error) {
	got := &listing{items: map[string][]json.RawMessage{}}
	path, left := s.options.List, s.maxBytes()
	seen := map[string]bool{}
	for path != "" {
		if seen[path] || got.pages == maxPages {
			return nil, s.unreadable("", fmt.Errorf("next: after %d pages the list leads to %s", got.pages, short(path)))
		}
		seen[path] = true
		req := s.request(ctx, path, "")
		if good != nil && s.options.Next == "" {
			req.ETag, req.LastModified = good.etag, good.date
		}
		resp, err := s.client.Get(ctx, req)
		switch {
		case errors.Is(err, registry.ErrNotModified):
			return good, nil
		case errors.Is(err, registry.ErrNotFound):
			// No list is not an empty list: it says nothing of any name.
			return nil, &registry.UpstreamError{Registry: s.options.Name, Status: resp.Status,
				Err: fmt.Errorf("there is no list at %s", short(resp.URL))}
		case err != nil:
			return nil, err
		}
		if left -= int64(len(resp.Body)); left < 0 {
			return nil, s.unreadable("", fmt.Errorf("list: larger than the cap of %s", registry.Size(s.maxBytes())))
		}
		if good != nil && s.options.Next == "" && sha256.Sum256(resp.Body) == good.sum {
			same := *good
			same.validate(resp)
			return &same, nil
		}
		if path, err = s.page(got, resp); err != nil {
			return nil, s.unreadable("", fmt.Errorf("list: %w", err))
		}
	}
	return got, nil
}

func (s *Source) maxBytes() int64 {
	if s.options.MaxBytes > 0 {
		return int64(s.options.MaxBytes)
	}
	return defaultMaxBytes
}

// validate takes what a list of one page is confirmed with later.
func (l *listing) validate(resp *fetch.Response) {
	l.etag, l.date, l.wishes = resp.ETag, "", resp.Wishes
	if datesChange(resp) {
		l.date = resp.LastModified
	}
}

// page adds one page and returns the path of the next one, "" after the last.
func (s *Source) page(l *listing, resp *fetch.Response) (string, error) {
	data, err := checkJSON(resp.Body, resp.MediaType)
	if err != nil {
		return "", err
	}
	if l.pages == 0 {
		l.sum = sha256.Sum256(resp.Body)
		l.validate(resp)
	}
	l.pages++
	items, err := s.itemsOf(data)
	if err != nil {
		return "", fmt.Errorf("items: %w", err)
	}
	count := 0
	err = each(items, func(key string, raw json.RawMessage) error {
		name, err := s.itemName(key, raw)
		if err != nil {
			return fmt.Errorf("items[%d]: %w", count, err)
		}
		count++
		return l.add(name, bytes.Clone(raw))
	})
	if err != nil {
		return "", err
	}
	next, err := s.next(data, resp)
	if err != nil {
		return "", fmt.Errorf("next: %w", err)
	}
	return next, nil
}

// itemsOf returns the list or object of services in a page.
func (s *Source) itemsOf(data json.RawMessage) (json.RawMessage, error) {
	p := mustPointer(s.options.Items)
	if len(p) == 0 && s.mapping.native && kindOf(data) == '{' {
		if services, err := (pointer{"services"}).raw(data); err == nil && kindOf(services) == '[' {
			return services, nil // edgecache's own form of a list
		}
	}
	items, err := p.raw(data)
	if err != nil {
		return nil, err
	}
	switch kindOf(items) {
	case '[', '{':
		return items, nil
	case 'n':
		return json.RawMessage("[]"), nil // some servers write an empty list so
	}
	return nil, fmt.Errorf("%s: a list or an object expected, found %s", p, short(string(items)))
}

// itemName returns the name of an item: where item_name points, else its key
// in an object, the item if it is a text, or its own name.
func (s *Source) itemName(key string, raw json.RawMessage) (string, error) {
	p := mustPointer(s.options.ItemName)
	switch {
	case len(p) > 0:
	case key != "":
		return key, nil
	case kindOf(raw) == '"':
		return nameOf(raw)
	default:
		p = pointer{"name"}
	}
	at, err := p.raw(raw)
	if err != nil {
		return "", fmt.Errorf("item_name: %w", err)
	}
	name, err := nameOf(at)
	if err != nil {
		return "", fmt.Errorf("item_name: %s: %w", p, err)
	}
	return name, nil
}

// add adds an item. What cannot be a name can never be asked for: it is
// counted, and does not spoil the rest.
func (l *listing) add(name string, raw json.RawMessage) error {
	if err := registry.CheckName(name); err != nil {
		l.skipped++
		if l.skippedFirst == nil {
			l.skippedFirst = fmt.Errorf("%q: %w", short(name), err)
		}
		return nil
	}
	if len(l.items) >= maxItems {
		return fmt.Errorf("more than %d items", maxItems)
	}
	l.items[name] = append(l.items[name], raw)
	return nil
}

// next returns the URL of the next page, absolute or below the address.
func (s *Source) next(data json.RawMessage, resp *fetch.Response) (string, error) {
	var said string
	switch s.options.Next {
	case "":
		return "", nil
	case nextLink:
		said = linkNext(resp.Header.Values("Link"))
	default:
		raw, err := mustPointer(s.options.Next).raw(data)
		if errors.Is(err, errNowhere) || err == nil && kindOf(raw) == 'n' {
			return "", nil
		}
		if err == nil {
			err = json.Unmarshal(raw, &said)
		}
		if err != nil {
			return "", fmt.Errorf("%s: a text expected, found %s", s.options.Next, short(string(raw)))
		}
	}
	if said == "" {
		return "", nil
	}
	if s.options.NextParam != "" {
		mark := "?"
		if strings.Contains(s.options.List, "?") {
			mark = "&"
		}
		return s.options.List + mark + url.QueryEscape(s.options.NextParam) + "=" + url.QueryEscape(said), nil
	}
	base, err := url.Parse(resp.URL)
	if err != nil {
		return "", err
	}
	next, err := base.Parse(said)
	if err != nil {
		return "", fmt.Errorf("%q: a URL expected", short(said))
	}
	next.Fragment = ""
	return next.String(), nil
}

// linkNext returns the target with rel=next of Link headers.
func linkNext(lines []string) string {
	for _, line := range lines {
		for {
			_, rest, ok := strings.Cut(line, "<")
			if !ok {
				break
			}
			target, params, ok := strings.Cut(rest, ">")
			if !ok {
				break
			}
			params, line, _ = strings.Cut(params, "<") // of the next link
			for param := range strings.FieldsFuncSeq(params, func(r rune) bool { return r == ';' || r == ',' }) {
				name, value, _ := strings.Cut(param, "=")
				if !strings.EqualFold(strings.TrimSpace(name), "rel") {
					continue
				}
				if slices.Contains(strings.Fields(strings.ToLower(strings.Trim(value, " \t\""))), "next") {
					return target
				}
			}
			if line != "" {
				line = "<" + line
			}
		}
	}
	return ""
}
