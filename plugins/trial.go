package plugins

import (
	"log/slog"

	"github.com/tetratelabs/wazero/api"

	"github.com/edgecache/edgecache/registry"
)

// A Trial runs a module one call after the other, outside of any node, and
// tells what each call did. It is for tests of plugins, and not for concurrent
// use.
type Trial struct {
	gen      *generation
	instance *filterInstance // nil: none, or the last call broke it
}

// An Outcome is what a call did.
type Outcome struct {
	Kept      []int          // places in the record, in order
	Denied    *registry.Deny // nil: no denial
	Final     bool
	Cacheable bool
	Fuel      int32  // used
	Memory    uint32 // bytes of the instance afterwards
}

// NewTrial compiles a module for one of wazero's engines, with what its
// manifest asks for. The caller closes the trial.
func NewTrial(m *Module, config map[string]any, interpreted bool, logger *slog.Logger) (*Trial, error) {
	o := FilterDefaults()
	o.Name, o.Config, o.Pool, o.MinKeep, o.interpreted = m.Manifest.Name, config, 1, 0, interpreted
	g, err := newGeneration(&o, m, logger, &stats{})
	if err != nil {
		return nil, err
	}
	return &Trial{gen: g}, nil
}

// Call asks the guest about a sealed record. A [*Failure] says how it failed;
// the next call gets a fresh instance.
func (t *Trial) Call(rec *registry.Record, attrs registry.Attrs) (Outcome, error) {
	out, sel := Outcome{}, registry.Selection{All: true}
	if t.instance == nil {
		var err error
		if t.instance, err = t.gen.acquire(); err != nil {
			return out, err
		}
	}
	i, e := t.instance, t.gen.frameOf(rec)
	if e.err != nil {
		return out, &Failure{"frame", e.err}
	}
	verdict, n, err := i.ask(e, rec, &sel, attrs)
	out.Fuel, out.Memory = t.gen.budget(n)-api.DecodeI32(i.fuel.Get()), i.mod.Memory().Size()
	var d decision
	if err == nil {
		if err = i.decide(&d, verdict, n, i.picks); err != nil {
			err = verdictFailure(err)
		}
	}
	if err != nil {
		t.gen.drop(i)
		t.instance = nil
		return out, err
	}
	out.Denied, out.Final, out.Cacheable = d.deny, d.final, byte(verdict>>8)&verdictCacheable != 0
	if d.deny == nil {
		_ = d.apply(rec, &sel, 0) // only a denial and the end of the chain are errors
		sel.Expand(rec)
		for _, p := range sel.Picks {
			out.Kept = append(out.Kept, int(p))
		}
	}
	return out, nil
}

// Close ends the guest.
func (t *Trial) Close() {
	if t.instance != nil {
		t.gen.drop(t.instance)
	}
	t.gen.close()
}
