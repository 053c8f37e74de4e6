package plugins

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// An exchange is a request of a guest whose answer's head has come.
type exchange struct {
	answer *http.Response
	read   int64 // bytes of the body
	cancel context.CancelFunc
}

// hostsHeaders are those that a guest may not set, besides Proxy-….
var hostsHeaders = []string{"Host", "Connection", "Content-Length", "Transfer-Encoding", "Upgrade", "Te", "Trailer", "Keep-Alive", "Expect", "Accept-Encoding"}

var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}

// An httpError is why a request has no answer, as the guest is told.
type httpError struct {
	code int32
	err  error
}

func (e *httpError) Error() string { return e.err.Error() }

func (e *httpError) Unwrap() error { return e.err }

// parseHead reads what a guest passes to http_send.
func parseHead(head string, body []byte) (*http.Request, error) {
	invalid := func(format string, args ...any) (*http.Request, error) {
		return nil, &httpError{codeInvalid, fmt.Errorf(format, args...)}
	}
	lines := strings.Split(strings.TrimSuffix(head, "\n"), "\n")
	method, target, ok := strings.Cut(lines[0], " ")
	if !ok || !slices.Contains(methods, method) {
		return invalid("%.100q: a method of %s and a URL expected", lines[0], strings.Join(methods, ", "))
	}
	u, err := url.Parse(target)
	switch {
	case strings.Contains(target, " "):
		return invalid("%.100q: no more than a method and a URL expected; a space in a URL is %%20", lines[0])
	case err != nil:
		return invalid("%.100q is no URL", target)
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return invalid("%.100q: http or https, a host and a path expected", target)
	}
	u.Fragment, u.RawFragment = "", ""
	if len(lines)-1 > maxHeaders {
		return nil, &httpError{codeTooLarge, fmt.Errorf("%d headers, at most %d expected", len(lines)-1, maxHeaders)}
	}
	r := &http.Request{Method: method, URL: u, Host: u.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}}
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value):
			return invalid("%.100q: a header as in \"Accept: application/json\" expected", line)
		case slices.Contains(hostsHeaders, canonical) || strings.HasPrefix(canonical, "Proxy-"):
			return invalid("header %s is the host's", canonical)
		}
		r.Header.Add(canonical, value)
	}
	if _, set := r.Header["User-Agent"]; !set {
		r.Header.Set("User-Agent", "edgecache")
	}
	if len(body) > 0 {
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		r.ContentLength = int64(len(body))
		r.Body, _ = r.GetBody()
	}
	return r, nil
}

// send makes a request if it may be made, and returns once the answer's head is
// there. timeout is that of the whole exchange; 0: that of ctx.
func (o *outbound) send(ctx context.Context, head string, body []byte, timeout time.Duration) (*exchange, error) {
	r, err := parseHead(head, body)
	if err != nil {
		return nil, err
	}
	if err := o.admit(r.URL); err != nil {
		o.stats.denied.Add(1)
		return nil, &httpError{codeDenied, err}
	}
	r.Host = r.URL.Host
	if r.URL.User != nil {
		return nil, &httpError{codeInvalid, fmt.Errorf("%s: no user in a URL; a header expected", r.URL.Redacted())}
	}
	for _, values := range r.Header {
		for i, value := range values {
			if values[i], err = o.fill(value, r.URL); err != nil {
				o.stats.denied.Add(1)
				return nil, &httpError{codeDenied, err}
			}
		}
	}
	ctx, cancel := within(ctx, timeout)
	o.stats.requests.Add(1)
	answer, err := o.transport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		err = o.failed(ctx, r, err) // which asks why ctx ended
		cancel()
		return nil, err
	}
	return &exchange{answer: answer, cancel: cancel}, nil
}

// within returns a context that ends after a timeout, if there is one.
func within(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout > 0 {
		return context.WithTimeout(ctx, timeout)
	}
	return context.WithCancel(ctx)
}

// failed says why there is no answer. Only the origin is named: paths and
// queries may hold what does not belong into logs.
func (o *outbound) failed(ctx context.Context, r *http.Request, err error) error {
	err = fmt.Errorf("%s %s://%s: %w", r.Method, r.URL.Scheme, r.URL.Host, err)
	if _, denied := errors.AsType[*denial](err); denied {
		o.stats.denied.Add(1)
		return &httpError{codeDenied, err}
	}
	var timeout interface{ Timeout() bool }
	if ctx.Err() != nil || errors.As(err, &timeout) && timeout.Timeout() {
		return &httpError{codeTimeout, err}
	}
	return &httpError{codeUnavailable, err}
}

// receive reads more of an answer's body; 0 is its end.
func (e *exchange) receive(b []byte) (int, error) {
	for {
		n, err := e.answer.Body.Read(b)
		e.read += int64(n)
		var timeout interface{ Timeout() bool }
		switch {
		case e.read > maxReceived:
			return 0, &httpError{codeTooLarge, fmt.Errorf("the answer's body is larger than %d bytes", maxReceived)}
		case n > 0:
			return n, nil
		case errors.Is(err, io.EOF) || len(b) == 0:
			return 0, nil
		case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
			return 0, &httpError{codeTimeout, fmt.Errorf("the answer's body: %w", err)}
		case err != nil:
			return 0, &httpError{codeUnavailable, fmt.Errorf("the answer's body: %w", err)}
		}
	}
}

func (e *exchange) close() {
	_ = e.answer.Body.Close()
	e.cancel()
}
