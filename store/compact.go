package store

// compact makes the space of what was deleted free, table by table, until
// there is enough.
func (s *Store) compact(d *directory) (err error) {
	defer s.guard(d, &err)
	levels, err := d.db.SSTables()
	if err != nil {
		return err
	}
	ranges := [][2][]byte{}
	for i := len(levels) - 1; i > 0 && len(ranges) == 0; i-- {
		for _, t := range levels[i] {
			ranges = append(ranges, [2][]byte{t.Smallest.UserKey, append(t.Largest.UserKey[:len(t.Largest.UserKey):len(t.Largest.UserKey)], 0)})
		}
	}
	if len(ranges) < 2 {
		ranges = [][2][]byte{{{familyEntry}, {familyExpiry + 1}}}
	}
	for _, r := range ranges {
		began := s.elapsed()
		if err := d.db.Compact(s.ctx, r[0], r[1], false); err != nil {
			return err
		}
		s.awaitDeletions(d)
		if s.room.check(d.number); s.room.excess() == 0 {
			return nil
		}
		if s.room.full() == "" {
			s.rest(evictRest * (s.elapsed() - began))
		}
	}
	return nil
}

// awaitDeletions waits until the tables that a compaction replaced are gone, a
// moment at most: Pebble deletes them later, and what still counted then would
// have as much evicted again.
func (s *Store) awaitDeletions(d *directory) {
	for began := s.elapsed(); s.elapsed()-began < maxRest; {
		if m := d.db.Metrics(); m.Table.ObsoleteSize+m.Table.ZombieSize == 0 || !s.rest(roomSoon/10) {
			return
		}
	}
}
