package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// A bench is one run: its directory, its cores and what it started. What
// several figures use is started once.
type bench struct {
	options
	dir    string
	cores  cores
	shared map[string]any
	stops  []func() error // run in reverse by close
}

func newBench(o options) (*bench, error) {
	program, err := filepath.Abs(o.program)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("%w; build it with make build", err)
	}
	o.program = program
	b := &bench{options: o, shared: map[string]any{}}
	if b.cores, err = pickCores(); err != nil {
		return nil, err
	}
	if b.cores.server == b.cores.load {
		b.progress("only one core may be used: servers and load share it, and the figures say little")
	}
	if err := pin(b.cores.load); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp("", "compare-"); err != nil {
		return nil, err
	}
	// Servers that give up root read their configuration and cache there.
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return nil, errors.Join(err, os.RemoveAll(b.dir))
	}
	return b, nil
}

// close ends everything that was started and removes the directory.
func (b *bench) close() error {
	var errs []error
	for _, stop := range slices.Backward(b.stops) {
		errs = append(errs, stop())
	}
	return errors.Join(append(errs, os.RemoveAll(b.dir))...)
}

func (b *bench) progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// once returns what start made the first time it was called for name.
func once[T any](b *bench, name string, start func() (T, error)) (T, error) {
	if made, ok := b.shared[name]; ok {
		return made.(T), nil
	}
	made, err := start()
	if err == nil {
		b.shared[name] = made
	}
	return made, err
}

// need returns errMissing unless a program can be run.
func (b *bench) need(program, pkg string) error {
	if _, err := exec.LookPath(program); err != nil {
		return missing(program, "scripts/install-peers installs "+pkg)
	}
	return nil
}

// command returns a program that runs on some cores and dies with this one.
func (b *bench) command(ctx context.Context, cpus string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", cpus, name}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Dir = b.dir
	return cmd
}

// A process is a server that was started, and its children.
type process struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
}

// start runs a server on the servers' core until the bench is closed, and
// returns once ready says nil.
func (b *bench) start(ctx context.Context, ready func() error, name string, args ...string) (*process, error) {
	return b.startOn(ctx, core(b.cores.server), ready, name, args...)
}

// startOn is start on other cores.
func (b *bench) startOn(ctx context.Context, cpus string, ready func() error, name string, args ...string) (*process, error) {
	cmd := b.command(context.WithoutCancel(ctx), cpus, name, args...)
	log, err := os.CreateTemp(b.dir, filepath.Base(name)+"-*.log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: log.Name(), ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(p.ended)
	}()
	b.stops = append(b.stops, p.stop)
	if err := p.await(ctx, ready); err != nil {
		return nil, fmt.Errorf("%s: %w; it said: %s", filepath.Base(name), err, p.said())
	}
	return p, nil
}

const (
	startLimit = 20 * time.Second
	stopLimit  = 3 * time.Second
)

// await polls ready until it says nil, the process ends or time is up.
func (p *process) await(ctx context.Context, ready func() error) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	return poll(ctx, func() error {
		select {
		case <-p.ended:
			return errors.Join(errEnded, ready())
		default:
			return ready()
		}
	})
}

var errEnded = errors.New("ended by itself")

// poll calls check until it says nil or errEnded, or ctx ends.
func poll(ctx context.Context, check func() error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil || errors.Is(err, errEnded) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// said returns the end of the process's output.
func (p *process) said() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-600):])
}

// stop ends the process, and then what is left of its group.
func (p *process) stop() error {
	group := -p.cmd.Process.Pid
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(stopLimit):
	}
	if err := syscall.Kill(group, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	<-p.ended
	return nil
}

// write writes a file of the run and returns its path.
func (b *bench) write(name, text string) (string, error) {
	path := filepath.Join(b.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o644)
}
