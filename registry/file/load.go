package file

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// How long a file that changed must rest before it is read, and how long that
// is waited for. It is more than the grain of file times, so that a change
// after the reading always shows.
const (
	rest     = 20 * time.Millisecond
	restless = 400 * time.Millisecond
	recent   = 2 * time.Second // an older change has come to rest
)

// look returns the state of the files, reading them if they changed or if
// force is set. Its error is the end of ctx; what is wrong with the files is
// in the state.
func (s *Source) look(ctx context.Context, force bool) (*state, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, s.fail(ctx.Err())
	}
	if ctx.Err() != nil {
		return nil, s.fail(ctx.Err())
	}
	old := s.state.Load()
	files, err := find(s.o.Path)
	if err == nil && old != nil && !force && old.stamp != nil && old.stamp.equal(files) {
		return old, nil
	}
	if err == nil {
		files, err = s.settle(ctx, files)
		if ctx.Err() != nil {
			return nil, s.fail(ctx.Err())
		}
	}
	next := &state{dirs: directories(s.o.Path, files)}
	if err == nil {
		next.stamp = files
		next.snapshot, err = s.read(files)
	}
	if err == nil && old != nil && old.err == nil && old.snapshot.equal(next.snapshot) {
		next.snapshot = old.snapshot
	}
	if err != nil {
		next.err = s.fail(err)
	}
	s.logChange(old, next)
	s.state.Store(next)
	return next, nil
}

// settle waits until the files rest.
func (s *Source) settle(ctx context.Context, files stamp) (stamp, error) {
	if age := time.Since(files.newest()); age > recent || age < -recent {
		return files, nil
	}
	for waited := time.Duration(0); waited < restless; waited += rest {
		timer := time.NewTimer(rest)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return files, ctx.Err()
		}
		again, err := find(s.o.Path)
		if err != nil {
			return nil, err
		}
		if again.equal(files) {
			return again, nil
		}
		files = again
	}
	return files, nil
}

// logChange logs what differs between two looks.
func (s *Source) logChange(old, next *state) {
	switch {
	case next.err != nil:
		if old == nil || old.err == nil || old.err.Error() != next.err.Error() {
			s.o.Logger.Warn("file registry cannot be read; what was read before goes stale", "registry", s.o.Name, "error", next.err)
		}
	case old == nil || old.err != nil:
		s.o.Logger.Info("file registry read", "registry", s.o.Name, "files", len(next.stamp), "services", len(next.snapshot.names))
	default:
		changed, gone := 0, 0
		for name, rec := range next.snapshot.records {
			if before := old.snapshot.records[name]; before == nil || before.Revision != rec.Revision {
				changed++
			}
		}
		for _, name := range old.snapshot.names {
			if next.snapshot.records[name] == nil {
				gone++
			}
		}
		if changed+gone > 0 {
			s.o.Logger.Info("file registry changed", "registry", s.o.Name, "changed", changed, "gone", gone)
		}
	}
}

// read parses all files into a new snapshot.
func (s *Source) read(files stamp) (*snapshot, error) {
	snap := &snapshot{records: map[string]*registry.Record{}}
	from := map[string]string{} // name → file
	add := func(rec *registry.Record, file string) error {
		name := rec.Key.Name
		if first, twice := from[name]; twice {
			return fmt.Errorf("service %q is in %s and in %s; a name may be in one file only", name, first, file)
		}
		rec.Revision = registry.Revision{Token: token(rec)}
		from[name], snap.records[name] = file, rec
		return nil
	}
	var all []group
	for _, file := range files {
		data, err := readFile(file.path)
		if err != nil {
			return nil, err
		}
		records, groups, err := parse(data, s.o.Format)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.path, err)
		}
		for _, rec := range records {
			if err := add(rec, file.path); err != nil {
				return nil, err
			}
		}
		for _, g := range groups {
			g.file = file.path
			all = append(all, g)
		}
	}
	for _, service := range unite(all) {
		if err := add(service.record(s.o.Documents), service.groups[0].file); err != nil {
			return nil, err
		}
	}
	snap.names = slices.Sorted(maps.Keys(snap.records))
	return snap, nil
}

// equal reports whether both hold the same.
func (s *snapshot) equal(other *snapshot) bool {
	return maps.EqualFunc(s.records, other.records, func(a, b *registry.Record) bool { return a.Revision == b.Revision })
}

// readFile reads a file within the limit, which it may have outgrown since its
// size was taken.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxBytes {
		return nil, fmt.Errorf("%s: more than %d MiB", path, maxBytes>>20)
	}
	return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), nil
}

// token names the content of a record, its wishes included.
func token(rec *registry.Record) string {
	if rec.Wishes == registry.NoWishes {
		return fmt.Sprintf("%016x", rec.ContentHash())
	}
	return fmt.Sprintf("%016x %v", rec.ContentHash(), rec.Wishes)
}
