package cache

import (
	"context"
	"sync/atomic"
	"time"
)

// A timekeeper gives cache time: monotonic since the cache was made, so that a
// jump of the wall clock changes no age, plus the time that the machine slept,
// which Go's monotonic clock leaves out.
type timekeeper struct {
	start time.Time
	slept atomic.Int64 // nanoseconds
}

func (t *timekeeper) init() { t.start = time.Now() }

func (t *timekeeper) now() time.Duration { return time.Since(t.start) + time.Duration(t.slept.Load()) }

// wall returns the wall clock time of a cache time.
func (t *timekeeper) wall(at time.Duration) time.Time { return time.Now().Add(at - t.now()) }

// sleepCheck is how soon after a suspension of the machine ages are right.
const sleepCheck = 500 * time.Millisecond

// follow adds what the machine slept until ctx ends.
func (t *timekeeper) follow(ctx context.Context) {
	boot, ok := sinceBoot()
	if !ok {
		return
	}
	awake := time.Since(t.start)
	tick := time.NewTicker(sleepCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		nowBoot, _ := sinceBoot()
		nowAwake := time.Since(t.start)
		if gap := (nowBoot - boot) - (nowAwake - awake); gap > sleepCheck {
			t.slept.Add(int64(gap))
			boot, awake = nowBoot, nowAwake
		}
	}
}
