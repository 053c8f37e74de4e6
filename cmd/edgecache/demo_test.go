package main

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

func TestTheDemoShowsWhatItClaims(t *testing.T) {
	defer leaks(t)()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	code := run(ctx, []string{"demo", "--exit", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, &out, &errs)
	if code != 0 {
		t.Fatalf("demo --exit = %d: %s\n%s", code, errs.String(), out.String())
	}
	for _, want := range []string{"fwd=miss", "; hit; ", "+checkout-", "confirmed by 1 of 1 member", "stale-if-error", "curl -si http://127.0.0.1:", "edgecache get checkout", "Age: "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the tour does not show %q:\n%s", want, out.String())
		}
	}
}

func TestTheDemoStaysUpUntilInterrupted(t *testing.T) {
	defer leaks(t)()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out := &cancelAt{text: "stay up", cancel: cancel}
	if code := run(ctx, []string{"demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, out, &bytes.Buffer{}); code != 0 {
		t.Errorf("interrupted demo = %d", code)
	}
	if !strings.Contains(out.String(), "until Ctrl-C") {
		t.Errorf("no farewell:\n%s", out.String())
	}
}

func TestTheDemoMovesOffATakenPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var out bytes.Buffer
	address := taken.Addr().String()
	got, err := freeAddress(&globals{stdout: &out}, address, false)
	if err != nil || got == address || !strings.HasPrefix(out.String(), address+" is taken") {
		t.Errorf("freeAddress = %s, %v, says %q", got, err, out.String())
	}
	if got, err := freeAddress(&globals{}, address, true); err != nil || got != address {
		t.Errorf("freeAddress of a fixed address = %s, %v", got, err)
	}
	var errs bytes.Buffer
	code := run(t.Context(), []string{"demo", "--exit", "--listen", address, "--admin", "127.0.0.1:0"}, &out, &errs)
	if code != 1 || !strings.Contains(errs.String(), address) {
		t.Errorf("demo on a taken port = %d, %q", code, errs.String())
	}
}
