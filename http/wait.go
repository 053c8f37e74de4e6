package http

import (
	"errors"
	"strings"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// gather is how long changes are collected after the first one before those
// who wait are answered.
const gather = 20 * time.Millisecond

// enterWait takes one of the places for those who wait; the caller gives it
// back with leaveWait.
func (s *Server) enterWait() error {
	most := s.live.Load().limits.Waiters
	if n := s.counters.waiters.Add(1); most > 0 && n > int64(most) {
		s.counters.waiters.Add(-1)
		return rateLimited.because("%d blocking lookups and watches are waiting, no more can; retry without index", most)
	}
	return nil
}

func (s *Server) leaveWait() { s.counters.waiters.Add(-1) }

// block answers a lookup with index: at once unless that is the current index,
// else at the next change or when its time is over.
func (s *Server) block(c *call) error {
	err := s.resolve(s.base, &c.query, c, &c.result)
	if !c.unchanged(err) {
		return c.answer(err)
	}
	name := strings.Clone(c.query.Name) // the subscription keeps it
	err = s.await(c, registry.Subscribe{
		Registry: strings.Clone(c.query.Registry), Names: []string{name}, Kind: c.query.Kind,
	}, func() (bool, error) {
		err := s.resolve(s.base, &c.query, c, &c.result)
		return c.unchanged(err), err
	})
	return c.answer(err)
}

// unchanged reports whether the last answer still has the index that the
// client knows. A name that does not exist has an index too; a failure is
// answered at once.
func (c *call) unchanged(err error) bool {
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return false
	}
	return c.result.Index == c.index
}

// await calls look whenever what is subscribed to may have changed, until it
// reports a change, fails otherwise than by not finding, or time is over; the
// last error of look is returned. The wait ends early when the server drains.
func (s *Server) await(c *call, to registry.Subscribe, look func() (unchanged bool, err error)) error {
	if err := s.enterWait(); err != nil {
		return err
	}
	defer s.leaveWait()
	sub := s.deps.Answerer.Engine.Subscribe(to)
	defer sub.Close()
	over := time.NewTimer(c.wait)
	defer over.Stop()
	var names []string
	for {
		// Looked up after subscribing: a change in between is not missed.
		unchanged, err := look()
		if !unchanged {
			return err
		}
		select {
		case <-sub.Wake():
			if s.settle(gather) {
				names, _, _ = sub.Take(names[:0])
				continue
			}
		case <-over.C:
		case <-s.drained:
		}
		_, err = look() // once more: the age is that of now
		return err
	}
}

// settle waits for d; false: the server drains.
func (s *Server) settle(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.drained:
		return false
	}
}
