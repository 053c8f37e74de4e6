package registry

import (
	"errors"
	"fmt"
	"time"
)

// What a Source returns.
var (
	// ErrNotFound: the registry answered and has no such name. Never returned
	// for an outage.
	ErrNotFound = errors.New("not found")
	// ErrNotModified: the registry confirmed the record the caller has.
	ErrNotModified = errors.New("not modified")
)

// What a lookup returns.
var (
	ErrRegistryFailed  = errors.New("registry failed")    // and nothing usable is cached
	ErrRegistryTimeout = errors.New("registry timed out") // and nothing usable is cached
	ErrTooOld          = errors.New("answer too old")     // max_age could not be met
	ErrNotCached       = errors.New("not cached")         // only-if-cached and nothing here
	ErrNotReady        = errors.New("nothing loaded yet") // of name lists
	ErrNoRegistry      = errors.New("no such registry")
	ErrNoDocument      = errors.New("record has no document")
	ErrUnsynced        = errors.New("node is not synced") // policy refuse
	ErrNotDurable      = errors.New("applied, but not on this disk")
	ErrDenied          = errors.New("denied by a filter")
	ErrFilterFailed    = errors.New("filter failed")
)

// An UpstreamError is one registry's failure to answer. It never means that a
// name is absent.
type UpstreamError struct {
	Registry   string
	Status     int           // HTTP status, 0 if the registry did not answer one
	RetryAfter time.Duration // what the registry asked for, 0 if nothing
	Timeout    bool
	Harmless   bool // says nothing of the registry's condition: the breaker does not count it
	Err        error
}

func (e *UpstreamError) Error() string {
	if e.Status != 0 {
		return fmt.Sprintf("registry %s: HTTP status %d: %v", e.Registry, e.Status, e.Err)
	}
	return fmt.Sprintf("registry %s: %v", e.Registry, e.Err)
}

func (e *UpstreamError) Unwrap() error { return e.Err }

// An Outcome is what one registry contributed to a resolved lookup.
type Outcome struct {
	Registry string
	Outcome  string // "found", "absent" or "down"
	Err      error  // of "down"
}

// A LookupError is the failure of a lookup: Err is one of the sentinels above.
type LookupError struct {
	Name       string
	Err        error
	Registries []Outcome
	RetryAfter time.Duration // until the next recheck of the registry that is back first; 0 unknown
}

func (e *LookupError) Error() string {
	s := e.Name + ": " + e.Err.Error()
	for _, o := range e.Registries {
		if o.Err != nil {
			s += "; " + o.Err.Error()
		}
	}
	return s
}

func (e *LookupError) Unwrap() error { return e.Err }
