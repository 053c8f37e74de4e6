package http

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// maxSelectors is how many selectors one invalidation or refresh may have.
const maxSelectors = 1000

// A selectorBody is what POST /v1/invalidate and /v1/refresh are asked.
type selectorBody struct {
	Services []registry.Key
	Tags     []string
	Prefixes []string
	Registry string
	All      bool
	Mode     registry.Mode
	Wait     registry.Level
	Timeout  time.Duration
}

// fields are the decoders of the fields that both requests have.
func (b *selectorBody) fields() map[string]fieldDecoder {
	return map[string]fieldDecoder{
		"services": decodeArray(maxSelectors, b.decodeService),
		"tags":     decodeArray(maxSelectors, appendString(&b.Tags)),
		"prefixes": decodeArray(maxSelectors, appendString(&b.Prefixes)),
		"registry": decodeString(&b.Registry),
		"all":      decodeBool(&b.All),
		"timeout":  decodeDuration(&b.Timeout, maxTimeout),
	}
}

func (b *selectorBody) decodeService(raw []byte, path string) error {
	var k registry.Key
	if err := decodeObject(raw, path, map[string]fieldDecoder{
		"name": decodeString(&k.Name), "registry": decodeString(&k.Registry),
	}); err != nil {
		return err
	}
	if err := registry.CheckName(k.Name); err != nil {
		return &bodyError{path + ".name", err.Error()}
	}
	b.Services = append(b.Services, k)
	return nil
}

func appendString(into *[]string) fieldDecoder {
	return func(raw []byte, path string) error {
		var s string
		if err := decodeString(&s)(raw, path); err != nil {
			return err
		}
		if s == "" {
			return errors.New(`empty; "all": true covers everything`)
		}
		*into = append(*into, s)
		return nil
	}
}

// selectors unites what the body names. Registry narrows each of them and
// alone means that whole registry.
func (b *selectorBody) selectors(known []string) ([]registry.Selector, error) {
	check := func(field, name string) error {
		if name != "" && !slices.Contains(known, name) {
			return &bodyError{field, unknownRegistry(name, known)}
		}
		return nil
	}
	if err := check("registry", b.Registry); err != nil {
		return nil, err
	}
	within := registry.Key{Registry: b.Registry}
	var list []registry.Selector
	for i, k := range b.Services {
		field := fmt.Sprintf("services[%d].registry", i)
		if err := check(field, k.Registry); err != nil {
			return nil, err
		}
		if k.Registry == "" {
			k.Registry = b.Registry
		}
		if b.Registry != "" && k.Registry != b.Registry {
			return nil, &bodyError{field, fmt.Sprintf("%q lies outside of the registry %q, which narrows all selectors", k.Registry, b.Registry)}
		}
		list = append(list, registry.Selector{Key: k})
	}
	for _, t := range b.Tags {
		list = append(list, registry.Selector{Key: within, Tag: t})
	}
	for _, p := range b.Prefixes {
		list = append(list, registry.Selector{Key: within, Prefix: p})
	}
	if b.All || len(list) == 0 && b.Registry != "" {
		list = append(list, registry.Selector{Key: within, All: b.Registry == ""})
	}
	switch {
	case len(list) == 0:
		return nil, &bodyError{"", `nothing selected; one or more of services, tags, prefixes, registry or "all": true expected`}
	case len(list) > maxSelectors:
		return nil, &bodyError{"", fmt.Sprintf("%d selectors, the most is %d", len(list), maxSelectors)}
	}
	return list, nil
}

func unknownRegistry(name string, known []string) string {
	if near := nearestWord(name, known); near != "" {
		return fmt.Sprintf("there is no registry %q; did you mean %q?", name, near)
	}
	return fmt.Sprintf("there is no registry %q; there are %s", name, strings.Join(known, ", "))
}
