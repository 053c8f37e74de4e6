package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Pebble takes the first record of a log that it cannot read for one that a
// crash cut short, and all that follows for nothing. Of the newest WAL it reads
// the next blocks of 32 KiB for a sign to the contrary, of the MANIFEST nothing:
// one wrong bit there takes away the tables written since, with the
// invalidations in them, and deletes them. So both are read before a directory
// is opened. What a crash may leave is never taken for damage; of the WAL, what
// was written since the last sync but one may be damaged unseen.

// intact returns an error if one of them is not as it was written.
func intact(fs vfs.FS, path string) error {
	return errors.Join(intactManifest(fs, path), intactWAL(fs, path))
}

// intactManifest returns an error if the MANIFEST in force is not as it was
// written.
func intactManifest(fs vfs.FS, path string) error {
	d, err := pebble.Peek(path, fs)
	if err != nil || !d.Exists {
		return err
	}
	data, err := readLog(fs, d.ManifestFilename)
	if err != nil {
		return err
	}
	return logFile{data, 0}.check(fs.PathBase(d.ManifestFilename))
}

// intactWAL returns an error if the newest WAL is not as it was written.
func intactWAL(fs vfs.FS, path string) error {
	names, err := fs.List(path)
	if err != nil {
		return err
	}
	var newest uint64
	for _, name := range names {
		digits, ok := strings.CutSuffix(name, ".log")
		if n, err := strconv.ParseUint(digits, 10, 64); ok && err == nil {
			newest = max(newest, n)
		}
	}
	if newest == 0 {
		return nil
	}
	file := fs.PathJoin(path, fmt.Sprintf("%06d.log", newest))
	data, err := readLog(fs, file)
	if err != nil {
		return err
	}
	return logFile{data, uint32(newest)}.check(fs.PathBase(file))
}

func readLog(fs vfs.FS, file string) ([]byte, error) {
	f, err := fs.Open(file, vfs.SequentialReadsOption)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(f)
	return data, errors.Join(err, f.Close())
}

// A logFile is a file of Pebble's package record: blocks of chunks, of which a
// record has one or, over the end of a block, more. number is the low half of a
// WAL's number, 0 for a MANIFEST.
type logFile struct {
	data   []byte
	number uint32
}

const (
	logBlock = 32 << 10
	logPage  = 4 << 10 // what a disk writes at once

	// Bytes of a chunk's header: checksum, length and kind; number; synced.
	headerPlain, headerNumbered, headerSynced = 7, 11, 19
)

// A chunk is one that is as it was written.
type chunk struct {
	end    int
	starts bool   // a record begins with it
	synced uint64 // the file was synced up to here when it was written
}

func (l logFile) check(name string) error {
	if at, damaged := l.damage(); damaged {
		return fmt.Errorf("%s: damaged at byte %d of %d", name, at, len(l.data))
	}
	return nil
}

// damage returns the first byte that is not as it was written.
func (l logFile) damage() (at int, damaged bool) {
	at = 0
	for {
		at = l.start(at)
		c, ok, end := l.next(at)
		if end {
			return 0, false
		}
		if !ok {
			return at, l.followed(at) || l.number == 0 && l.whole(at)
		}
		at = c.end
	}
}

// start returns where the chunk after a position begins: in the next block if
// this one has no room for it.
func (l logFile) start(at int) int {
	header := headerPlain
	if l.number != 0 {
		header = headerSynced
	}
	if left := logBlock - at%logBlock; left < header && !nonZero(l.data[min(at, len(l.data)):min(at+left, len(l.data))]) {
		at += left
	}
	return at
}

// next reads the chunk that starts at a position. end: the log is complete.
func (l logFile) next(at int) (c chunk, ok, end bool) {
	if at >= len(l.data) || l.trailer(at) {
		return c, false, true
	}
	c, ok = l.chunk(at)
	return c, ok, false
}

// trailer reports whether the end of a closed WAL is at a position: a header
// without checksum, length and content, of the next number. One wrong bit makes
// no other header of that.
func (l logFile) trailer(at int) bool {
	return l.number != 0 && at+headerNumbered <= len(l.data) && !nonZero(l.data[at:at+6]) && l.data[at+6] == trailerKind &&
		binary.LittleEndian.Uint32(l.data[at+7:]) == l.number+1
}

const trailerKind = 5

// chunk reads the chunk at a position.
func (l logFile) chunk(at int) (c chunk, ok bool) {
	block := l.data[:min(len(l.data), (at/logBlock+1)*logBlock)]
	if at+headerPlain > len(block) {
		return c, false
	}
	kind, header := int(block[at+6]), headerPlain
	switch {
	case l.number == 0 && kind >= 1 && kind <= 4:
	case l.number != 0 && kind >= 5 && kind <= 8:
		header = headerNumbered
	case l.number != 0 && kind >= 9 && kind <= 12:
		header = headerSynced
	default:
		return c, false
	}
	c.end = at + header + int(binary.LittleEndian.Uint16(block[at+4:]))
	if c.end > len(block) || header > headerPlain && binary.LittleEndian.Uint32(block[at+7:]) != l.number {
		return c, false
	}
	crc := crc32.Checksum(block[at+6:c.end], castagnoli)
	if binary.LittleEndian.Uint32(block[at:]) != (crc>>15|crc<<17)+0xa282ead8 {
		return c, false
	}
	if header == headerSynced {
		c.synced = binary.LittleEndian.Uint64(block[at+headerNumbered:])
	}
	c.starts = kind%4 == 1 || kind%4 == 2
	return c, true
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// followed reports whether something was written after what is unreadable that
// shows it to have been durable: in a MANIFEST, whose records are synced one by
// one, any other; in a WAL a chunk that says so.
func (l logFile) followed(unreadable int) bool {
	shows := func(at int) (chunk, bool) {
		c, ok := l.chunk(at)
		return c, ok && (l.number == 0 && c.starts || c.synced > uint64(unreadable))
	}
	block := (unreadable/logBlock + 1) * logBlock
	for at := unreadable + 1; at < min(block, len(l.data)); at++ { // where the next one begins is not known
		if _, ok := shows(at); ok {
			return true
		}
	}
	for ; block < len(l.data); block += logBlock {
		for at := block; ; {
			at = l.start(at)
			c, ok, end := l.next(at)
			if end || !ok {
				break
			}
			if c.synced > uint64(unreadable) || l.number == 0 && c.starts {
				return true
			}
			at = c.end
		}
	}
	return false
}

// whole reports whether all of what is unreadable at the end reached the disk:
// a crash leaves pages out, or cuts the file off at the end of one.
func (l logFile) whole(unreadable int) bool {
	if len(l.data)%logPage == 0 {
		return false
	}
	for at := unreadable; at < len(l.data); at = (at/logPage + 1) * logPage {
		if !nonZero(l.data[at:min((at/logPage+1)*logPage, len(l.data))]) {
			return false
		}
	}
	return true
}

func nonZero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return true
		}
	}
	return false
}
