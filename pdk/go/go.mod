module github.com/edgecache/edgecache/pdk/go

go 1.24
