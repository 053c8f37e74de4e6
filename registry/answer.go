package registry

import (
	"context"
	"errors"
	"time"
)

// An Engine answers lookups. The cache is the one that serves.
type Engine interface {
	// Lookup returns what is known of q.Name, asking registries as needed. On
	// failure it returns a [*LookupError], and an Answer whose Index, Age and
	// Details still hold: a name that does not exist has an index too. A hit
	// allocates nothing.
	Lookup(ctx context.Context, q *Query) (Answer, error)
	// Names returns one page of names in byte order.
	Names(ctx context.Context, q *NamesQuery) (NamesPage, error)
	// Subscribe follows changes; the caller closes the subscription.
	Subscribe(s Subscribe) Subscription
}

// An Answer is what the engine knows of a name, and how well.
type Answer struct {
	Record    *Record // sealed; nil with an error
	Kind      Kind
	Index     uint64        // when the answer last changed on this node
	Age       time.Duration // since the registry last confirmed it
	TTL       time.Duration // freshness left; negative once stale
	Stale     bool
	Hit       bool    // answered from what was here; else a registry was asked
	Stored    bool    // of a miss: kept for the next one
	Collapsed bool    // of a miss: another caller's fetch was shared
	Fwd       Forward // of a miss: why a registry was asked
	FwdStatus int     // of a miss: the registry's HTTP-like status, 0 unknown
	Details   Details
}

// Forward says why a registry was asked, in the words of RFC 9211.
type Forward uint8

// The reasons to ask a registry.
const (
	ForwardMiss    Forward = iota // nothing was held
	ForwardStale                  // what was held was not fresh
	ForwardRequest                // what was held was older than the request allows
)

func (f Forward) String() string {
	switch f {
	case ForwardStale:
		return "stale"
	case ForwardRequest:
		return "request"
	}
	return "miss"
}

// Details is a set of reasons why an answer is as it is.
type Details uint16

// The details of Cache-Status, in the order in which they are written.
const (
	DetailSWR Details = 1 << iota // stale-while-revalidate
	DetailSIE                     // stale-if-error
	DetailVerifyTimeout
	DetailInvalidated
	DetailEmptyUnconfirmed
	DetailNegative
	DetailDisk
	DetailPeer
	DetailPartial
	DetailUnsynced
)

// DetailNames are the tokens of the details, by bit.
var DetailNames = [...]string{"stale-while-revalidate", "stale-if-error", "verify-timeout", "invalidated",
	"empty-unconfirmed", "negative", "disk", "peer", "partial", "unsynced"}

// A NamesQuery asks for a page of names.
type NamesQuery struct {
	Registry string // "": all
	Prefix   string
	Kind     Kind   // "": any
	After    string // names above this one only
	Limit    int    // > 0
}

// A NamesPage is one page of a list, in byte order, one row per name.
type NamesPage struct {
	Rows     []NameRow
	Index    uint64 // when the list last changed
	Age      time.Duration
	Stale    bool
	Complete bool // every registry in question listed its names
	More     bool // names follow the last row
}

// A NameRow is one name; Registry is the first in order that lists it.
type NameRow struct {
	Name     string `json:"name"`
	Registry string `json:"registry"`
	Kind     Kind   `json:"kind"`
}

// Subscribe says what a subscription follows: names, or all names with a
// prefix, within one registry or (Registry "") resolved.
type Subscribe struct {
	Registry string
	Names    []string
	Prefix   *string // nil: none; "" is all
	Kind     Kind
	Lists    bool   // wake for changes of the list of names only
	Resume   string // a token of an earlier subscription, "": none
}

// A Subscription gathers names whose answer may have changed. A slow reader
// owes names, not events: each name is pending at most once.
type Subscription interface {
	// Resumed reports whether Subscribe.Resume was honoured: then the names
	// that changed since are pending; else the caller lists anew.
	Resumed() bool
	// Wake has a value whenever Take would return something.
	Wake() <-chan struct{}
	// Take appends the pending names to buf and returns them with a token to
	// resume after them. reset: too much changed, list anew.
	Take(buf []string) (names []string, token string, reset bool)
	// Close ends the subscription.
	Close()
}

// A Result is a selected and filtered answer. Its zero value is ready to use
// and may be reused.
type Result struct {
	Answer
	Selection Selection
	Filters   []FilterOutcome
	Vary      string // request headers that filters read; "": none
	Private   bool
}

// A FilterOutcome says what became of one filter: "applied", or "skipped" if it
// failed and its failure is not the answer's.
type FilterOutcome struct{ Filter, Outcome string }

// An Answerer turns lookups into answers for every face: look up, select,
// filter. Without filters it costs nothing beyond the lookup and selection.
type Answerer struct {
	Engine  Engine
	Filters func() []NamedFilter // in config order; nil: none
}

// Answer looks q up, selects and filters; attrs may be nil without filters. On
// an error out.Answer holds as [Engine.Lookup] says.
func (a *Answerer) Answer(ctx context.Context, q *Query, attrs Attrs, out *Result) error {
	out.Filters, out.Vary, out.Private = out.Filters[:0], "", false
	var err error
	out.Answer, err = a.Engine.Lookup(ctx, q)
	if err != nil {
		return err
	}
	q.Select.Apply(out.Record, &out.Selection)
	if a.Filters == nil {
		return nil
	}
	return a.filter(attrs, out)
}

func (a *Answerer) filter(attrs Attrs, out *Result) error {
	filters := a.Filters()
	for i := range filters {
		f := &filters[i]
		if !f.covers(out.Record.Key) {
			continue
		}
		if f.Varies != "" {
			if out.Vary != "" {
				out.Vary += ", "
			}
			out.Vary += f.Varies
		}
		out.Private = out.Private || f.Private
		err := f.Filter.Filter(attrs, out.Record, &out.Selection)
		switch {
		case err == nil:
			out.Filters = append(out.Filters, FilterOutcome{f.Name, "applied"})
		case err == ErrFinal: //nolint:errorlint // it is never wrapped
			out.Filters = append(out.Filters, FilterOutcome{f.Name, "applied"})
			return nil
		case errors.Is(err, ErrDenied):
			return err
		case f.FailClosed:
			return &LookupError{Name: out.Record.Key.Name, Err: errors.Join(ErrFilterFailed, err)}
		default:
			out.Filters = append(out.Filters, FilterOutcome{f.Name, "skipped"})
		}
	}
	return nil
}
