package plugins

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"runtime"
	"slices"

	"github.com/edgecache/edgecache/registry"
)

// Options are the config section `plugins`: which modules may run.
type Options struct {
	Trust   []string `yaml:"trust"`   // ed25519 public keys, in base64, whose signatures count
	Require string   `yaml:"require"` // none; digest: a pinned sha256, or a signature; signature
}

// Defaults returns the options of a node that says nothing else.
func Defaults() Options { return Options{Require: "none"} }

// Validate returns an error that tells all mistakes, each with its key.
func (o *Options) Validate() error {
	var errs []error
	if !slices.Contains([]string{"none", "digest", "signature"}, o.Require) {
		errs = append(errs, fmt.Errorf("require: %q: none, digest or signature expected", o.Require))
	}
	for i, text := range o.Trust {
		if _, err := publicKey(text); err != nil {
			errs = append(errs, fmt.Errorf("trust[%d]: %w", i, err))
		}
	}
	if o.Require == "signature" && len(o.Trust) == 0 {
		errs = append(errs, errors.New("require: signature needs keys to trust"))
	}
	return errors.Join(errs...)
}

// FilterOptions are one entry of the config list `filters`.
type FilterOptions struct {
	Name       string           `yaml:"name"`
	Plugin     string           `yaml:"plugin"`     // path of the module
	Manifest   string           `yaml:"manifest"`   // path of its manifest; "": beside the module, or in it
	SHA256     string           `yaml:"sha256"`     // it must have; "": any
	Registries registry.Strings `yaml:"registries"` // globs
	Services   registry.Strings `yaml:"services"`   // globs
	Config     map[string]any   `yaml:"config"`     // for the plugin
	May        []May            `yaml:"may"`        // what it may do
	MinKeep    int              `yaml:"min_keep"`   // a mask that leaves fewer leaves all
	OnFailure  string           `yaml:"on_failure"` // open, closed; "": open, unless it may deny
	Pool       int              `yaml:"pool"`       // instances at most; 0: four for each CPU

	interpreted bool // by wazero's other engine, see Trial
}

// FilterDefaults are the options of a filter that says nothing else.
func FilterDefaults() FilterOptions {
	return FilterOptions{
		Registries: registry.Strings{"*"}, Services: registry.Strings{"*"},
		May: []May{MayDrop, MayReorder}, MinKeep: 1,
	}
}

const (
	maxPool   = 1024
	maxConfig = 64 << 10
)

var hexSHA256 = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)

// Validate returns an error that tells all mistakes, each with its key.
func (o *FilterOptions) Validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !pluginName.MatchString(o.Name) {
		add("name: %q: 1 to 63 of a-z 0-9 . - expected", o.Name)
	}
	if o.Plugin == "" {
		add("plugin: the path of a .wasm file expected")
	}
	if o.SHA256 != "" && !hexSHA256.MatchString(o.SHA256) {
		add("sha256: %q: 64 hexadecimal digits expected", o.SHA256)
	}
	for _, may := range o.May {
		if !slices.Contains(mays, may) {
			add("may: %q: some of %s expected", may, joined(mays))
		}
	}
	switch o.OnFailure {
	case "open", "closed":
	case "":
		if slices.Contains(o.May, MayDeny) {
			add("on_failure: a filter that may deny needs a word on what is answered while it fails: open (unfiltered) or closed (503)")
		}
	default:
		add("on_failure: %q: open or closed expected", o.OnFailure)
	}
	if o.MinKeep < 0 {
		add("min_keep: %d: 0 or more expected", o.MinKeep)
	}
	if o.MinKeep > 1 && slices.Contains(o.May, MayDeny) {
		add("min_keep: %d: what a filter that may deny drops is not to be seen by whom it drops it for; at most 1 expected", o.MinKeep)
	}
	if o.Pool < 0 || o.Pool > maxPool {
		add("pool: %d: 1 to %d expected, or 0 for four for each CPU", o.Pool, maxPool)
	}
	if config, err := configJSON(o.Config); err != nil {
		add("config: %w", err)
	} else if len(config) > maxConfig {
		add("config: %d bytes of JSON, at most %d expected", len(config), maxConfig)
	}
	return errors.Join(errs...)
}

// grant returns an error that names what a manifest asks for and the options do
// not give.
func (o *FilterOptions) grant(m *Manifest) error {
	var errs []error
	for _, may := range m.May {
		if !slices.Contains(o.May, may) {
			errs = append(errs, fmt.Errorf("its manifest asks for may: %s, which the configuration does not grant: may: [%s]", may, joined(append(slices.Clone(o.May), may))))
		}
	}
	return errors.Join(errs...)
}

func configJSON(config map[string]any) ([]byte, error) {
	if config == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(config)
}

// same reports whether two options make the same generation: what answers it is
// asked about, and what becomes of them when it fails, is not its concern.
func (o *FilterOptions) same(p *FilterOptions) bool {
	a, b := *o, *p
	a.Registries, a.Services, a.OnFailure = b.Registries, b.Services, b.OnFailure
	return reflect.DeepEqual(a, b)
}

func (o *FilterOptions) pool() int {
	if o.Pool > 0 {
		return o.Pool
	}
	return 4 * runtime.GOMAXPROCS(0)
}
