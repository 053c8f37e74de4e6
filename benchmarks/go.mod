module github.com/edgecache/edgecache/benchmarks

go 1.26.0

replace github.com/edgecache/edgecache => ../

require (
	github.com/edgecache/edgecache v0.0.0-00010101000000-000000000000
	github.com/valyala/fasthttp v1.73.0
	golang.org/x/sys v0.49.0
)

require (
	github.com/andybalholm/brotli v1.2.2 // indirect
	github.com/klauspost/compress v1.20.1 // indirect
	github.com/maypok86/otter/v2 v2.4.0 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
	golang.org/x/time v0.16.0 // indirect
)
