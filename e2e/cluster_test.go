package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A confirmation is what POST /v1/invalidate answers.
type confirmation struct {
	Members                    int
	Confirmed, Fenced, Pending []string
}

// startCluster runs nodes that find each other by addresses of the first two.
func startCluster(t *testing.T, l *ledger, n int) []*node {
	t.Helper()
	ports := freePorts(t, 4*n)
	join := fmt.Sprintf(`["127.0.0.1:%s", "127.0.0.1:%s"]`, ports[0], ports[1])
	var all []*node
	for i := range n {
		all = append(all, launch(t, program, configure(t, fmt.Sprintf(`node: {name: edge-%d}
http: {listen: "127.0.0.1:%s", drain: 0s}
admin: {listen: "127.0.0.1:%s"}
gossip: {peer_listen: "127.0.0.1:%s", listen: "127.0.0.1:%s", join: %s}
`, i+1, ports[n+i], ports[2*n+i], ports[i], ports[3*n+i], join)+strings.SplitN(l.ledgers(), "admin: {listen: \"127.0.0.1:0\"}\n", 2)[1])))
	}
	for _, n := range all {
		n.serves()
	}
	for _, n := range all {
		n.isSynced()
	}
	return all
}

// warm looks names up until they are fresh.
func (n *node) warm(names []string) {
	n.t.Helper()
	for _, name := range names {
		n.awaits(name+" is fresh", "/v1/services/"+name, func(a *answer) bool { return a.status == http.StatusOK && !a.Stale })
	}
}

// isSynced waits until the node says so.
func (n *node) isSynced() {
	n.t.Helper()
	eventually(n.t, "the node is synced", func() error {
		a, err := try(http.MethodGet, n.admin+"/v1/status", "")
		if err != nil {
			return err
		}
		var s struct{ Synced bool }
		if err := json.Unmarshal(a.body, &s); err != nil || !s.Synced {
			return errors.New("unsynced")
		}
		return nil
	})
}

// invalidateAll invalidates a name and waits for all members.
func (n *node) invalidateAll(name string) (confirmation, *answer) {
	n.t.Helper()
	a, err := try(http.MethodPost, n.admin+"/v1/invalidate", text(object{"services": []object{{"name": name}}, "wait": "all", "timeout": "20s"}))
	if err != nil {
		n.t.Fatal(err)
	}
	var c confirmation
	if err := json.Unmarshal(a.body, &c); err != nil {
		n.t.Fatalf("%v: %v", a, err)
	}
	return c, a
}

// mustNotBeOlder fails if the node answers as fresh what the registry said
// before an invalidation that was acknowledged.
func (n *node) mustNotBeOlder(name string, newest int) {
	n.t.Helper()
	a, err := try(http.MethodGet, n.data+"/v1/services/"+name, "")
	if err != nil || a.status != http.StatusOK {
		return // not up, or not yet
	}
	if number, err := a.number(); err == nil && number <= newest && !a.Stale {
		n.t.Fatalf("%s is fresh with answer %d of the registry, though everything up to %d was invalidated on all: %v", name, number, newest, a)
	}
}

func TestAClusterAcknowledgesWhatHoldsOnEveryNode(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	all := startCluster(t, l, 3)
	names := names(2)
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 16 {
		for _, n := range all {
			n.warm(names)
		}
		name := names[random.IntN(len(names))]
		victim := all[random.IntN(len(all))]
		at := all[random.IntN(len(all))]
		for at == victim {
			at = all[random.IntN(len(all))]
		}
		undo := func() {}
		switch round % 4 {
		case 1:
			victim.kill()
			undo = func() {
				for i := range all {
					if all[i] == victim {
						all[i] = victim.again()
					}
				}
			}
		case 3:
			victim.signal(syscall.SIGSTOP)
			undo = func() { victim.signal(syscall.SIGCONT) }
		}
		newest := l.last()
		c, a := at.invalidateAll(name)
		if a.status != http.StatusOK || c.Members != 3 || len(c.Confirmed) < 2 || len(c.Confirmed)+len(c.Fenced) != 3 {
			t.Fatalf("round %d: %v", round, a)
		}
		undo()
		for range 20 {
			for _, n := range all {
				n.mustNotBeOlder(name, newest)
			}
		}
		for _, n := range all {
			n.isSynced()
		}
	}
}

func TestOfTwoNodesTheSurvivorServesAndSaysSo(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	all := startCluster(t, l, 2)
	survivor := all[0]
	name := names(1)[0]
	survivor.warm([]string{name})
	all[1].kill()
	survivor.awaits("it says that it is unsynced", "/v1/services/"+name, func(a *answer) bool {
		return a.status == http.StatusOK && a.Stale && a.detail("unsynced")
	})
	if a := survivor.get("/readyz"); a.status != http.StatusOK || !strings.Contains(string(a.body), "unsynced") || !strings.Contains(string(a.body), "edge-2") {
		t.Errorf("readyz: %v", a)
	}
	if code, _, errs := command(t, "forget", "edge-2", "--address", survivor.admin); code != 0 {
		t.Fatalf("forget: %d %s", code, errs)
	}
	survivor.isSynced()
	code, out, _ := command(t, "members", "--address", survivor.admin)
	if code != 0 || !strings.Contains(out, "edge-2") || !strings.Contains(out, "left") {
		t.Errorf("members: %d\n%s", code, out)
	}
	eventually(t, "it is fresh again", func() error {
		time.Sleep(20 * time.Millisecond)
		if a := survivor.get("/v1/services/" + name); a.Stale || a.detail("unsynced") {
			return fmt.Errorf("%v", a)
		}
		return nil
	})
}

func TestANodeThatIsToldToForgetItselfLeaves(t *testing.T) {
	t.Parallel()
	all := startCluster(t, newLedger(t), 3)
	leaver := all[2]
	if code, _, errs := command(t, "forget", "edge-3", "--address", leaver.admin); code != 0 {
		t.Fatalf("forget: %d %s", code, errs)
	}
	eventually(t, "the process ends", func() error {
		if !leaver.gone() {
			return errors.New("it runs")
		}
		return nil
	})
	if text := leaver.log.String(); !strings.Contains(text, "left the cluster") {
		t.Errorf("it ended otherwise:\n%s", text)
	}
	c, a := all[0].invalidateAll(names(1)[0])
	if c.Members != 2 || len(c.Confirmed) != 2 {
		t.Errorf("%v: %+v, want two members, both confirmed", a, c)
	}
}
