// Package protocol is the core of the cluster: it decides which records a node
// sends, asks for, confirms and waits for, who is a member, and until when the
// node may call itself synced. It is a step function of events and effects and
// knows neither clocks nor sockets, disks or goroutines: its caller, package
// gossip or a simulator, owns those.
//
// # Records
//
// An invalidation, or a change of the members, is a record of its origin: the
// node that took it, in the epoch of its present life, under the next sequence.
// Sequences are contiguous from 1, so a node knows what it lacks: every
// sequence up to the greatest that anybody showed. It asks for it, first the
// origin, then whoever has it. What a node has on disk it shows to its peers,
// in states: that is how the origin learns who confirmed, and all learn what
// they lack.
//
// # Synced
//
// A state echoes the newest beacon received from the peer it is for. So a node
// knows of a moment of its own after which the peer sent the state, and with it
// all that the peer had logged before. Once the node has all of that too, it
// has reached the peer as of that moment. Whoever reached a majority as of less
// than [reachWindow] ago has all that a majority confirmed before, since two
// majorities share a member. An origin that waited [fenceAfter] since a
// majority confirmed knows that nobody is synced without its record.
//
// # Members
//
// A majority is one of all members, dead ones too, and is counted of those who
// have entered. A node enters once a majority of those it was shown logged its
// entry, and it reached what they had by then. So whoever could confirm without
// the newcomer overlaps with those who know of it. Lists that meet are united.
// One who is out by another's word may not know that, and be synced: it is
// waited for until a majority knows, and fenceAfter more.
package protocol
