package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// Options configure a Cache. The tagged fields are the config section `cache`;
// the others are set by the program that wires the cache. The zero value of a
// tagged field is replaced by its default in [Defaults], except where zero is
// a choice: start from Defaults.
type Options struct {
	Memory        registry.Size  `yaml:"memory"`
	NegativeShare registry.Share `yaml:"negative_share"` // of Memory, for proofs of absence
	Policy        `yaml:",inline"`

	Registries []Registry        `yaml:"-"` // in config order
	Node       string            `yaml:"-"` // this node's name, in confirmations
	ReadyAfter time.Duration     `yaml:"-"` // ready then even if the first load still runs; 0: wait for it
	Store      Store             `yaml:"-"` // nil, or without a Journal: entries live in memory only
	Journal    Journal           `yaml:"-"` // nil: invalidations live in memory only
	Cluster    Cluster           `yaml:"-"` // nil: alone
	Unsynced   registry.Unsynced `yaml:"-"` // what a node does that is not synced; "": serve-stale
	Clock      *registry.Clock   `yaml:"-"` // nil: a new one
	Logger     *slog.Logger      `yaml:"-"` // nil: discard
	Trace      registry.Trace    `yaml:"-"` // nil: off
}

// A Policy says how long answers live. Any of it may be set per registry.
type Policy struct {
	TTL                  time.Duration  `yaml:"ttl"`
	Jitter               registry.Share `yaml:"jitter"` // each TTL is shortened by up to this share
	StaleWhileRevalidate time.Duration  `yaml:"stale_while_revalidate"`
	StaleIfError         time.Duration  `yaml:"stale_if_error"` // no answer is ever older, unless TTL is longer
	NegativeTTL          time.Duration  `yaml:"negative_ttl"`
	Verify               time.Duration  `yaml:"verify"`        // a stale answer waits this long for its refresh; 0: not
	RefreshAhead         registry.Share `yaml:"refresh_ahead"` // of the TTL left when a used answer is refreshed
	Idle                 time.Duration  `yaml:"idle"`          // a watch ends when its name was not asked for this long
	Recheck              Recheck        `yaml:"recheck"`
	Empty                Empty          `yaml:"empty"`
}

// Recheck bounds the time between probes of a registry or name that fails.
type Recheck struct {
	Min time.Duration `yaml:"min"`
	Max time.Duration `yaml:"max"`
}

// Empty says when an empty or vanished answer replaces good data: after
// Confirm in a row and Grace since the first.
type Empty struct {
	Confirm int           `yaml:"confirm"`
	Grace   time.Duration `yaml:"grace"`
}

// Defaults returns the default configuration.
func Defaults() Options {
	return Options{
		Memory:        256 << 20,
		NegativeShare: 0.10,
		Policy: Policy{
			TTL: 30 * time.Second, Jitter: 0.10,
			StaleWhileRevalidate: 5 * time.Minute, StaleIfError: 24 * time.Hour,
			NegativeTTL: 5 * time.Second, Verify: 50 * time.Millisecond,
			RefreshAhead: 0.10, Idle: time.Hour,
			Recheck: Recheck{Min: time.Second, Max: 30 * time.Second},
			Empty:   Empty{Confirm: 3, Grace: 30 * time.Second},
		},
	}
}

// Overrides are the parts of a Policy that one registry sets for itself; they
// win over what the registry wishes. nil: not set.
type Overrides struct {
	TTL                  *time.Duration  `yaml:"ttl,omitempty"`
	Jitter               *registry.Share `yaml:"jitter,omitempty"`
	StaleWhileRevalidate *time.Duration  `yaml:"stale_while_revalidate,omitempty"`
	StaleIfError         *time.Duration  `yaml:"stale_if_error,omitempty"`
	NegativeTTL          *time.Duration  `yaml:"negative_ttl,omitempty"`
	Verify               *time.Duration  `yaml:"verify,omitempty"`
	RefreshAhead         *registry.Share `yaml:"refresh_ahead,omitempty"`
	Idle                 *time.Duration  `yaml:"idle,omitempty"`
	Recheck              *Recheck        `yaml:"recheck,omitempty"`
	Empty                *Empty          `yaml:"empty,omitempty"`
}

func (o Overrides) over(p Policy) Policy {
	set(&p.TTL, o.TTL)
	set(&p.Jitter, o.Jitter)
	set(&p.StaleWhileRevalidate, o.StaleWhileRevalidate)
	set(&p.StaleIfError, o.StaleIfError)
	set(&p.NegativeTTL, o.NegativeTTL)
	set(&p.Verify, o.Verify)
	set(&p.RefreshAhead, o.RefreshAhead)
	set(&p.Idle, o.Idle)
	set(&p.Recheck, o.Recheck)
	set(&p.Empty, o.Empty)
	return p
}

func set[T any](dst *T, src *T) {
	if src != nil {
		*dst = *src
	}
}

// Validate returns all mistakes in p at once, each beginning with its key.
func (p Policy) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf(key+": "+format, args...))
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{{"stale_while_revalidate", p.StaleWhileRevalidate}, {"stale_if_error", p.StaleIfError}, {"verify", p.Verify}} {
		if d.value < 0 {
			bad(d.key, "%s is negative", d.value)
		}
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{{"ttl", p.TTL}, {"negative_ttl", p.NegativeTTL}, {"idle", p.Idle}, {"recheck.min", p.Recheck.Min}} {
		if d.value <= 0 {
			bad(d.key, "%s: more than 0 expected", d.value)
		}
	}
	if p.Recheck.Max < p.Recheck.Min {
		bad("recheck.max", "%s is below recheck.min %s", p.Recheck.Max, p.Recheck.Min)
	}
	if p.Empty.Confirm < 1 || p.Empty.Confirm > 200 {
		bad("empty.confirm", "%d: 1 to 200 expected", p.Empty.Confirm)
	}
	if p.Empty.Grace < 0 {
		bad("empty.grace", "%s is negative", p.Empty.Grace)
	}
	if p.Jitter > 0.9 {
		bad("jitter", "%s: at most 90%% expected", p.Jitter)
	}
	if p.RefreshAhead > 0.9 {
		bad("refresh_ahead", "%s: at most 90%% expected", p.RefreshAhead)
	}
	return errors.Join(errs...)
}

// Validate returns all mistakes in the tagged fields at once.
func (o Options) Validate() error {
	var errs []error
	if o.Memory < 1<<20 {
		errs = append(errs, fmt.Errorf("memory: %s: at least 1MiB expected", o.Memory))
	}
	if o.NegativeShare <= 0 || o.NegativeShare > 0.5 {
		errs = append(errs, fmt.Errorf("negative_share: %s: more than 0%% and at most 50%% expected", o.NegativeShare))
	}
	return errors.Join(append(errs, o.Policy.Validate())...)
}

// A Registry is one configured registry: a source, or a merge of others.
type Registry struct {
	Name, Type  string
	Kind        registry.Kind
	Source      registry.Source // nil for a merge
	Of          []string        // a merge's parts, the earlier wins
	Identity    string          // address, credentials, mapping: a change of it makes entries stale
	Services    []string        // globs of the names it covers; nil: all
	Ask         string          // the name asked upstream, with {name}; "": the name
	WarmAll     bool            // warm: load what it lists at start
	WarmWatched bool            // warm: load what was in use before the restart, see Policy.Idle
	Warm        []string        // warm: load these names at start
	Watch       bool            // follow changes if the source can
	Timeout     time.Duration   // of one call; 0: 2 s
	Retries     int             // of one fill, after the first call
	Rate        float64         // calls a second; 0: unlimited
	FailOnDown  bool            // on_down: fail
	Overrides   Overrides
}

// A Store keeps entries on disk. Only the cache uses it. A store that is dead
// answers at once; one that is slow keeps its caller waiting, so no lookup
// calls it by itself. All methods are safe for concurrent use.
type Store interface {
	// Get returns what is kept of a key, nil if there is nothing. Its mode is
	// the strictest of the one written with it and of the marks that the
	// journal put on the key since its fetch began.
	Get(k registry.Key) (*registry.Stored, error)
	// Write puts, confirms and deletes in one batch. It returns once the batch
	// is written; that need not be durable. What was made for another
	// directory than the one in use is refused: marks that were put while
	// there was none are not in it.
	Write(directory uint32, put []*registry.Stored, confirm []registry.Confirmed, del []registry.Key) error
	// Mark notes on what is kept of the keys that an invalidation of that mode
	// and position covers it.
	Mark(keys []registry.Key, m registry.Mode, position uint64) error
	// Scan calls yield for what is kept of a registry's names above after, in
	// byte order, until it returns false.
	Scan(registryName, after string, yield func(*registry.Stored) bool) error
	// Directory numbers the directory in use, from 1 on; 0: none. What was
	// written under another number is not kept any more.
	Directory() uint32
	// Identity returns the identity last set for a registry, "" if none was.
	Identity(registryName string) (string, error)
	SetIdentity(registryName, identity string) error
	// Now returns Unix ms: the wall clock when the store was opened, or the
	// latest reading before that if it is greater, and the time since. So what
	// was written before a restart is never younger after it.
	Now() int64
}

// A Journal keeps invalidations. Only the cache writes to it.
type Journal interface {
	// Append gives inv its origin, epoch and sequence, and returns once inv and
	// what it raised here are durable. An error matching registry.ErrNotDurable
	// says that they are not, or not before ctx ended: inv has its id all the
	// same, and may still become durable.
	Append(ctx context.Context, inv *registry.Invalidation, a registry.Applied) error
	// Records does the same for what peers sent, which has its ids.
	Records(ctx context.Context, list []registry.Received) error
	// Generations calls yield for each wide selector raised before the restart.
	Generations(yield func(s registry.Selector, m registry.Mode, position uint64)) error
	// Forget removes the generations of wide selectors that were not raised
	// above a position: every entry that they cover is marked.
	Forget(wide []registry.Selector, upTo uint64) error
	// Position returns a position above every one used before the restart.
	Position() uint64
}

// A Cluster is the other nodes.
type Cluster interface {
	// Publish sends an invalidation that was applied here, and says whether it
	// is on this disk.
	Publish(inv *registry.Invalidation, durable bool)
	// Await returns who has an invalidation that was published, once the level
	// is reached or, with ctx's error, when ctx ends. It leaves the id out.
	Await(ctx context.Context, inv *registry.Invalidation, level registry.Level) (registry.Confirmation, error)
	// Confirmation returns who has it now, likewise.
	Confirmation(inv *registry.Invalidation) registry.Confirmation
	// Synced reports whether this node has all that a majority confirmed more
	// than a few seconds ago.
	Synced() bool
	// Owns reports whether this node is the one to ask a registry for a key, and
	// to watch it.
	Owns(k registry.Key) bool
	// Fetch asks the node that owns the key, or with a.Any all, and waits for a
	// copy, ctx's end, or until it is known that there is none. began is the
	// position up to which the copy knows what was applied here.
	Fetch(ctx context.Context, a registry.Ask) (cp registry.Copy, began uint64, ok bool)
	// Copies asks all peers and returns what they have, by ctx's end.
	Copies(ctx context.Context, a registry.Ask) []registry.PeerCopy
	// Push sends what is held to all. It does not wait.
	Push(of []registry.Ask)
}

const defaultTimeout = 2 * time.Second

func (o Options) withDefaults() Options {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.Node = cmp.Or(o.Node, "local")
	if o.Clock == nil {
		o.Clock = registry.NewClock(nil, 0)
	}
	return o
}

// checkRegistries returns all mistakes in the list of registries at once.
func checkRegistries(list []Registry) error {
	var errs []error
	byName := map[string]*Registry{}
	for i := range list {
		r := &list[i]
		if err := registry.CheckLabel(r.Name); err != nil {
			errs = append(errs, fmt.Errorf("registries[%d].name: %w", i, err))
		}
		if byName[r.Name] != nil {
			errs = append(errs, fmt.Errorf("registries[%d].name: %q is taken by an earlier registry", i, r.Name))
		}
		byName[r.Name] = r
		if (r.Source == nil) == (len(r.Of) == 0) {
			errs = append(errs, fmt.Errorf("registry %s: either a source or, for a merge, `of` expected", r.Name))
		}
	}
	for i := range list {
		for _, part := range list[i].Of {
			switch p := byName[part]; {
			case p == nil:
				errs = append(errs, fmt.Errorf("registry %s: of: there is no registry %q", list[i].Name, part))
			case len(p.Of) > 0:
				errs = append(errs, fmt.Errorf("registry %s: of: %q is a merge itself", list[i].Name, part))
			case p.Kind != list[i].Kind:
				errs = append(errs, fmt.Errorf("registry %s: of: %q serves kind %s, not %s", list[i].Name, part, p.Kind, list[i].Kind))
			}
		}
	}
	return errors.Join(errs...)
}
