package registry

import (
	"context"
	"time"
)

// A Source answers lookups from a registry.
//
// Lookup returns the current record of a name, unsealed and owned by the
// caller. It returns an error matching [ErrNotFound] if the registry answered
// that there is no such name, [ErrNotModified] if have (nil: none) is still
// what the registry says, and an [*UpstreamError] for everything else: an
// outage, a timeout, an unreadable or incomplete answer. It returns promptly
// when ctx ends, starts no goroutine that outlives it, and does not retry:
// that is the engine's part.
//
// The record's Key.Name is the name asked for; Key.Registry is set by the
// engine. Instances have at least one endpoint each and unique ids.
type Source interface {
	Lookup(ctx context.Context, name string, have *Record) (*Record, error)
	Can() Capabilities
}

// Capabilities says what a source can do beyond Lookup.
type Capabilities struct {
	List      bool // implements Lister
	Watch     bool // implements Watcher
	WatchAll  bool // one watch without names covers every name
	WatchList bool // implements ListWatcher
	Ordered   bool // revisions of records compare
	PushEmpty bool // an empty answer or a vanished name is always meant (a file)

	// Interval is the longest time between two signs of life of a watch; 0: one
	// minute. A watch that was silent for twice as long is not live.
	Interval time.Duration
}

// A SourceFunc is a Source made of one function, without capabilities.
type SourceFunc func(ctx context.Context, name string, have *Record) (*Record, error)

// Lookup calls f.
func (f SourceFunc) Lookup(ctx context.Context, name string, have *Record) (*Record, error) {
	return f(ctx, name, have)
}

// Can returns no capabilities.
func (f SourceFunc) Can() Capabilities { return Capabilities{} }

// A Lister lists all names of a registry: complete, or an error. Order and
// repeats do not matter.
type Lister interface {
	List(ctx context.Context) ([]string, error)
}

// A ListWatcher follows the list of names. It calls emit with each complete
// list it sees, the first included, and with nil as a sign of life, from one
// goroutine, until ctx ends or the connection is lost; then it returns why.
type ListWatcher interface {
	WatchList(ctx context.Context, emit func(names []string)) error
}

// A Watcher follows changes.
//
// Watch follows the given names (empty: all, if Capabilities.WatchAll) from
// the revision on (zero: from now, beginning with the current state of each).
// It calls emit from one goroutine and returns when ctx ends or when it cannot
// go on; it never returns nil before ctx ends. Between Watch's start and its
// first Synced it emits the current state; what that list does not name is
// gone. After a reset (the registry's index went back, its history was
// compacted) it lists again and emits Synced again. No change between two
// events is left out, though several may be merged into the newest.
type Watcher interface {
	Watch(ctx context.Context, from Revision, names []string, emit func(Event)) error
}

// EventKind says what an Event reports.
type EventKind uint8

// The kinds of events.
const (
	EventUpsert EventKind = iota + 1 // Record is the name's current record
	EventDelete                      // the name is gone; Deliberate if the registry said so explicitly
	EventSynced                      // the list since the start or the last reset is complete
	EventAlive                       // a sign of life: nothing changed
)

// An Event is one thing a Watcher saw. The record passes to the receiver.
type Event struct {
	Kind       EventKind
	Name       string
	Record     *Record  // of EventUpsert
	Revision   Revision // of EventDelete
	Deliberate bool
}
