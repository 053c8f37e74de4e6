module github.com/edgecache/edgecache/wasm-examples/zone-affinity/go

go 1.24

require github.com/edgecache/edgecache/pdk/go v0.0.0

replace github.com/edgecache/edgecache/pdk/go => ../../../pdk/go
