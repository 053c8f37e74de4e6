package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/edgecache/edgecache/registry"
)

const (
	errorBytes    = 4 << 10 // read of the body of an error
	excerptRunes  = 120
	maxRetryAfter = 24 * time.Hour
)

// ask sends the request to one address and reads the answer.
func (c *Client) ask(ctx context.Context, r *Request, a address) (*Response, error) {
	req, err := c.request(ctx, r, a)
	if err != nil {
		return nil, c.failed(err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.failed(unreached(a, err))
	}
	defer res.Body.Close()
	resp := &Response{
		Status: res.StatusCode, Header: res.Header,
		ETag: res.Header.Get("ETag"), LastModified: res.Header.Get("Last-Modified"),
		MediaType: mediaType(res.Header.Get("Content-Type")),
		Wishes:    wishes(res.Header),
		Address:   a.url.String(), URL: res.Request.URL.String(),
	}
	switch res.StatusCode {
	case http.StatusOK:
		if resp.Body, err = c.body(res); err != nil {
			return nil, c.failed(fmt.Errorf("%s: body: %w", resp.Address, err))
		}
		return resp, nil
	case http.StatusNotModified:
		if !conditional(req) {
			return nil, c.status(res, errors.New("answer to a request that had no condition"))
		}
		return resp, fmt.Errorf("registry %s: %w", c.options.Registry, registry.ErrNotModified)
	case http.StatusNotFound, http.StatusGone:
		drain(res.Body)
		return resp, fmt.Errorf("registry %s: HTTP status %d: %w", c.options.Registry, res.StatusCode, registry.ErrNotFound)
	}
	said := excerpt(drain(res.Body))
	if said == "" {
		said = "no explanation"
	}
	return nil, c.status(res, fmt.Errorf("%s: %s", resp.Address, said))
}

// body reads the whole body, decompressed.
func (c *Client) body(res *http.Response) ([]byte, error) {
	limit := c.options.MaxBytes
	tooLarge := fmt.Errorf("larger than the cap of %s", registry.Size(limit))
	if enc := res.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return nil, fmt.Errorf("content encoding %q: only gzip was asked for", excerpt([]byte(enc)))
	}
	if res.ContentLength > limit {
		return nil, tooLarge
	}
	data, err := readAll(res.Body, limit)
	if errors.Is(err, errTooLarge) {
		return nil, tooLarge
	}
	return data, err
}

var errTooLarge = errors.New("too large")

// pieces holds the parts of bodies while they are read, so that one that turns
// out too large leaves no garbage.
var pieces = sync.Pool{New: func() any { return new(piece) }}

type piece [64 << 10]byte

// readAll reads a body of at most limit bytes.
func readAll(body io.Reader, limit int64) ([]byte, error) {
	body = io.LimitReader(body, limit+1)
	var read []*piece
	defer func() {
		for _, p := range read {
			pieces.Put(p)
		}
	}()
	size := 0
	for {
		p := pieces.Get().(*piece)
		read = append(read, p)
		n, err := readFull(body, p[:])
		size += n
		switch {
		case int64(size) > limit:
			return nil, errTooLarge
		case err == io.EOF:
			data := make([]byte, 0, size)
			for _, p := range read {
				data = append(data, p[:min(len(p), size-len(data))]...)
			}
			return data, nil
		case err != nil:
			return nil, fmt.Errorf("after %d bytes: %w", size, err)
		}
	}
}

// readFull fills p unless an error or the end comes first. Unlike io.ReadFull
// it tells the end from an unexpected one.
func readFull(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	return n, err
}

func conditional(req *http.Request) bool {
	return req.Header.Get("If-None-Match") != "" || req.Header.Get("If-Modified-Since") != ""
}

// drain reads the beginning of a body, so that the connection of a short one
// is used again.
func drain(body io.Reader) []byte {
	data, _ := io.ReadAll(io.LimitReader(body, errorBytes)) // what came before an error is enough
	return data
}

// failed wraps what kept the registry from answering a status.
func (c *Client) failed(err error) error {
	var timeout interface{ Timeout() bool }
	return &registry.UpstreamError{
		Registry: c.options.Registry,
		Timeout:  errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout(),
		Err:      err,
	}
}

func (c *Client) status(res *http.Response, err error) error {
	return &registry.UpstreamError{
		Registry: c.options.Registry, Status: res.StatusCode,
		RetryAfter: retryAfter(res.Header.Get("Retry-After"), time.Now()), Err: err,
	}
}

// errUnreached marks errors that came before any answer.
type errUnreached struct{ error }

func (e errUnreached) Unwrap() error { return e.error }

// unreached cuts the URL from the client's error: it may be long, and its
// query may hold what does not belong into logs.
func unreached(a address, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	err = fmt.Errorf("%s: %w", a.url, err)
	if errors.Is(err, errRedirect) {
		return err
	}
	return errUnreached{err}
}

// movesOn reports whether another address may do better.
func movesOn(err error) bool {
	var up *registry.UpstreamError
	if !errors.As(err, &up) || up.Harmless {
		return false
	}
	var before errUnreached
	return up.Timeout || up.Status >= 500 || errors.As(up.Err, &before)
}

// united returns the last error with the words of those before it: the last
// address is the one that the registry's condition is judged by.
func united(errs []error) error {
	var last *registry.UpstreamError
	if len(errs) == 1 || !errors.As(errs[len(errs)-1], &last) {
		return errs[len(errs)-1]
	}
	all := *last
	for i := len(errs) - 2; i >= 0; i-- {
		var up *registry.UpstreamError
		if errors.As(errs[i], &up) {
			all.Err = fmt.Errorf("%w; before: %w", all.Err, up.Err)
			all.RetryAfter = max(all.RetryAfter, up.RetryAfter)
		}
	}
	return &all
}

// retryAfter reads seconds or an HTTP date; 0 if neither, at most a day.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if n, err := strconv.ParseUint(value, 10, 64); err == nil {
		return min(time.Duration(min(n, 1<<31))*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

func mediaType(value string) string {
	if t, _, err := mime.ParseMediaType(value); err == nil || t != "" {
		return t
	}
	t, _, _ := strings.Cut(value, ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// excerpt returns the beginning of data on one printable line.
func excerpt(data []byte) string {
	clean := strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, string(data[:min(len(data), errorBytes)]))
	runes := []rune(strings.Join(strings.Fields(clean), " "))
	if len(runes) > excerptRunes {
		return string(runes[:excerptRunes]) + "…"
	}
	return string(runes)
}
