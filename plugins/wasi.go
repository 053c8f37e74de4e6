package plugins

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"time"
)

// wasiFuncs are what toolchains link in of WASI preview 1. None reaches beyond
// the guest: it has no files, arguments or variables, sleeps end at once, and
// what it prints goes to the log. They are ours because each must charge for
// what it moves.
var wasiFuncs = map[string]hostFunc{
	"args_get":            {types(i32, i32), types(i32), wasiSays(0)},
	"args_sizes_get":      {types(i32, i32), types(i32), wasiNone},
	"environ_get":         {types(i32, i32), types(i32), wasiSays(0)},
	"environ_sizes_get":   {types(i32, i32), types(i32), wasiNone},
	"clock_res_get":       {types(i32, i32), types(i32), wasiResolution},
	"clock_time_get":      {types(i32, i64, i32), types(i32), wasiTime},
	"fd_close":            {types(i32), types(i32), wasiSays(wasiBadFile)},
	"fd_fdstat_get":       {types(i32, i32), types(i32), wasiSays(wasiBadFile)},
	"fd_fdstat_set_flags": {types(i32, i32), types(i32), wasiSays(wasiBadFile)},
	"fd_prestat_dir_name": {types(i32, i32, i32), types(i32), wasiSays(wasiBadFile)},
	"fd_prestat_get":      {types(i32, i32), types(i32), wasiSays(wasiBadFile)},
	"fd_read":             {types(i32, i32, i32, i32), types(i32), wasiSays(wasiBadFile)},
	"fd_seek":             {types(i32, i64, i32, i32), types(i32), wasiSays(wasiBadFile)},
	"fd_write":            {types(i32, i32, i32, i32), types(i32), wasiWrite},
	"poll_oneoff":         {types(i32, i32, i32, i32), types(i32), wasiPoll},
	"proc_exit":           {types(i32), nil, wasiExit},
	"random_get":          {types(i32, i32), types(i32), wasiRandom},
	"sched_yield":         {nil, types(i32), wasiSays(0)},
}

// Numbers of WASI's errors.
const (
	wasiBadFile = 8
	wasiInvalid = 28
)

func wasiSays(errno uint64) func(*instance, []uint64) {
	return func(_ *instance, stack []uint64) { stack[0] = errno }
}

// wasiNone says that there are no arguments or variables.
func wasiNone(i *instance, stack []uint64) {
	binary.LittleEndian.PutUint32(i.bytes(stack[0], 4), 0)
	binary.LittleEndian.PutUint32(i.bytes(stack[1], 4), 0)
	stack[0] = 0
}

func wasiResolution(i *instance, stack []uint64) {
	binary.LittleEndian.PutUint64(i.bytes(stack[1], 8), uint64(time.Millisecond))
	stack[0] = 0
}

// wasiTime tells the time to a millisecond: no finer clock, no side channel.
func wasiTime(i *instance, stack []uint64) {
	binary.LittleEndian.PutUint64(i.bytes(stack[2], 8), uint64(time.Now().UnixMilli())*uint64(time.Millisecond))
	stack[0] = 0
}

// wasiWrite takes what a guest prints, a panic of its runtime for example.
func wasiWrite(i *instance, stack []uint64) {
	const most = 16
	count := uint64(uint32(stack[2]))
	if count > most {
		stack[0] = wasiInvalid
		return
	}
	written, line := uint32(0), []byte(nil)
	for n := range count {
		vector := i.bytes(stack[1]+8*n, 8)
		b := i.bytes(uint64(binary.LittleEndian.Uint32(vector)), uint64(binary.LittleEndian.Uint32(vector[4:])))
		written += uint32(len(b))
		line = append(line, b[:min(len(b), maxLogLine-len(line))]...)
	}
	binary.LittleEndian.PutUint32(i.bytes(stack[3], 4), written)
	i.printed(line)
	stack[0] = 0
}

// wasiPoll ends all sleeps at once: a guest that slept would keep its instance.
func wasiPoll(i *instance, stack []uint64) {
	const most, subscription, event = 16, 48, 32
	count := uint64(uint32(stack[2]))
	if count == 0 || count > most {
		stack[0] = wasiInvalid
		return
	}
	for n := range count {
		from, to := i.bytes(stack[0]+subscription*n, subscription), i.bytes(stack[1]+event*n, event)
		clear(to)
		copy(to[:8], from[:8]) // its user data
		to[10] = from[8]       // its type
	}
	binary.LittleEndian.PutUint32(i.bytes(stack[3], 4), uint32(count))
	stack[0] = 0
}

func wasiRandom(i *instance, stack []uint64) {
	b := i.bytes(stack[0], stack[1])
	i.charge(4 * len(b))
	_, _ = rand.Read(b) // never fails
	stack[0] = 0
}

// An exit is how a guest ends itself.
type exit uint32

func (e exit) Error() string { return fmt.Sprintf("the guest exited with code %d", uint32(e)) }

func wasiExit(_ *instance, stack []uint64) { panic(exit(uint32(stack[0]))) }

// printed takes what a guest wrote to its output; the first line is kept for the
// error that may follow.
func (i *instance) printed(line []byte) {
	if i.output == "" { // a runtime's panic says first what is wrong
		i.output = printable(line)
	}
	if len(bytes.TrimSpace(line)) > 0 {
		i.say(slog.LevelDebug, line)
	}
}
