package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// connections is how many the load keeps open.
const connections = 64

// A sample is what one side did in one round.
type sample struct {
	rate         float64 // requests a second
	p99          time.Duration
	server, load float64 // share of its time that each core was busy
}

// wrk loads a URL for the duration of one side of a round.
func (b *bench) wrk(url string) func(context.Context) (sample, error) {
	return func(ctx context.Context) (sample, error) {
		if err := b.need("wrk", "wrk"); err != nil {
			return sample{}, err
		}
		seconds := strconv.Itoa(max(1, int(b.duration.Round(time.Second)/time.Second))) + "s"
		return b.observe(ctx, parseWrk, "wrk", "-t", "1", "-c", strconv.Itoa(connections), "-d", seconds, "--timeout", "5s", "--latency", url)
	}
}

// redisGet loads a key of a Redis server for about as long.
func (b *bench) redisGet(port, key string) func(context.Context) (sample, error) {
	rate := 0.0
	return func(ctx context.Context) (sample, error) {
		if err := b.need("redis-benchmark", "redis-tools"); err != nil {
			return sample{}, err
		}
		n := 20_000 // to learn its speed: it counts requests, not time
		if rate > 0 {
			n = int(rate * b.duration.Seconds())
		}
		s, err := b.observe(ctx, parseRedisBenchmark, "redis-benchmark", "-h", "127.0.0.1", "-p", port,
			"-c", strconv.Itoa(connections), "-n", strconv.Itoa(n), "--csv", "GET", key)
		rate = s.rate
		return s, err
	}
}

// observe runs a load generator on the load's core and reads what it says.
func (b *bench) observe(ctx context.Context, parse func(string) (sample, error), name string, args ...string) (sample, error) {
	cmd := b.command(ctx, core(b.cores.load), name, args...)
	cmd.WaitDelay = time.Second
	before := b.cores.read()
	out, err := cmd.Output()
	server, load := b.cores.read().since(before)
	if err != nil {
		said := ""
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			said = ": " + strings.TrimSpace(string(e.Stderr))
		}
		return sample{}, fmt.Errorf("%s: %w%s", name, err, said)
	}
	s, err := parse(string(out))
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w in %q", name, err, out)
	}
	s.server, s.load = server, load
	return s, nil
}

var (
	wrkRate = regexp.MustCompile(`(?m)^Requests/sec:\s+([\d.]+)`)
	wrkP99  = regexp.MustCompile(`(?m)^\s+99%\s+([\d.]+(?:us|ms|s|m))`)
)

// parseWrk reads the report of wrk --latency. Answers that are errors make the
// sample one.
func parseWrk(out string) (sample, error) {
	for _, bad := range []string{"Non-2xx or 3xx responses", "Socket errors"} {
		if i := strings.Index(out, bad); i >= 0 {
			line, _, _ := strings.Cut(out[i:], "\n")
			return sample{}, errors.New(line)
		}
	}
	rate, p99 := wrkRate.FindStringSubmatch(out), wrkP99.FindStringSubmatch(out)
	if rate == nil || p99 == nil {
		return sample{}, errors.New("no rate or no 99th percentile")
	}
	var s sample
	var err error
	if s.rate, err = strconv.ParseFloat(rate[1], 64); err != nil {
		return sample{}, err
	}
	s.p99, err = time.ParseDuration(p99[1])
	return s, err
}

// parseRedisBenchmark reads the report of redis-benchmark --csv.
func parseRedisBenchmark(out string) (sample, error) {
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil {
		return sample{}, err
	}
	if len(rows) != 2 {
		return sample{}, fmt.Errorf("%d lines, two expected", len(rows))
	}
	value := map[string]float64{}
	for i, name := range rows[0] {
		if i > 0 {
			if value[name], err = strconv.ParseFloat(rows[1][i], 64); err != nil {
				return sample{}, err
			}
		}
	}
	s := sample{rate: value["rps"], p99: time.Duration(value["p99_latency_ms"] * float64(time.Millisecond))}
	if s.rate <= 0 || s.p99 <= 0 {
		return sample{}, errors.New("no rate or no 99th percentile")
	}
	return s, nil
}
