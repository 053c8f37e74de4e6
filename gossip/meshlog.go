package gossip

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
)

// A meshLog passes on what memberlist logs: of each warning the first, the
// others for debugging. What strangers send must not fill a log.
type meshLog struct {
	log     *slog.Logger
	refused *atomic.Uint64
	dropped *atomic.Uint64

	mu   sync.Mutex // protects told
	told map[string]bool
}

var meshLevels = map[string]slog.Level{
	"[DEBUG]": slog.LevelDebug, "[INFO]": slog.LevelDebug, "[WARN]": slog.LevelWarn, "[ERR]": slog.LevelWarn, "[ERROR]": slog.LevelWarn,
}

const mostTold = 256

// Write takes one line.
func (l *meshLog) Write(line []byte) (int, error) {
	word, text, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
	level, ok := meshLevels[word]
	if !ok {
		level, text = slog.LevelWarn, word+" "+text
	}
	text = strings.TrimPrefix(text, "memberlist: ")
	if level == slog.LevelWarn {
		l.count(text)
		if l.again(text) {
			level = slog.LevelDebug
		}
	}
	l.log.Log(context.Background(), level, "gossip: "+text)
	return len(line), nil
}

// harmless begins what is said of a peer that did nothing wrong.
var harmless = []string{"Got ping for unexpected node", "Failed to send", "Failed to forward", "Failed to push", "Failed push"}

// count counts what came and was not taken. There is no other sign of it.
func (l *meshLog) count(text string) {
	if strings.HasPrefix(text, "handler queue full") {
		l.dropped.Add(1)
		return
	}
	for _, begin := range harmless {
		if strings.HasPrefix(text, begin) {
			return
		}
	}
	if strings.Contains(text, "from=") || strings.HasPrefix(text, "Got invalid checksum") {
		l.refused.Add(1)
	}
}

// again reports whether a warning of that kind was logged before.
func (l *meshLog) again(text string) bool {
	kind := text
	if i := strings.IndexAny(text, ":'\"(0123456789"); i > 0 {
		kind = text[:i]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told[kind] || len(l.told) == mostTold {
		return true
	}
	if l.told == nil {
		l.told = map[string]bool{}
	}
	l.told[kind] = true
	return false
}
