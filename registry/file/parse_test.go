package file_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/file"
)

func TestParseReadsBothFormsOfYAMLAndJSON(t *testing.T) {
	for name, text := range map[string]string{
		"yaml":            "services:\n  - name: web\n    instances:\n      - {id: a, address: 10.0.0.1, port: 80}\n",
		"yaml list":       "- name: web\n  instances:\n    - id: a\n      address: 10.0.0.1\n      port: 80\n",
		"yaml anchors":    "services:\n- name: web\n  instances:\n  - &i {id: a, address: 10.0.0.1, port: 80}\n- name: db\n  instances: [{<<: *i, id: b}]\n",
		"json":            `{"services":[{"name":"web","instances":[{"id":"a","address":"10.0.0.1","port":80}]}]}`,
		"json list":       `[{"name":"web","instances":[{"id":"a","address":"10.0.0.1","port":80}]}]`,
		"prometheus":      `[{"targets":["10.0.0.1:80"],"labels":{"job":"web"}}]`,
		"prometheus yaml": "- targets: ['10.0.0.1:80']\n  labels: {service: web, job: other}\n",
		"labels first":    `[{"labels":{"__meta_edgecache_service":"web","service":"s"},"targets":["10.0.0.1:80"]}]`,
		"windows":         "services:\r\n  - name: web\r\n    instances:\r\n      - {id: a, address: 10.0.0.1, port: 80}\r\n",
	} {
		records, err := file.Parse([]byte(text), file.FormatAuto)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(records) == 0 || records[0].Key.Name != "web" || len(records[0].Instances) != 1 ||
			records[0].Instances[0].Main() != (registry.Endpoint{Address: "10.0.0.1", Port: 80}) {
			t.Errorf("%s: %+v", name, records)
		}
	}
}

func TestParseTellsAnEmptyListFromAnEmptyFile(t *testing.T) {
	for _, text := range []string{"services: []", "[]", `{"services":[]}`, "services: []  # none\n"} {
		if records, err := file.Parse([]byte(text), file.FormatAuto); err != nil || len(records) != 0 {
			t.Errorf("%q: %v, %v", text, records, err)
		}
	}
	for _, text := range []string{"", " \n", "# services\n", "---\n", "~", "{}", "null"} {
		if records, err := file.Parse([]byte(text), file.FormatAuto); err == nil {
			t.Errorf("%q: no error, %d records", text, len(records))
		}
	}
}

func TestErrorsShowLineAndCaret(t *testing.T) {
	for _, c := range []struct{ text, want, line string }{
		{"services:\n  - name: web\n    port: x: y\n", "YAML: [3:11]", ">  3 |     port: x: y"},
		{"services:\n  - name: web\n    instances:\n      - {address: a, port: 99999}\n", "services[0].instances[0].port", ">  4 |       - {address: a, port: 99999}"},
		{"services:\n  - name: web\n    colour: red\n", "colour", ">  3 |     colour: red"},
		{"services:\n  - name: web\n  - instances: []\n", "services[1]: name expected", ">  3 |   - instances: []"},
		{"- targets: ['10.0.0.1:80', 'http://a/']\n  labels: {job: a}\n", "[0].targets[1]", ">  1 | - targets"},
		{"- targets: ['10.0.0.1:80']\n  labels: {env: a}\n", "no label names the service", ">  1 | - targets"},
		{"services: []\n---\nservices: []\n", "line 3", "a second YAML document"},
		{"services:\n  - name: web\n    name: db\n", "web", "name"},
		{"services: &a [*a]\n", "line 1", "contains itself"},
		{`{"services":[{"name":"web",]}`, "JSON: line 1, column", ""},
	} {
		_, err := file.Parse([]byte(c.text), file.FormatAuto)
		switch {
		case err == nil:
			t.Errorf("%q: no error", c.text)
		case !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.line):
			t.Errorf("%q: the error lacks %q or %q:\n%v", c.text, c.want, c.line, err)
		case strings.Contains(c.line, "|") && !strings.Contains(err.Error(), "^"):
			t.Errorf("%q: no caret:\n%v", c.text, err)
		}
	}
}

func TestYAMLKeepsOrderAndDigits(t *testing.T) {
	in := "z: 1.40\na: 9007199254740993\nm: &x {k: 'yes', n: yes}\nl: |\n  text\nh: 0x10\ne: ~\nmerged: {<<: *x, k: own}\n1: key\nd: 2020-01-01\nb: !!str 12\n"
	out, err := file.YAMLToJSON([]byte(in))
	want := `{"z":1.40,"a":9007199254740993,"m":{"k":"yes","n":"yes"},"l":"text\n","h":16,"e":null,"merged":{"k":"own","n":"yes"},"1":"key","d":"2020-01-01","b":"12"}`
	if err != nil || string(out) != want {
		t.Errorf("found %s, %v\n want %s", out, err, want)
	}
}

func TestFilesThatGrowWhenReadAreRefused(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := range 9 {
		prev, next := string(rune('0'+i)), string(rune('1'+i))
		bomb.WriteString("a" + next + ": &a" + next + " [" + strings.Repeat("*a"+prev+",", 10) + "]\n")
	}
	for name, text := range map[string]string{
		"aliases":  bomb.String(),
		"brackets": strings.Repeat("[", 1<<20),
		"dashes":   strings.Repeat("- ", 1<<20),
		"maps":     strings.Repeat("{a: ", 2000),
		"keys":     strings.Repeat("? ", 1<<20),
		"json":     strings.Repeat(`{"a":`, 1<<20),
	} {
		began := time.Now()
		if _, err := file.Parse([]byte(text), file.FormatAuto); err == nil {
			t.Errorf("%s: no error", name)
		}
		t.Logf("%s: %v", name, time.Since(began))
	}
}

func TestPrometheusLabelsBecomeMetadata(t *testing.T) {
	text := `[{"targets":["10.0.0.1:80","[2001:db8::1]:80","db.example","[::1]"],"labels":{"job":"web","env":"prod"}},
	          {"targets":["10.0.0.1:80","10.0.0.2:80"],"labels":{"job":"web","env":"test"}},
	          {"targets":[],"labels":{"job":"idle"}}]`
	records, err := file.Parse([]byte(text), file.FormatPrometheus)
	if err != nil || len(records) != 2 {
		t.Fatalf("%v, %v", records, err)
	}
	web := records[0]
	var got []string
	for _, in := range web.Instances {
		e := in.Main()
		env, _ := in.Metadata.Get("env")
		got = append(got, in.ID+" "+e.Address+" "+env)
	}
	want := []string{"10.0.0.1:80 10.0.0.1 prod", "[2001:db8::1]:80 2001:db8::1 prod", "db.example:0 db.example prod", "[::1]:0 ::1 prod", "10.0.0.2:80 10.0.0.2 test"}
	if !slices.Equal(got, want) {
		t.Errorf("found %q\n want %q", got, want)
	}
	if !json.Valid(web.Document) || web.MediaType != "application/json" {
		t.Errorf("document %q of type %q", web.Document, web.MediaType)
	}
	if len(records[1].Instances) != 0 || records[1].Key.Name != "idle" {
		t.Errorf("a group without targets: %+v", records[1])
	}
}

func TestDocumentsOfJSONKeepTheirBytes(t *testing.T) {
	records, err := file.Parse([]byte(`{"services":[{"name":"agent","document":{ "b": 1.0,  "a":"\u00e9" }}]}`), file.FormatAuto)
	if err != nil || string(records[0].Document) != `{ "b": 1.0,  "a":"\u00e9" }` {
		t.Errorf("%v, %v", records, err)
	}
}

func seeds(f *testing.F) {
	for _, text := range []string{
		"services:\n  - name: web\n    instances:\n      - {id: a, address: 10.0.0.1, port: 80}\n", "services: []", "[]", "a: &a [*a]", "<<: [*x]",
		"- targets: ['[::1]:80', a]\n  labels: {job: größe, n: 1}\n", `[{"targets":["a:1"],"labels":{"service":"x"}}]`, "? a\n: b\n", "a: |\n  x\n", "!!str a", "x: .inf", "{a: [b, {c: d}]}",
		"a: 0x1f\nb: 1_000\nc: .5\nd: +1\ne: 0o7\n", "'a': \"\\u0000\"", "- - - a", "%YAML 1.2\n---\na: 1\n...\n",
	} {
		f.Add([]byte(text))
	}
}

func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, format := range []string{file.FormatAuto, file.FormatNative, file.FormatPrometheus} {
			records, err := file.Parse(data, format)
			if err != nil {
				continue
			}
			for _, rec := range records {
				if err := registry.CheckName(rec.Key.Name); err != nil {
					t.Fatalf("a record of the name %q: %v", rec.Key.Name, err)
				}
				ids := map[string]bool{}
				for _, in := range rec.Instances {
					if ids[in.ID] || in.ID == "" || len(in.Endpoints) == 0 {
						t.Fatalf("instance %+v", in)
					}
					ids[in.ID] = true
				}
			}
		}
	})
}

func FuzzYAMLBecomesValidJSON(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if out, err := file.YAMLToJSON(data); err == nil && !json.Valid(out) {
			t.Fatalf("%q becomes %q", data, out)
		}
	})
}
