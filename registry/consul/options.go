package consul

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
	"os"
	"strings"
	"time"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/fetch"
)

const defaultAddress = "http://127.0.0.1:8500"

// maxWait keeps a blocking query, with the sixteenth that a server adds, below
// the minute after which proxies and load balancers cut silent connections.
const maxWait = 55 * time.Second

// The consistency modes of Consul's reads.
const (
	modeStale      = "stale"
	modeDefault    = "default"
	modeConsistent = "consistent"
)

// Options configure a Source. The tagged fields are keys of the registry's
// configuration; the others are set by the program.
type Options struct {
	Address    registry.Strings  `yaml:"address,omitempty"` // agents, tried in order; none: the local one
	Token      string            `yaml:"token,omitempty"`
	TokenFile  string            `yaml:"token_file,omitempty"` // read before each request, so that it can be renewed
	TLS        fetch.TLS         `yaml:"tls,omitempty"`
	Datacenter string            `yaml:"datacenter,omitempty"`
	Namespace  string            `yaml:"namespace,omitempty"` // Consul Enterprise
	Partition  string            `yaml:"partition,omitempty"` // Consul Enterprise
	Tags       []string          `yaml:"tags,omitempty"`      // only instances that have all of them
	NodeMeta   map[string]string `yaml:"node_meta,omitempty"` // only nodes that have all of it
	// Consistency is stale (any server answers, the default), default (the
	// leader) or consistent (the leader after a round with its peers).
	Consistency string `yaml:"consistency,omitempty"`
	Near        string `yaml:"near,omitempty"` // order instances by distance from this node; _agent: the agent asked

	// Blocking is the most blocking queries under way: each holds a connection
	// unless all addresses are https. 0: 128, or 4096 with https. More watches
	// than that take turns of a second.
	Blocking int `yaml:"blocking,omitempty"`

	Name      string                                   `yaml:"-"` // of the registry, in errors
	Documents bool                                     `yaml:"-"` // keep Consul's own JSON
	Timeout   time.Duration                            `yaml:"-"` // of one call that does not block; 0: its context alone bounds it
	Wait      time.Duration                            `yaml:"-"` // of one blocking query, at most 55 s; 0: 55 s. A watch gives a sign of life at least this often
	Rate      float64                                  `yaml:"-"` // calls a second of all watches together; 0: unlimited
	Logger    *slog.Logger                             `yaml:"-"` // nil: discard
	Trace     registry.Trace                           `yaml:"-"` // nil: off
	Inject    func(ctx context.Context, h http.Header) `yaml:"-"` // adds trace headers; nil: none
}

func (o Options) withDefaults() Options {
	if len(o.Address) == 0 {
		o.Address = registry.Strings{defaultAddress}
	}
	o.Consistency = cmp.Or(o.Consistency, modeStale)
	o.Name = cmp.Or(o.Name, "consul")
	o.Wait = cmp.Or(o.Wait, maxWait)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	return o
}

// Validate returns all mistakes at once, each beginning with its key. It reads
// the files that the options name.
func (o Options) Validate() error {
	o = o.withDefaults()
	errs := []error{o.fetch().Validate()}
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch o.Consistency {
	case modeStale, modeDefault, modeConsistent:
	default:
		bad("consistency: %q: stale, default or consistent expected", o.Consistency)
	}
	if o.Token != "" && o.TokenFile != "" {
		bad("token_file: given beside token; one of them expected")
	}
	if _, err := o.token(); err != nil {
		errs = append(errs, err)
	}
	for i, tag := range o.Tags {
		if tag == "" {
			bad("tags[%d]: empty; a tag expected", i)
		}
	}
	for key := range o.NodeMeta {
		if key == "" || strings.Contains(key, ":") {
			bad("node_meta: key %q: not empty and without a colon expected", key)
		}
	}
	if o.Timeout < 0 {
		bad("timeout: %s is negative", o.Timeout)
	}
	if o.Wait < 0 || o.Wait > maxWait {
		bad("wait: %s: at most %s expected", o.Wait, maxWait)
	}
	if o.Blocking < 0 {
		bad("blocking: %d is negative", o.Blocking)
	}
	if o.Rate < 0 {
		bad("rate: %g is negative", o.Rate)
	}
	return errors.Join(errs...)
}

// token returns the token to send, "" for none.
func (o *Options) token() (string, error) {
	if o.TokenFile == "" {
		return o.Token, nil
	}
	data, err := os.ReadFile(o.TokenFile)
	if err != nil {
		return "", fmt.Errorf("token_file: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" || strings.ContainsAny(token, "\r\n") {
		return "", fmt.Errorf("token_file: %s: one line with the token expected", o.TokenFile)
	}
	return token, nil
}

func (o *Options) fetch() fetch.Options {
	return fetch.Options{
		Registry: o.Name, Address: o.Address, TLS: o.TLS,
		Trace: o.Trace, Inject: o.Inject, Logger: o.Logger,
	}
}

// mapping is part of the identity: it rises when records are made differently.
const mapping = 1

// identity returns a digest of all that decides what the registry answers and
// what becomes of it.
func (o *Options) identity(token string) string {
	data, err := json.Marshal([]any{
		mapping, o.Address, token, o.TLS, o.Datacenter, o.Namespace, o.Partition,
		o.Tags, o.NodeMeta, o.Near, o.Documents,
	})
	if err != nil {
		panic(err) // strings and maps of strings always marshal
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16])
}
