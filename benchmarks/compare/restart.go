package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A restarted is what the rounds of kills and starts found.
type restarted struct {
	seconds []float64 // from exec to the first 200
	before  footing   // of the node that never died, all entries in memory
	after   footing   // of one that was started on them, all looked up
}

// A footing is what a process has of memory, in bytes.
type footing struct{ resident, heap float64 }

func restart(ctx context.Context, b *bench) (result, error) {
	f, err := b.restarts(ctx)
	if err != nil {
		return result{}, err
	}
	r := result{note: fmt.Sprintf("the worst of %d; %d entries, each killed by SIGKILL, every registry down", len(f.seconds), b.entries)}
	r.summarise(f.seconds)
	r.value = quantiles(f.seconds, 1)[0]
	return r, nil
}

func restartMemory(ctx context.Context, b *bench) (result, error) {
	f, err := b.restarts(ctx)
	if err != nil {
		return result{}, err
	}
	r := result{note: fmt.Sprintf("resident: %.0f MiB before the kill, %.0f after the restart; live heap: %.0f and %.0f MiB",
		f.before.resident/(1<<20), f.after.resident/(1<<20), f.before.heap/(1<<20), f.after.heap/(1<<20))}
	r.summarise([]float64{f.after.resident / f.before.resident})
	b.progress("  %s", r.note)
	return r, nil
}

// roomy is a budget of memory that all entries fit in.
const roomy = "cache: {memory: 64GiB}"

// restarts fills a node, kills it, and starts it on what it left, by turns.
func (b *bench) restarts(ctx context.Context) (restarted, error) {
	return once(b, "restart", func() (f restarted, err error) {
		o, err := b.newQuickOrigin()
		if err != nil {
			return f, err
		}
		n, config, err := b.configureNode("restart", fmt.Sprintf(quickRegistry, o.address), roomy)
		if err != nil {
			return f, err
		}
		defer func() {
			if err != nil && n.process != nil {
				err = errors.Join(err, n.stop()) // the next figure needs its data
			}
		}()
		if _, err := b.exec(ctx, n, config, "/readyz"); err != nil {
			return f, err
		}
		if err := b.fill(ctx, n); err != nil {
			return f, err
		}
		if f.before, err = n.footing(); err != nil {
			return f, err
		}
		if err := o.down(); err != nil {
			return f, err
		}
		for round := range b.rounds {
			if err := n.kill(); err != nil {
				return f, err
			}
			took, err := b.exec(ctx, n, config, "/v1/services/"+crawlName(rand.IntN(b.entries)))
			if err != nil {
				return f, err
			}
			f.seconds = append(f.seconds, took.Seconds())
			b.progress("  %d/%d first answer after %s", round+1, b.rounds, took.Round(time.Millisecond))
		}
		if err := b.crawl(ctx, n, "read back"); err != nil {
			return f, err
		}
		f.after, err = n.footing()
		return f, errors.Join(err, n.stop())
	})
}

// exec starts a node and returns how long it took until a path was answered.
func (b *bench) exec(ctx context.Context, n *node, config, path string, flags ...string) (took time.Duration, err error) {
	began := time.Now()
	if n.process, err = b.start(ctx, func() error { return nil }, b.program, append([]string{"serve", "--config", config}, flags...)...); err != nil {
		return 0, err
	}
	for {
		_, _, err := get(n.data + path)
		took = time.Since(began)
		switch {
		case err == nil:
			return took, nil
		case took > startLimit || n.gone():
			return took, fmt.Errorf("%s: not answered after %s: %w; the node said: %s", path, took, err, n.said())
		case !pause(ctx, time.Millisecond):
			return took, ctx.Err()
		}
	}
}

// gone reports whether the process ended.
func (p *process) gone() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// fill looks all names up and waits until they are on disk.
func (b *bench) fill(ctx context.Context, n *node) error {
	if err := b.crawl(ctx, n, "filled"); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := poll(limited, func() error {
		s, err := n.stored()
		if err != nil {
			return err
		}
		waiting, err := n.metric("edgecache_cache_disk_pending")
		if err == nil && (s.Entries < uint64(b.entries) || waiting > 0) {
			err = fmt.Errorf("%d of %d entries are on disk, %.0f wait", s.Entries, b.entries, waiting)
		}
		return err
	})
	if err == nil && !pause(ctx, writing) {
		err = ctx.Err()
	}
	return err
}

// writing is how long an entry may take until it outlives the process.
const writing = 2 * time.Second

// crawl looks all names up once.
func (b *bench) crawl(ctx context.Context, n *node, what string) error {
	began := time.Now()
	done, err := crawl{url: n.data, name: crawlName, to: b.entries, callers: connections}.run(ctx)
	if err == nil && done < b.entries {
		err = context.Cause(ctx)
	}
	b.progress("  %d entries %s in %s", done, what, time.Since(began).Round(time.Second/10))
	return err
}

// kill ends the node at once.
func (n *node) kill() error {
	if err := n.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-n.ended
	return nil
}

// footing reads what the node has of memory, after it has let go of what it
// does not need.
func (n *node) footing() (f footing, err error) {
	for range 3 { // what finalizers and pools let go
		if _, _, err := get(n.admin + "/debug/pprof/heap?gc=1"); err != nil {
			return f, err
		}
	}
	if f.heap, err = n.metric("go_memstats_heap_alloc_bytes"); err != nil {
		return f, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	if err != nil {
		return f, err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kilobytes float64
	_, err = fmt.Sscan(rest, &kilobytes)
	f.resident = kilobytes * 1024
	return f, err
}

// metric returns the value of a metric without labels.
func (n *node) metric(name string) (float64, error) {
	text, _, err := get(n.admin + "/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(rest), 64)
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}
