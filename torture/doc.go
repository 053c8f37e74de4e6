// Package torture holds tests that crash, starve and corrupt a node's disk and
// hold what it answers against models. They run for a given time; see
// docs/reliability.md.
package torture
