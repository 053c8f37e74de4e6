package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// A Client asks one registry. It is safe for concurrent use.
type Client struct {
	options   Options
	addresses []address
	transport *http.Transport
	http      http.Client
	first     atomic.Int32 // position of the address that is tried first
}

// New returns a client, or an error that names all mistakes in o. It connects
// to nothing.
func New(o Options) (*Client, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	addresses, err := parseAddresses(o.Address)
	if err != nil {
		return nil, err
	}
	cfg, err := o.TLS.load()
	if err != nil {
		return nil, err
	}
	t := newTransport(cfg)
	t.MaxConnsPerHost = o.MaxConns
	return &Client{
		options: o, addresses: addresses, transport: t,
		http: http.Client{Transport: t, CheckRedirect: checkRedirect},
	}, nil
}

// Close closes idle connections; those in use close as their Get returns.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Get asks the addresses in turn, beginning with the last that worked, until
// one answers: connect errors, timeouts and statuses from 500 on move on to
// the next.
//
// The error matches [registry.ErrNotModified] for a 304 and
// [registry.ErrNotFound] for a 404 or 410; with these the Response is not nil
// and tells status and headers. Anything else is a [*registry.UpstreamError]
// and no Response: an outage, a timeout, a body that is too large, cut short
// or wrongly compressed. It is Harmless if ctx was cancelled.
func (c *Client) Get(ctx context.Context, r Request) (*Response, error) {
	key := registry.Key{Registry: c.options.Registry, Name: r.Name}
	ctx, end := c.options.Trace.Start(ctx, "upstream", key)
	resp, err := c.get(ctx, &r)
	if resp != nil {
		end(nil)
	} else {
		end(err)
	}
	return resp, err
}

func (c *Client) get(ctx context.Context, r *Request) (*Response, error) {
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Timeout)
		defer cancel()
	}
	n := len(c.addresses)
	first := int(c.first.Load())
	if only, err := c.absolute(r.Path); err != nil {
		return nil, c.failed(err)
	} else if only >= 0 {
		first, n = only, 1
	}
	var errs []error
	for i := range n {
		at := (first + i) % len(c.addresses)
		resp, err := c.bounded(ctx, r, at, n-i)
		if resp != nil || !movesOn(err) {
			if c.first.Swap(int32(at)) != int32(at) {
				c.options.Logger.Info("registry answers at another address",
					"registry", c.options.Registry, "address", c.addresses[at].url.String())
			}
			return resp, err
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	// A long poll that took all the time leaves none for the others: the next
	// Get begins after the address that failed.
	c.first.CompareAndSwap(int32(first), int32((first+1)%len(c.addresses)))
	return nil, united(errs)
}

// bounded asks one address, which gets an equal share of the time if others
// are left after it.
func (c *Client) bounded(ctx context.Context, r *Request, at, left int) (*Response, error) {
	attempt := ctx
	if deadline, ok := ctx.Deadline(); ok && left > 1 && !r.LongPoll {
		var cancel context.CancelFunc
		attempt, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	resp, err := c.ask(attempt, r, c.addresses[at])
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return nil, &registry.UpstreamError{Registry: c.options.Registry, Harmless: true, Err: ctx.Err()}
	}
	return resp, err
}

// absolute returns the position of the address whose origin the path names, or
// -1 if the path is relative.
func (c *Client) absolute(path string) (int, error) {
	if strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") {
		return -1, nil
	}
	u, err := url.Parse(path)
	if err != nil || u.Host == "" || u.Scheme == "" {
		return 0, fmt.Errorf("path %q: a path with one leading slash or an absolute URL expected", excerpt([]byte(path)))
	}
	for i, a := range c.addresses {
		if sameOrigin(u, a.url) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("URL on %s: that is not the origin of an address of this registry", origin(u))
}

// request builds the GET for one address.
func (c *Client) request(ctx context.Context, r *Request, a address) (*http.Request, error) {
	full := r.Path
	if strings.HasPrefix(full, "/") {
		full = a.url.String() + full
	}
	u, err := url.Parse(full)
	if err != nil {
		return nil, fmt.Errorf("path %q: %w", excerpt([]byte(r.Path)), errors.Unwrap(err))
	}
	u.User, u.Fragment = nil, ""
	if len(r.Query) > 0 {
		u.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+r.Query.Encode(), "&")
	}
	req, err := http.NewRequestWithContext(context.WithValue(ctx, callerKey{}, ctx), http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	for k, v := range r.Header {
		req.Header[http.CanonicalHeaderKey(k)] = append([]string(nil), v...)
	}
	if r.ETag != "" {
		req.Header.Set("If-None-Match", r.ETag)
	}
	if r.LastModified != "" {
		req.Header.Set("If-Modified-Since", r.LastModified)
	}
	if a.user != nil {
		password, _ := a.user.Password()
		req.SetBasicAuth(a.user.Username(), password)
	}
	if c.options.Header != nil {
		c.options.Header(req.Header)
	}
	if c.options.Inject != nil {
		c.options.Inject(ctx, req.Header)
	}
	return req, nil
}
