package httpjson

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/fetch"
)

// A Source asks one HTTP/JSON registry. It is safe for concurrent use.
type Source struct {
	options  Options
	client   *fetch.Client
	mapping  *mapping
	meaning  string // see Options.meaning; begins the token of each revision
	identity string
	list     lister

	token     atomic.Pointer[string] // the last one that could be read
	tokenLost atomic.Bool            // the file could not be read the last time
}

// New returns a source, or an error that names all mistakes in o. It connects
// to nothing.
func New(o Options) (*Source, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	token, err := o.token()
	if err != nil {
		return nil, err
	}
	s := &Source{options: o, mapping: newMapping(&o), meaning: o.meaning()}
	s.identity = digest(s.meaning, o.Token, o.TokenFile, o.Headers, o.TLS)
	s.token.Store(&token)
	s.list = lister{turn: make(chan struct{}, 1)}
	f := o.fetch()
	f.Header = s.credentials
	if s.client, err = fetch.New(f); err != nil {
		return nil, err
	}
	return s, nil
}

// Can tells that the source lists if it has a list, and watches it if it polls.
func (s *Source) Can() registry.Capabilities {
	polls := s.options.Poll > 0
	return registry.Capabilities{List: s.options.List != "", Watch: polls, WatchAll: polls, WatchList: polls}
}

// Identity names address, credentials and mapping: records got under another
// identity are stale.
func (s *Source) Identity() string { return s.identity }

// Close closes idle connections. Lookups that run end with their context.
func (s *Source) Close() error {
	s.client.Close()
	return nil
}

// Lookup answers as [registry.Source] says.
func (s *Source) Lookup(ctx context.Context, name string, have *registry.Record) (*registry.Record, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if s.options.Path == "" {
		return s.lookupInList(ctx, name, have)
	}
	req := s.request(ctx, s.path(name), name)
	s.revalidate(&req, have)
	resp, err := s.client.Get(ctx, req)
	if err != nil {
		return nil, err
	}
	revision := s.revision(resp)
	if isHash(revision) && have != nil && have.Revision == revision {
		return nil, registry.ErrNotModified
	}
	data, err := checkJSON(resp.Body, resp.MediaType)
	if err != nil {
		return nil, s.unreadable(name, err)
	}
	rec, err := s.mapping.record(name, []json.RawMessage{data})
	if err != nil {
		return nil, s.unreadable(name, err)
	}
	s.finish(rec, resp.Wishes, revision)
	if s.options.Documents && rec.Document == nil {
		rec.Document, rec.MediaType = resp.Body, cmp.Or(resp.MediaType, mediaTypeJSON)
	}
	return rec, nil
}

// List answers as [registry.Lister] says.
func (s *Source) List(ctx context.Context) ([]string, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	l, err := s.listing(ctx)
	if err != nil {
		return nil, err
	}
	return l.sortedNames(), nil
}

func (s *Source) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.options.Timeout > 0 {
		return context.WithTimeout(ctx, s.options.Timeout)
	}
	return ctx, func() {}
}

const mediaTypeJSON = "application/json"

// finish adds what the HTTP answer says to what the JSON said.
func (s *Source) finish(rec *registry.Record, w registry.Freshness, revision registry.Revision) {
	rec.Revision = revision
	rec.Wishes.NoStore = rec.Wishes.NoStore || w.NoStore
	for _, d := range []struct{ said, http *time.Duration }{
		{&rec.Wishes.TTL, &w.TTL},
		{&rec.Wishes.StaleWhileRevalidate, &w.StaleWhileRevalidate},
		{&rec.Wishes.StaleIfError, &w.StaleIfError},
	} {
		if *d.said == registry.Unsaid {
			*d.said = *d.http
		}
	}
}

// path returns the path of one name.
func (s *Source) path(name string) string {
	path, query, asks := strings.Cut(s.options.Path, "?")
	path = strings.ReplaceAll(path, "{name}", url.PathEscape(name))
	if asks {
		path += "?" + strings.ReplaceAll(query, "{name}", url.QueryEscape(name))
	}
	return path
}

func (s *Source) request(ctx context.Context, path, name string) fetch.Request {
	h := http.Header{"Accept": {"application/json"}}
	if registry.IsReadThrough(ctx) {
		h.Set("Cache-Control", "no-cache")
	}
	return fetch.Request{Path: path, Name: name, Header: h}
}

// credentials sets the configured headers and the token. A token file that
// cannot be read leaves the last token in use: it may be in the middle of
// being renewed.
func (s *Source) credentials(h http.Header) {
	for name, value := range s.options.Headers {
		h.Set(name, value)
	}
	token := s.token.Load()
	if s.options.TokenFile != "" {
		now, err := s.options.token()
		if lost := s.tokenLost.Swap(err != nil); err != nil && !lost {
			s.options.Logger.Warn("token not renewed", "registry", s.options.Name, "error", err)
		}
		if err == nil && now != *token {
			token = &now
			s.token.Store(token)
			s.options.Logger.Info("token renewed", "registry", s.options.Name)
		}
	}
	if *token != "" {
		h.Set("Authorization", "Bearer "+*token)
	}
}

// The token of a revision is meaning, kind and validator, with colons.
const (
	kindETag = "etag"
	kindDate = "date"
	kindHash = "sha256"

	maxValidator = 256
	meaningBytes = 8
)

func (s *Source) revisionOf(kind, validator string) registry.Revision {
	return registry.Revision{Token: s.meaning[:meaningBytes] + ":" + kind + ":" + validator}
}

// revision names the answer by its ETag, or its date, or else its content.
func (s *Source) revision(resp *fetch.Response) registry.Revision {
	switch {
	case resp.ETag != "" && len(resp.ETag) <= maxValidator:
		return s.revisionOf(kindETag, resp.ETag)
	case datesChange(resp):
		return s.revisionOf(kindDate, resp.LastModified)
	}
	return s.hash([]byte(resp.MediaType), resp.Body)
}

// datesChange reports whether Last-Modified is sure to change with the content:
// it counts seconds, so one of this very second may stand for two contents.
func datesChange(resp *fetch.Response) bool {
	modified, err := http.ParseTime(resp.LastModified)
	if err != nil {
		return false
	}
	sent, err := http.ParseTime(resp.Header.Get("Date"))
	return err == nil && sent.Sub(modified) >= 2*time.Second
}

func (s *Source) hash(parts ...[]byte) registry.Revision {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:", len(part))
		h.Write(part)
	}
	return s.revisionOf(kindHash, hex.EncodeToString(h.Sum(nil)[:16]))
}

func isHash(r registry.Revision) bool {
	_, rest, _ := strings.Cut(r.Token, ":")
	return strings.HasPrefix(rest, kindHash+":")
}

// revalidate makes the request conditional on the record the caller has, if
// this source made it under the same meaning.
func (s *Source) revalidate(req *fetch.Request, have *registry.Record) {
	if have == nil {
		return
	}
	rest, ours := strings.CutPrefix(have.Revision.Token, s.meaning[:meaningBytes]+":")
	if !ours {
		return
	}
	switch kind, validator, _ := strings.Cut(rest, ":"); kind {
	case kindETag:
		req.ETag = validator
	case kindDate:
		req.LastModified = validator
	}
}

// unreadable is the error of an answer that came and makes no sense.
func (s *Source) unreadable(what string, err error) error {
	if what != "" {
		err = fmt.Errorf("%s: %w", what, err)
	}
	return &registry.UpstreamError{Registry: s.options.Name, Err: err}
}

// ended is the error of a caller who could wait no longer.
func (s *Source) ended(ctx context.Context) error {
	err := ctx.Err()
	return &registry.UpstreamError{
		Registry: s.options.Name, Timeout: errors.Is(err, context.DeadlineExceeded),
		Harmless: errors.Is(err, context.Canceled), Err: fmt.Errorf("waiting for the list: %w", err),
	}
}
