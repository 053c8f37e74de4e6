// Package e2e holds the tests of the whole node: they build the program, run
// it as processes on free loopback ports in front of real registries, and tell
// stories of what its users and its registries do to it.
package e2e
