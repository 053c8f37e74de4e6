// Package file is the adapter for services written in files: edgecache's own
// form, in YAML or JSON, or the target groups of Prometheus' file_sd.
//
// # What counts as an answer
//
// All files that Options.Path names are one registry and are read as one: a
// snapshot holds all of them, or the registry has failed. A file that is
// missing, too large or cannot be parsed is an outage: lookups and lists end
// with a registry.UpstreamError, so that the engine goes on with what it has
// and says how old it is. The adapter does not answer from its last good
// snapshot itself: nobody could see the age of such an answer. As soon as the
// files are right again everything is answered again. A list that is empty is
// a value, and so is a name that a good file no longer has.
//
// Writers should replace files by rename. For those that do not, a file that
// changed within the last seconds is read only once it rests.
package file

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// The forms of Options.Format.
const (
	FormatAuto       = "auto"       // by the content of each file
	FormatNative     = "native"     // {"services": […]}
	FormatPrometheus = "prometheus" // [{"targets": […], "labels": {…}}]
)

// Options configure a Source. The tagged fields are keys of a registry in the
// configuration.
type Options struct {
	// Path names files, directories (their *.yaml, *.yml and *.json) or globs.
	// A directory or glob in which no file is found is an error: it is more
	// often a mount that is missing than a wish to have no services.
	Path   registry.Strings `yaml:"path"`
	Format string           `yaml:"format"` // auto, native or prometheus; "": auto
	// Poll is the time between two looks at the files' content, for file
	// systems that report no changes; 0: 30 s.
	Poll time.Duration `yaml:"poll"`

	Name      string         `yaml:"-"` // of the registry, in errors
	Documents bool           `yaml:"-"` // services from Prometheus files get their groups as document
	Logger    *slog.Logger   `yaml:"-"` // nil: discard
	Trace     registry.Trace `yaml:"-"` // nil: off
}

func (o Options) withDefaults() Options {
	o.Path = slices.Clone(o.Path)
	if o.Format == "" {
		o.Format = FormatAuto
	}
	if o.Poll == 0 {
		o.Poll = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Validate returns all mistakes in o at once, each beginning with its key.
func (o Options) Validate() error {
	var errs []error
	if len(o.Path) == 0 {
		errs = append(errs, errors.New("path: a file, directory or glob expected"))
	}
	for _, path := range o.Path {
		if err := checkPattern(path); err != nil {
			errs = append(errs, fmt.Errorf("path: %w", err))
		}
	}
	if formats := []string{"", FormatAuto, FormatNative, FormatPrometheus}; !slices.Contains(formats, o.Format) {
		errs = append(errs, fmt.Errorf("format: %q: one of %s expected", o.Format, strings.Join(formats[1:], ", ")))
	}
	if o.Poll < 0 {
		errs = append(errs, fmt.Errorf("poll: %v: a positive duration expected", o.Poll))
	}
	return errors.Join(errs...)
}

// A Source answers lookups from files. It is safe for concurrent use.
type Source struct {
	o Options

	// turn holds a token while somebody reads the files; a channel, because
	// those who wait must be able to leave.
	turn  chan struct{}
	state atomic.Pointer[state] // nil before the first look
}

// A state is what the last look at the files found.
type state struct {
	stamp    stamp
	snapshot *snapshot // nil if err is set
	err      error
	dirs     []string // to watch
}

// A snapshot is the content of all files. It is never changed.
type snapshot struct {
	records map[string]*registry.Record
	names   []string // sorted
}

// New returns a source for the files. It does not read them: the first lookup
// or watch does.
func New(o Options) (*Source, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return &Source{o: o.withDefaults(), turn: make(chan struct{}, 1)}, nil
}

// Can says what a file registry can do. Its revisions are content hashes and
// do not order; that something is gone is always meant.
func (s *Source) Can() registry.Capabilities {
	return registry.Capabilities{List: true, Watch: true, WatchAll: true, WatchList: true, PushEmpty: true}
}

// Identity names what the source reads: a source of another identity may
// answer something else for the same name.
func (s *Source) Identity() string {
	return fmt.Sprintf("file %s %q", s.o.Format, []string(s.o.Path))
}

// Close returns nil: a source holds nothing open but in a Watch, which ends
// with its context.
func (s *Source) Close() error { return nil }

// Lookup answers as registry.Source says. It looks whether the files changed,
// and reads them if so.
func (s *Source) Lookup(ctx context.Context, name string, have *registry.Record) (*registry.Record, error) {
	snap, err := s.traced(ctx, name)
	if err != nil {
		return nil, err
	}
	rec := snap.records[name]
	switch {
	case rec == nil:
		return nil, fmt.Errorf("%s: %w", name, registry.ErrNotFound)
	case have != nil && have.Revision == rec.Revision:
		return nil, registry.ErrNotModified
	}
	return clone(rec), nil
}

// List answers as registry.Lister says.
func (s *Source) List(ctx context.Context) ([]string, error) {
	snap, err := s.traced(ctx, "")
	if err != nil {
		return nil, err
	}
	return slices.Clone(snap.names), nil
}

func (s *Source) traced(ctx context.Context, name string) (*snapshot, error) {
	ctx, end := s.o.Trace.Start(ctx, "upstream", registry.Key{Registry: s.o.Name, Name: name})
	st, err := s.look(ctx, false)
	if err == nil {
		err = st.err
	}
	end(err)
	if err != nil {
		return nil, err
	}
	return st.snapshot, nil
}

// fail returns err as this registry's failure.
func (s *Source) fail(err error) error {
	return &registry.UpstreamError{Registry: s.o.Name, Timeout: errors.Is(err, context.DeadlineExceeded), Err: err}
}

// clone returns a copy of rec that the caller may change. Documents are shared:
// nobody changes them.
func clone(rec *registry.Record) *registry.Record {
	out := &registry.Record{
		Key: rec.Key, Revision: rec.Revision, Instances: slices.Clone(rec.Instances), Versions: slices.Clone(rec.Versions),
		Metadata: slices.Clone(rec.Metadata), Document: rec.Document, MediaType: rec.MediaType,
		Tags: slices.Clone(rec.Tags), Wishes: rec.Wishes,
	}
	for i := range out.Instances {
		in := &out.Instances[i]
		in.Endpoints, in.Tags, in.Metadata = slices.Clone(in.Endpoints), slices.Clone(in.Tags), slices.Clone(in.Metadata)
	}
	for i := range out.Versions {
		v := &out.Versions[i]
		v.Labels, v.Metadata = slices.Clone(v.Labels), slices.Clone(v.Metadata)
	}
	return out
}
