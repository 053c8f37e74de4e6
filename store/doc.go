// Package store keeps entries and invalidations on disk, in Pebble. It makes a
// node better, warm after a restart, and may never make it worse: a disk that
// is full, slow, broken or gone costs what is on it and nothing else.
//
// # One committer
//
// All changes go through one goroutine, the committer: it gathers what waits,
// commits it in one batch, and syncs if an invalidation is among it. So changes
// have one order, a failed commit stops one goroutine of ours and not a
// caller's, and many invalidations share one fsync. Whoever waits is answered
// when its batch is written, when the directory dies, or, of an invalidation,
// when the disk stalls: then it may still become durable.
//
// # What is kept
//
// Keys begin with a byte that names their family. All numbers in keys are
// big-endian. Values begin with the version of their form, see values.go and
// stored.go.
//
//	e registry 0 name          an entry: registry.Stored
//	s registry 0 name          what was confirmed of it since: registry.Confirmed
//	m registry 0 name          its mark: the newest position of each mode
//	x expires(8) 0 number(8)   a list of entries: when to look whether they have expired
//	x expires(8) registry 0 name   likewise one entry, by older programs
//	g kind registry 0 text     a generation of a tag, prefix, registry or all
//	l origin(8) epoch(8) seq(8)    an invalidation, as received, and its position here
//	w origin(8) epoch(8)       what is kept of an epoch's invalidations
//	i registry                 the registry's identity
//	n name                     numbers: position, clock, wall, node, format, entries
//
// Marks, generations, and the numbers position, clock and wall grow only:
// writes of them are merged by the greatest value, so the order in which an
// entry and the invalidation that covers it reach the disk does not matter, and
// what can be read of a damaged directory is as good as it was. The states of
// epochs and the number of entries change in the batch that changes what they
// count.
//
// Position and clock are bounds: the batch that uses a position or an index
// above one raises it, by a block or a minute, and a restart goes on at it.
//
// # Formats
//
// A program reads what all older ones wrote, and gives up a directory of a format
// that it does not know. The lists of the expiry index and packed entries came
// without another format, before the first release: a program from before them
// takes a list for an entry that is not there and deletes it, and cannot read
// packed entries. To go back to such a program, begin with an empty data
// directory.
//
// # Directories
//
// The data directory holds a lock and numbered directories. The newest is in
// use. One that broke is left as it is, with a note beside it why, and the next
// number is begun: a process that gave one up may still have files of it open.
package store
