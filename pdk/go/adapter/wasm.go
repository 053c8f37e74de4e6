//go:build wasip1

package edgecache

import "unsafe"

//go:wasmimport edgecache_v1 log
func importLog(level int32, text unsafe.Pointer, length uint32)

//go:wasmimport edgecache_v1 error_set
func importErrorSet(text unsafe.Pointer, length uint32)

//go:wasmimport edgecache_v1 config_get
func importConfigGet(key unsafe.Pointer, keyLength uint32, buffer unsafe.Pointer, capacity uint32) int32

//go:wasmimport edgecache_v1 fuel_left
func importFuelLeft() int32

//go:wasmimport edgecache_v1 input_get
func importInputGet(slot int32, buffer unsafe.Pointer, capacity uint32) int32

//go:wasmimport edgecache_v1 output_set
func importOutputSet(kind int32, text unsafe.Pointer, length uint32) int32

//go:wasmimport edgecache_v1 emit
func importEmit(op int32, name unsafe.Pointer, nameLength uint32, text unsafe.Pointer, length uint32) int32

//go:wasmimport edgecache_v1 http_send
func importSend(head unsafe.Pointer, headLength uint32, body unsafe.Pointer, bodyLength uint32, timeout int32) int64

//go:wasmimport edgecache_v1 http_status
func importStatus(handle int64) int32

//go:wasmimport edgecache_v1 http_header
func importHeader(handle int64, name unsafe.Pointer, nameLength uint32, buffer unsafe.Pointer, capacity uint32) int32

//go:wasmimport edgecache_v1 http_read
func importRead(handle int64, buffer unsafe.Pointer, capacity uint32) int32

//go:wasmimport edgecache_v1 http_close
func importClose(handle int64) int32

//go:wasmimport edgecache_v1 kv_get
func importKVGet(key unsafe.Pointer, keyLength uint32, buffer unsafe.Pointer, capacity uint32) int32

//go:wasmimport edgecache_v1 kv_set
func importKVSet(key unsafe.Pointer, keyLength uint32, value unsafe.Pointer, length uint32, ttl int32) int32

//go:wasmimport edgecache_v1 kv_del
func importKVDel(key unsafe.Pointer, keyLength uint32) int32

//go:wasmimport edgecache_v1 now_ms
func importNow() int64

//go:wasmimport edgecache_v1 deadline_ms
func importDeadline() int32

// alone says that nobody else uses the package's variables: a module has one
// thread. Goroutines take turns wherever memory is allocated, so that what is used
// meanwhile is nowhere else.
const alone = true

func text(s string) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.StringData(s)), uint32(len(s))
}

func bytes(b []byte) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))
}

func hostLog(level Level, line string) {
	p, n := text(line)
	importLog(int32(level), p, n)
}

func hostError(said string) { importErrorSet(text(said)) }

func hostConfig(pointer string, buffer []byte) int {
	k, kn := text(pointer)
	b, bn := bytes(buffer)
	return int(importConfigGet(k, kn, b, bn))
}

func hostInput(slot int32, buffer []byte) int {
	b, n := bytes(buffer)
	return int(importInputGet(slot, b, n))
}

func hostOutput(kind int32, value []byte) int32 {
	b, n := bytes(value)
	return importOutputSet(kind, b, n)
}

func hostEmit(op int32, name string, record []byte) int32 {
	p, pn := text(name)
	b, bn := bytes(record)
	return importEmit(op, p, pn, b, bn)
}

func hostSend(head string, body []byte, timeout int32) int64 {
	h, hn := text(head)
	b, bn := bytes(body)
	return importSend(h, hn, b, bn, timeout)
}

func hostStatus(handle int64) int32 { return importStatus(handle) }

func hostHeader(handle int64, name string, buffer []byte) int {
	p, pn := text(name)
	b, bn := bytes(buffer)
	return int(importHeader(handle, p, pn, b, bn))
}

func hostRead(handle int64, buffer []byte) int32 {
	b, n := bytes(buffer)
	return importRead(handle, b, n)
}

func hostClose(handle int64) { importClose(handle) }

func hostKVGet(key string, buffer []byte) int {
	k, kn := text(key)
	b, bn := bytes(buffer)
	return int(importKVGet(k, kn, b, bn))
}

func hostKVSet(key string, value []byte, ttl int32) int32 {
	k, kn := text(key)
	b, bn := bytes(value)
	return importKVSet(k, kn, b, bn, ttl)
}

func hostKVDel(key string) { importKVDel(text(key)) }

func hostNow() int64 { return importNow() }

func hostDeadline() int32 { return importDeadline() }

//go:wasmexport edgecache_abi_v1
func exportMarker() {}

//go:wasmexport ec_abi
func exportABI() int32 { return 1 << 16 }

// exportInit calls fuel_left because the host gives fuel in slices only to those
// that import it.
//
//go:wasmexport ec_init
func exportInit() int32 {
	importFuelLeft()
	return doStart()
}

//go:wasmexport ec_lookup
func exportLookup() int32 { return doLookup() }
