package main

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// A leaf is a key that one setting sets: a scalar, a list or a table.
type leaf struct {
	path  string // as people write it: registries.consul.address
	key   string // as mistakes name it: registries[0].address
	value reflect.Value
}

// leaves returns all keys of the configuration in order. Registries are named
// by their names.
func (c *Config) leaves() []leaf {
	var out []leaf
	var walk func(path, key string, v reflect.Value)
	walk = func(path, key string, v reflect.Value) {
		target := v.Type()
		if target.Kind() == reflect.Pointer {
			target = target.Elem()
		}
		switch list, isRegistries := v.Addr().Interface().(*[]registryConfig); {
		case isRegistries:
			out = append(out, leaf{path, key, v})
			for i := range *list {
				for _, f := range (*list)[i].fields() {
					walk(path+"."+(*list)[i].Name+"."+f.key, fmt.Sprintf("%s[%d].%s", key, i, f.key), f.value)
				}
			}
		case target.Kind() != reflect.Struct || isScalar(target):
			out = append(out, leaf{path, key, v})
		default:
			if v.Kind() == reflect.Pointer { // one key of it needs the others' zero values
				out = append(out, leaf{path, key, v})
				return
			}
			for _, f := range fieldsOf(v) {
				walk(join(path, f.key), join(key, f.key), f.value)
			}
		}
	}
	for _, f := range fieldsOf(reflect.ValueOf(c).Elem()) {
		walk(f.key, f.key, f.value)
	}
	return out
}

// variable returns the name of the environment variable that sets a key.
func variable(path string) string {
	return "EDGECACHE_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(path))
}

// clientVariables are read by the client commands.
var clientVariables = []string{"EDGECACHE_ADDR", "EDGECACHE_TOKEN"}

// Kubernetes sets these for each service of a namespace, for one named
// edgecache or edgecache-admin too.
var kubernetesVariable = regexp.MustCompile(
	`^EDGECACHE_(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?)$`)

// applyEnviron sets keys from the environment and returns warnings.
func applyEnviron(m *mistakes, c *Config, environ []string) (warnings []string) {
	environ = slices.DeleteFunc(slices.Clone(environ), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		return !strings.HasPrefix(name, "EDGECACHE_") || slices.Contains(clientVariables, name)
	})
	slices.Sort(environ) // '=' sorts before '_': a list comes before the keys of its entries
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		leaves := c.leaves()
		i := slices.IndexFunc(leaves, func(l leaf) bool { return variable(l.path) == name })
		switch {
		case i >= 0:
			leaves[i].set(m, name, value)
		case kubernetesVariable.MatchString(name):
		default:
			warnings = append(warnings, name+" is not a setting; ignored")
		}
	}
	return warnings
}

// applySets sets keys from key=value pairs of the command line.
func applySets(m *mistakes, c *Config, sets []string) {
	for _, s := range sets {
		path, value, ok := strings.Cut(s, "=")
		if !ok {
			m.at("", nil, "--set %s: key=value expected", s)
			continue
		}
		leaves := c.leaves()
		if i := slices.IndexFunc(leaves, func(l leaf) bool { return l.path == path }); i >= 0 {
			leaves[i].set(m, "--set", value)
			continue
		}
		known := make([]string, len(leaves))
		for i, l := range leaves {
			known[i] = l.path
		}
		m.at("", nil, "--set %s: %s", path, unknownSetting(path, known))
	}
}

func unknownSetting(path string, known []string) string {
	if section, _, _ := strings.Cut(path, "."); slices.Contains(laterSections, section) {
		return section + " is not in this version"
	}
	if strings.HasPrefix(path, "registries.") {
		return "no registry has this key; registries.NAME.key expected"
	}
	text := unknownKey(path, path, known)
	text, _, _ = strings.Cut(text, "; known here")
	return text
}

// set sets the key to what a variable or flag says.
func (l leaf) set(m *mistakes, source, text string) {
	m.from[l.key] = source
	v := l.value
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if isScalar(v.Type()) {
		if err := setScalar(v, text); err != nil {
			m.add(l.key, "%s", err)
		}
		return
	}
	if v.Kind() == reflect.Slice && isScalar(v.Type().Elem()) && !strings.HasPrefix(strings.TrimSpace(text), "[") {
		l.setList(m, v, text)
		return
	}
	if v.Kind() == reflect.Slice || v.Kind() == reflect.Map {
		v.SetZero() // the setting replaces the list
	}
	own := newMistakes("", []byte(text))
	decodeYAML(own, []byte(text), v, l.key)
	for key := range own.keys {
		m.keys[key] = position{} // set, but not in the file
	}
	for _, e := range own.found {
		if rest, ok := strings.CutPrefix(e.key, l.key); ok && rest != "" {
			e.text = strings.TrimPrefix(rest, ".") + ": " + e.text
		}
		m.add(l.key, "%s", e.text)
	}
}

// setList sets a list to the values between commas.
func (l leaf) setList(m *mistakes, v reflect.Value, text string) {
	list := reflect.MakeSlice(v.Type(), 0, 4)
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		element := reflect.New(v.Type().Elem()).Elem()
		if err := setScalar(element, part); err != nil {
			m.add(l.key, "%s", err)
		}
		list = reflect.Append(list, element)
	}
	v.Set(list)
}
