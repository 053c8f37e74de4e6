package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cores are the two that a comparison uses; equal if there is only one.
type cores struct{ server, load int }

// core and both name cores as taskset does.
func core(cpu int) string    { return strconv.Itoa(cpu) }
func (c cores) both() string { return core(c.server) + "," + core(c.load) }

// pickCores takes the first two cores that this process may use.
func pickCores() (cores, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return cores{}, fmt.Errorf("reading which cores may be used: %w", err)
	}
	var may []int
	for cpu := range runtime.NumCPU() + 1024 {
		if set.IsSet(cpu) {
			may = append(may, cpu)
		}
	}
	if len(may) == 1 {
		return cores{may[0], may[0]}, nil
	}
	return cores{may[0], may[1]}, nil
}

// pin keeps this process, all its threads, on one core.
func pin(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	threads, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		return err
	}
	for _, t := range threads {
		tid, err := strconv.Atoi(filepath.Base(t))
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil && err != unix.ESRCH {
			return fmt.Errorf("pinning to core %d: %w", cpu, err)
		}
	}
	return nil
}

// ticks are what each core did since the system started.
type ticks struct{ server, load [2]float64 } // busy, all

func (c cores) read() ticks {
	return ticks{coreTicks(c.server), coreTicks(c.load)}
}

// since returns the share of time that each core was busy.
func (t ticks) since(before ticks) (server, load float64) {
	share := func(now, then [2]float64) float64 {
		if now[1] <= then[1] {
			return 0
		}
		return (now[0] - then[0]) / (now[1] - then[1])
	}
	return share(t.server, before.server), share(t.load, before.load)
}

// coreTicks reads a core's line of /proc/stat; zero where there is none.
func coreTicks(cpu int) (t [2]float64) {
	file, err := os.Open("/proc/stat")
	if err != nil {
		return t
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || fields[0] != "cpu"+strconv.Itoa(cpu) {
			continue
		}
		for i, f := range fields[1:min(len(fields), 9)] { // guest time is in user time already
			v, err := strconv.ParseFloat(f, 64)
			if err != nil {
				return t
			}
			t[1] += v
			if i != 3 && i != 4 { // idle, waiting for disks
				t[0] += v
			}
		}
	}
	return t
}

// firstLine returns the first line that a program prints, "" if it cannot run.
func firstLine(ctx context.Context, name string, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, name, args...).CombinedOutput() // wrk -v exits with 1
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}

// processor returns the name of the processor.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// memory returns the size of the machine's memory.
func memory() string {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return "unknown memory"
	}
	return fmt.Sprintf("%.0f GiB", float64(info.Totalram)*float64(info.Unit)/(1<<30))
}
