package main

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
)

// A registryConfig is one entry of the config list `registries`: the keys that
// all types have, and inline the Options of its type.
type registryConfig struct {
	Name            string           `yaml:"name"`
	Type            string           `yaml:"type"`
	Kind            registry.Kind    `yaml:"kind"`
	Services        registry.Strings `yaml:"services"` // globs
	Ask             string           `yaml:"ask"`      // the name asked upstream
	Warm            registry.Strings `yaml:"warm"`     // all, watched, or names
	Watch           bool             `yaml:"watch"`
	Timeout         time.Duration    `yaml:"timeout"`
	Retries         int              `yaml:"retries"`
	Rate            float64          `yaml:"rate"` // calls a second; 0: unlimited
	OnDown          string           `yaml:"on_down"`
	Documents       bool             `yaml:"documents"` // keep the registry's own bytes
	cache.Overrides `yaml:",inline"`

	options any // pointer to the Options of the type, which is "" if that is not known
}

// mergeOptions are the Options of type merge, which has no source.
type mergeOptions struct {
	Of []string `yaml:"of"`
}

// laterTypes are what the interface knows and this version does not have.
var laterTypes = []string{"etcd", "nacos", "eureka", "zookeeper", "kubernetes", "dns", "mcp", "a2a"}

func defaultRegistry(kind string, options any) registryConfig {
	return registryConfig{
		Type: kind, Kind: registry.KindService,
		Services: registry.Strings{"*"}, Ask: "{name}", Warm: registry.Strings{"watched"},
		Watch: true, Timeout: 2 * time.Second, Retries: 2, Rate: 200, OnDown: "next", Documents: true,
		options: options,
	}
}

// fields returns the keys of the entry, those of its type included.
func (r *registryConfig) fields() []field {
	return append(fieldsOf(reflect.ValueOf(r).Elem()), fieldsOf(reflect.ValueOf(r.options).Elem())...)
}

// registries reads the list of registries: each entry's type says which keys
// it may have.
func (d *decoder) registries(node ast.Node, dst *[]registryConfig, path string) {
	seq, ok := node.(*ast.SequenceNode)
	if !ok {
		d.mistakes.at(path, tokenOf(node), "a list expected, found %s", describe(node))
		return
	}
	*dst = nil
	for i, n := range seq.Values {
		at := fmt.Sprintf("%s[%d]", path, i)
		anchor, anchored := n.(*ast.AnchorNode)
		if anchored {
			n = anchor.Value
		}
		if n = d.resolve(n, at); n == nil {
			continue
		}
		d.mistakes.seen(at, tokenOf(n))
		*dst = append(*dst, d.registry(n, at))
		if anchored {
			d.anchors[anchor.Name.GetToken().Value] = n
		}
	}
}

// registry reads one entry. Of one whose type is not known, only the name is
// read.
func (d *decoder) registry(node ast.Node, path string) registryConfig {
	r := registryConfig{options: &struct{}{}}
	var kind ast.Node
	before := len(d.mistakes.found)
	d.pairs(node, path, func(key string, _ *token.Token, value ast.Node) {
		switch key {
		case "type":
			kind = d.resolve(value, join(path, key))
		case "name":
			if s, ok := value.(*ast.StringNode); ok {
				r.Name = s.Value
			}
		}
	})
	types := slices.Sorted(maps.Keys(adapters()))
	switch {
	case len(d.mistakes.found) > before:
		return r
	case kind == nil:
		d.mistakes.at(path, tokenOf(node), "type is missing; one of %s expected", strings.Join(types, ", "))
		return r
	}
	name := kind.GetToken().Value
	a, ok := adapters()[name]
	if !ok {
		d.mistakes.at(join(path, "type"), kind.GetToken(), "%s", unknownType(name, types))
		return r
	}
	r = defaultRegistry(name, a.options())
	d.object(node, path, r.fields()...)
	return r
}

func unknownType(name string, types []string) string {
	if slices.Contains(laterTypes, name) {
		return fmt.Sprintf("%s is not in this version; one of %s expected", name, strings.Join(types, ", "))
	}
	return fmt.Sprintf("%q: one of %s expected", name, strings.Join(types, ", "))
}

func (c *Config) validateRegistries(m *mistakes) {
	byName := map[string]*registryConfig{}
	for i := range c.Registries {
		r := &c.Registries[i]
		at := fmt.Sprintf("registries[%d]", i)
		if byName[r.Name] != nil {
			m.add(at+".name", "%q is taken by an earlier registry", r.Name)
		}
		byName[r.Name] = r
		if r.Type == "" { // told already
			continue
		}
		m.section(at, r.Validate())
		m.section(at, validateOverrides(c.Cache.Policy, r.Overrides))
		if o, ok := r.options.(interface{ Validate() error }); ok {
			m.section(at, o.Validate())
		}
	}
	partOf := map[string]string{}
	for i := range c.Registries {
		r := &c.Registries[i]
		merge, ok := r.options.(*mergeOptions)
		if !ok {
			continue
		}
		at := fmt.Sprintf("registries[%d].of", i)
		if len(merge.Of) == 0 {
			m.add(at, "empty; names of registries expected")
		}
		for j, part := range merge.Of {
			if slices.Contains(merge.Of[:j], part) {
				m.add(at, "%q is there twice", part)
				continue
			}
			if err := validatePart(r, byName[part], part); err != nil {
				m.add(at, "%s", err)
			} else if other := partOf[part]; other != "" {
				m.add(at, "%q is a part of %s already", part, other)
			}
			partOf[part] = r.Name
		}
	}
}

func validatePart(merge, part *registryConfig, name string) error {
	switch {
	case part == nil:
		return fmt.Errorf("there is no registry %q", name)
	case part.Type == "": // told already
	case part.Type == "merge":
		return fmt.Errorf("%q is a merge itself", name)
	case part.Kind != merge.Kind:
		return fmt.Errorf("%q serves kind %s, not %s", name, part.Kind, merge.Kind)
	}
	return nil
}

// Validate returns all mistakes in the keys that all types have.
func (r *registryConfig) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if err := registry.CheckLabel(r.Name); err != nil {
		bad("name: %w", err)
	}
	if _, err := registry.ParseKind(string(r.Kind)); err != nil {
		bad("kind: %w", err)
	}
	if len(r.Services) == 0 {
		bad("services: empty; globs expected, * is all")
	}
	if strings.Count(r.Ask, "{name}") != 1 {
		bad("ask: %q: a name with {name} in it expected, as in default/{name}", r.Ask)
	}
	for i, name := range r.Warm {
		if name == "all" || name == "watched" {
			if len(r.Warm) > 1 {
				bad("warm: %s stands alone; all, watched, or a list of names expected", name)
			}
		} else if err := registry.CheckName(name); err != nil {
			bad("warm[%d]: %w", i, err)
		}
	}
	if r.Timeout <= 0 {
		bad("timeout: %s: more than 0 expected", r.Timeout)
	}
	if r.Retries < 0 || r.Retries > 10 {
		bad("retries: %d: 0 to 10 expected", r.Retries)
	}
	if r.Rate < 0 {
		bad("rate: %v is negative", r.Rate)
	}
	if r.OnDown != "next" && r.OnDown != "fail" {
		bad("on_down: %q: next or fail expected", r.OnDown)
	}
	return errors.Join(errs...)
}

// validateOverrides returns the mistakes in p as it is with what one registry
// sets for itself; those of p alone are not repeated.
func validateOverrides(p cache.Policy, o cache.Overrides) error {
	if p.Validate() != nil {
		p = cache.Defaults().Policy
	}
	byKey := map[string]reflect.Value{}
	for _, f := range fieldsOf(reflect.ValueOf(&p).Elem()) {
		byKey[f.key] = f.value
	}
	for _, f := range fieldsOf(reflect.ValueOf(&o).Elem()) {
		if !f.value.IsNil() {
			byKey[f.key].Set(f.value.Elem())
		}
	}
	return p.Validate()
}
