package torture

import (
	"bytes"
	"fmt"
	"maps"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/store"
)

// An observed is all that a store shows of what it holds.
type observed struct {
	entries  map[registry.Key]*registry.Stored
	wide     map[registry.Selector]raised
	journal  map[int64]*registry.Invalidation // by At
	identity map[string]string
}

// The registries and names that histories are about.
var (
	registries = []string{"r", "s"}
	names      = []string{"a", "aa", "ab", "b", "b/c", "c", "d/e"}
)

func allKeys(yield func(registry.Key) bool) {
	for _, r := range registries {
		for _, n := range names {
			if !yield(registry.Key{Registry: r, Name: n}) {
				return
			}
		}
	}
}

// observe reads all of s, and fails if two ways of reading disagree.
func observe(s *store.Store) (*observed, error) {
	o := &observed{entries: map[registry.Key]*registry.Stored{}, wide: map[registry.Selector]raised{},
		journal: map[int64]*registry.Invalidation{}, identity: map[string]string{}}
	for k := range allKeys {
		e, err := s.Get(k)
		if err != nil {
			return nil, fmt.Errorf("Get(%s): %w", k, err)
		}
		if e != nil {
			o.entries[k] = e
		}
	}
	if err := o.scan(s); err != nil {
		return nil, err
	}
	err := s.Generations(func(w registry.Selector, m registry.Mode, position uint64) {
		r := o.wide[w]
		r.raise(m, position)
		o.wide[w] = r
	})
	if err != nil {
		return nil, fmt.Errorf("Generations: %w", err)
	}
	for _, r := range registries {
		id, err := s.Identity(r)
		if err != nil {
			return nil, fmt.Errorf("Identity(%s): %w", r, err)
		}
		if id != "" {
			o.identity[r] = id
		}
	}
	return o, o.readJournal(s)
}

func (o *observed) scan(s *store.Store) error {
	scanned := 0
	for _, r := range registries {
		last, bad := "", error(nil)
		err := s.Scan(r, "", func(e *registry.Stored) bool {
			scanned++
			if e.Registry != r || e.Name <= last {
				bad = fmt.Errorf("Scan(%s): %s after %q", r, e.Key, last)
			}
			last = e.Name
			if d := differ(o.entries[e.Key], e); d != "" {
				bad = fmt.Errorf("Scan and Get(%s) disagree: %s", e.Key, d)
			}
			return bad == nil
		})
		if err != nil || bad != nil {
			return fmt.Errorf("Scan(%s): %w", r, cmpError(bad, err))
		}
	}
	if scanned != len(o.entries) {
		return fmt.Errorf("Scan shows %d entries, Get %d", scanned, len(o.entries))
	}
	return nil
}

func cmpError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// readJournal reads every epoch and fails if one has holes.
func (o *observed) readJournal(s *store.Store) error {
	var epochs []epoch
	if err := s.Epochs(func(e store.EpochState) bool {
		epochs = append(epochs, epoch{e.Origin, e.Epoch})
		return true
	}); err != nil {
		return fmt.Errorf("Epochs: %w", err)
	}
	for _, e := range epochs {
		last, bad := uint64(0), error(nil)
		err := s.Range(e.origin, e.epoch, 1, func(seq uint64, raw []byte) bool {
			if last != 0 && seq != last+1 { // the first ones may be cut off
				bad = fmt.Errorf("epoch %x: sequence %d after %d", e, seq, last)
			}
			last = seq
			inv, err := registry.ParseInvalidation(raw)
			switch {
			case err != nil:
				bad = err
			case inv.Origin != e.origin || inv.Epoch != e.epoch || inv.Seq != seq:
				bad = fmt.Errorf("the record at %x/%d says %s", e, seq, inv.ID())
			case o.journal[inv.At] != nil:
				bad = fmt.Errorf("%s and %s are the same invalidation", o.journal[inv.At].ID(), inv.ID())
			default:
				o.journal[inv.At] = inv
			}
			return bad == nil
		})
		if err != nil || bad != nil {
			return fmt.Errorf("Range(%x): %w", e, cmpError(bad, err))
		}
	}
	return nil
}

// differs says how o differs from a state, "" if it does not.
func (o *observed) differs(s *state) string {
	for k := range allKeys {
		want := s.entries[k]
		if want != nil {
			marked := *want
			marked.Mode = s.mode(k)
			want = &marked
		}
		if d := differ(want, o.entries[k]); d != "" {
			return fmt.Sprintf("%s: %s", k, d)
		}
	}
	for at := range o.journal {
		if s.journal[at] == nil {
			return fmt.Sprintf("the journal has %+v, which was not given", o.journal[at])
		}
	}
	for at, c := range s.journal {
		cut := c.inv.Seq < s.truncated[epoch{c.inv.Origin, c.inv.Epoch}]
		if d := differInvalidation(&c.inv, o.journal[at]); d != "" && !(cut && o.journal[at] == nil) {
			return d
		}
	}
	if !maps.Equal(o.identity, s.identity) {
		return fmt.Sprintf("identities %q, want %q", o.identity, s.identity)
	}
	return o.wideDiffers(s)
}

func (o *observed) wideDiffers(s *state) string {
	for w := range o.wide {
		if _, ok := s.wide[w]; !ok {
			return fmt.Sprintf("%+v was never raised", w)
		}
	}
	for w, want := range s.wide {
		got, newest := o.wide[w], max(want[registry.ModeSoft], want[registry.ModeVerify], want[registry.ModeHard])
		if _, kept := o.wide[w]; !kept && newest <= s.forgotten[w] {
			continue
		}
		for m := range want {
			if got[m] != want[m] && want[m] > s.forgotten[w] || got[m] > want[m] {
				return fmt.Sprintf("%+v %s at %d, want %d", w, registry.Mode(m), got[m], want[m])
			}
		}
	}
	return ""
}

// differ says how one entry differs from another, "" if it does not.
func differ(want, got *registry.Stored) string {
	switch {
	case want == nil && got == nil:
		return ""
	case want == nil:
		return fmt.Sprintf("got %s, want nothing", describe(got))
	case got == nil:
		return fmt.Sprintf("got nothing, want %s", describe(want))
	}
	if w, g := describe(want), describe(got); w != g {
		return fmt.Sprintf("got %s, want %s", g, w)
	}
	if want.Record != nil && (want.Record.Hash() != got.Record.Hash() || !bytes.Equal(want.Record.Document, got.Record.Document)) {
		return fmt.Sprintf("another content under index %d", want.Record.Index)
	}
	return ""
}

func describe(e *registry.Stored) string {
	rec := "absent"
	if e.Record != nil {
		rec = fmt.Sprintf("%s index %d", ids(e.Record), e.Record.Index)
	}
	return fmt.Sprintf("%s (%s began %d verified %d empties %d mode %s used %d expires %d)",
		e.Key, rec, e.Began, e.Verified, e.Empties, e.Mode, e.Used, e.Expires)
}

func differInvalidation(want, got *registry.Invalidation) string {
	if got == nil {
		return fmt.Sprintf("%s %+v is not in the journal", want.Mode, want.Selectors)
	}
	a, b := *want, *got
	if a.Origin == 0 { // its id was given by the store
		b.Origin, b.Epoch, b.Seq = 0, 0, 0
	}
	if x, y := registry.AppendInvalidation(nil, &a), registry.AppendInvalidation(nil, &b); !bytes.Equal(x, y) {
		return fmt.Sprintf("the journal has %+v, want %+v", b, a)
	}
	return ""
}

// ids names the content of a record.
func ids(r *registry.Record) string {
	s := ""
	for i := range r.Instances {
		s += r.Instances[i].ID
	}
	return s
}
