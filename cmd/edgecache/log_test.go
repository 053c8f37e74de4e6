package main

import (
	"log/slog"
	"strings"
	"testing"
)

func TestLoggersFollowLevelAndFormat(t *testing.T) {
	out := &logBuffer{}
	h := newLogHandler(out, logOptions{Level: "warn", Format: "text"})
	log := slog.New(h).With("node", "edge-1").WithGroup("g")
	log.Info("hidden")
	log.Warn("text", "a", 1)
	h.apply(logOptions{Level: "debug", Format: "json"})
	log.Debug("json", "a", 2)
	got := out.String()
	for _, want := range []string{`msg=text node=edge-1 g.a=1`, `"msg":"json","node":"edge-1","g":{"a":2}`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
	if strings.Contains(got, "hidden") {
		t.Errorf("an info record was written at level warn:\n%s", got)
	}
}
