//go:build !linux

package store

import "github.com/cockroachdb/pebble/v2/vfs"

// systemFS returns the system's files.
func systemFS() vfs.FS { return vfs.Default }
