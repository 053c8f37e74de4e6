package http

import (
	"bufio"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// A stream sends the events of one watch. It owes its reader names, not
// events: what changes while the reader is slow is sent once, in its newest
// state.
type stream struct {
	server *Server
	to     registry.Subscribe
	query  registry.Query
	attrs  registry.Attrs
	sub    registry.Subscription
	out    *bufio.Writer
	names  []string
	failed map[string]bool // names whose last event was unavailable
	sent   map[string]told // what the reader knows, of up to maxTold names
	err    error           // of writing: the reader is gone
}

// told is the last event of a name, as far as it tells a repetition.
type told struct {
	kind  string
	index uint64
}

// maxTold bounds what a stream remembers; of further names it may repeat
// itself.
const maxTold = 65536

// run sends events until the reader is gone or the server drains.
func (w *stream) run() {
	w.write("retry: 1000\n\n")
	w.flush()
	if !w.sub.Resumed() {
		w.list()
	}
	ping, retry := time.NewTicker(pingEvery), time.NewTicker(retryEvery)
	defer ping.Stop()
	defer retry.Stop()
	for w.err == nil {
		select {
		case <-w.sub.Wake():
			w.changes()
		case <-ping.C:
			w.write(": ping\n\n")
		case <-retry.C:
			w.retry()
		case <-w.server.drained:
			return
		}
		w.flush()
	}
}

// ended reports whether going on makes no sense.
func (w *stream) ended() bool {
	select {
	case <-w.server.drained:
		return true
	default:
		return w.err != nil
	}
}

// changes sends the newest state of each name that is owed. Only the last one
// has the id: a reader that is cut off before it is owed them all again.
func (w *stream) changes() {
	names, token, reset := w.sub.Take(w.names[:0])
	w.names = names
	if reset {
		w.list()
		return
	}
	w.each(names, func(i int, e event) {
		id := ""
		if i == len(names)-1 {
			id = token
		}
		w.send(e, id)
	})
}

// retry tries names again that could not be loaded, and tells what became of
// those that can be now.
func (w *stream) retry() {
	if len(w.failed) == 0 {
		return
	}
	var names []string
	for name := range w.failed {
		names = append(names, name)
	}
	w.each(names, func(_ int, e event) {
		if e.kind != eventUnavailable {
			w.send(e, "")
		}
	})
}

// list sends everything anew: reset, what there is, synced.
func (w *stream) list() {
	for !w.ended() {
		// Taken before listing: what changes meanwhile is owed afterwards.
		_, token, _ := w.sub.Take(w.names[:0])
		clear(w.failed)
		clear(w.sent)
		w.write("event: reset\ndata: {}\n\n")
		w.flush()
		index, err := w.listAll()
		if err == nil {
			w.event("synced", token, `{"index":`+strconv.FormatUint(index, 10)+`}`)
			w.flush()
			return
		}
		if !w.server.settle(time.Second) { // the name list is not there; named services were sent
			return
		}
	}
}

// listAll sends the named services and those with the prefix, and returns the
// highest index among them.
func (w *stream) listAll() (index uint64, err error) {
	send := func(_ int, e event) {
		index = max(index, e.index)
		w.send(e, "")
	}
	w.each(w.to.Names, send)
	if w.to.Prefix == nil {
		return index, nil
	}
	named := map[string]bool{}
	for _, n := range w.to.Names {
		named[n] = true
	}
	q := registry.NamesQuery{Registry: w.to.Registry, Prefix: *w.to.Prefix, Kind: w.to.Kind, Limit: maxLimit}
	for !w.ended() {
		page, err := w.server.deps.Answerer.Engine.Names(w.server.base, &q)
		if err != nil {
			return index, err
		}
		index = max(index, page.Index)
		names := make([]string, 0, len(page.Rows))
		for i := range page.Rows {
			if !named[page.Rows[i].Name] {
				names = append(names, page.Rows[i].Name)
			}
		}
		w.each(names, func(i int, e event) {
			if e.kind != eventDelete { // nobody knows it: there is nothing to take back
				send(i, e)
			}
		})
		if !page.More || len(page.Rows) == 0 {
			break
		}
		q.After = page.Rows[len(page.Rows)-1].Name
	}
	return index, nil
}

// The kinds of events that tell of one name.
const (
	eventUpsert      = "upsert"
	eventDelete      = "delete"
	eventUnavailable = "unavailable"
)

// An event is the newest state of a name.
type event struct {
	kind, name string
	index      uint64
	data       []byte
}

// each looks names up, some at a time, and hands their events over in order.
func (w *stream) each(names []string, send func(i int, e event)) {
	events := make([]event, min(len(names), batchWorkers))
	for from := 0; from < len(names) && !w.ended(); from += len(events) {
		chunk := names[from:min(from+len(events), len(names))]
		if len(chunk) == 1 {
			events[0] = w.look(chunk[0])
		} else {
			var workers sync.WaitGroup
			for i := range chunk {
				workers.Go(func() {
					events[i] = event{kind: eventUnavailable, name: chunk[i]} // if it panics
					defer w.server.guardWorker()
					events[i] = w.look(chunk[i])
				})
			}
			workers.Wait()
		}
		for i := range chunk {
			send(from+i, events[i])
		}
	}
}

// look makes the event of a name's current state. What the parameters and
// filters hide is deleted for this reader; what a filter denies is unavailable.
func (w *stream) look(name string) event {
	var result registry.Result
	q := w.query
	q.Name = name
	err := w.server.resolve(w.server.base, &q, w.attrs, &result)
	e := event{name: name, index: result.Index}
	switch {
	case err == nil && (result.Selection.Len(result.Record) > 0 || len(result.Record.Instances) == 0):
		e.kind = eventUpsert
		e.data = registry.AppendAnswer(nil, result.Record, &result.Selection, result.Age, result.Stale)
	case err == nil || errors.Is(err, registry.ErrNotFound):
		e.kind = eventDelete
		from := w.to.Registry
		if err == nil {
			from = result.Record.Key.Registry
		}
		e.data = registry.AppendString(append(e.data, `{"name":`...), name)
		e.data = registry.AppendString(append(e.data, `,"registry":`...), from)
		e.data = strconv.AppendUint(append(e.data, `,"index":`...), result.Index, 10)
		e.data = append(e.data, '}')
	default:
		p := problemOf(err)
		p.Name = name
		e.kind, e.data = eventUnavailable, p.append(nil)
	}
	return e
}

// send writes an event.
func (w *stream) send(e event, id string) {
	if e.kind == eventUnavailable {
		if e.data == nil {
			e.data = internalFailure.because("the error is in the log").append(nil)
		}
		w.failed[strings.Clone(e.name)] = true
		delete(w.sent, e.name)
	} else {
		delete(w.failed, e.name)
		now := told{e.kind, e.index}
		if w.sent[e.name] == now {
			return // woken without a change; a reader cut off here is owed it again
		}
		if len(w.sent) < maxTold {
			w.sent[strings.Clone(e.name)] = now
		} else {
			delete(w.sent, e.name)
		}
	}
	w.event(e.kind, id, asString(e.data))
}

func (w *stream) event(kind, id, data string) {
	w.write("event: ")
	w.write(kind)
	if id != "" {
		w.write("\nid: ")
		w.write(id)
	}
	w.write("\ndata: ")
	w.write(data)
	w.write("\n\n")
}

func (w *stream) write(s string) {
	if w.err == nil {
		_, w.err = w.out.WriteString(s)
	}
}

func (w *stream) flush() {
	if w.err == nil {
		w.err = w.out.Flush()
	}
}
