package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fromDisk asks for a name that no registry can be asked for, and checks that
// the answer is what the node kept: stale, said to be from disk, and as old as
// it is, up to late more.
func (q question) fromDisk(n *node, late time.Duration) *answer {
	n.t.Helper()
	a, number, err := q.put(n)
	switch {
	case err != nil:
		n.t.Fatalf("%s: %v", q.name, err)
	case a.status != http.StatusOK || !a.Stale || !a.detail("disk"):
		n.t.Fatalf("%s: %v, want it from disk", q.name, a)
	default:
		if most := time.Since(q.l.at(number)) + late; a.AgeMS > most.Milliseconds() {
			n.t.Errorf("%s: age %d ms, and it was fetched less than %s ago", q.name, a.AgeMS, most)
		}
	}
	if n.t.Failed() {
		n.t.FailNow() // the others would say the same
	}
	return a
}

func TestWarmAfterTheProcessEnded(t *testing.T) {
	t.Parallel()
	for how, end := range map[string]func(n *node){
		"by SIGKILL": (*node).kill,
		"by SIGTERM": (*node).stop,
		"by SIGKILL while it stands still": func(n *node) {
			n.signal(syscall.SIGSTOP)
			n.kill()
		},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t)
			n := start(t, l.ledgers())
			all := names(50)
			n.fills(all)
			l.down()
			end(n)

			n = n.again()
			ready := n.awaits("ready without any registry", "/readyz", func(a *answer) bool { return a.status == 200 })
			for _, name := range all {
				question{l, name, -1, -1}.fromDisk(n, 2*time.Second)
			}
			for _, name := range all { // from memory now
				question{l, name, l.last(), -1}.fromDisk(n, 2*time.Second)
			}
			if a := n.get("/v1/services/l-never"); a.status != 502 && a.status != 504 {
				t.Errorf("a name that nobody asked for before: %v", a)
			}
			if ready.Ready != true || n.gone() {
				t.Errorf("readyz: %v", ready)
			}

			before := l.last()
			l.up()
			for _, name := range all {
				a := n.awaits("fresh again", "/v1/services/"+name, func(a *answer) bool { return a.status == 200 && !a.Stale })
				if number, err := a.number(); err != nil || number <= before || a.detail("disk") {
					t.Errorf("%s: fresh without having been asked for: %v", name, a)
				}
			}
		})
	}
}

func TestWarmBeforeARegistryThatHangs(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.set("web", "web-1")
	n := start(t, loopback+`registries: [{name: catalog, type: httpjson, address: "`+u.URL+`", path: "/s/{name}", timeout: 10s}]
`)
	n.awaits("web is served", "/v1/services/web", func(a *answer) bool { return a.ids() == "web-1" })
	n.awaitWritten(1)
	n.kill()
	u.setFault(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(deadline):
		}
	})
	n = n.again()
	asked := time.Now()
	a := n.get("/v1/services/web")
	if a.status != 200 || !a.Stale || !a.detail("disk") || a.ids() != "web-1" {
		t.Errorf("while the registry is being asked: %v", a)
	}
	if took := time.Since(asked); took > 5*time.Second {
		t.Errorf("the answer from disk waited %s for the registry", took)
	}
	u.setFault(nil)
	n.awaits("fresh again", "/v1/services/web", func(a *answer) bool { return a.ids() == "web-1" && !a.Stale })
}

func TestWarmBeforeARealConsul(t *testing.T) {
	t.Parallel()
	const services = 20
	c := startConsul(t)
	for i := range services {
		c.register(fmt.Sprintf("web-%d", i), fmt.Sprintf("id-%d", i), 80+i)
	}
	n := start(t, loopback+quick+`registries: [{name: consul, type: consul, address: ["`+c.url()+`"], timeout: 1s, retries: 0}]
`)
	began := time.Now()
	for i := range services {
		n.awaits("it is served", fmt.Sprintf("/v1/services/web-%d", i), func(a *answer) bool { return a.ids() == fmt.Sprintf("id-%d", i) && !a.Stale })
	}
	n.awaitWritten(services)
	n.kill()
	c.kill()
	gone := time.Now()
	n = n.again()
	for i := range services {
		a := n.get(fmt.Sprintf("/v1/services/web-%d", i))
		if a.status != 200 || !a.Stale || !a.detail("disk") || a.ids() != fmt.Sprintf("id-%d", i) {
			t.Fatalf("web-%d without Consul: %v", i, a)
		}
	}
	a := n.get("/v1/services/web-0")
	if least, most := time.Since(gone).Milliseconds()-100, time.Since(began).Milliseconds()+2000; a.AgeMS < least || a.AgeMS > most {
		t.Errorf("age %d ms, want %d to %d", a.AgeMS, least, most)
	}
	c.start()
	for i := range services {
		c.register(fmt.Sprintf("web-%d", i), fmt.Sprintf("new-%d", i), 80+i)
	}
	for i := range services {
		n.awaits("fresh again", fmt.Sprintf("/v1/services/web-%d", i), func(a *answer) bool {
			return a.ids() == fmt.Sprintf("new-%d", i) && !a.Stale && !a.detail("disk")
		})
	}
}

func TestAPauseAfterARestartCountsAsAge(t *testing.T) {
	t.Parallel()
	const pause = 3 * time.Second
	l := newLedger(t)
	n := start(t, l.ledgers())
	n.fills([]string{"l0-0", "l0-1"})
	l.down()
	n.kill()
	n = n.again()
	before := question{l, "l0-0", -1, -1}.fromDisk(n, 2*time.Second)
	n.signal(syscall.SIGSTOP)
	<-time.After(pause)
	n.signal(syscall.SIGCONT)
	after := question{l, "l0-0", -1, -1}.fromDisk(n, 2*time.Second)
	if after.AgeMS < before.AgeMS+pause.Milliseconds() {
		t.Errorf("age %d ms before and %d ms after a pause of %s", before.AgeMS, after.AgeMS, pause)
	}
	question{l, "l0-1", -1, -1}.fromDisk(n, 2*time.Second) // read for the first time
}

func TestOneDataDirectoryIsForOneProcess(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	n := start(t, l.ledgers())
	n.fills(names(2))
	for _, state := range []string{"running", "standing still"} {
		if state == "standing still" {
			n.signal(syscall.SIGSTOP)
		}
		second := launch(t, n.binary, n.config)
		second.end()
		if said := second.log.String(); second.code != 1 || !strings.Contains(said, "data") || strings.Count(strings.TrimSpace(said), "\n") > 2 {
			t.Errorf("beside a %s process a second one ended with %d and said\n%s", state, second.code, said)
		}
	}
	n.signal(syscall.SIGCONT)
	if a := n.get("/v1/services/l0-0"); a.status != 200 || a.Stale {
		t.Errorf("the first process: %v", a)
	}
	n.invalidates(object{"services": []object{{"name": "l0-0"}}})
	n.awaitStored("the first process has its store", func(d *diskState) bool { return d.State == "ok" && d.Error == "" })
	n.kill()
	n.again()
}
