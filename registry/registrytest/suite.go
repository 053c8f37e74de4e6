// Package registrytest holds the conformance suite that every adapter must
// pass, and a registry in memory for the tests of whoever uses a Source.
//
// The suite drives the real upstream of an adapter through a [Harness] and
// looks at what the adapter makes of it. It knows the contract of package
// registry only: it never looks inside an adapter.
package registrytest

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edgecache/edgecache/registry"
)

// A Harness tells the suite how to drive one kind of upstream.
type Harness struct {
	// Open starts a fresh, empty upstream and a source for it. It is called
	// once per subtest.
	Open func(t testing.TB) Upstream
	// Deadline is how long anything may take to become visible; 0: 10 s.
	Deadline time.Duration
	// Alive is the longest time between two signs of life of a watch, as the
	// source is configured by Open; 0 leaves the subtest out.
	Alive time.Duration
	// OwnIDs says that the upstream does not keep the ids it is given.
	OwnIDs bool
}

// An Upstream is a running upstream and a source that asks it. A nil function
// means that this upstream cannot do it: what needs it is skipped.
type Upstream struct {
	Source registry.Source

	// Put makes the instances all that the upstream has of the service. It
	// returns once the upstream has it; during a Break, by Repair at the latest.
	// The suite gives each instance an id, one address, a port and health passing.
	Put func(name string, instances ...registry.Instance)
	// PutEmpty makes the service exist without instances.
	PutEmpty func(name string)
	// Remove deletes the service. The same holds as for Put.
	Remove func(name string)

	Break    func() // an outage: connections are refused or cut, the file is missing
	Garble   func() // answers are garbage under a status of success
	Truncate func() // answers end half-way
	Hang     func() // requests are taken and never answered
	Repair   func() // ends all four

	// Reset makes the upstream's index start again, or forgets its history, and
	// removes the services named: a watch could only learn that from a new list.
	Reset func(remove ...string)
	// Rewind makes the upstream answer, until the next Put, the state before
	// the last one, as a replica that lags or a restored backup does.
	Rewind func()

	// Close ends the source, the upstream and all goroutines of both.
	Close func()
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	for _, s := range suite {
		t.Run(s.name, func(t *testing.T) { s.run(t, h) })
	}
}

// A spec is one subtest. Missing returns why the upstream or source cannot
// take it; "" if it can.
type spec struct {
	name    string
	missing func(c *checker) string
	check   func(c *checker)
}

var suite = []spec{
	{"capabilities agree with interfaces", nil, checkCapabilities},
	{"lookup finds what was put", nil, checkFound},
	{"lookup finds every change", nil, checkChange},
	{"unchanged record is confirmed", nil, checkUnchanged},
	{"revision rises with changes", needsOrdered, checkOrdered},
	{"absent name is not found", nil, checkAbsent},
	{"service without instances is not absent", needsEmpty, checkEmpty},
	{"outage is not absence", needsBreak, checkOutage},
	{"garbage is an upstream error", needsGarble, checkGarbage},
	{"half an answer is an upstream error", needsTruncate, checkHalf},
	{"lookup ends with its context", needsHang, checkSlow},
	{"lookups run in parallel", nil, checkParallel},
	{"records share no memory", nil, checkOwned},
	{"older answer does not look newer", needsRewind, checkRewindLookup},
	{"list is complete", needsList, checkList},
	{"list fails in an outage", all(needsList, needsBreak), checkListOutage},
	{"list fails on garbage", all(needsList, needsGarble), checkListGarbage},
	{"list ends with its context", all(needsList, needsHang), checkListSlow},
	{"list watch follows the list", needsWatchList, checkWatchList},
	{"list watch survives an outage", all(needsWatchList, needsBreak), checkWatchListOutage},
	{"watch begins with the current state", needsWatch, checkWatchStart},
	{"watch sees changes and deletes", needsWatch, checkWatchChanges},
	{"watch of all names sees new ones", needsWatchAll, checkWatchAll},
	{"watch has no gap at its start", needsWatch, checkWatchStartRace},
	{"watch has no gap in an outage", all(needsWatch, needsBreak), checkWatchOutage},
	{"watch has no gap while connections come and go", all(needsWatch, needsBreak), checkWatchFlapping},
	{"watch keeps its state on garbage", all(needsWatch, needsGarble), checkWatchGarbage},
	{"watch lists again after a reset", all(needsWatch, needsReset), checkWatchReset},
	{"watch shows nothing older after newer", all(needsWatch, needsRewind), checkWatchRewind},
	{"watch records share no memory", needsWatch, checkWatchOwned},
	{"watch gives signs of life", all(needsWatch, needsAlive), checkWatchAlive},
	{"watch ends with its context", needsWatch, checkWatchCancel},
}

// A checker is the state of one subtest.
type checker struct {
	testing.TB
	h        Harness
	u        Upstream
	deadline time.Duration
}

func (s spec) run(t testing.TB, h Harness) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	c := &checker{TB: t, h: h, u: h.Open(t), deadline: h.Deadline}
	if c.deadline == 0 {
		c.deadline = 10 * time.Second
	}
	defer func() {
		c.u.Close()
		if err := goleak.Find(before); err != nil {
			t.Errorf("goroutines are left after Close: %v", err)
		}
	}()
	if s.missing != nil {
		if why := s.missing(c); why != "" {
			t.Skipf("left out: %s", why)
		}
	}
	s.check(c)
}

func all(needs ...func(*checker) string) func(*checker) string {
	return func(c *checker) string {
		for _, need := range needs {
			if why := need(c); why != "" {
				return why
			}
		}
		return ""
	}
}

func need(ok bool, why string) string {
	if ok {
		return ""
	}
	return why
}

func needsOrdered(c *checker) string {
	return need(c.u.Source.Can().Ordered, "the source's revisions are not ordered")
}

func needsList(c *checker) string {
	return need(c.u.Source.Can().List, "the source cannot list")
}

func needsWatch(c *checker) string {
	return need(c.u.Source.Can().Watch, "the source cannot watch")
}

func needsWatchAll(c *checker) string {
	return need(c.u.Source.Can().WatchAll, "the source cannot watch all names at once")
}

func needsWatchList(c *checker) string {
	return need(c.u.Source.Can().WatchList, "the source cannot watch the list of names")
}

func needsEmpty(c *checker) string {
	return need(c.u.PutEmpty != nil, "the upstream has no services without instances")
}

func needsBreak(c *checker) string {
	return need(c.u.Break != nil && c.u.Repair != nil, "the upstream cannot be broken")
}

func needsGarble(c *checker) string {
	return need(c.u.Garble != nil && c.u.Repair != nil, "the upstream cannot answer garbage")
}

func needsTruncate(c *checker) string {
	return need(c.u.Truncate != nil && c.u.Repair != nil, "the upstream cannot answer half")
}

func needsHang(c *checker) string {
	return need(c.u.Hang != nil && c.u.Repair != nil, "the upstream cannot hang")
}

func needsReset(c *checker) string {
	return need(c.u.Reset != nil, "the upstream has no index that could go back")
}

func needsRewind(c *checker) string {
	return need(c.u.Rewind != nil, "the upstream cannot answer an older state")
}

func needsAlive(c *checker) string {
	return need(c.h.Alive > 0, "the harness does not say how often a watch shows signs of life")
}
