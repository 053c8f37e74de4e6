package plugins

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/edgecache/edgecache/registry"
)

// A Test is a fixture, of either kind of plugin.
type Test interface {
	// Run runs all cases on both of wazero's engines and returns what is not as
	// it should be, each an error.
	Run(m *Module, logger *slog.Logger) []error
	Place() string // the fixture's file
	Len() int      // its cases
}

// ReadTest reads a fixture of a module.
func ReadTest(m *Module, path string) (Test, error) {
	if m.Manifest.Kind == kindAdapter {
		return ReadAdapterFixture(path)
	}
	return ReadFixture(path)
}

// A Fixture is a test of a filter: a configuration, a service, and what is to
// become of it in some cases.
type Fixture struct {
	Path    string         `yaml:"-"`
	Config  map[string]any `yaml:"config"`
	Init    string         `yaml:"init"`    // the configuration is refused with an error that has this
	Service map[string]any `yaml:"service"` // in the JSON form of a record
	Cases   []Case         `yaml:"cases"`

	record *registry.Record
}

// A Case is a request and what it gets.
type Case struct {
	Name    string            `yaml:"name"`
	Headers map[string]string `yaml:"headers"`
	Params  map[string]string `yaml:"query"`
	Zone    string            `yaml:"zone"`
	IP      string            `yaml:"ip"`

	Keep  []string `yaml:"keep"`  // ids, in order; [] is none
	Deny  *Denial  `yaml:"deny"`  // instead of keep
	Error string   `yaml:"error"` // instead of keep: what its error has

	addr netip.Addr
}

// A Denial is how a filter is to refuse.
type Denial struct {
	Status int    `yaml:"status"`
	Reason string `yaml:"reason"` // what the reason has
}

// Header implements [registry.Attrs], as do Query, ClientIP and ClientZone.
func (c *Case) Header(name string) (string, bool) { v, ok := c.Headers[name]; return v, ok }

// Query returns a parameter.
func (c *Case) Query(name string) (string, bool) { v, ok := c.Params[name]; return v, ok }

// ClientIP returns the client's address.
func (c *Case) ClientIP() netip.Addr { return c.addr }

// ClientZone returns the client's zone.
func (c *Case) ClientZone() string { return c.Zone }

// ReadFixture reads a fixture of YAML.
func ReadFixture(path string) (f *Fixture, err error) {
	defer func() {
		if p := recover(); p != nil { // of the parser
			f, err = nil, fmt.Errorf("%s: not readable as YAML: %v", path, p)
		}
	}()
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f = &Fixture{Path: path}
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	service, err := yaml.MarshalWithOptions(f.Service, yaml.JSON())
	if err != nil {
		return nil, fmt.Errorf("%s: service: %w", path, err)
	}
	if f.record, err = registry.ParseRecord(service); err != nil {
		return nil, fmt.Errorf("%s: service: %w", path, err)
	}
	f.record.Key.Registry = "fixture"
	f.record.Seal(1)
	for i := range f.Cases {
		c := &f.Cases[i]
		if c.IP == "" {
			continue
		}
		if c.addr, err = netip.ParseAddr(c.IP); err != nil {
			return nil, fmt.Errorf("%s: case %q: ip: %w", path, c.Name, err)
		}
	}
	return f, nil
}

// Place returns the fixture's file.
func (f *Fixture) Place() string { return f.Path }

// Len returns how many cases it has.
func (f *Fixture) Len() int { return len(f.Cases) }

// Record returns the service, sealed.
func (f *Fixture) Record() *registry.Record { return f.record }

// Run runs all cases on both of wazero's engines, each twice on one instance,
// and returns what is not as it should be, each an error.
func (f *Fixture) Run(m *Module, logger *slog.Logger) []error {
	var errs []error
	for _, interpreted := range [...]bool{false, true} {
		engine := map[bool]string{false: "compiler", true: "interpreter"}[interpreted]
		add := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("%s: "+format, append([]any{engine}, args...)...))
		}
		t, err := NewTrial(m, f.Config, interpreted, logger)
		switch {
		case f.Init != "" && (err == nil || !strings.Contains(err.Error(), f.Init)):
			add("the configuration: %v, want an error that has %q", orDone(err), f.Init)
		case f.Init == "" && err != nil:
			add("%w", err)
		}
		if err != nil {
			continue
		}
		for i := range f.Cases {
			c := &f.Cases[i]
			for range 2 {
				out, err := t.Call(f.record, c)
				if err := f.judge(c, out, err); err != nil {
					add("%s: %w", c.Name, err)
					break
				}
			}
		}
		t.Close()
	}
	return errs
}

func orDone(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}

// judge says what is wrong with an outcome; nil if nothing is.
func (f *Fixture) judge(c *Case, out Outcome, err error) error {
	if c.Error != "" {
		if err == nil || !strings.Contains(err.Error(), c.Error) {
			return fmt.Errorf("it ended with %w, want an error that has %q", orDone(err), c.Error)
		}
		return nil
	}
	if err != nil {
		return err
	}
	if (out.Denied != nil) != (c.Deny != nil) {
		return fmt.Errorf("denied: %t, want %t", out.Denied != nil, c.Deny != nil)
	}
	if d := out.Denied; d != nil {
		if d.Status != c.Deny.Status || !strings.Contains(d.Reason, c.Deny.Reason) {
			return fmt.Errorf("denied with %d %q, want %d and %q", d.Status, d.Reason, c.Deny.Status, c.Deny.Reason)
		}
		return nil
	}
	var ids []string
	for _, at := range out.Kept {
		ids = append(ids, f.record.Instances[at].ID)
	}
	if !slices.Equal(ids, c.Keep) {
		return fmt.Errorf("it keeps %q, want %q", ids, c.Keep)
	}
	return nil
}
