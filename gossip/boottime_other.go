//go:build !linux

package gossip

import "time"

// sinceBoot is not known here: a machine that wakes up may call itself synced
// for some seconds.
func sinceBoot() (time.Duration, bool) { return 0, false }
