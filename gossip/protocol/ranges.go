package protocol

import "slices"

// A Range is the sequences from From to To, both included.
type Range struct{ From, To uint64 }

// Ranges is a set of sequences: disjoint ranges in rising order, of which no
// two touch. The zero value is empty.
type Ranges []Range

// Contains reports whether seq is in the set.
func (r Ranges) Contains(seq uint64) bool {
	i := r.at(seq)
	return i < len(r) && r[i].From <= seq
}

// at returns the index of the first range that ends at seq or later.
func (r Ranges) at(seq uint64) int {
	if n := len(r); n == 0 || r[n-1].To < seq {
		return n
	}
	i, _ := slices.BinarySearchFunc(r, seq, func(x Range, seq uint64) int {
		if x.To < seq {
			return -1
		}
		return 1
	})
	return i
}

// Add puts the sequences from from to to into the set.
func (r *Ranges) Add(from, to uint64) {
	if from > to {
		return
	}
	s := *r
	i := s.at(max(from, 1) - 1) // a range that ends just below touches
	j := i
	for ; j < len(s) && s[j].From <= to+1; j++ {
		from, to = min(from, s[j].From), max(to, s[j].To)
	}
	if i+1 == j {
		s[i] = Range{from, to}
		return
	}
	*r = slices.Replace(s, i, j, Range{from, to})
}

// Unite puts all sequences of o into the set.
func (r *Ranges) Unite(o Ranges) {
	for _, x := range o {
		r.Add(x.From, x.To)
	}
}

// Upto returns the greatest sequence up to which the set has all from 1 on.
func (r Ranges) Upto() uint64 {
	if len(r) == 0 || r[0].From > 1 {
		return 0
	}
	return r[0].To
}

// Max returns the greatest sequence of the set, 0 if it is empty.
func (r Ranges) Max() uint64 {
	if len(r) == 0 {
		return 0
	}
	return r[len(r)-1].To
}

// Covers reports whether o is a part of the set.
func (r Ranges) Covers(o Ranges) bool {
	for _, x := range o {
		if i := r.at(x.From); i == len(r) || r[i].From > x.From || r[i].To < x.To {
			return false
		}
	}
	return true
}

// Minus returns what the set has and o has not.
func (r Ranges) Minus(o Ranges) Ranges {
	var out Ranges
	for _, x := range r {
		for i := o.at(x.From); i < len(o) && o[i].From <= x.To; i++ {
			if x.From < o[i].From {
				out = append(out, Range{x.From, o[i].From - 1})
			}
			if x.From = o[i].To + 1; x.From > x.To {
				break
			}
		}
		if x.From <= x.To {
			out = append(out, x)
		}
	}
	return out
}

// Missing returns the first range from 1 to most that neither the set nor o
// has, To < From if there is none.
func (r Ranges) Missing(o Ranges, most uint64) Range {
	seq := uint64(1)
	for {
		i, j := r.at(seq), o.at(seq)
		switch {
		case i < len(r) && r[i].From <= seq:
			seq = r[i].To + 1
		case j < len(o) && o[j].From <= seq:
			seq = o[j].To + 1
		default:
			to := most
			if i < len(r) {
				to = min(to, r[i].From-1)
			}
			if j < len(o) {
				to = min(to, o[j].From-1)
			}
			return Range{seq, to}
		}
		if seq > most {
			return Range{seq, seq - 1}
		}
	}
}

// Clone returns a copy.
func (r Ranges) Clone() Ranges { return slices.Clone(r) }
