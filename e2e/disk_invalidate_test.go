package e2e_test

import (
	"net/http"
	"testing"
	"time"
)

// An invalidating is one invalidation, as a client sends it, and what it
// covers.
type invalidating struct {
	body   object
	covers func(name string) bool
}

// every returns one invalidation by each kind of selector; none covers more
// than those before but the last.
func every() []struct {
	by string
	invalidating
} {
	within := func(begins string) func(string) bool {
		return func(name string) bool { return name[:len(begins)] == begins }
	}
	return []struct {
		by string
		invalidating
	}{
		{"service", invalidating{object{"services": []object{{"name": "l1-2"}}}, within("l1-2")}},
		{"service of a registry", invalidating{object{"services": []object{{"name": "r1-2", "registry": "right"}}}, within("r1-2")}},
		{"tag", invalidating{object{"tags": []string{"odd"}}, func(name string) bool { return tagOf(name) == "odd" }}},
		{"tag of a registry", invalidating{object{"tags": []string{"even"}, "registry": "left"},
			func(name string) bool { return name[0] == 'l' && tagOf(name) == "even" }}},
		{"prefix", invalidating{object{"prefixes": []string{"r0-"}}, within("r0-")}},
		{"registry", invalidating{object{"registry": "right"}, within("r")}},
		{"all", invalidating{object{"all": true}, within("")}},
	}
}

// An invalidation that was acknowledged holds, though the process is killed
// the moment its answer arrives.
func TestAnAcknowledgedInvalidationOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"soft", "verify", "hard"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t)
			n := start(t, l.ledgers())
			all := names(4)
			for _, inv := range every() {
				n.fills(all)
				inv.body["mode"] = mode
				newest := l.last()
				a, err := try(http.MethodPost, n.admin+"/v1/invalidate", text(inv.body))
				_ = n.cmd.Process.Kill()
				if err != nil || a.status != http.StatusOK {
					t.Fatalf("by %s: %v, %v", inv.by, a, err)
				}
				<-n.exited
				l.down()

				n = n.again()
				for range 2 { // from disk, and from memory
					for _, name := range all {
						switch covered := inv.covers(name); {
						case covered && mode == "hard":
							if a := n.get("/v1/services/" + name); a.status != http.StatusBadGateway {
								t.Errorf("by %s: %s: %v, want 502", inv.by, name, a)
							}
						case covered:
							a := question{l, name, newest, -1}.fromDisk(n, 2*time.Second)
							if !a.detail("invalidated") {
								t.Errorf("by %s: %s: %v, want it said to be invalidated", inv.by, name, a)
							}
						default:
							a := question{l, name, -1, -1}.fromDisk(n, 2*time.Second)
							if a.detail("invalidated") {
								t.Errorf("by %s: %s: %v, and it is not covered", inv.by, name, a)
							}
						}
					}
				}
				l.up()
				for _, name := range all {
					n.awaits("fresh again", "/v1/services/"+name, func(a *answer) bool {
						question{l, name, newest, -1}.put(n)
						return a.status == http.StatusOK && !a.Stale
					})
				}
				if t.Failed() {
					t.Fatalf("after an invalidation by %s", inv.by)
				}
			}
		})
	}
}
