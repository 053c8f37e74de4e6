// Package fetch is the HTTP client of the adapters: conditional GETs with a
// cap on the size of the answer, TLS, the addresses of a registry in order,
// and errors that tell absence from an outage.
package fetch

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/edgecache/edgecache/registry"
)

const defaultMaxBytes = 32 << 20

// TLS names the PEM files of a client's TLS settings; all are optional. The
// certificate and its key are read at each handshake, so that they can be
// renewed in place; the CA is read once.
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
	MaxConns int               // to one address, used and idle; 0: unlimited
	Header   func(http.Header) // sets credentials on each request; nil: none
	Trace    registry.Trace
	Inject   func(ctx context.Context, h http.Header) // adds trace headers; nil: none
	Logger   *slog.Logger                             // nil: discard
}

// A Request is one GET, below the base URL.
type Request struct {
	// Path is escaped and begins with a slash; it may have a query. It may also
	// be an absolute URL on the origin of one of the addresses: then only that
	// address is asked.
	Path               string
	Query              url.Values // added to the query of Path
	Header             http.Header
	ETag, LastModified string        // make it conditional
	Timeout            time.Duration // for all addresses together; 0: ctx alone bounds it
	// LongPoll says that the registry may hold its answer back: the first
	// address that can be connected to then has the whole Timeout; else each
	// has an equal share of it.
	LongPoll bool
	Name     string // of the service, for traces; may be empty
}

// A Response is an answer of status 200 with its whole body. One that comes
// with an error (status 304, 404, 410) has no body.
type Response struct {
	Status       int
	Header       http.Header
	Body         []byte // owned by the caller
	MediaType    string // Content-Type without parameters
	ETag         string
	LastModified string
	Wishes       registry.Freshness // from Cache-Control
	Address      string             // the base URL that answered, without credentials
	URL          string             // what was asked in the end, after redirects, without credentials
}

func (o Options) withDefaults() Options {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.MaxBytes = cmp.Or(o.MaxBytes, defaultMaxBytes)
	return o
}

// Validate returns all mistakes at once, each beginning with its key. It reads
// the files that TLS names.
func (o Options) Validate() error {
	_, addrErr := parseAddresses(o.Address)
	_, tlsErr := o.TLS.load()
	var capErr error
	if o.MaxBytes < 0 {
		capErr = fmt.Errorf("max_bytes: %d is negative", o.MaxBytes)
	}
	return errors.Join(addrErr, tlsErr, capErr)
}

// An address is one parsed base URL; user is cut from it.
type address struct {
	url  *url.URL
	user *url.Userinfo
}

func parseAddresses(list []string) ([]address, error) {
	if len(list) == 0 {
		return nil, errors.New("address: missing; a base URL like http://127.0.0.1:8500 expected")
	}
	var out []address
	var errs []error
	for _, s := range list {
		a, err := parseAddress(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("address: %w", err))
			continue
		}
		out = append(out, a)
	}
	return out, errors.Join(errs...)
}

func parseAddress(s string) (address, error) {
	u, err := url.Parse(s)
	if err != nil {
		// url.Parse quotes its input, which may hold a password.
		return address{}, errors.New("not a URL; one like http://127.0.0.1:8500 expected")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return address{}, fmt.Errorf("%q: scheme http:// or https:// expected", u.Redacted())
	case u.Hostname() == "":
		return address{}, fmt.Errorf("%q has no host", u.Redacted())
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return address{}, fmt.Errorf("%q: a base URL without query and fragment expected", u.Redacted())
	}
	a := address{url: u, user: u.User}
	u.User = nil
	u.RawPath = strings.TrimRight(u.EscapedPath(), "/")
	u.Path, err = url.PathUnescape(u.RawPath)
	return a, err
}

// load reads the files and returns the client's TLS settings.
func (t TLS) load() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	var errs []error
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		cfg.RootCAs = x509.NewCertPool()
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("tls.ca: %w", err))
		case !cfg.RootCAs.AppendCertsFromPEM(pem):
			errs = append(errs, fmt.Errorf("tls.ca: %s holds no PEM certificate", t.CA))
		}
	}
	switch {
	case t.Cert == "" && t.Key == "":
	case t.Key == "":
		errs = append(errs, errors.New("tls.key: missing; tls.cert needs its key"))
	case t.Cert == "":
		errs = append(errs, errors.New("tls.cert: missing; tls.key needs its certificate"))
	default:
		if _, err := tls.LoadX509KeyPair(t.Cert, t.Key); err != nil {
			errs = append(errs, fmt.Errorf("tls.cert: %w", err))
		}
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
			return &pair, err
		}
	}
	return cfg, errors.Join(errs...)
}
