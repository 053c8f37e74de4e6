package plugins

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"runtime"
	"slices"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// AdapterOptions configure a registry whose adapter is a plugin. The tagged
// fields are keys of the registry's configuration; the others are set by the
// program.
type AdapterOptions struct {
	Plugin   string            `yaml:"plugin"`             // path of the module
	Manifest string            `yaml:"manifest,omitempty"` // path of its manifest; "": beside the module, or in it
	SHA256   string            `yaml:"sha256,omitempty"`   // it must have; "": any
	Config   map[string]any    `yaml:"config,omitempty"`   // for the plugin
	Allow    registry.Strings  `yaml:"allow,omitempty"`    // origins that it may reach: "http://eureka.internal:8761 10.0.0.0/8"
	Secrets  map[string]Secret `yaml:"secrets,omitempty"`  // by name: sent in place of ${secret.NAME} in headers
	TLS      AdapterTLS        `yaml:"tls,omitempty"`
	Poll     time.Duration     `yaml:"poll"`           // the longest time from one ec_poll to the next
	Pool     int               `yaml:"pool,omitempty"` // instances for lookups at most; 0: 16

	Name      string         `yaml:"-"` // of the registry
	Documents bool           `yaml:"-"` // keep what the guest gives as document of records and versions
	Timeout   time.Duration  `yaml:"-"` // of one lookup or list; 0: its context alone bounds it
	Logger    *slog.Logger   `yaml:"-"` // nil: discard
	Trace     registry.Trace `yaml:"-"` // nil: off

	interpreted bool // by wazero's other engine, see Trial
}

// AdapterTLS names the PEM file of the authorities that the certificates of
// https origins are to be from, in place of the system's.
type AdapterTLS struct {
	CA string `yaml:"ca,omitempty"`
}

// roots are the authorities of a file, with its text.
type roots struct {
	text string
	pool *x509.CertPool // nil: the system's
}

func (t *AdapterTLS) load() (r roots, err error) {
	if t.CA == "" {
		return r, nil
	}
	pem, err := os.ReadFile(t.CA)
	if err != nil {
		return r, fmt.Errorf("tls.ca: %w", err)
	}
	r = roots{string(pem), x509.NewCertPool()}
	if !r.pool.AppendCertsFromPEM(pem) {
		return r, fmt.Errorf("tls.ca: %s holds no PEM certificate", t.CA)
	}
	return r, nil
}

// A Secret is a file whose text goes into headers, to some origins only.
type Secret struct {
	File string           `yaml:"file"`
	To   registry.Strings `yaml:"to,omitempty"` // origins; none: all of allow, if that is one
}

// AdapterDefaults are the options of an adapter that says nothing else.
func AdapterDefaults() AdapterOptions { return AdapterOptions{Poll: 10 * time.Second} }

const (
	usualAdapterPool = 16
	leastPoll        = 100 * time.Millisecond
)

// Validate returns an error that tells all mistakes, each with its key.
func (o *AdapterOptions) Validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Plugin == "" {
		add("plugin: the path of a .wasm file expected")
	}
	if o.SHA256 != "" && !hexSHA256.MatchString(o.SHA256) {
		add("sha256: %q: 64 hexadecimal digits expected", o.SHA256)
	}
	if _, err := parseGrants("allow", o.Allow); err != nil {
		errs = append(errs, err)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Secrets)) {
		s := o.Secrets[name]
		if s.File == "" {
			add("secrets.%s.file: the path of a file expected", name)
		}
		if _, err := parseGrants("secrets."+name+".to", s.To); err != nil {
			errs = append(errs, err)
		}
		if len(s.To) == 0 && len(o.Allow) > 1 {
			add("secrets.%s.to: allow has %d entries; the origins that may see the secret expected", name, len(o.Allow))
		}
	}
	if _, err := o.TLS.load(); err != nil {
		errs = append(errs, err)
	}
	if o.Poll < leastPoll {
		add("poll: %s: %s or more expected", o.Poll, leastPoll)
	}
	if o.Pool < 0 || o.Pool > maxPool {
		add("pool: %d: 1 to %d expected, or 0 for %d", o.Pool, maxPool, usualAdapterPool)
	}
	if config, err := configJSON(o.Config); err != nil {
		add("config: %w", err)
	} else if len(config) > maxConfig {
		add("config: %d bytes of JSON, at most %d expected", len(config), maxConfig)
	}
	return errors.Join(errs...)
}

func (o *AdapterOptions) pool() int {
	if o.Pool > 0 {
		return o.Pool
	}
	return usualAdapterPool
}

// same reports whether two options are those of one adapter of one program.
func (o *AdapterOptions) same(p *AdapterOptions) bool {
	a, b := *o, *p
	a.Logger, a.Trace, b.Logger, b.Trace = nil, nil, nil, nil
	return reflect.DeepEqual(a, b)
}

// identity names what records of a module with these options depend on.
func (o *AdapterOptions) identity(m *Module) string {
	text, _ := json.Marshal([]any{m.SHA256, o.Config, o.Allow, o.Secrets, o.TLS, o.Documents}) // they came from YAML
	sum := sha256.Sum256(text)
	return "wasm:" + hex.EncodeToString(sum[:16])
}

// warm is how many instances are made before they are needed.
func (o *AdapterOptions) warm() int { return min(o.pool(), runtime.GOMAXPROCS(0), 2) }
