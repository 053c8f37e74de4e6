package file

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/edgecache/edgecache/registry"
)

const (
	alive  = 10 * time.Second       // the longest time between two signs of life
	retry  = time.Second            // between two looks at files that are wrong
	grace  = 500 * time.Millisecond // for files that are wrong to come right: a writer may be at work
	gather = 5 * time.Millisecond   // file events come in bunches
)

// Watch follows as registry.Watcher says; from is ignored, since each watch
// begins with the current state. It ends when the files cannot be read any
// more. If they cannot be read when it begins, it waits until they can and
// emits nothing before: so they are heard of at once when they are right again.
func (s *Source) Watch(ctx context.Context, _ registry.Revision, names []string, emit func(registry.Event)) error {
	told := map[string]registry.Revision{}
	first := true
	return s.follow(ctx, func(snap *snapshot) {
		quiet := !first
		for _, name := range slices.Sorted(maps.Keys(told)) {
			if snap.records[name] == nil {
				delete(told, name)
				quiet = false
				emit(registry.Event{Kind: registry.EventDelete, Name: name, Deliberate: true})
			}
		}
		for _, name := range wanted(snap, names) {
			rec := snap.records[name]
			if rec == nil || told[name] == rec.Revision {
				continue
			}
			told[name] = rec.Revision
			quiet = false
			emit(registry.Event{Kind: registry.EventUpsert, Name: name, Record: clone(rec)})
		}
		if first {
			first = false
			emit(registry.Event{Kind: registry.EventSynced})
		}
		if quiet {
			emit(registry.Event{Kind: registry.EventAlive})
		}
	})
}

func wanted(snap *snapshot, names []string) []string {
	if len(names) == 0 {
		return snap.names
	}
	return names
}

// WatchList follows as registry.ListWatcher says, and waits and ends as Watch.
func (s *Source) WatchList(ctx context.Context, emit func(names []string)) error {
	var last []string
	return s.follow(ctx, func(snap *snapshot) {
		if last != nil && slices.Equal(last, snap.names) {
			emit(nil)
			return
		}
		last = append([]string{}, snap.names...)
		emit(slices.Clone(last))
	})
}

// follow calls step with the first snapshot and then after each look that found
// the files right, whether they changed or not.
func (s *Source) follow(ctx context.Context, step func(*snapshot)) error {
	n := s.newNotifier()
	defer n.close()
	told := false
	var wrongSince time.Time
	read := time.Now()
	for {
		force := time.Since(read) >= s.o.Poll
		if force {
			read = time.Now()
		}
		st, err := n.look(ctx, force)
		if err != nil {
			return err
		}
		wait := min(alive, s.o.Poll)
		switch {
		case st.err == nil:
			step(st.snapshot)
			told, wrongSince = true, time.Time{}
		case !told: // nothing told yet: wait for files that are right
			wait = min(retry, s.o.Poll)
		case wrongSince.IsZero():
			wrongSince, wait = time.Now(), grace
		case time.Since(wrongSince) >= grace:
			return st.err
		default:
			wait = grace - time.Since(wrongSince)
		}
		if err := n.wait(ctx, wait); err != nil {
			return s.fail(err)
		}
	}
}

// A notifier wakes a watch when something changes in the directories of the
// files. Directories are watched, not files: a file that is replaced is
// another one.
type notifier struct {
	s       *Source
	watcher *fsnotify.Watcher // nil: polling alone
	dirs    map[string]bool
}

func (s *Source) newNotifier() *notifier {
	n := &notifier{s: s, dirs: map[string]bool{}}
	var err error
	if n.watcher, err = fsnotify.NewWatcher(); err != nil {
		s.o.Logger.Warn("file changes cannot be watched; they are polled", "registry", s.o.Name, "poll", s.o.Poll, "error", err)
	}
	return n
}

func (n *notifier) close() {
	if n.watcher != nil {
		_ = n.watcher.Close() // nothing is lost
	}
}

// look is Source.look with the directories watched from before it on.
func (n *notifier) look(ctx context.Context, force bool) (*state, error) {
	n.watch(directories(n.s.o.Path, nil))
	for {
		st, err := n.s.look(ctx, force)
		if err != nil || !n.watch(st.dirs) {
			return st, err
		}
		force = false // a directory was not watched when its files were read
	}
}

// watch adds the directories to those watched and reports whether one is new.
func (n *notifier) watch(dirs []string) bool {
	if n.watcher == nil {
		return false
	}
	added := false
	for _, dir := range dirs {
		// Adding again is cheap, and needed: the directory may have been
		// replaced by another of the same name.
		if n.watcher.Add(dir) == nil && !n.dirs[dir] {
			n.dirs[dir], added = true, true
		}
	}
	return added
}

// wait returns nil after a change, or after d.
func (n *notifier) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	var events chan fsnotify.Event
	var errs chan error
	if n.watcher != nil {
		events, errs = n.watcher.Events, n.watcher.Errors
	}
	for changed := false; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return nil
		case <-events:
		case <-errs: // too many events at once: some are lost, so look
		}
		if !changed {
			changed = true
			timer.Reset(gather)
		}
	}
}
