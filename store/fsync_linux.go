package store

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// systemFS returns the system's files, with an fsync during which the
// scheduler goes on. A goroutine in a system call keeps its P until sysmon
// looks, at times 10 ms later: on one CPU all lookups wait so long. Linux does
// it on a thread of the kernel (io_submit(2), IOCB_CMD_FSYNC, since 4.18); the
// goroutine waits for an eventfd, as for a socket. Where the kernel refuses,
// fsync is the usual one.
func systemFS() vfs.FS { return syncFS{vfs.Default} }

type syncFS struct{ vfs.FS }

func (fs syncFS) Unwrap() vfs.FS { return fs.FS }

func (fs syncFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return syncedFile(fs.FS.Create(name, c))
}

func (fs syncFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return syncedFile(fs.FS.OpenReadWrite(name, c, opts...))
}

func (fs syncFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return syncedFile(fs.FS.ReuseForWrite(oldname, newname, c))
}

func syncedFile(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return syncFile{f}, nil
}

type syncFile struct{ vfs.File }

func (f syncFile) Sync() error     { return f.sync(opFsync, f.File.Sync) }
func (f syncFile) SyncData() error { return f.sync(opFdatasync, f.File.SyncData) }

func (f syncFile) sync(op uint16, usual func() error) error {
	a := contexts.take()
	if a == nil {
		return usual()
	}
	if a.submit(op, f.Fd()) != nil {
		contexts.give(a)
		return usual()
	}
	e, err := a.wait()
	if err != nil {
		return err // nobody gets a again: it may be busy
	}
	contexts.give(a)
	return e.err()
}

// maxContexts bounds the fsyncs under way at a time this way. A disk that
// hangs keeps those of its directories.
const maxContexts = 64

// contexts are of the process: to make and to end one takes the kernel longer
// than an fsync.
var contexts aioContexts

type aioContexts struct {
	mu   sync.Mutex // protects the fields below
	idle []*aioContext
	made int
}

// take returns nil if the kernel gives none, or too many are in use.
func (c *aioContexts) take() *aioContext {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last := len(c.idle) - 1; last >= 0 {
		a := c.idle[last]
		c.idle = c.idle[:last]
		return a
	}
	if c.made == maxContexts {
		return nil
	}
	a, err := newAIOContext()
	if err != nil {
		return nil
	}
	c.made++
	return a
}

func (c *aioContexts) give(a *aioContext) {
	c.mu.Lock()
	c.idle = append(c.idle, a)
	c.mu.Unlock()
}

// An aioContext does one operation at a time.
type aioContext struct {
	id      uintptr // aio_context_t
	event   *os.File
	eventFD uint32
}

// From linux/aio_abi.h.
const (
	opFsync     = 2 // IOCB_CMD_FSYNC
	opFdatasync = 3 // IOCB_CMD_FDSYNC
	flagResFD   = 1 // IOCB_FLAG_RESFD
)

type iocb struct {
	_     uint64    // data
	_     [2]uint32 // key, rw_flags
	op    uint16
	_     int16 // priority
	fd    uint32
	_     [4]uint64 // buf, bytes, offset, reserved
	flags uint32
	resFD uint32
}

type ioEvent struct {
	data, obj uint64
	res, res2 int64
}

func newAIOContext() (*aioContext, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	a := &aioContext{event: os.NewFile(uintptr(fd), "eventfd"), eventFD: uint32(fd)}
	if _, _, errno := unix.Syscall(unix.SYS_IO_SETUP, 1, uintptr(unsafe.Pointer(&a.id)), 0); errno != 0 {
		return nil, errors.Join(os.NewSyscallError("io_setup", errno), a.event.Close())
	}
	return a, nil
}

// submit begins an operation. Nothing was done if it fails.
func (a *aioContext) submit(op uint16, fd uintptr) error {
	cb := &iocb{op: op, fd: uint32(fd), flags: flagResFD, resFD: a.eventFD}
	_, _, errno := unix.Syscall(unix.SYS_IO_SUBMIT, a.id, 1, uintptr(unsafe.Pointer(&cb)))
	runtime.KeepAlive(cb)
	if errno != 0 {
		return os.NewSyscallError("io_submit", errno)
	}
	return nil
}

// wait returns once the operation has ended.
func (a *aioContext) wait() (e ioEvent, err error) {
	var count [8]byte
	_, _ = a.event.Read(count[:]) // should it fail, the call below waits in its place
	for {
		n, _, errno := unix.Syscall6(unix.SYS_IO_GETEVENTS, a.id, 1, 1, uintptr(unsafe.Pointer(&e)), 0, 0)
		switch {
		case errno == 0 && n == 1:
			return e, nil
		case errno != 0 && errno != unix.EINTR:
			return e, os.NewSyscallError("io_getevents", errno)
		}
	}
}

// err returns what fsync would have.
func (e ioEvent) err() error {
	if e.res < 0 {
		return os.NewSyscallError("fsync", syscall.Errno(-e.res))
	}
	return nil
}
