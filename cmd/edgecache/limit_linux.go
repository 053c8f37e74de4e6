package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// limitSelf bounds the address space and the CPU time of this process.
func limitSelf(memory uint64, cpu time.Duration) error {
	if err := unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: memory, Max: memory}); err != nil {
		return err
	}
	seconds := uint64(cpu.Seconds())
	return unix.Setrlimit(unix.RLIMIT_CPU, &unix.Rlimit{Cur: seconds, Max: seconds})
}
