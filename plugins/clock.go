package plugins

import (
	"sync"
	"sync/atomic"
	"time"
)

// clockStep is how late a clock may be, and a little more.
const clockStep = 5 * time.Millisecond

// A clock tells milliseconds since 1970 UTC at a tenth of the price of time.Now:
// a timer keeps it, as long as somebody asks.
type clock struct {
	ms    atomic.Int64 // 0: it stands
	asked atomic.Bool  // since the last step

	mu    sync.Mutex // protects the fields below
	timer *time.Timer
	ended bool
}

func (c *clock) now() int64 {
	ms := c.ms.Load()
	if ms == 0 {
		return c.start()
	}
	if !c.asked.Load() {
		c.asked.Store(true)
	}
	return ms
}

// start has the clock go, and returns the time.
func (c *clock) start() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	ms := time.Now().UnixMilli()
	switch {
	case c.ended:
		return ms
	case c.timer == nil:
		c.timer = time.AfterFunc(clockStep, c.step)
	default:
		c.timer.Reset(clockStep)
	}
	c.ms.Store(ms)
	return ms
}

func (c *clock) step() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || !c.asked.Swap(false) {
		c.ms.Store(0)
		return
	}
	c.ms.Store(time.Now().UnixMilli())
	c.timer.Reset(clockStep)
}

// end stops the clock. Asked again, it looks at the time.
func (c *clock) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.ms.Store(0)
	if c.timer != nil {
		c.timer.Stop()
	}
}
