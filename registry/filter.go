package registry

import (
	"errors"
	"fmt"
	"net/netip"
)

// A Filter decides per request which of the selected instances an answer
// holds. It may drop and reorder what is selected, and deny; it must not
// change the record. On an error, [ErrFinal] aside, it leaves sel as it was. It must be safe for
// concurrent use.
type Filter interface {
	Filter(attrs Attrs, rec *Record, sel *Selection) error
}

// A FilterFunc is a Filter made of one function.
type FilterFunc func(attrs Attrs, rec *Record, sel *Selection) error

// Filter calls f.
func (f FilterFunc) Filter(attrs Attrs, rec *Record, sel *Selection) error { return f(attrs, rec, sel) }

// Attrs are what a filter may know of a request. Strings may alias the
// request's buffers: a filter copies what it keeps. What a protocol does not
// have is absent.
type Attrs interface {
	Header(name string) (string, bool)
	Query(name string) (string, bool)
	ClientIP() netip.Addr
	ClientZone() string
}

// ErrFinal is what a filter returns that did its work, if no later filter is to
// be asked.
var ErrFinal = errors.New("final")

// A Deny is the error of a filter that refuses the request; it matches
// [ErrDenied].
type Deny struct {
	Filter string
	Status int // 0: 403
	Reason string
}

func (d *Deny) Error() string { return fmt.Sprintf("filter %s denied: %s", d.Filter, d.Reason) }

func (d *Deny) Unwrap() error { return ErrDenied }

// A NamedFilter is a configured filter.
type NamedFilter struct {
	Name       string
	Filter     Filter
	Registries []string // globs; nil: all
	Services   []string // globs; nil: all
	FailClosed bool     // an error is the answer; else the filter is skipped
	Varies     string   // request headers it reads, for Vary
	Parameters []string // request parameters it reads
	Private    bool     // reads the client's address
}

// covers reports whether the filter applies to the record.
func (f *NamedFilter) covers(k Key) bool {
	return MatchAny(f.Registries, k.Registry) && MatchAny(f.Services, k.Name)
}
