// Package fetch is the HTTP client of the adapters: conditional GETs with a
// cap on the size of the answer, TLS, the addresses of a registry in order,
// and errors that tell absence from an outage.
package fetch

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// TLS names the PEM files of a client's TLS settings; all are optional.
type TLS struct {
	CA         string `yaml:"ca,omitempty"`
	Cert       string `yaml:"cert,omitempty"`
	Key        string `yaml:"key,omitempty"`
	ServerName string `yaml:"server_name,omitempty"`
}

// Options configure a Client.
type Options struct {
	Registry string   // in errors
	Address  []string // base URLs, tried in order from the last that worked
	TLS      TLS
	MaxBytes int64             // of one body after decompression; 0: 32 MiB
	Header   func(http.Header) // sets credentials on each request; nil: none
	Trace    registry.Trace
	Inject   func(ctx context.Context, h http.Header) // adds trace headers; nil: none
	Logger   *slog.Logger
}

// A Request is one GET, below the base URL.
type Request struct {
	Path               string // escaped, with a leading slash, or an absolute URL on the same origin
	Query              url.Values
	Header             http.Header
	ETag, LastModified string        // make it conditional
	Timeout            time.Duration // 0: ctx alone bounds it
}

// A Response is an answer of status 200 with its whole body.
type Response struct {
	Status       int
	Header       http.Header
	Body         []byte // owned by the caller
	MediaType    string // Content-Type without parameters
	ETag         string
	LastModified string
	Wishes       registry.Freshness // from Cache-Control
	Address      string             // the base URL that answered
}
