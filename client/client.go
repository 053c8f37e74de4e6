package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	defaultTimeout = 10 * time.Second // twice what a node gives its own lookups
	defaultSilence = 45 * time.Second // three pings of a watch
	maxBody        = 256 << 20        // bytes of one answer, against a runaway server
)

// Options configure a Client.
type Options struct {
	Address string        // host:port or a URL; without a scheme https if CAFile or TLS is set, else http
	Token   string        // sent as a bearer token; "": none
	CAFile  string        // PEM file of the authorities to trust; "": the system's
	TLS     *tls.Config   // nil: Go's defaults; CAFile is added to a copy
	Timeout time.Duration // of one request beyond what it asks the node to wait; 0: 10 s
	Silence time.Duration // after which a watch counts as lost; 0: 45 s
	Logger  *slog.Logger  // told when a watch is lost and back; nil: discard
}

// A Client talks to one node. It is safe for concurrent use. It connects
// directly, whatever proxies the environment names, and follows no redirects.
type Client struct {
	base    string // scheme and host, without a slash at the end
	token   string
	timeout time.Duration
	silence time.Duration
	log     *slog.Logger
	http    *http.Client
}

// New returns a client of the node at o.Address. It reads o.CAFile and sends
// nothing yet.
func New(o Options) (*Client, error) {
	config := o.TLS
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: no PEM certificate found", o.CAFile)
		}
		if config = config.Clone(); config == nil {
			config = &tls.Config{}
		}
		config.RootCAs = pool
	}
	base, err := baseURL(o.Address, config != nil)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy, transport.TLSClientConfig, transport.MaxIdleConnsPerHost = nil, config, 16
	return &Client{
		base: base, token: o.Token,
		timeout: cmp.Or(o.Timeout, defaultTimeout), silence: cmp.Or(o.Silence, defaultSilence),
		log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// baseURL returns scheme://host of an address.
func baseURL(address string, secure bool) (string, error) {
	if address == "" {
		return "", errors.New("address is empty: host:port or a URL expected, as in 127.0.0.1:7400")
	}
	if !strings.Contains(address, "://") {
		scheme := "http://"
		if secure {
			scheme = "https://"
		}
		address = scheme + address
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("address %q: %w", address, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return "", fmt.Errorf("address %q: host:port, http://host:port or https://host:port expected", address)
	}
	return u.Scheme + "://" + u.Host, nil
}

// Address returns the node's address as a URL.
func (c *Client) Address() string { return c.base }

// Close closes idle connections. Requests in flight go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// A call is one request to the node.
type call struct {
	method string // "": GET
	path   string // escaped
	query  url.Values
	header http.Header
	body   any           // sent as JSON; nil: none
	wait   time.Duration // what the node was asked to wait
}

// An answer is a node's response, read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// request builds the HTTP request of a call.
func (c *Client) request(ctx context.Context, k call) (*http.Request, error) {
	target := c.base + k.path
	if len(k.query) > 0 {
		target += "?" + k.query.Encode()
	}
	var body io.Reader
	if k.body != nil {
		text, err := json.Marshal(k.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, cmp.Or(k.method, http.MethodGet), target, body)
	if err != nil {
		return nil, err
	}
	for name, values := range k.header {
		req.Header[name] = values
	}
	if k.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return req, nil
}

// do sends a call and reads the answer. A status from 400 on is a *Problem,
// except those in ok.
func (c *Client) do(ctx context.Context, k call, ok ...int) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout+k.wait)
	defer cancel()
	req, err := c.request(ctx, k)
	if err != nil {
		return answer{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: %w", req.Method, req.URL.Redacted(), err)
	}
	if len(body) > maxBody {
		return answer{}, fmt.Errorf("%s %s: answer is longer than %d bytes", req.Method, req.URL.Redacted(), maxBody)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: body}
	for _, status := range ok {
		if a.status == status {
			return a, nil
		}
	}
	if a.status >= 300 && a.status != http.StatusNotModified {
		return a, problemOf(a)
	}
	return a, nil
}

// call sends a call and decodes the answer's JSON into out.
func (c *Client) call(ctx context.Context, k call, out any, ok ...int) (answer, error) {
	a, err := c.do(ctx, k, ok...)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		return a, fmt.Errorf("%s%s: status %d with a body that is not the expected JSON: %w (is it an edgecache node?)",
			c.base, k.path, a.status, err)
	}
	return a, nil
}

// escape writes a name as the last part of a path: slashes stay.
func escape(name string) string {
	segments := strings.Split(name, "/")
	for i := range segments {
		segments[i] = url.PathEscape(segments[i])
	}
	return strings.Join(segments, "/")
}
