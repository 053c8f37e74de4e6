package gossip

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot returns the time since boot, sleep included: a machine that wakes
// up is not synced.
func sinceBoot() (time.Duration, bool) {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0, false
	}
	return time.Duration(ts.Nano()), true
}
