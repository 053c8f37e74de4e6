package fetch

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// setUserTimeout is best effort: where the kernel refuses it, keepalives still
// end a dead idle connection.
func setUserTimeout(_, _ string, conn syscall.RawConn) error {
	return conn.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds())) // best effort
	})
}
