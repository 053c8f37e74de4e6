package registry

import (
	"cmp"
	"slices"
	"time"
)

// A Query asks for one name.
type Query struct {
	Registry string // "": resolved through all
	// Name may alias a buffer that the caller reuses after Lookup returned:
	// the engine clones what it keeps.
	Name       string
	Kind       Kind          // "": any
	MaxAge     time.Duration // an older answer is not used; < 0: any age
	OnlyCached bool          // no registry is asked: ErrNotCached instead
	Timeout    time.Duration // for all fills of this lookup together; 0: none but ctx
	Select     Select
}

// A Select narrows a record to the instances a caller wants. The zero value
// selects as [DefaultSelect] does.
type Select struct {
	Health  Health   // the worst health kept: passing, warning; HealthMaintenance is any
	Tags    []string // all must match
	Version string   // exact; "latest" is the record's latest
	Zone    string
	Port    string // the endpoint of that name becomes the main one; instances without it are left out
	Expr    Expr   // nil: none
}

// DefaultSelect keeps what serves traffic: passing and unknown.
var DefaultSelect = Select{Health: HealthPassing}

// An Expr is a compiled filter expression over instances.
type Expr interface {
	// Match reports whether the expression holds for instance i of rec.
	Match(rec *Record, i int) bool
	// Text returns the expression as written.
	Text() string
}

// Within reports whether h is at most as bad as worst: passing keeps passing
// and unknown, warning keeps warning too, anything above keeps all.
func (h Health) Within(worst Health) bool {
	switch h {
	case HealthUnknown, HealthPassing:
		return true
	case HealthWarning:
		return worst >= HealthWarning
	}
	return worst > HealthWarning
}

// A Selection says which instances of a record an answer holds, in order.
// Its zero value is ready to use and may be reused.
type Selection struct {
	All   bool    // all, in the record's order; Picks is then empty
	Picks []int32 // positions in Record.Instances
	Port  string  // the endpoint that is shown as the main one; "": the record's
}

// Apply fills sel with what s keeps of rec. It allocates only to grow Picks.
func (s *Select) Apply(rec *Record, sel *Selection) {
	sel.Picks, sel.Port, sel.All = sel.Picks[:0], s.Port, false
	if s.plain() && (rec.servable || s.Health > HealthWarning) {
		sel.All = true
		return
	}
	version := s.Version
	if version == LabelLatest {
		version = cmp.Or(rec.Latest(), LabelLatest) // a record without a latest keeps none rather than all
	}
	for i := range rec.Instances {
		if s.keeps(rec, i, version) {
			sel.Picks = append(sel.Picks, int32(i))
		}
	}
	if len(sel.Picks) == len(rec.Instances) && s.Port == "" {
		sel.All, sel.Picks = true, sel.Picks[:0]
	}
}

// plain reports whether s selects by health alone.
func (s *Select) plain() bool {
	return len(s.Tags) == 0 && s.Version == "" && s.Zone == "" && s.Port == "" && s.Expr == nil
}

func (s *Select) keeps(rec *Record, i int, version string) bool {
	in := &rec.Instances[i]
	if !in.Health.Within(s.Health) ||
		version != "" && in.Version != version ||
		s.Zone != "" && in.Zone != s.Zone ||
		s.Port != "" && in.Endpoint(s.Port) < 0 {
		return false
	}
	for _, tag := range s.Tags {
		if !slices.Contains(in.Tags, tag) {
			return false
		}
	}
	return s.Expr == nil || s.Expr.Match(rec, i)
}

// Len returns how many instances of rec are selected.
func (sel *Selection) Len(rec *Record) int {
	if sel.All {
		return len(rec.Instances)
	}
	return len(sel.Picks)
}

// Expand turns All into explicit picks, for filters that drop or reorder.
func (sel *Selection) Expand(rec *Record) {
	if !sel.All {
		return
	}
	sel.All, sel.Picks = false, sel.Picks[:0]
	for i := range rec.Instances {
		sel.Picks = append(sel.Picks, int32(i))
	}
}

// Tag returns a hash that names the selected content: equal on all nodes.
func (sel *Selection) Tag(rec *Record) uint64 {
	if sel.All && sel.Port == "" {
		return rec.hash
	}
	h := rec.hash ^ 0x9e3779b97f4a7c15
	mix := func(v uint64) { h = (h ^ v) * 0x100000001b3; h ^= h >> 29 }
	for i := range len(sel.Port) {
		mix(uint64(sel.Port[i]))
	}
	mix(uint64(len(sel.Port))<<1 | boolBit(sel.All))
	for _, p := range sel.Picks {
		mix(uint64(p) + 1)
	}
	return h
}

func boolBit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
