package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/gossip"
	httpd "github.com/edgecache/edgecache/http"
	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/store"
)

// A Config is the whole configuration. Its sections are the Options of the
// packages that they configure.
type Config struct {
	Node       nodeOptions             `yaml:"node"`
	HTTP       httpd.Options           `yaml:"http"`
	Admin      httpd.AdminOptions      `yaml:"admin"`
	Gossip     gossip.Options          `yaml:"gossip"`
	Cache      cache.Options           `yaml:"cache"`
	Store      store.Options           `yaml:"store"`
	Log        logOptions              `yaml:"log"`
	Tracing    tracingOptions          `yaml:"tracing"`
	Registries []registryConfig        `yaml:"registries"`
	Filters    []plugins.FilterOptions `yaml:"filters"`
	Plugins    plugins.Options         `yaml:"plugins"`
}

// nodeOptions are the config section `node`.
type nodeOptions struct {
	Name       string        `yaml:"name"` // "": the host's
	Region     string        `yaml:"region"`
	Zone       string        `yaml:"zone"`
	DataDir    string        `yaml:"data_dir"` // "": no disk
	ReadyAfter time.Duration `yaml:"ready_after"`
}

func defaultConfig() *Config {
	return &Config{
		Node:    nodeOptions{DataDir: "./data", ReadyAfter: 30 * time.Second},
		HTTP:    httpd.Defaults(),
		Admin:   httpd.AdminDefaults(),
		Gossip:  gossip.Defaults(),
		Cache:   cache.Defaults(),
		Store:   store.Defaults(),
		Log:     logOptions{Level: "info", Format: "text"},
		Tracing: tracingOptions{Sample: 0.01},
		Plugins: plugins.Defaults(),
	}
}

// A configSource says where a configuration comes from: --set over the
// environment over the file over defaults.
type configSource struct {
	file    string   // "": none
	environ []string // NAME=value
	sets    []string // key=value
}

// load reads and validates the configuration. Warnings are for the log; the
// error tells all mistakes at once.
func (s configSource) load() (cfg *Config, warnings []string, err error) {
	var text []byte
	if s.file != "" {
		if text, err = os.ReadFile(s.file); err != nil {
			return nil, nil, fmt.Errorf("configuration: %w", err)
		}
	}
	return s.parse(text)
}

// parse is load for the text of the file.
func (s configSource) parse(text []byte) (*Config, []string, error) {
	m := newMistakes(s.file, text)
	cfg := defaultConfig()
	decodeYAML(m, text, reflect.ValueOf(cfg), "")
	warnings := applyEnviron(m, cfg, s.environ)
	applySets(m, cfg, s.sets)
	if s.file == "" && len(cfg.Registries) == 0 {
		cfg.Registries = []registryConfig{servicesRegistry()}
	}
	cfg.complete(m)
	unread := len(m.found)
	cfg.validate(m)
	m.found = append(m.found[:unread:unread], slices.DeleteFunc(m.found[unread:], m.found[:unread].explain)...)
	if err := m.err(); err != nil {
		return nil, warnings, err
	}
	if len(cfg.Registries) == 0 {
		warnings = append(warnings, "there are no registries: every lookup is not found")
	}
	return cfg, warnings, nil
}

// decodeYAML reads one YAML document into v.
func decodeYAML(m *mistakes, text []byte, v reflect.Value, path string) {
	file, err := parseYAML(text)
	if err != nil {
		if e, ok := errors.AsType[yaml.Error](err); ok {
			m.at(path, e.GetToken(), "%s", explainSyntax(e.GetMessage()))
			return
		}
		m.at(path, nil, "%s", err)
		return
	}
	d := &decoder{mistakes: m, anchors: map[string]ast.Node{}}
	for i, doc := range file.Docs {
		switch {
		case doc.Body == nil || doc.Body.Type() == ast.CommentType:
		case i > 0:
			m.at(path, doc.Body.GetToken(), "one document expected, this is another")
		default:
			d.decode(doc.Body, v, path)
		}
	}
}

// explainSyntax says in other words what the parser says in its own.
func explainSyntax(message string) string {
	switch {
	case strings.Contains(message, "map key-value is pre-defined"):
		return "indented otherwise than the keys beside it"
	case strings.Contains(message, "'\t' that cannot start"):
		return "a tab; YAML is indented with spaces"
	}
	return message
}

// The parser's effort grows with the square of the depth.
const (
	maxFile  = 4 << 20
	maxDepth = 100
)

// parseYAML turns a panic of the parser, which reads what a user wrote, into
// an error.
func parseYAML(text []byte) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("not readable as YAML: %v", r)
		}
	}()
	if len(text) > maxFile {
		return nil, fmt.Errorf("%d bytes, at most %d expected", len(text), maxFile)
	}
	tokens, depth := lexer.Tokenize(string(text)), 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			if depth++; depth > maxDepth {
				return nil, fmt.Errorf("line %d: brackets more than %d deep", t.Position.Line, maxDepth)
			}
		case token.SequenceEndType, token.MappingEndType:
			depth--
		}
	}
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// complete fills in what depends on the machine and on other sections.
func (c *Config) complete(m *mistakes) {
	for i := range c.Registries {
		o := &c.Registries[i].Overrides
		at := fmt.Sprintf("registries[%d]", i)
		inherit(m, at+".recheck", o.Recheck, &c.Cache.Recheck)
		inherit(m, at+".empty", o.Empty, &c.Cache.Empty)
	}
	if c.clustered() {
		c.Gossip = c.Gossip.WithListeners()
	}
	if c.Node.Name == "" {
		host, _ := os.Hostname() // without one the node is "local"
		c.Node.Name = labelOf(host)
	}
}

// clustered reports whether anything of the section gossip is set.
func (c *Config) clustered() bool {
	o := c.Gossip
	if len(o.Join) == 0 {
		o.Join = nil // an empty list says nothing
	}
	return !reflect.DeepEqual(o, gossip.Defaults())
}

// inherit gives own (nil: not set) the parts of the section that it leaves out.
func inherit[T any](m *mistakes, key string, own, section *T) {
	if own == nil {
		return
	}
	from := fieldsOf(reflect.ValueOf(section).Elem())
	for i, f := range fieldsOf(reflect.ValueOf(own).Elem()) {
		if _, set := m.keys[join(key, f.key)]; !set {
			f.value.Set(from[i].value)
		}
	}
}

// labelOf makes a name of [a-z0-9.-] of a host name.
func labelOf(host string) string {
	label := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '-'
	}, strings.ToLower(host))
	if label = label[:min(len(label), 63)]; label == "" {
		return "local"
	}
	return label
}

func (c *Config) validate(m *mistakes) {
	m.section("node", c.Node.Validate())
	m.section("http", c.HTTP.Validate())
	m.section("admin", c.Admin.Validate())
	if c.clustered() {
		m.section("gossip", c.Gossip.Validate())
		if c.Node.DataDir == "" {
			m.add("gossip", "a member of a cluster needs a disk for its journal: set node.data_dir")
		}
	}
	m.section("cache", c.Cache.Validate())
	m.section("store", c.Store.Validate())
	m.section("log", c.Log.Validate())
	m.section("tracing", c.Tracing.Validate())
	m.section("http.tls", validateCertificate(c.HTTP.TLS))
	m.section("admin.tls", validateCertificate(c.Admin.TLS))
	c.validateRegistries(m)
	c.validateFilters(m)
	m.section("plugins", c.Plugins.Validate())
	for i, t := range c.Admin.Tokens {
		c.validateToken(m, fmt.Sprintf("admin.tokens[%d].registries", i), t)
	}
	if c.HTTP.Listen == c.Admin.Listen && !strings.HasSuffix(c.HTTP.Listen, ":0") {
		m.add("admin.listen", "%s is http.listen too; another port expected", c.Admin.Listen)
	}
}

func (c *Config) validateToken(m *mistakes, key string, t httpd.Token) {
	for _, name := range t.Registries {
		if !slices.ContainsFunc(c.Registries, func(r registryConfig) bool { return r.Name == name }) {
			m.add(key, "there is no registry %q", name)
		}
	}
}

// validateCertificate reads the files that a listener needs.
func validateCertificate(o httpd.TLSOptions) error {
	if o.Cert == "" || o.Key == "" {
		return nil
	}
	if _, err := tls.LoadX509KeyPair(o.Cert, o.Key); err != nil {
		return fmt.Errorf("cert: %w", err)
	}
	return nil
}

// Validate returns all mistakes at once.
func (o nodeOptions) Validate() error {
	var errs []error
	if err := registry.CheckLabel(o.Name); err != nil {
		errs = append(errs, fmt.Errorf("name: %w", err))
	}
	if o.ReadyAfter < 0 {
		errs = append(errs, fmt.Errorf("ready_after: %s is negative", o.ReadyAfter))
	}
	return errors.Join(append(errs, validateDataDir(o.DataDir))...)
}
