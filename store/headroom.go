package store

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/registry"
)

// What the disk tier may use. Entries go before anything is full, so that it is
// full only while they go too slowly. It is full before max_bytes is reached,
// since what is in memory is still to be flushed and a compaction has its tables
// twice: for that, and so that it does not change with every file, there is a
// slack.
const (
	slackShare = 0.10 // of max_bytes, but
	slackBytes = 16 << 20
	slackMost  = 0.25

	fullAbove  = 1.0 // slacks below max_bytes: from here on no entry is written
	fullUntil  = 1.3
	evictAbove = 1.5 // from here on entries go
	evictUntil = 2.0
	freeMargin = 1.10 // of the least free space: entries go below, and full ends above

	ballastName  = "ballast"
	ballastBytes = 64 << 20
	ballastShare = 0.01 // of the file system, if that is less
)

// A headroom watches what a data directory uses and what its file system has
// left. It keeps a ballast: a file whose space Pebble gets when there is none,
// so that the WAL, whose writes must not fail, outlives the time until entries
// stop and go.
type headroom struct {
	fs  vfs.FS // the disk itself: giving up the ballast must not wait for a write
	dir string
	max uint64  // bytes of the directory in use
	min float64 // share of the file system that must be free
	log *slog.Logger

	failing rarely // to log

	mu      sync.Mutex // protects the fields below; never held over a call of fs
	used    uint64     // bytes of the directory in use
	usage   vfs.DiskUsage
	noSpace bool   // a write failed since the last check
	reason  string // why it is full; "" if it is not
	ballast bool
}

func newHeadroom(o Options) *headroom {
	return &headroom{fs: o.FS, dir: o.Dir, max: uint64(o.MaxBytes), min: float64(o.MinFree), log: o.Logger}
}

// diskFull is told that a write failed for want of space, and gives the ballast up.
func (h *headroom) diskFull() {
	h.mu.Lock()
	news := h.reason == ""
	h.noSpace, h.ballast = true, false
	h.reason = "no space left on the disk"
	h.mu.Unlock()
	switch err := h.fs.Remove(h.ballastPath()); {
	case err == nil:
		h.log.Warn("store: the disk is full, its ballast is given up", "dir", h.dir)
	case news && isNotExist(err):
		h.log.Warn("store: the disk is full", "dir", h.dir)
	case !isNotExist(err) && h.failing.now():
		h.log.Warn("store: the disk is full, and its ballast cannot be given up", "err", err)
	}
}

// check measures, decides whether the disk is full, and makes the ballast
// again when there is space. number is that of the directory in use, 0 if none.
func (h *headroom) check(number uint32) {
	used := uint64(0)
	if number > 0 {
		used = directoryBytes(h.fs, directoryPath(h.dir, number))
	}
	usage, err := h.fs.GetDiskUsage(h.dir)
	if err != nil && !errors.Is(err, vfs.ErrUnsupported) && h.failing.now() {
		h.log.Warn("store: the free space of the disk is not known", "err", err)
	}
	if err != nil {
		usage = vfs.DiskUsage{}
	}
	h.mu.Lock()
	before, failed := h.reason, h.noSpace
	h.used, h.usage, h.noSpace = used, usage, false
	h.reason = h.judge(failed)
	reason, make := h.reason, h.reason == "" && !h.ballast && usage.TotalBytes > 0 && h.missing()+2*h.ballastSize() <= usage.AvailBytes
	h.mu.Unlock()
	if (before == "") != (reason == "") {
		h.log.Warn("store: whether the disk is full has changed", "full", reason != "", "reason", reason)
	}
	if make {
		h.makeBallast()
	}
}

// judge returns why it is full, "" if it is not. h.mu must be held.
func (h *headroom) judge(failed bool) string {
	least := h.least()
	enough := uint64(float64(least) * freeMargin)
	if h.usage.TotalBytes > 0 && h.min == 0 {
		enough = 2 * h.ballastSize()
	}
	big := h.used > h.below(fullAbove) || h.reason != "" && h.used > h.below(fullUntil)
	low := h.usage.TotalBytes > 0 && (h.usage.AvailBytes < least || (h.reason != "" || failed) && h.usage.AvailBytes < enough)
	switch {
	case big:
		return fmt.Sprintf("%s used of max_bytes %s", registry.Size(h.used), registry.Size(h.max))
	case low && failed:
		return "no space left on the disk"
	case low:
		return fmt.Sprintf("%s free, min_free is %s", registry.Size(h.usage.AvailBytes), registry.Size(least))
	}
	return ""
}

// below returns max_bytes less some slacks.
func (h *headroom) below(slacks float64) uint64 {
	slack := min(max(slackShare*float64(h.max), slackBytes), slackMost*float64(h.max))
	return h.max - uint64(slacks*slack)
}

// soon returns when the next check is due: sooner if it may find the disk full.
func (h *headroom) soon() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.used > h.below(evictUntil)/2 {
		return roomSoon
	}
	return roomEvery
}

// least returns the bytes that must be free. h.mu must be held.
func (h *headroom) least() uint64 { return uint64(h.min * float64(h.usage.TotalBytes)) }

// missing returns the free bytes below which entries go. h.mu must be held.
func (h *headroom) missing() uint64 { return uint64(float64(h.least()) * freeMargin) }

// full returns why no entries may be written, "" if they may.
func (h *headroom) full() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reason
}

// bytes returns what the directory in use took at the last check.
func (h *headroom) bytes() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.used
}

// excess returns how many bytes of entries should go.
func (h *headroom) excess() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	var n uint64
	if h.used > h.below(evictAbove) {
		n = h.used - h.below(evictUntil)
	}
	if want := h.missing(); h.usage.AvailBytes < want {
		n = max(n, uint64(float64(want)*freeMargin)-h.usage.AvailBytes)
	}
	return n
}

func (h *headroom) ballastPath() string { return h.fs.PathJoin(h.dir, ballastName) }

// ballastSize returns the bytes of the ballast. h.mu must be held.
func (h *headroom) ballastSize() uint64 {
	return min(ballastBytes, uint64(ballastShare*float64(h.usage.TotalBytes)))
}

func (h *headroom) makeBallast() {
	h.mu.Lock()
	size := h.ballastSize()
	h.mu.Unlock()
	f, err := h.fs.Create(h.ballastPath(), vfs.WriteCategoryUnspecified)
	if err == nil {
		err = errors.Join(fill(f, size), f.Sync(), f.Close())
	}
	if err != nil {
		h.log.Warn("store: no ballast", "err", err)
		if err := h.fs.Remove(h.ballastPath()); err != nil && !isNotExist(err) {
			h.log.Warn("store: half a ballast is left", "err", err)
		}
		return
	}
	h.mu.Lock()
	h.ballast = !h.noSpace
	h.mu.Unlock()
}

// fill gives an empty file that many bytes of disk.
func fill(f vfs.File, size uint64) error {
	if f.Fd() != vfs.InvalidFd && f.Preallocate(0, int64(size)) == nil {
		return nil
	}
	zeros := make([]byte, 1<<20)
	for size > 0 {
		n, err := f.Write(zeros[:min(size, uint64(len(zeros)))])
		if err != nil {
			return err
		}
		size -= uint64(n)
	}
	return nil
}

// directoryBytes returns the size of the files of a directory. Those that go
// meanwhile do not count.
func directoryBytes(fs vfs.FS, path string) uint64 {
	names, err := fs.List(path)
	if err != nil {
		return 0
	}
	var n uint64
	for _, name := range names {
		if info, err := fs.Stat(fs.PathJoin(path, name)); err == nil {
			n += uint64(max(info.Size(), 0))
		}
	}
	return n
}
