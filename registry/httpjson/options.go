// Package httpjson is the adapter for any HTTP endpoint that answers JSON: one
// document per name, one list of all names, or both. JSON pointers say where
// in it the services and the fields of their instances stand; without them the
// JSON is edgecache's own form of a record.
package httpjson

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/fetch"
)

// formatPrometheus is the format of Prometheus' HTTP service discovery.
const formatPrometheus = "prometheus"

// nextLink takes the next page from the Link header.
const nextLink = "link"

// Options configure a Source. The tagged fields are keys of the registry's
// configuration; the others are set by the program.
//
// With Path a lookup is one conditional GET of the name's own document. With
// List alone it is one conditional GET of the list, shared by all lookups that
// began before it. With both, List gives the names and Path the records.
type Options struct {
	Address   registry.Strings  `yaml:"address"` // base URLs, tried in order
	Token     string            `yaml:"token,omitempty"`
	TokenFile string            `yaml:"token_file,omitempty"` // read before each request, so that it can be renewed
	Headers   map[string]string `yaml:"headers,omitempty"`
	TLS       fetch.TLS         `yaml:"tls,omitempty"`
	MaxBytes  registry.Size     `yaml:"max_bytes,omitempty"` // of one answer, or of all pages of a list; 0: 32MiB

	Path string        `yaml:"path,omitempty"` // of one name: /services/{name}.json
	List string        `yaml:"list,omitempty"` // of the list of names: /services
	Poll time.Duration `yaml:"poll,omitempty"` // watch List, where there is no Path, by asking this often; 0: no watch

	Format       string            `yaml:"format,omitempty"`         // prometheus; "": as the pointers below say
	Items        string            `yaml:"items,omitempty"`          // pointer to the list or object of services in List
	ItemName     string            `yaml:"item_name,omitempty"`      // pointer to the name in an item; "": its key, or /name
	Next         string            `yaml:"next,omitempty"`           // link (the header), or pointer to what leads to the next page
	NextParam    string            `yaml:"next_parameter,omitempty"` // Next is the value of this query parameter; "": a URL
	Instances    string            `yaml:"instances,omitempty"`      // pointer to the instances in an item or document; "": itself
	Fields       Fields            `yaml:"fields,omitempty"`
	HealthValues map[string]string `yaml:"health_values,omitempty"` // the registry's word to ours; * stands for all others

	Name      string                                   `yaml:"-"` // of the registry, in errors
	Documents bool                                     `yaml:"-"` // keep the registry's own JSON
	Timeout   time.Duration                            `yaml:"-"` // of one lookup or list; 0: its context alone bounds it
	Logger    *slog.Logger                             `yaml:"-"` // nil: discard
	Trace     registry.Trace                           `yaml:"-"` // nil: off
	Inject    func(ctx context.Context, h http.Header) `yaml:"-"` // adds trace headers; nil: none
}

// Fields are JSON pointers to the fields of an instance, from the instance; a
// field without one is not read. If none is set but Instances is, each field
// is expected under its own name.
type Fields struct {
	ID       string `yaml:"id,omitempty"`       // "": the URL, or address:port
	Address  string `yaml:"address,omitempty"`  // may be host:port where Port is not set
	Port     string `yaml:"port,omitempty"`     // number, or its digits
	Protocol string `yaml:"protocol,omitempty"` //
	TLS      string `yaml:"tls,omitempty"`      // boolean, or its text
	URL      string `yaml:"url,omitempty"`      // gives address, port, protocol and TLS if nothing else does
	Health   string `yaml:"health,omitempty"`   // text, number or boolean; see HealthValues
	Weight   string `yaml:"weight,omitempty"`   // number, 1 is normal
	Version  string `yaml:"version,omitempty"`
	Region   string `yaml:"region,omitempty"`
	Zone     string `yaml:"zone,omitempty"`
	Node     string `yaml:"node,omitempty"`
	Tags     string `yaml:"tags,omitempty"`     // list of texts
	Metadata string `yaml:"metadata,omitempty"` // object; what is no text is kept as compact JSON
}

// ownNames expects each field under its name in the native form.
var ownNames = Fields{
	ID: "/id", Address: "/address", Port: "/port", Protocol: "/protocol", TLS: "/tls", URL: "/url",
	Health: "/health", Weight: "/weight", Version: "/version", Region: "/region", Zone: "/zone",
	Node: "/node", Tags: "/tags", Metadata: "/metadata",
}

// refusedHeaders are set by the client itself, or would break it.
var refusedHeaders = []string{"Accept-Encoding", "Connection", "Content-Length", "Host", "If-Modified-Since",
	"If-None-Match", "Range", "Transfer-Encoding"}

func (o Options) withDefaults() Options {
	o.Name = cmp.Or(o.Name, "httpjson")
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Instances != "" && o.Fields == (Fields{}) {
		o.Fields = ownNames
	}
	return o
}

// native reports whether records come in edgecache's own form.
func (o *Options) native() bool { return o.Format == "" && o.Fields == (Fields{}) }

// Validate returns all mistakes at once, each beginning with its key. It reads
// the files that the options name.
func (o Options) Validate() error {
	o = o.withDefaults()
	errs := []error{o.fetch().Validate(), o.checkRequest(), o.checkMapping()}
	if _, err := o.token(); err != nil {
		errs = append(errs, err)
	}
	if o.Timeout < 0 {
		errs = append(errs, fmt.Errorf("timeout: %s is negative", o.Timeout))
	}
	return errors.Join(errs...)
}

// checkRequest returns what is wrong with the keys that say what is asked.
func (o *Options) checkRequest() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Token != "" && o.TokenFile != "" {
		bad("token_file: given beside token; one of them expected")
	}
	for name, value := range o.Headers {
		switch {
		case slices.Contains(refusedHeaders, http.CanonicalHeaderKey(name)):
			bad("headers: %s cannot be set", name)
		case name == "" || strings.ContainsFunc(name, notInToken):
			bad("headers: %q is not the name of a header", name)
		case !oneLine(value):
			bad("headers: the value of %s has a control character", name)
		}
	}
	if o.Path == "" && o.List == "" {
		bad("path: missing; path (like /services/{name}) or list (like /services) expected")
	}
	for key, path := range map[string]string{"path": o.Path, "list": o.List} {
		switch {
		case path == "":
		case !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//"):
			bad("%s: %q: one leading / expected, it is below address", key, path)
		case !isPath(path):
			bad("%s: %q: an escaped path expected", key, path)
		}
	}
	if o.Path != "" && !strings.Contains(o.Path, "{name}") {
		bad("path: %q has no {name}", o.Path)
	}
	switch {
	case o.Poll < 0:
		bad("poll: %s is negative", o.Poll)
	case o.Poll > 0 && (o.List == "" || o.Path != ""):
		bad("poll: it needs list without path: then one request sees every change")
	}
	return errors.Join(errs...)
}

// checkMapping returns what is wrong with the keys that say what is read.
func (o *Options) checkMapping() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, p := range append([][2]string{{"items", o.Items}, {"item_name", o.ItemName}, {"instances", o.Instances}}, o.Fields.pointers()...) {
		if _, err := parsePointer(p[1]); err != nil {
			bad("%s: %w", p[0], err)
		}
	}
	if _, err := parsePointer(o.Next); err != nil && o.Next != nextLink {
		bad("next: %w; or link, for the header", err)
	}
	if o.List == "" {
		for key, value := range map[string]string{"items": o.Items, "next": o.Next} {
			if value != "" {
				bad("%s: it needs list", key)
			}
		}
	}
	if o.NextParam != "" && (o.Next == "" || o.Next == nextLink) {
		bad("next_parameter: it needs a pointer in next")
	}
	switch {
	case o.Format != "" && o.Format != formatPrometheus:
		bad("format: %q: prometheus, or nothing, expected", o.Format)
	case o.Format != "" && !o.Fields.zero():
		bad("fields: not with format %s", o.Format)
	case o.Format != "" && o.List != "" && o.ItemName == "":
		bad("item_name: missing; the label that names the service expected, as in /labels/job")
	}
	if len(o.HealthValues) > 0 && o.Fields.Health == "" {
		bad("health_values: it needs fields.health")
	}
	for word, ours := range o.HealthValues {
		if _, err := registry.ParseHealth(ours); err != nil {
			bad("health_values: %s: %w", word, err)
		}
	}
	return errors.Join(errs...)
}

func (f Fields) zero() bool { return f == Fields{} }

// pointers returns config keys and pointers.
func (f Fields) pointers() [][2]string {
	return [][2]string{{"fields.id", f.ID}, {"fields.address", f.Address}, {"fields.port", f.Port},
		{"fields.protocol", f.Protocol}, {"fields.tls", f.TLS}, {"fields.url", f.URL}, {"fields.health", f.Health},
		{"fields.weight", f.Weight}, {"fields.version", f.Version}, {"fields.region", f.Region}, {"fields.zone", f.Zone},
		{"fields.node", f.Node}, {"fields.tags", f.Tags}, {"fields.metadata", f.Metadata}}
}

// token returns the token to send, "" for none.
func (o *Options) token() (string, error) {
	if o.TokenFile == "" {
		if !oneLine(o.Token) {
			return "", errors.New("token: one line expected")
		}
		return o.Token, nil
	}
	data, err := os.ReadFile(o.TokenFile)
	if err != nil {
		return "", fmt.Errorf("token_file: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" || !oneLine(token) {
		return "", fmt.Errorf("token_file: %s: one line with the token expected", o.TokenFile)
	}
	return token, nil
}

func (o *Options) fetch() fetch.Options {
	return fetch.Options{
		Registry: o.Name, Address: o.Address, TLS: o.TLS, MaxBytes: int64(o.MaxBytes),
		Trace: o.Trace, Inject: o.Inject, Logger: o.Logger,
	}
}

// mappingVersion rises when records are made differently of the same bytes.
const mappingVersion = 1

// meaning is a digest of all that decides what a record is made of, but for
// credentials. Revisions carry it: a validator that was got under another
// mapping must not confirm a record.
func (o *Options) meaning() string {
	return digest(mappingVersion, o.Address, o.Path, o.List, o.Format, o.Items, o.ItemName, o.Next, o.NextParam,
		o.Instances, o.Fields, o.HealthValues, o.Documents)
}

func digest(parts ...any) string {
	data, err := json.Marshal(parts)
	if err != nil {
		panic(err) // strings, numbers and maps of strings always marshal
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16])
}

func oneLine(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 && r != '\t' || r == 0x7f })
}

func isPath(s string) bool {
	u, err := url.Parse(strings.ReplaceAll(s, "{name}", "x"))
	return err == nil && u.Fragment == "" && !strings.ContainsAny(s, " #\t")
}

func notInToken(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
}
