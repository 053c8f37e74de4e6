package fetch_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/fetch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server that ends with the test, in spite of hung handlers.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// client returns a client of the addresses that is closed with the test.
func client(t *testing.T, o fetch.Options) *fetch.Client {
	t.Helper()
	o.Registry = "reg"
	c, err := fetch.New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

func get(t *testing.T, c *fetch.Client, r fetch.Request) (*fetch.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return c.Get(ctx, r)
}

// upstream returns err as an UpstreamError that does not look like absence.
func upstream(t *testing.T, resp *fetch.Response, err error) *registry.UpstreamError {
	t.Helper()
	var up *registry.UpstreamError
	if !errors.As(err, &up) {
		t.Fatalf("got error %v, want an UpstreamError", err)
	}
	if resp != nil {
		t.Errorf("got a response of status %d with the error", resp.Status)
	}
	if errors.Is(err, registry.ErrNotFound) || errors.Is(err, registry.ErrNotModified) {
		t.Errorf("error %v passes for an answer", err)
	}
	if up.Registry != "reg" {
		t.Errorf("got registry %q, want reg", up.Registry)
	}
	return up
}

// refused returns an address that nothing listens on.
func refused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// hang holds the request back until its client goes away.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
