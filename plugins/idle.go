package plugins

import "time"

// Guests that export ec_idle clean up between requests: Go collects its garbage
// there, for in a call nothing else of its runtime runs.
const (
	idleEvery = 10 * time.Second
	idleFuel  = 20_000_000 // Go's collector takes half of it, some 2 ms
)

// idle has one instance of each filter clean up, from time to time.
func (h *Host) idle() {
	defer close(h.idled)
	tick := time.NewTicker(idleEvery)
	defer tick.Stop()
	for {
		select {
		case <-h.ended:
			return
		case <-tick.C:
		}
		for _, f := range *h.runs.Load() {
			if g := f.current.Load(); g != nil {
				g.idle()
			}
		}
	}
}

// idle has an instance clean up that worked since it last did, if another one is
// there for requests.
func (g *generation) idle() {
	if g.pool.live.Load() < 2 {
		return
	}
	i := g.pool.take()
	if i == nil {
		return
	}
	if i.idle == nil || i.calls == i.cleaned {
		g.release(i)
		return
	}
	i.cleaned = i.calls
	i.fuel.Set(idleFuel)
	if err := i.idle.CallWithStack(i.ctx, i.stack[:]); err != nil {
		g.logger.Warn("plugins: ec_idle failed", "err", i.explain(err, idleFuel))
		g.drop(i)
		return
	}
	g.release(i)
}
