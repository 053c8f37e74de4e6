package store

import "time"

// tickEvery is how often the clock's reservation is renewed at the latest.
const tickEvery = 20 * time.Second

func (s *Store) tick() {
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-t.C:
		}
		s.mu.Lock()
		_, _ = s.enqueueLocked(&op{sync: true, add: func(*round) error { return nil }}, 0)
		s.mu.Unlock()
	}
}
