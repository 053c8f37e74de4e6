//go:build !linux

package cache

import "time"

// sinceBoot is not known here; ages may leave out the time the machine slept.
func sinceBoot() (time.Duration, bool) { return 0, false }
