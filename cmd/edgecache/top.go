package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edgecache/edgecache/client"
	"github.com/edgecache/edgecache/registry"
	"github.com/spf13/cobra"
)

// maxTopEntries bounds the entries that one frame reads, to spare the node.
const maxTopEntries = 5000

func topCommand(g *globals) *cobra.Command {
	var once bool
	var interval time.Duration
	var rows int
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show registries, lookup rates and the busiest entries, live",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if interval < 100*time.Millisecond {
				return usageError(cmd, fmt.Errorf("--interval %s: 100ms or more expected", interval))
			}
			if rows < 0 {
				return usageError(cmd, fmt.Errorf("--rows %d: 0 or more expected", rows))
			}
			return g.ask(func(c *client.Client) error { return g.top(cmd.Context(), c, once, interval, rows) })
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "print one frame, of the first interval, and exit")
	cmd.Flags().DurationVar(&interval, "interval", time.Second, "time between frames")
	cmd.Flags().IntVar(&rows, "rows", 15, "entries shown")
	return cmd
}

func (g *globals) top(ctx context.Context, c *client.Client, once bool, interval time.Duration, rows int) error {
	before, err := takeSample(ctx, c)
	if err != nil {
		return err
	}
	live := !once && g.output == "table" && isTerminal(g.stdout)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(interval):
		}
		now, err := takeSample(ctx, c)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if err := g.printFrame(newFrame(before, now, rows), live); err != nil || once {
			return err
		}
		before = now
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// A sample is the node's state at one moment.
type sample struct {
	at         time.Time
	status     registry.NodeStatus
	registries []registry.RegistryStatus
	entries    []registry.EntryRow
}

func takeSample(ctx context.Context, c *client.Client) (sample, error) {
	s := sample{at: time.Now()}
	var errs [2]error
	s.status, errs[0] = c.Status(ctx)
	s.registries, errs[1] = c.Registries(ctx)
	if err := errors.Join(errs[:]...); err != nil {
		return s, cmp.Or(errs[0], errs[1]) // once, if both say the same
	}
	for row, err := range c.Entries(ctx, client.EntriesQuery{Limit: 1000}) {
		if err != nil {
			return s, err
		}
		if s.entries = append(s.entries, row); len(s.entries) == maxTopEntries {
			break
		}
	}
	return s, nil
}

// A topFrame is what one interval showed. Rates are per second.
type topFrame struct {
	Status     registry.NodeStatus       `json:"status"`
	Rates      lookupRates               `json:"rates"`
	Registries []registry.RegistryStatus `json:"registries"`
	Entries    []topEntry                `json:"entries"`
	Truncated  bool                      `json:"truncated"` // not all entries were read
}

type lookupRates struct {
	Hits     float64 `json:"hits"`
	Stale    float64 `json:"stale"`
	Misses   float64 `json:"misses"`
	Negative float64 `json:"negative"`
	Errors   float64 `json:"errors"`
}

type topEntry struct {
	registry.EntryRow
	Rate float64 `json:"hits_per_second"`
}

func newFrame(before, now sample, rows int) topFrame {
	seconds := max(now.at.Sub(before.at).Seconds(), 0.001)
	rate := func(a, b uint64) float64 { // a counter that fell began anew
		if b < a {
			return 0
		}
		return float64(b-a) / seconds
	}
	a, b := before.status.Lookups, now.status.Lookups
	f := topFrame{
		Status: now.status, Registries: now.registries, Entries: []topEntry{}, Truncated: len(now.entries) == maxTopEntries,
		Rates: lookupRates{rate(a.Hits, b.Hits), rate(a.Stale, b.Stale), rate(a.Misses, b.Misses), rate(a.Negative, b.Negative), rate(a.Errors, b.Errors)},
	}
	hits := map[registry.Key]uint64{}
	for _, e := range before.entries {
		hits[registry.Key{Registry: e.Registry, Name: e.Name}] = e.Hits
	}
	for _, e := range now.entries {
		f.Entries = append(f.Entries, topEntry{e, rate(hits[registry.Key{Registry: e.Registry, Name: e.Name}], e.Hits)})
	}
	slices.SortStableFunc(f.Entries, func(x, y topEntry) int {
		return cmp.Or(cmp.Compare(y.Rate, x.Rate), cmp.Compare(y.Hits, x.Hits))
	})
	f.Entries = f.Entries[:min(rows, len(f.Entries))]
	return f
}

func (g *globals) printFrame(f topFrame, live bool) error {
	if g.output == "json" {
		return json.NewEncoder(g.stdout).Encode(f)
	}
	var b bytes.Buffer
	printStatus(&b, f.Status)
	fmt.Fprintf(&b, "per second: %s hits, %s stale, %s misses, %s negative, %s errors\n\n", rateText(f.Rates.Hits),
		rateText(f.Rates.Stale), rateText(f.Rates.Misses), rateText(f.Rates.Negative), rateText(f.Rates.Errors))
	if err := printRegistries(&b, f.Registries); err != nil {
		return err
	}
	t := newTable("NAME", "REGISTRY", "STATE", "TIER", "AGE", "TTL", "BYTES", "HITS", "HITS/S")
	for _, e := range f.Entries {
		t.row(clip(e.Name, 40), e.Registry, e.State, e.Tier, short(time.Duration(e.AgeMS)*time.Millisecond),
			short(time.Duration(e.TTLMS)*time.Millisecond), bytesText(uint64(max(e.Bytes, 0))),
			strconv.FormatUint(e.Hits, 10), rateText(e.Rate))
	}
	b.WriteString("\n")
	if err := t.print(&b); err != nil {
		return err
	}
	if f.Truncated {
		fmt.Fprintf(&b, "(the busiest of the first %d entries)\n", maxTopEntries)
	}
	text := b.String()
	if live { // overwrite line by line: clearing first would flicker
		text = "\x1b[H" + strings.ReplaceAll(text, "\n", "\x1b[K\n") + "\x1b[J"
	} else {
		text += "\n"
	}
	_, err := io.WriteString(g.stdout, text)
	return err
}

// rateText writes a rate per second: 0, 0.4, 12, 3400.
func rateText(r float64) string {
	if r > 0 && r < 10 {
		return strconv.FormatFloat(r, 'f', 1, 64)
	}
	return strconv.FormatFloat(r, 'f', 0, 64)
}
