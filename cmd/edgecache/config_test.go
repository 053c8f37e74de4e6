package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/consul"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMistakesAreToldAllAtOnce(t *testing.T) {
	files, err := filepath.Glob("testdata/config/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, _, err := configSource{file: file}.load()
			if err == nil {
				t.Fatalf("%s was accepted", file)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", err.Error()+"\n")
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s\nwant:\n%s", path, got, want)
	}
}

// parse parses text with environment and --set.
func parse(t *testing.T, text string, environ, sets []string) (*Config, []string) {
	t.Helper()
	cfg, warnings, err := configSource{file: "test.yaml", environ: environ, sets: sets}.parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg, warnings
}

func refused(t *testing.T, text string, environ, sets []string) string {
	t.Helper()
	_, _, err := configSource{file: "test.yaml", environ: environ, sets: sets}.parse([]byte(text))
	if err == nil {
		t.Fatalf("accepted: %s %v %v", text, environ, sets)
	}
	return err.Error()
}

func TestSetWinsOverEnvironmentOverFileOverDefaults(t *testing.T) {
	file := "cache: {ttl: 1s, idle: 2m}\nhttp: {timeout: 3s}\n"
	environ := []string{"EDGECACHE_CACHE_TTL=2s", "EDGECACHE_CACHE_IDLE=3m", "PATH=/bin"}
	cfg, _ := parse(t, file, environ, []string{"cache.ttl=7s"})
	if cfg.Cache.TTL != 7*time.Second {
		t.Errorf("ttl = %s, want that of --set", cfg.Cache.TTL)
	}
	if cfg.Cache.Idle != 3*time.Minute {
		t.Errorf("idle = %s, want that of the environment", cfg.Cache.Idle)
	}
	if cfg.HTTP.Timeout != 3*time.Second {
		t.Errorf("timeout = %s, want that of the file", cfg.HTTP.Timeout)
	}
	if cfg.Cache.StaleIfError != 24*time.Hour {
		t.Errorf("stale_if_error = %s, want the default", cfg.Cache.StaleIfError)
	}
}

func TestEveryKeyCanBeSetByEnvironmentAndFlag(t *testing.T) {
	text := "registries: [{name: c.1, type: consul}]\n"
	cfg, _ := parse(t, text, nil, nil)
	for _, l := range cfg.leaves() {
		value, err := cfg.valueText(l)
		if err != nil {
			t.Fatalf("%s: %v", l.path, err)
		}
		for _, how := range []struct{ environ, sets []string }{
			{environ: []string{variable(l.path) + "=" + value}}, {sets: []string{l.path + "=" + value}},
		} {
			got, warnings := parse(t, text, how.environ, how.sets)
			if len(warnings) > 0 {
				t.Errorf("%v: warnings %q", how, warnings)
			}
			leaves := got.leaves()
			g := leaves[slices.IndexFunc(leaves, func(g leaf) bool { return g.path == l.path })]
			if l.value.Kind() == reflect.Pointer && l.value.IsNil() {
				if g.value.IsNil() {
					t.Errorf("%v: not set", how)
				}
			} else if a, b := plain(g.value), plain(l.value); !reflect.DeepEqual(a, b) {
				t.Errorf("%v: %v, want %v", how, a, b)
			}
		}
	}
}

// valueText writes the value of a leaf as a setting.
func (c *Config) valueText(l leaf) (string, error) {
	if l.value.Kind() == reflect.Pointer && l.value.IsNil() { // a window that the registry does not set
		return map[reflect.Type]string{
			reflect.TypeFor[time.Duration](): "1m", reflect.TypeFor[registry.Share](): "7%",
			reflect.TypeFor[cache.Recheck](): "{min: 1s, max: 2s}", reflect.TypeFor[cache.Empty](): "{confirm: 1, grace: 2s}",
		}[l.value.Type().Elem()], nil
	}
	value := plain(l.value)
	if s, ok := value.(string); ok {
		return s, nil
	}
	text, err := yaml.MarshalWithOptions(value, yaml.Flow(true))
	return strings.TrimSpace(string(text)), err
}

func TestListsAndRegistriesFromTheEnvironment(t *testing.T) {
	cfg, warnings := parse(t, "registries: [{name: consul, type: consul, ttl: 9s}, {name: b.2, type: file, path: x}]\n", []string{
		"EDGECACHE_REGISTRIES_CONSUL_ADDRESS=http://a:1, http://b:2",
		"EDGECACHE_REGISTRIES_B_2_PATH=[y.yaml, z.yaml]",
		"EDGECACHE_HTTP_CORS=https://a.example,https://b.example",
		`EDGECACHE_HTTP_ZONES={eu-1a: [10.1.0.0/16]}`,
		"EDGECACHE_REGISTRIES_CONSUL_NEGATIVE_TTL=4s",
		"EDGECACHE_ADDR=x", "EDGECACHE_TOKEN=y",
		"EDGECACHE_PORT=tcp://10.0.0.1:7400", "EDGECACHE_SERVICE_HOST=10.0.0.1", "EDGECACHE_PORT_7400_TCP_ADDR=10.0.0.1",
		"EDGECACHE_ADMIN_SERVICE_PORT_HTTP=7401",
		"EDGECACHE_CAHCE_TTL=1s", "EDGECACHE_REGISTRIES_NOBODY_TTL=1s",
	}, nil)
	o := cfg.Registries[0].options.(*consul.Options)
	if want := (registry.Strings{"http://a:1", "http://b:2"}); !reflect.DeepEqual(o.Address, want) {
		t.Errorf("address = %q, want %q", o.Address, want)
	}
	if ttl := cfg.Registries[0].TTL; ttl == nil || *ttl != 9*time.Second {
		t.Errorf("ttl of consul = %v, want that of the file", ttl)
	}
	if ttl := cfg.Registries[0].NegativeTTL; ttl == nil || *ttl != 4*time.Second {
		t.Errorf("negative_ttl of consul = %v, want that of the environment", ttl)
	}
	if text, _ := cfg.effective(); !strings.Contains(text, "- z.yaml") {
		t.Errorf("the path of b.2 was not set:\n%s", text)
	}
	if len(cfg.HTTP.CORS) != 2 || len(cfg.HTTP.Zones["eu-1a"]) != 1 {
		t.Errorf("cors = %q, zones = %q", cfg.HTTP.CORS, cfg.HTTP.Zones)
	}
	if len(warnings) != 2 || !strings.Contains(warnings[0], "CAHCE") || !strings.Contains(warnings[1], "NOBODY") {
		t.Errorf("warnings = %q, want one for each unknown variable", warnings)
	}
}

func TestEnvironmentReplacesTheListOfRegistries(t *testing.T) {
	cfg, _ := parse(t, "registries: [{name: consul, type: consul}]\n", []string{
		"EDGECACHE_REGISTRIES_F_RETRIES=7", "EDGECACHE_REGISTRIES=[{name: f, type: file, path: x.yaml}]",
	}, []string{"registries.f.warm=a,b"})
	if len(cfg.Registries) != 1 || cfg.Registries[0].Name != "f" || cfg.Registries[0].Retries != 7 || len(cfg.Registries[0].Warm) != 2 {
		t.Errorf("registries = %+v", cfg.Registries)
	}
}

func TestHostileFilesAreRefusedCheaply(t *testing.T) {
	for name, text := range map[string]string{
		"deep": "a: " + strings.Repeat("[", 100_000), "big": strings.Repeat("#", maxFile+1),
		"many":     strings.Repeat("x: y\n", 1000),
		"wide":     "http: {cors: [" + strings.Repeat("x,", maxNodes) + "x]}",
		"laughing": "registries:\n- &a0 {name: a, type: file}\n" + laughs(40),
	} {
		if got := refused(t, text, nil, nil); len(got) > 30_000 {
			t.Errorf("%s: the message has %d bytes", name, len(got))
		}
	}
}

// laughs returns entries that each merge the one before twice.
func laughs(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "- &a%d {<<: [*a%d, *a%d], name: a}\n", i+1, i, i)
		fmt.Fprintf(&b, "- &a%d {<<: *a%d, <<: *a%d, type: file}\n", i+1, i, i)
	}
	return b.String()
}

func TestCertificatesAreReadBeforeUse(t *testing.T) {
	got := refused(t, "registries: [{name: c, type: consul}]\nadmin: {tls: {cert: /nowhere/cert.pem, key: /nowhere/key.pem}}\n", nil, nil)
	if !strings.Contains(got, "test.yaml:2:21: admin.tls.cert: open /nowhere/cert.pem: no such file or directory") {
		t.Errorf("got:\n%s", got)
	}
}

func TestAnEmptySettingEmptiesAList(t *testing.T) {
	cfg, _ := parse(t, "http: {zones: {a: [10.0.0.0/8]}, cors: ['*']}\nregistries: [{name: c, type: consul}]\n",
		[]string{"EDGECACHE_HTTP_ZONES=", "EDGECACHE_HTTP_CORS="}, []string{"registries="})
	if len(cfg.HTTP.Zones) != 0 || len(cfg.HTTP.CORS) != 0 || len(cfg.Registries) != 0 {
		t.Errorf("zones = %v, cors = %v, registries = %v", cfg.HTTP.Zones, cfg.HTTP.CORS, cfg.Registries)
	}
}

func TestMistakesOfSettingsNameTheirSource(t *testing.T) {
	got := refused(t, "cache: {ttl: 1s}\nregistries: [{name: c, type: consul}]\n",
		[]string{"EDGECACHE_CACHE_TTL=-5s", "EDGECACHE_CACHE_IDLE=soon", "EDGECACHE_REGISTRIES_C_TIMEOUT=0s"},
		[]string{"cache.tll=5s", "registries.d.ttl=1s", "plain", "dns.domains=x", "http.zones={a: {b: c}}"})
	for _, want := range []string{
		"EDGECACHE_CACHE_TTL: cache.ttl: -5s: more than 0 expected",
		`EDGECACHE_CACHE_IDLE: cache.idle: "soon": a duration like 250ms or 36h expected`,
		"EDGECACHE_REGISTRIES_C_TIMEOUT: registries[0].timeout: 0s: more than 0 expected",
		"--set cache.tll: unknown key; did you mean cache.ttl?",
		"--set registries.d.ttl: no registry has this key",
		"--set plain: key=value expected",
		"--set dns.domains: dns is not in this version",
		"--set: http.zones: a: a list expected, found keys and values",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
	if !strings.HasPrefix(got, "configuration: 8 mistakes\n") {
		t.Errorf("want 8 mistakes, got:\n%s", got)
	}
}

func TestAliasesAndMergeKeysExpand(t *testing.T) {
	cfg, _ := parse(t, `
registries:
  - &base {name: a, type: consul, ttl: 5s, recheck: &slow {min: 2s, max: 9s}}
  - {<<: *base, name: b, ttl: 6s}
  - {name: c, type: file, path: x, recheck: *slow}
`, nil, nil)
	b, c := cfg.Registries[1], cfg.Registries[2]
	if b.Name != "b" || *b.TTL != 6*time.Second || b.Recheck.Max != 9*time.Second || c.Recheck.Min != 2*time.Second {
		t.Errorf("b = %+v, c = %+v", b, c)
	}
}

func TestARegistryInheritsThePartsOfAWindowThatItLeavesOut(t *testing.T) {
	cfg, _ := parse(t, `
registries:
  - {name: a, type: consul, empty: {confirm: 7}, recheck: {max: 1m}}
  - {name: b, type: consul, empty: {confirm: 1, grace: 0s}}
cache: {empty: {grace: 9s}, recheck: {min: 3s}}
`, nil, []string{"registries.b.recheck={min: 4s}"})
	a, b := cfg.Registries[0], cfg.Registries[1]
	if *a.Empty != (cache.Empty{Confirm: 7, Grace: 9 * time.Second}) || *a.Recheck != (cache.Recheck{Min: 3 * time.Second, Max: time.Minute}) {
		t.Errorf("a: empty = %+v, recheck = %+v", *a.Empty, *a.Recheck)
	}
	if *b.Empty != (cache.Empty{Confirm: 1}) || *b.Recheck != (cache.Recheck{Min: 4 * time.Second, Max: 30 * time.Second}) {
		t.Errorf("b: empty = %+v, recheck = %+v", *b.Empty, *b.Recheck)
	}
}

func TestSampleIsTheDefaults(t *testing.T) {
	sample := filepath.Join("..", "..", "edgecache.sample.yaml")
	got, warnings, err := configSource{file: sample}.load()
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	want, _, err := configSource{}.load()
	if err != nil {
		t.Fatal(err)
	}
	gotText, _ := got.effective()
	wantText, _ := want.effective()
	if gotText != wantText {
		t.Errorf("%s says\n%s\nthe defaults are\n%s", sample, gotText, wantText)
	}
	text, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range want.leaves() {
		key := l.path[strings.LastIndex(l.path, ".")+1:]
		if l.path != "registries" && l.path != "filters" && !strings.HasPrefix(l.path, "registries.") && !regexp.MustCompile(`(?m)^ +`+key+`:`).Match(text) {
			t.Errorf("%s does not show %s", sample, l.path)
		}
	}
	examples := regexp.MustCompile(`(?m)^#  `).ReplaceAll(text, []byte("  "))
	all, _, err := configSource{file: sample}.parse(examples)
	if err != nil {
		t.Fatal(err)
	}
	if len(all.Registries) != len(adapters()) {
		t.Errorf("%d registries with the examples, want one of each type, %d", len(all.Registries), len(adapters()))
	}
}

func TestEffectiveConfigurationReadsBack(t *testing.T) {
	text, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cfg, _ := parse(t, string(text), nil, nil)
	out, err := cfg.effective()
	if err != nil {
		t.Fatal(err)
	}
	again, _ := parse(t, out, nil, nil)
	if second, _ := again.effective(); second != out {
		t.Errorf("read back it says\n%s\nwant\n%s", second, out)
	}
}

func FuzzConfig(f *testing.F) {
	files, _ := filepath.Glob("testdata/config/*.yaml")
	for _, file := range append(files, "testdata/full.yaml", "../../edgecache.sample.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, "cache.ttl=5s")
	}
	f.Add([]byte("registries: [&a {<<: *a, name: *a}]"), "registries=[]")
	f.Add([]byte("a: &a [*a]\nhttp: {zones: &z {x: *z}}"), "http.tokens=[{name: x}]")
	f.Fuzz(func(t *testing.T, text []byte, set string) {
		source := configSource{file: "fuzz.yaml", sets: []string{set}}
		cfg, _, err := source.parse(text)
		if err != nil {
			return
		}
		out, err := cfg.effective()
		if err != nil {
			t.Fatalf("accepted but not printable: %v", err)
		}
		if _, _, err := (configSource{file: "fuzz.yaml"}).parse([]byte(out)); err != nil && !strings.Contains(out, masked) {
			t.Fatalf("accepted but does not read back: %v\n%s", err, out)
		}
	})
}
