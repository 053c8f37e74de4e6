package plugins

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestAClockGoesWithTheWalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clock
		defer c.end()
		for range 3 {
			for _, pause := range []time.Duration{0, time.Millisecond, 4 * time.Millisecond, 6 * time.Millisecond, time.Second, time.Hour, 7 * time.Millisecond} {
				time.Sleep(pause) // in a bubble: nobody waits
				got, now := c.now(), time.Now()
				if late := now.UnixMilli() - got; late < 0 || late > clockStep.Milliseconds() {
					t.Errorf("after another %s it is %d ms late, at most %s expected", pause, late, clockStep)
				}
			}
		}
	})
}

func TestAClockThatNobodyAsksStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clock
		defer c.end()
		for range 10 {
			c.now()
			time.Sleep(clockStep / 2)
		}
		if c.ms.Load() == 0 {
			t.Error("it stands though it was asked")
		}
		time.Sleep(3 * clockStep)
		if c.ms.Load() != 0 {
			t.Error("it goes on for nobody")
		}
	})
}

func TestAClockThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clock
		c.now()
		c.end()
		for range 3 {
			time.Sleep(time.Second)
			if got, want := c.now(), time.Now().UnixMilli(); got != want {
				t.Errorf("it is %d, want %d", got, want)
			}
		}
		if c.ms.Load() != 0 {
			t.Error("it was begun again")
		}
	})
}
