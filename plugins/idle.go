package plugins

import "time"

// Guests that export ec_idle clean up between requests: Go collects its garbage
// there, for in a call nothing else of its runtime runs.
const (
	idleEvery = 10 * time.Second
	idleFuel  = 20_000_000 // Go's collector takes half of it, some 2 ms
)

// idle has one instance of each plugin clean up, from time to time.
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
		for _, a := range h.opened() {
			a.current.Load().tidy()
		}
	}
}

// idle has an instance clean up that worked since it last did. A request that
// finds none meanwhile, nor room for another one, is told that all are busy.
func (g *generation) idle() {
	for at := range g.pool.places {
		i := g.pool.takeFrom(at)
		switch {
		case i == nil:
		case i.clean == nil:
			g.release(i)
			return
		case i.calls == i.cleaned:
			g.release(i)
		case i.cleanUp() != nil:
			g.drop(i)
			return
		default:
			g.release(i)
			return
		}
	}
}

// cleanUp calls ec_idle. After an error, which is logged, the instance must not
// be used again.
func (i *instance) cleanUp() error {
	i.cleaned = i.calls
	i.fund(idleFuel)
	err := i.clean.CallWithStack(i.ctx, i.stack[:])
	if err != nil {
		i.prog.logger.Warn("plugins: ec_idle failed", "err", i.explain(err, idleFuel))
	}
	return err
}
