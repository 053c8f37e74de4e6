//go:build wasip1

package edgecache

import (
	"runtime"
	"unsafe"
)

//go:wasmimport edgecache_v1 log
func importLog(level int32, text unsafe.Pointer, length uint32)

//go:wasmimport edgecache_v1 error_set
func importErrorSet(text unsafe.Pointer, length uint32)

//go:wasmimport edgecache_v1 config_get
func importConfigGet(key unsafe.Pointer, keyLength uint32, buffer unsafe.Pointer, capacity uint32) int32

func pointer(s string) unsafe.Pointer { return unsafe.Pointer(unsafe.StringData(s)) }

func hostLog(level Level, text string) { importLog(int32(level), pointer(text), uint32(len(text))) }

func hostError(text string) { importErrorSet(pointer(text), uint32(len(text))) }

func hostConfig(key string, buffer []byte) int {
	return int(importConfigGet(pointer(key), uint32(len(key)), unsafe.Pointer(unsafe.SliceData(buffer)), uint32(len(buffer))))
}

//go:wasmexport edgecache_abi_v1
func exportMarker() {}

//go:wasmexport ec_abi
func exportABI() int32 { return 1 << 16 }

//go:wasmexport ec_init
func exportInit() int32 { return start() }

//go:wasmexport ec_arena
func exportArena(least uint32) uint32 {
	if least > inSize+outSize {
		return 0
	}
	return uint32(uintptr(unsafe.Pointer(arena())))
}

//go:wasmexport ec_filter
func exportFilter(uint32) uint64 { return uint64(decides(arena())) }

// exportIdle collects what start left: no other goroutine runs between calls, so
// nothing else would.
//
//go:wasmexport ec_idle
func exportIdle() int32 {
	runtime.GC()
	return 0
}
