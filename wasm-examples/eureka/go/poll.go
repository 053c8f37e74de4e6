package main

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	edgecache "github.com/edgecache/edgecache/pdk/go/adapter"
)

// A state is what a watch knows of all applications. It is replaced, not changed.
type state struct {
	cursor  string // of the poll that made it
	server  string // where it is from: changes of another one may overlap or be missing
	version int64  // of the last changes that were read, 0: none were
	apps    map[string]*application
	whole   bool // it was read with everything, and not from changes
	anew    bool // it was read anew because the applications were not as many as the server said
}

var followed state

var errAllAnew = errors.New("all has to be read anew")

// poll reads everything first, and then the changes of the last three minutes,
// which Eureka repeats in each answer. Their hash tells whether some were missed.
func poll(p *edgecache.Poll) (time.Duration, error) {
	old := followed
	if p.Cursor == "" || p.Cursor != old.cursor {
		old = state{}
	}
	serial, _ := strconv.Atoi(p.Cursor) // the host's, or 0
	tidy(&old, serial)
	next, again, err := step(&old)
	if err != nil {
		return 0, err
	}
	if p.Cursor != "" && (again || old.cursor == "") {
		p.Again()
		old.apps = nil
	}
	tell(p, old.apps, next.apps)
	next.cursor = strconv.Itoa(serial + 1)
	p.Next(next.cursor)
	followed = *next
	return time.Duration(config.pollMS) * time.Millisecond, nil
}

// tidy collects garbage in polls that have fuel to spare. What reads everything
// may need all of it.
func tidy(old *state, serial int) {
	if runtime.GOOS != "wasip1" {
		return
	}
	if old.cursor == "" {
		debug.SetGCPercent(-1)
		debug.SetMemoryLimit(48 << 20)
	} else if old.whole || serial%16 == 0 {
		runtime.GC()
	}
}

// step returns what is there now, and whether what was told before cannot be
// trusted.
func step(old *state) (next *state, again bool, err error) {
	if old.cursor == "" {
		next, err = everything()
		return next, false, err
	}
	next, err = changes(old)
	if !errors.Is(err, errAllAnew) {
		return next, false, err
	}
	edgecache.Log(edgecache.Info, err.Error())
	again = !errors.Is(err, errNoChanges)
	next, err = everything()
	if err == nil {
		next.anew = again
	}
	return next, again, err
}

// everything reads all applications.
func everything() (*state, error) {
	s := &state{whole: true}
	server, err := ask("/apps", func(_ string, r *edgecache.Response) error {
		if r.Status() != 200 {
			return refusal(r.Status())
		}
		s.apps = map[string]*application{}
		_, err := readApplications(r, true, func(app *application) { s.apps[nameOf(app.name)] = app })
		return err
	})
	s.server = server
	return s, err
}

var errNoChanges = fmt.Errorf("the server does not tell of changes: %w", errAllAnew)

// changes applies what changed. The error is errAllAnew if that does not do.
func changes(old *state) (*state, error) {
	var changed []*application
	var told *summary
	server, err := ask("/apps/delta", func(_ string, r *edgecache.Response) (err error) {
		changed, told = nil, nil
		if r.Status() != 200 {
			return nil
		}
		told, err = readApplications(r, true, func(app *application) { changed = append(changed, app) })
		return err
	})
	next := &state{server: server, apps: maps.Clone(old.apps)}
	switch {
	case err != nil:
		return nil, err
	case server != old.server:
		return nil, fmt.Errorf("%s answers, after %s: %w", server, old.server, errAllAnew)
	case told == nil || !told.hashed:
		return nil, errNoChanges
	}
	if err := number(told.version, "applications.versions__delta", 1<<62, &next.version); err != nil {
		return nil, err
	}
	if next.version < old.version {
		return nil, fmt.Errorf("%s was started again, its changes begin at %d after %d: %w", server, next.version, old.version, errAllAnew)
	}
	for _, app := range changed {
		next.apply(app)
	}
	if hash := next.hash(); hash != told.hash {
		err := fmt.Errorf("%s counts %s, here are %s", server, told.hash, hash)
		if !old.anew {
			return nil, fmt.Errorf("%w: %w", err, errAllAnew)
		}
		// It was so a moment ago: servers answer from caches of different ages.
		edgecache.Log(edgecache.Warn, err.Error()+": it waits for the next poll")
	}
	return next, nil
}

// apply applies the changes of an application.
func (s *state) apply(changed *application) {
	name := nameOf(changed.name)
	app := &application{name: changed.name, instances: map[string]*instance{}}
	if s.apps[name] != nil {
		app = s.apps[name].clone()
	}
	for _, id := range changed.ids {
		in, before := changed.instances[id], app.instances[id]
		switch {
		case before != nil && in.updated < before.updated: // older than what is known
		case in.gone:
			app.remove(id)
		default:
			app.add(in)
		}
	}
	if s.apps[name] = app; len(app.ids) == 0 {
		delete(s.apps, name)
	}
}

// hash counts the instances of each status as servers do: STATUS_count_ in the
// order of the statuses' names.
func (s *state) hash() string {
	counts := map[string]int{}
	for _, app := range s.apps {
		for _, in := range app.instances {
			counts[in.status]++
		}
	}
	var b strings.Builder
	for _, status := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&b, "%s_%d_", status, counts[status])
	}
	return b.String()
}

// tell tells the host what became of the applications that it was told of.
func tell(p *edgecache.Poll, old, now map[string]*application) {
	for _, name := range slices.Sorted(maps.Keys(now)) {
		app, before := now[name], old[name]
		switch {
		case before == app || before != nil && before.equal(app) || !nameable(name):
		case app.unreadable():
			edgecache.Log(edgecache.Warn, name+": none of its instances can be read: what it was stays")
		default:
			p.Upsert(name, app.record(name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if now[name] == nil && nameable(name) {
			p.Delete(name)
		}
	}
}
