package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/edgecache/edgecache/client"
	"github.com/spf13/cobra"
)

// clientCommands are the commands that ask a running node.
func clientCommands(g *globals) []*cobra.Command {
	return []*cobra.Command{
		getCommand(g), listCommand(g), watchCommand(g), invalidateCommand(g), refreshCommand(g),
		membersCommand(g), forgetCommand(g), keyringCommand(g), statusCommand(g), topCommand(g),
	}
}

// connect returns the client that the flags describe.
func (g *globals) connect() (*client.Client, error) {
	return client.New(client.Options{Address: g.address, Token: g.token, CAFile: g.ca})
}

// ask runs f with a client and turns what it returns into an exit code and a
// line that says what to do.
func (g *globals) ask(f func(*client.Client) error) error {
	c, err := g.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	return explain(c.Address(), f(c))
}

// explain adds to an error of the client what the user may do about it.
func explain(address string, err error) error {
	if err == nil {
		return nil
	}
	if p, ok := errors.AsType[*client.Problem](err); ok {
		return explainProblem(p)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return fmt.Errorf("cannot reach a node at %s: %w; is `edgecache serve` running there? (--address or EDGECACHE_ADDR name another admin port)", address, op.Err)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		if e.Timeout() {
			return fmt.Errorf("no answer from %s in time: %w", address, e.Err)
		}
		if strings.Contains(e.Err.Error(), "certificate") {
			return fmt.Errorf("%s: %w (--ca names the file of the authority)", address, e.Err)
		}
		return fmt.Errorf("%s: %w", address, e.Err)
	}
	return err
}

func explainProblem(p *client.Problem) error {
	switch {
	case p.Kind() == "unauthenticated":
		return fmt.Errorf("%w; give a token with --token-file or EDGECACHE_TOKEN", p)
	case p.Kind() == "forbidden":
		return fmt.Errorf("%w; a token with another scope is needed", p)
	case p.Kind() == "no-such-route":
		return fmt.Errorf("%w; --address must be the node's admin port", p)
	case errors.Is(p, client.ErrNotFound):
		return &exitError{code: exitNotFound, err: p}
	}
	return p
}

// printJSON writes v as one indented JSON document.
func (g *globals) printJSON(v any) error {
	e := json.NewEncoder(g.stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// A table is printed with aligned columns. A column without a value is left
// out.
type table struct {
	header []string
	rows   [][]string
}

func newTable(header ...string) *table { return &table{header: header} }

// row adds a row; it must have as many cells as the header.
func (t *table) row(cells ...string) {
	for i := range cells {
		cells[i] = clean(cells[i])
	}
	t.rows = append(t.rows, cells)
}

func (t *table) print(w io.Writer) error {
	if len(t.rows) == 0 {
		return nil
	}
	widths := make([]int, len(t.header))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range append([][]string{t.header}, t.rows...) {
		line := ""
		for i, cell := range row {
			if widths[i] == 0 {
				continue
			}
			width := max(widths[i], utf8.RuneCountInString(t.header[i]))
			line += cell + strings.Repeat(" ", width-utf8.RuneCountInString(cell)+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// clean makes text of a registry safe for a terminal: it may hold escape
// sequences.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// clip shortens text to n characters.
func clip(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}

// short writes a duration with at most two digits of detail: 412ms, 3.2s, 3m,
// 5h, 12d.
func short(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + short(-d)
	case d == 0:
		return "0s"
	case d < time.Millisecond:
		return strconv.FormatInt(d.Microseconds(), 10) + "µs"
	case d < 10*time.Millisecond:
		return tenths(d, time.Millisecond) + "ms"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	case d < 10*time.Second:
		return tenths(d, time.Second) + "s"
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + "s"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + "m"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + "h"
	}
	return strconv.Itoa(int(d.Hours()/24)) + "d"
}

// tenths writes d in units, rounded down to a tenth.
func tenths(d, unit time.Duration) string {
	return strconv.FormatFloat(float64(d*10/unit)/10, 'f', -1, 64)
}

func milliseconds(ms float64) string { return short(time.Duration(ms * float64(time.Millisecond))) }

// freshness writes an age: "412ms", or "stale 3m".
func freshness(age time.Duration, stale bool) string {
	if stale {
		return "stale " + short(age)
	}
	return short(age)
}

// bytesText writes a number of bytes: 812B, 3.4KiB, 256MiB.
func bytesText(n uint64) string {
	value, unit := float64(n), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if value < 1024 {
			break
		}
		value, unit = value/1024, next
	}
	if unit == "B" || value >= 100 {
		return fmt.Sprintf("%.0f%s", value, unit)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + unit
}

// plural writes a count with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "y") {
		noun = strings.TrimSuffix(noun, "y") + "ie"
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
