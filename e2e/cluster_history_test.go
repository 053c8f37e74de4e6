package e2e_test

import (
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// An act is what a client did to one service.
type act struct {
	service string
	node    int
	version int  // that the registry had before it was invalidated; 0: a lookup
	sure    bool // acknowledged with all
}

// leastVersion is the guarantee as a model: of each service, the least version
// that a synced node may answer with. What was acknowledged raises it. So an
// answer may be newer than the model, since the registry is, but never older;
// and what overlaps an acknowledgement may be on either side of it.
//
// An invalidation that was not acknowledged ends nobody knows when, and promises
// nothing: wherever it is put it changes no state, so it is left out. With
// them, the places to try would double with each.
var leastVersion = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := map[string][]porcupine.Operation{}
		for _, op := range history {
			if a := op.Input.(act); a.version == 0 || a.sure {
				parts[a.service] = append(parts[a.service], op)
			}
		}
		return slices.Collect(maps.Values(parts))
	},
	Init: func() any { return 0 },
	Step: func(state, input, output any) (bool, any) {
		least, a := state.(int), input.(act)
		if a.version > 0 {
			return true, max(least, a.version)
		}
		return output.(int) >= least, least
	},
	DescribeOperation: func(input, output any) string {
		a := input.(act)
		if a.version > 0 {
			return fmt.Sprintf("edge-%d: %s invalidated, %d or newer from now on", a.node+1, a.service, a.version)
		}
		return fmt.Sprintf("edge-%d: %s is %d", a.node+1, a.service, output)
	},
	DescribeState: func(state any) string { return fmt.Sprintf("at least %d", state) },
}

// A record is the history that clients made together.
type record struct {
	origin time.Time

	mu  sync.Mutex // protects ops
	ops []porcupine.Operation
}

func newRecord() *record { return &record{origin: time.Now()} }

// now is a moment on a clock that never jumps.
func (r *record) now() int64 { return int64(time.Since(r.origin)) }

// read notes a fresh answer of a synced node.
func (r *record) read(client, node int, service string, began int64, version int) {
	r.add(porcupine.Operation{ClientId: client, Input: act{service: service, node: node}, Call: began, Output: version, Return: r.now()})
}

// invalidated notes an invalidation. One that was not acknowledged has no end:
// it may be applied whenever somebody meets it.
func (r *record) invalidated(client, node int, service string, began int64, version int, sure bool) {
	op := porcupine.Operation{ClientId: client, Input: act{service, node, version, sure}, Call: began, Return: math.MaxInt64}
	if sure {
		op.Return = r.now()
	}
	r.add(op)
}

func (r *record) add(op porcupine.Operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, op)
}

// all returns the history so far.
func (r *record) all() []porcupine.Operation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ops)
}

const checkLimit = 2 * time.Minute

// mustHold checks the history, and checks that it would not pass with one
// answer in it that is too old.
func (r *record) mustHold(t *testing.T) {
	t.Helper()
	history := r.all()
	old := tooOld(history)
	if result := porcupine.CheckOperationsTimeout(leastVersion, history, checkLimit); result != porcupine.Ok || len(old) > 0 {
		t.Errorf("the history of %d operations is %s; on a synced node, older than an acknowledged invalidation:\n%s",
			len(history), result, strings.Join(old, "\n"))
		visualize(t, history)
		return
	}
	if spoilt := falsify(history); len(spoilt) == 0 {
		t.Error("no lookup began after an acknowledgement: the history shows nothing")
	} else if porcupine.CheckOperationsTimeout(leastVersion, spoilt, checkLimit) != porcupine.Illegal {
		t.Error("one answer was made too old, and the check did not see it")
	}
}

// visualize leaves a page on which the history can be looked at.
func visualize(t *testing.T, history []porcupine.Operation) {
	t.Helper()
	_, info := porcupine.CheckOperationsVerbose(leastVersion, history, checkLimit)
	file, err := os.CreateTemp("", "edgecache-history-*.html")
	if err != nil {
		t.Log(err)
		return
	}
	defer file.Close()
	if err := porcupine.Visualize(leastVersion, info, file); err != nil {
		t.Log(err)
		return
	}
	t.Logf("all of it: %s", file.Name())
}

// Acknowledged are the invalidations that were, by service.
type acknowledged map[string][]porcupine.Operation

func acknowledgedIn(history []porcupine.Operation) acknowledged {
	all := acknowledged{}
	for _, op := range history {
		if a := op.Input.(act); a.sure {
			all[a.service] = append(all[a.service], op)
		}
	}
	return all
}

// before returns the newest version acknowledged before a lookup began.
func (all acknowledged) before(lookup porcupine.Operation) (least int) {
	for _, op := range all[lookup.Input.(act).service] {
		if op.Return < lookup.Call {
			least = max(least, op.Input.(act).version)
		}
	}
	return least
}

// falsify returns the history of one service, with the last answer that it can
// change older than was acknowledged; nothing if there is none.
func falsify(history []porcupine.Operation) (spoilt []porcupine.Operation) {
	all := acknowledgedIn(history)
	for i := len(history) - 1; i >= 0; i-- {
		a := history[i].Input.(act)
		least := all.before(history[i])
		if a.version > 0 || least == 0 {
			continue
		}
		for n, op := range history {
			if n == i {
				op.Output = least - 1
			}
			if op.Input.(act).service == a.service {
				spoilt = append(spoilt, op)
			}
		}
		return spoilt
	}
	return nil
}

// tooOld tells the first few answers that break the guarantee, for people.
func tooOld(history []porcupine.Operation) (list []string) {
	all := acknowledgedIn(history)
	for _, op := range history {
		if op.Input.(act).version > 0 || len(list) == 5 {
			continue
		}
		if least := all.before(op); op.Output.(int) < least {
			list = append(list, fmt.Sprintf("%s to %s: %s, acknowledged before: %d", time.Duration(op.Call), time.Duration(op.Return),
				leastVersion.DescribeOperation(op.Input, op.Output), least))
		}
	}
	return list
}

func TestTheCheckOfHistories(t *testing.T) {
	t.Parallel()
	read := func(began, ended int64, version int) porcupine.Operation {
		return porcupine.Operation{Input: act{service: "a"}, Call: began, Return: ended, Output: version}
	}
	invalidated := func(began, ended int64, version int) porcupine.Operation {
		return porcupine.Operation{Input: act{"a", 0, version, true}, Call: began, Return: ended}
	}
	perhaps := func(began int64, version int) porcupine.Operation {
		return porcupine.Operation{Input: act{"a", 0, version, false}, Call: began, Return: math.MaxInt64}
	}
	other := func(op porcupine.Operation) porcupine.Operation {
		a := op.Input.(act)
		a.service = "b"
		op.Input = a
		return op
	}
	for name, tc := range map[string]struct {
		want    porcupine.CheckResult
		history []porcupine.Operation
	}{
		"as acknowledged":                    {porcupine.Ok, []porcupine.Operation{invalidated(0, 10, 1), read(11, 12, 1)}},
		"newer than acknowledged":            {porcupine.Ok, []porcupine.Operation{invalidated(0, 10, 1), read(11, 12, 7)}},
		"older than acknowledged":            {porcupine.Illegal, []porcupine.Operation{invalidated(0, 10, 2), read(11, 12, 1)}},
		"older, begun before it":             {porcupine.Ok, []porcupine.Operation{invalidated(0, 10, 2), read(9, 30, 1)}},
		"older, while it is not yet":         {porcupine.Ok, []porcupine.Operation{invalidated(0, 10, 2), read(1, 2, 2), read(3, 4, 1)}},
		"older than one of two at once":      {porcupine.Illegal, []porcupine.Operation{invalidated(0, 10, 3), invalidated(1, 20, 2), read(11, 12, 2)}},
		"an older one acknowledged later":    {porcupine.Illegal, []porcupine.Operation{invalidated(0, 10, 3), invalidated(11, 20, 2), read(21, 22, 2)}},
		"older than one of unknown end":      {porcupine.Ok, []porcupine.Operation{perhaps(0, 2), read(11, 12, 1), read(13, 14, 2), read(15, 16, 1)}},
		"old again after a newer one":        {porcupine.Illegal, []porcupine.Operation{invalidated(0, 1, 2), read(2, 3, 2), read(4, 5, 1)}},
		"older than another service's":       {porcupine.Ok, []porcupine.Operation{other(invalidated(0, 10, 2)), read(11, 12, 1)}},
		"older, among others that are right": {porcupine.Illegal, []porcupine.Operation{invalidated(0, 10, 2), read(11, 12, 2), other(read(13, 14, 0)), perhaps(14, 3), read(15, 16, 0)}},
	} {
		if got := porcupine.CheckOperationsTimeout(leastVersion, tc.history, checkLimit); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
		if old := tooOld(tc.history); (len(old) > 0) != (tc.want == porcupine.Illegal) {
			t.Errorf("%s: too old are %q, and the check says %s", name, old, tc.want)
		}
		if spoilt := falsify(tc.history); len(spoilt) > 0 && porcupine.CheckOperations(leastVersion, spoilt) {
			t.Errorf("%s: still well with an answer that is too old", name)
		}
	}
}
