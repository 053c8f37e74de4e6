package store

// begin takes a fresh directory of that number, with the contents c, into use.
func (s *Store) begin(number uint32, c contents) error {
	d := newDirectory(number, directoryPath(s.opts.Dir, number))
	db, err := s.openPebble(d)
	if err != nil {
		return err
	}
	d.db = db
	d.committed.init(s.opts, contents{})
	r := newRound(s, d)
	if c.journal != nil {
		err = c.journal(func(key, value []byte) error {
			id, seq, err := parseJournalKey(key)
			if err != nil {
				return err
			}
			position, raw, err := parseRecord(value)
			if err != nil {
				return err
			}
			if err := r.d.journal.add(r, id, seq, position, raw); err != nil {
				return err
			}
			if r.batch.Len() > maxRoundBytes {
				return r.write()
			}
			return nil
		})
	}
	if err == nil {
		r.setNumber(numberFormat, formatVersion)
		r.setNumber(numberNode, s.node)
		r.mergeNumber(numberPosition, s.position)
		r.sync = true
		err = r.write()
	}
	if err != nil {
		s.abandon(d, err)
		return err
	}
	s.use(d, true)
	return nil
}

func (s *Store) startReopen() {}
