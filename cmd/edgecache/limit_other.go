//go:build !linux

package main

import "time"

// limitSelf cannot bound memory here; the parent bounds the time.
func limitSelf(uint64, time.Duration) error { return nil }
