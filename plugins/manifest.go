package plugins

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// A Manifest is what a plugin says of itself: a file beside the module, x.yaml
// beside x.wasm, or its custom section edgecache.manifest.
type Manifest struct {
	Name    string `yaml:"name"`
	Version string `yaml:"version"`
	Kind    string `yaml:"kind"` // filter, adapter
	ABI     string `yaml:"abi"`  // "1.0"
	Limits  Limits `yaml:"limits"`

	// Of filters.
	Needs Needs `yaml:"needs"`
	May   []May `yaml:"may"`

	// Of adapters.
	HTTP []string `yaml:"http"` // origins that it wants to reach; *: those that the operator allows
	KV   bool     `yaml:"kv"`   // it keeps values
}

// Kinds of plugins.
const (
	kindFilter  = "filter"
	kindAdapter = "adapter"
)

// Needs are the attributes that calls of a filter carry, in the order of their
// slots: headers, query, attrs.
type Needs struct {
	Headers []string `yaml:"headers"` // of the request, in lower case
	Query   []string `yaml:"query"`   // parameters
	Attrs   []string `yaml:"attrs"`   // of attributes
	Meta    []string `yaml:"meta"`    // metadata keys of each instance
}

// Limits are what a plugin wants of the host, within the host's own.
type Limits struct {
	MemoryPages     uint32 `yaml:"memory_pages"`      // of 64 KiB each; 0: 64, of an adapter 256
	Fuel            int32  `yaml:"fuel"`              // of a call; 0: 150 000, of an adapter 500 000 000
	FuelPerInstance int32  `yaml:"fuel_per_instance"` // besides, for each in the frame of a filter; 0: 100
}

// A May is something that a filter does to answers.
type May string

// What filters do to answers.
const (
	MayDrop    May = "drop"
	MayReorder May = "reorder"
	MayDeny    May = "deny"
)

var mays = []May{MayDrop, MayReorder, MayDeny}

// Attributes besides headers and parameters. That of client.zone#hash is a
// number, FNV-1a of 32 bits.
const (
	attrZone     = "client.zone"
	attrZoneHash = "client.zone#hash"
	attrIP       = "client.ip"
)

var attributes = []string{attrZone, attrZoneHash, attrIP}

// manifestSection is the custom section that may hold the manifest.
const manifestSection = "edgecache.manifest"

const (
	maxManifest = 64 << 10

	filterPages      = 256 // at most: 16 MiB
	usualFilterPages = 64
	adapterPages     = 1024 // 64 MiB
	usualPages       = 256
)

// readManifest returns the manifest of the module at a path: that of the given
// file, else of the one beside the module, else of its custom section.
func readManifest(path, given string, binary []byte) (*Manifest, error) {
	from := given
	if from == "" {
		from = strings.TrimSuffix(path, ".wasm") + ".yaml"
	}
	text, err := os.ReadFile(from)
	if given == "" && errors.Is(err, os.ErrNotExist) {
		if text = customSection(binary, manifestSection); text == nil {
			return nil, fmt.Errorf("no manifest: %s, or a custom section %s of the module, expected", from, manifestSection)
		}
		from, err = "its custom section "+manifestSection, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := ParseManifest(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return m, nil
}

// ParseManifest reads a manifest and completes it. The error tells all mistakes.
func ParseManifest(text []byte) (m *Manifest, err error) {
	defer func() {
		if p := recover(); p != nil { // of the parser
			m, err = nil, fmt.Errorf("not readable as YAML: %v", p)
		}
	}()
	if len(text) > maxManifest {
		return nil, fmt.Errorf("%d bytes, at most %d expected", len(text), maxManifest)
	}
	m = &Manifest{}
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(m); err != nil {
		return nil, err
	}
	m.Limits.complete(m.Kind == kindAdapter)
	if err := m.validate(); err != nil {
		return nil, err
	}
	return m, nil
}

// complete sets what is left out.
func (l *Limits) complete(adapter bool) {
	pages, fuel, each := uint32(usualFilterPages), int32(callFuel), int32(instanceFuel)
	if adapter {
		pages, fuel, each = usualPages, adapterFuel, 0
	}
	l.MemoryPages = cmp.Or(l.MemoryPages, pages)
	l.Fuel = cmp.Or(l.Fuel, fuel)
	l.FuelPerInstance = cmp.Or(l.FuelPerInstance, each)
}

var (
	pluginName = regexp.MustCompile(`^[a-z0-9.-]{1,63}$`) // in manifest and configuration
	headerName = regexp.MustCompile("^[a-z0-9!#$%&'*+.^_`|~-]{1,256}$")
)

func (m *Manifest) validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !pluginName.MatchString(m.Name) {
		add("name: %q: 1 to 63 of a-z 0-9 . - expected", m.Name)
	}
	if m.Kind != kindFilter && m.Kind != kindAdapter {
		add("kind: %q: filter or adapter expected", m.Kind)
	}
	var major, minor int
	if n, err := fmt.Sscanf(m.ABI, "%d.%d", &major, &minor); n != 2 || err != nil {
		add("abi: %q: \"%d.%d\" expected", m.ABI, abiMajor, abiMinor)
	} else if major != abiMajor || minor > abiMinor {
		add("abi: %s: this host has %d.%d; a module for a newer one does not run here", m.ABI, abiMajor, abiMinor)
	}
	if m.Kind == kindAdapter {
		errs = append(errs, m.validateAdapter(), m.Limits.validate(adapterPages, mostAdapterFuel))
	} else {
		errs = append(errs, m.validateFilter(), m.Limits.validate(filterPages, mostFuel))
	}
	return errors.Join(errs...)
}

func (m *Manifest) validateFilter() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, a := range m.Needs.Attrs {
		if !slices.Contains(attributes, a) {
			add("needs.attrs: %q: one of %s expected", a, strings.Join(attributes, ", "))
		}
	}
	for _, h := range m.Needs.Headers {
		if !headerName.MatchString(h) {
			add("needs.headers: %q: the name of a header in lower case expected", h)
		}
	}
	if n := m.Needs.slots(); n > maxSlots {
		add("needs: %d headers, parameters and attributes, at most %d expected", n, maxSlots)
	}
	if n := len(m.Needs.Meta); n > maxSlots {
		add("needs.meta: %d keys, at most %d expected", n, maxSlots)
	}
	for _, may := range m.May {
		if !slices.Contains(mays, may) {
			add("may: %q: some of %s expected", may, joined(mays))
		}
	}
	if len(m.HTTP) > 0 || m.KV {
		add("http, kv: a filter has no I/O; of adapters only")
	}
	return errors.Join(errs...)
}

func (m *Manifest) validateAdapter() error {
	var errs []error
	if m.Needs.slots()+len(m.Needs.Meta)+len(m.May) > 0 || m.Limits.FuelPerInstance != 0 {
		errs = append(errs, errors.New("needs, may, limits.fuel_per_instance: of filters only"))
	}
	for i, text := range m.HTTP {
		if text == anyOrigin {
			continue
		}
		if _, err := parseGrant(text); err != nil {
			errs = append(errs, fmt.Errorf("http[%d]: %w", i, err))
		} else if len(strings.Fields(text)) > 1 {
			errs = append(errs, fmt.Errorf("http[%d]: %q: networks are granted by the operator's allow; an origin expected", i, text))
		}
	}
	return errors.Join(errs...)
}

func (l *Limits) validate(pages uint32, fuel int32) error {
	var errs []error
	if l.MemoryPages > pages {
		errs = append(errs, fmt.Errorf("limits.memory_pages: %d, at most %d (%d MiB) expected", l.MemoryPages, pages, pages/16))
	}
	if l.Fuel < 0 || l.Fuel > fuel {
		errs = append(errs, fmt.Errorf("limits.fuel: %d, at most %d expected", l.Fuel, fuel))
	}
	if l.FuelPerInstance < 0 || l.FuelPerInstance > fuel {
		errs = append(errs, fmt.Errorf("limits.fuel_per_instance: %d, at most %d expected", l.FuelPerInstance, fuel))
	}
	return errors.Join(errs...)
}

func (n *Needs) slots() int { return len(n.Headers) + len(n.Query) + len(n.Attrs) }

func joined(list []May) string {
	text := make([]string, len(list))
	for i, m := range list {
		text[i] = string(m)
	}
	return strings.Join(text, ", ")
}

// customSection returns the contents of a module's custom section; nil if there
// is none or the module is no module.
func customSection(binary []byte, name string) []byte {
	uvarint := func(b []byte) (n int, rest []byte) {
		for shift := 0; len(b) > 0 && shift < 35; shift += 7 {
			c := b[0]
			n, b = n|int(c&0x7f)<<shift, b[1:]
			if c < 0x80 {
				return n, b
			}
		}
		return -1, nil
	}
	for b := binary[min(8, len(binary)):]; len(b) > 0; {
		id := b[0]
		size, rest := uvarint(b[1:])
		if size < 0 || size > len(rest) {
			return nil
		}
		content := rest[:size]
		b = rest[size:]
		if id != 0 {
			continue
		}
		if n, rest := uvarint(content); n >= 0 && n <= len(rest) && string(rest[:n]) == name {
			return rest[n:]
		}
	}
	return nil
}
