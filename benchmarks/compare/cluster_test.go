package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// testCluster opens members that end with the test.
func testCluster(t *testing.T, count, records int) cluster {
	t.Helper()
	c, err := openCluster(t.Context(), t.TempDir(), count, records)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.end(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestMembersOfOneProcessConfirm(t *testing.T) {
	c := testCluster(t, 3, 0)
	for i := range 5 {
		if err := c.tell(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	rate, err := c.confirmFor(t.Context(), 4, 100*time.Millisecond)
	if err != nil || rate < 1 {
		t.Errorf("%g confirmed a second, %v", rate, err)
	}
	if err := c.becomeSame(t.Context()); err != nil {
		t.Error(err)
	}
	// One that is fenced has not said that it logged it.
	c[2].node.Isolate(true)
	if err := c[0].tell(t.Context(), 0, len(c)); !errors.Is(err, errMissed) {
		t.Errorf("one was isolated: %v, want %v", err, errMissed)
	}
}

func TestHealingIsMeasuredUntilAllHaveTheSame(t *testing.T) {
	c := testCluster(t, 3, 0)
	const count = 50
	took, err := c.heal(t.Context(), count)
	if err != nil || took <= 0 {
		t.Fatalf("took %s, %v", took, err)
	}
	if err := c.same(); err != nil {
		t.Error(err)
	}
	issued := uint64(0)
	for _, m := range c {
		id := epoch{m.store.Node(), m.store.Epoch()}
		for _, at := range c {
			list, err := at.journal()
			if err != nil {
				t.Fatal(err)
			}
			if at == m {
				issued += list[id].last
			}
		}
	}
	if issued < count {
		t.Errorf("%d records were issued, at least %d expected", issued, count)
	}
}

func TestWhatIsMissedIsPulledOrStoodFor(t *testing.T) {
	c := testCluster(t, 3, 200)
	r, err := c.miss(t.Context(), 60)
	if err != nil || r.All || r.Pulled != 60 || r.Synced > r.Took {
		t.Errorf("%+v, %v; want 60 pulled", r, err)
	}
	r, err = c.miss(t.Context(), 2_000)
	if err != nil || !r.All || r.Pulled >= 2_000 {
		t.Errorf("%+v, %v; want all invalidated instead of what is gone", r, err)
	}
}

func TestStockNodesForwardWhatTheyHear(t *testing.T) {
	s, err := openStock(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.end(); err != nil {
			t.Error(err)
		}
	}()
	told := 0
	for i := range 3 {
		switch err := s.tell(t.Context(), i); {
		case err == nil:
			told++
		case !errors.Is(err, errMissed):
			t.Fatal(err)
		}
	}
	if told == 0 {
		t.Error("no message reached all")
	}
	m := &spreading{heard: map[*stockNode]bool{}, all: make(chan struct{})}
	s.mu.Lock() // memberlist still forwards what was told before
	s.spread[99] = m
	s.mu.Unlock()
	var first []bool
	for _, n := range slices.Concat(s.nodes, s.nodes[:1]) {
		first = append(first, s.first(n, 99))
	}
	if !slices.Equal(first, []bool{true, true, true, true, false}) || s.first(s.nodes[0], 100) {
		t.Errorf("heard for the first time: %v", first)
	}
	<-m.all
}

func TestOneCallDoesNotWaitForAnother(t *testing.T) {
	const count = 4
	all := make(chan struct{})
	r, err := tell(t.Context(), count, func(ctx context.Context, i int) error {
		switch i {
		case 0: // until the last one is called
			select {
			case <-all:
			case <-time.After(20 * time.Second):
				return errors.New("nobody else was called")
			}
		case reachWarm + count - 1:
			close(all)
			return errMissed
		}
		return nil
	})
	if err != nil || len(r.Took) != count-1 || r.Missed != 1 {
		t.Errorf("%+v, %v; want %d that were told and one that was not", r, err, count-1)
	}
	if _, err := tell(t.Context(), 1, func(context.Context, int) error { return errors.New("disk") }); err == nil {
		t.Error("an error is a sample")
	}
}

func TestAllNodesAreAskedFor(t *testing.T) {
	members, answer, status := "", "", fasthttp.StatusOK
	var asked string
	n := &node{admin: serveHandler(t, func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Path()) == "/v1/members" {
			ctx.SetBodyString(members)
			return
		}
		asked = string(ctx.PostBody())
		ctx.SetStatusCode(status)
		ctx.SetBodyString(answer)
	})}
	defer local.CloseIdleConnections()
	for text, want := range map[string]string{
		`{"members":[{"name":"a","state":"alive","synced":true},{"name":"b","state":"alive","synced":true}]}`:  "",
		`{"members":[{"name":"a","state":"alive","synced":true},{"name":"b","state":"alive","synced":false}]}`: "synced false",
		`{"members":[{"name":"a","state":"alive","synced":true},{"name":"b","state":"failed","synced":true}]}`: "failed",
		`{"members":[{"name":"a","state":"alive","synced":true}]}`:                                             "1 members",
	} {
		members = text
		if err := n.sees(2); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, %q expected", text, err, want)
		}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	invalidate := func() error { return invalidateOnAll(t.Context(), client, n, "web", 2) }
	answer = `{"confirmed":["a","b"]}`
	if err := invalidate(); err != nil || !strings.Contains(asked, `"wait":"all"`) || !strings.Contains(asked, `"web"`) {
		t.Errorf("asked %s: %v", asked, err)
	}
	status = fasthttp.StatusAccepted
	if err := invalidate(); err == nil {
		t.Error("202 counts as confirmed")
	}
	status, answer = fasthttp.StatusOK, `{"confirmed":["a"],"fenced":["b"]}`
	if err := invalidate(); err == nil {
		t.Error("a fenced node counts as one that confirmed")
	}
}
