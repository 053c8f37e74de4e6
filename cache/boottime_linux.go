package cache

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot returns the time since boot, sleep included.
func sinceBoot() (time.Duration, bool) {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0, false
	}
	return time.Duration(ts.Nano()), true
}
