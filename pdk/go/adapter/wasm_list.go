//go:build wasip1 && !nolist

package edgecache

func init() { exportsList = true }

//go:wasmexport ec_list
func exportList() int32 { return doList() }
