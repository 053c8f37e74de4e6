package store

func (s *Store) startSweep() {}
