package store

import "time"

const (
	// tickEvery is how often the clock's reservation is renewed at the latest.
	tickEvery = 20 * time.Second

	// syncEvery is how long what was written without a sync may be lost with
	// the process: Pebble gives the WAL to the system in blocks of 32 KiB, and
	// the rest of one only with a sync.
	syncEvery = 500 * time.Millisecond
)

// tick syncs what nobody waits for.
func (s *Store) tick() {
	t := time.NewTicker(syncEvery)
	defer t.Stop()
	for last := s.elapsed(); ; {
		select {
		case <-s.ctx.Done():
			return
		case <-t.C:
		}
		d, err := s.live()
		now := s.elapsed()
		if err != nil || now-last < tickEvery && !d.unsynced.Load() {
			continue
		}
		last = now
		s.mu.Lock()
		_, _ = s.enqueueLocked(&op{sync: true, add: func(*round) error { return nil }}, 0)
		s.mu.Unlock()
	}
}
