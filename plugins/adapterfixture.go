package plugins

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/edgecache/edgecache/registry"
)

// An AdapterFixture is a test of an adapter: a configuration, what the registry
// answers, and what is to become of it in some cases, which follow each other.
type AdapterFixture struct {
	Path      string         `yaml:"-"`
	Config    map[string]any `yaml:"config,omitempty"`
	Init      string         `yaml:"init,omitempty"` // the configuration is refused with an error that has this
	Exchanges []Exchange     `yaml:"exchanges,omitempty"`
	Cases     []AdapterCase  `yaml:"cases,omitempty"`
}

// An Exchange is a request and the answer to it. Those of one request line are
// used in their order, the last again and again.
type Exchange struct {
	Request string            `yaml:"request"`           // GET http://…
	Headers map[string]string `yaml:"headers,omitempty"` // that it must have
	Body    *string           `yaml:"body,omitempty"`    // that it must have; nil: any

	Status        int               `yaml:"status,omitempty"` // 0: 200
	AnswerHeaders map[string]string `yaml:"answer_headers,omitempty"`
	Answer        string            `yaml:"answer,omitempty"`
	File          string            `yaml:"file,omitempty"`  // beside the fixture: instead of Answer
	Cut           *int              `yaml:"cut,omitempty"`   // after so many bytes of it the connection breaks
	Error         string            `yaml:"error,omitempty"` // instead: unavailable, timeout, denied
}

// broken is a body that no more is to be read of.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// An AdapterCase is a call and what it ends in.
type AdapterCase struct {
	Name string `yaml:"name"`

	Lookup      string         `yaml:"lookup,omitempty"`
	Have        string         `yaml:"have,omitempty"` // the version held
	Record      map[string]any `yaml:"record,omitempty"`
	Version     string         `yaml:"version,omitempty"` // ""; not looked at
	NotFound    bool           `yaml:"not_found,omitempty"`
	NotModified bool           `yaml:"not_modified,omitempty"`

	List *[]string `yaml:"list,omitempty"` // in any order

	Poll   *string `yaml:"poll,omitempty"` // the cursor; "": the first
	Emits  []Emit  `yaml:"emits,omitempty"`
	Cursor *string `yaml:"cursor,omitempty"`
	WaitMS *int64  `yaml:"wait_ms,omitempty"`

	Error string `yaml:"error,omitempty"` // what its error has, instead

	record *registry.Record
}

// An Emit is one thing that a poll says; one of the fields is set.
type Emit struct {
	Upsert     map[string]any `yaml:"upsert,omitempty"`
	Delete     string         `yaml:"delete,omitempty"`
	Invalidate string         `yaml:"invalidate,omitempty"`
	Again      bool           `yaml:"again,omitempty"`

	record *registry.Record
}

// ReadAdapterFixture reads a fixture of YAML.
func ReadAdapterFixture(path string) (f *AdapterFixture, err error) {
	defer func() {
		if p := recover(); p != nil { // of the parser
			f, err = nil, fmt.Errorf("not readable as YAML: %v", p)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
	}()
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	f = &AdapterFixture{Path: path}
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(f); err != nil {
		return nil, err
	}
	for i := range f.Exchanges {
		if err := f.Exchanges[i].read(filepath.Dir(path)); err != nil {
			return nil, fmt.Errorf("exchanges[%d]: %w", i, err)
		}
	}
	for i := range f.Cases {
		if err := f.Cases[i].read(); err != nil {
			return nil, fmt.Errorf("case %q: %w", f.Cases[i].Name, err)
		}
	}
	return f, nil
}

func (e *Exchange) read(dir string) error {
	switch e.Error {
	case "", "unavailable", "timeout", "denied":
	default:
		return fmt.Errorf("error: %q: unavailable, timeout or denied expected", e.Error)
	}
	if _, err := parseHead(e.Request, nil); err != nil {
		return fmt.Errorf("request: %w", err)
	}
	if e.File != "" {
		text, err := os.ReadFile(filepath.Join(dir, e.File))
		if err != nil {
			return err
		}
		e.Answer = string(text)
	}
	if e.Cut != nil && (*e.Cut < 0 || *e.Cut > len(e.Answer)) {
		return fmt.Errorf("cut: %d: 0 to %d expected, which the answer has", *e.Cut, len(e.Answer))
	}
	return nil
}

// answer returns the body, as it comes.
func (e *Exchange) answer() io.Reader {
	if e.Cut == nil {
		return strings.NewReader(e.Answer)
	}
	return io.MultiReader(strings.NewReader(e.Answer[:*e.Cut]), broken{io.ErrUnexpectedEOF})
}

func (c *AdapterCase) read() (err error) {
	kinds := 0
	for _, is := range [...]bool{c.Lookup != "", c.List != nil, c.Poll != nil} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		return errors.New("one of lookup, list and poll expected")
	}
	if c.Lookup != "" && c.Record == nil && !c.NotFound && !c.NotModified && c.Error == "" {
		return errors.New("one of record, not_found, not_modified and error expected")
	}
	if c.record, err = recordOf(c.Record); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	for i := range c.Emits {
		e := &c.Emits[i]
		if e.record, err = recordOf(e.Upsert); err != nil {
			return fmt.Errorf("emits[%d].upsert: %w", i, err)
		}
	}
	return nil
}

func recordOf(form map[string]any) (*registry.Record, error) {
	if form == nil {
		return nil, nil
	}
	text, err := yaml.MarshalWithOptions(form, yaml.JSON())
	if err != nil {
		return nil, err
	}
	return registry.ParseRecord(text)
}

// Place returns the fixture's file.
func (f *AdapterFixture) Place() string { return f.Path }

// Len returns how many cases it has.
func (f *AdapterFixture) Len() int { return len(f.Cases) }

// Run runs all cases on both of wazero's engines and returns what is not as it
// should be, each an error.
func (f *AdapterFixture) Run(m *Module, logger *slog.Logger) []error {
	var errs []error
	for _, interpreted := range [...]bool{false, true} {
		engine := map[bool]string{false: "compiler", true: "interpreter"}[interpreted]
		add := func(err error) { errs = append(errs, fmt.Errorf("%s: %w", engine, err)) }
		t, err := NewAdapterTrial(m, f, interpreted, logger)
		switch {
		case f.Init != "" && (err == nil || !strings.Contains(err.Error(), f.Init)):
			add(fmt.Errorf("the configuration: %w, want an error that has %q", orDone(err), f.Init))
		case f.Init == "" && err != nil:
			add(err)
		}
		if err != nil {
			continue
		}
		for i := range f.Cases {
			c := &f.Cases[i]
			out, err := t.Call(c)
			if err := errors.Join(t.script.fault(), c.judge(out, err)); err != nil {
				add(fmt.Errorf("%s: %w", c.Name, err))
			}
		}
		t.Close()
	}
	return errs
}

// judge says what is wrong with what a case ended in; nil if nothing is.
func (c *AdapterCase) judge(out AdapterOutcome, err error) error {
	switch {
	case c.Error != "":
		if err == nil || !strings.Contains(err.Error(), c.Error) {
			return fmt.Errorf("it ended with %w, want an error that has %q", orDone(err), c.Error)
		}
		return nil
	case c.NotFound && errors.Is(err, registry.ErrNotFound) || c.NotModified && errors.Is(err, registry.ErrNotModified):
		return nil
	case err != nil:
		return err
	case c.Lookup != "":
		return c.judgeRecord(out.Record)
	case c.List != nil:
		got, want := slices.Sorted(slices.Values(out.Names)), slices.Sorted(slices.Values(*c.List))
		if !slices.Equal(slices.Compact(got), want) {
			return fmt.Errorf("it lists %q, want %q", got, want)
		}
		return nil
	}
	return c.judgePoll(out.polled)
}

func (c *AdapterCase) judgeRecord(rec *registry.Record) error {
	switch {
	case c.NotFound || c.NotModified:
		return errors.New("it found a record, want that it does not")
	case c.Version != "" && rec.Revision.Token != c.Version:
		return fmt.Errorf("its version is %q, want %q", rec.Revision.Token, c.Version)
	}
	return alike(rec, c.record)
}

// alike says how a record differs from the one that is wanted.
func alike(got, want *registry.Record) error {
	for _, rec := range [...]*registry.Record{got, want} {
		rec.Document = canonical(rec.Document)
		for i := range rec.Versions {
			rec.Versions[i].Document = canonical(rec.Versions[i].Document)
		}
	}
	if got.ContentHash() == want.ContentHash() && got.Wishes == want.Wishes {
		return nil
	}
	text := func(r *registry.Record) string {
		r.Seal(1)
		return fmt.Sprintf("%s, document %.200q, wishes %+v", registry.AppendAnswer(nil, r, &registry.Selection{All: true}, 0, false), r.Document, r.Wishes)
	}
	return fmt.Errorf("it is\n  %s\nwant\n  %s", text(got), text(want))
}

// canonical returns JSON such that equal values have equal texts.
func canonical(text []byte) []byte {
	var value any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if len(text) == 0 || d.Decode(&value) != nil {
		return text
	}
	out, err := json.Marshal(value)
	if err != nil {
		return text
	}
	return out
}

func (c *AdapterCase) judgePoll(p polled) error {
	if len(p.emits) != len(c.Emits) {
		return fmt.Errorf("it emits %s, want %d", p.emits, len(c.Emits))
	}
	for i, e := range p.emits {
		want := &c.Emits[i]
		op, name := uint32(emitUpsert), ""
		switch {
		case want.Again:
			op = emitAnew
		case want.Delete != "":
			op, name = emitDelete, want.Delete
		case want.Invalidate != "":
			op, name = emitInvalidate, want.Invalidate
		case want.record != nil:
			name = want.record.Key.Name
		}
		if e.op != op || e.name != name {
			return fmt.Errorf("emit %d is %s, want operation %d of %s", i, e, op, name)
		}
		if e.op == emitUpsert {
			if err := alike(e.rec, want.record); err != nil {
				return fmt.Errorf("emit %d: %w", i, err)
			}
		}
	}
	if c.Cursor != nil && p.cursor != *c.Cursor {
		return fmt.Errorf("its cursor is %q, want %q", p.cursor, *c.Cursor)
	}
	if c.WaitMS != nil && p.wait != time.Duration(*c.WaitMS)*time.Millisecond {
		return fmt.Errorf("it wants to wait %s, want %v ms", p.wait, *c.WaitMS)
	}
	return nil
}
