//go:build !linux

package fetch

import "syscall"

// setUserTimeout does nothing: keepalives end a dead connection here.
func setUserTimeout(_, _ string, _ syscall.RawConn) error { return nil }
