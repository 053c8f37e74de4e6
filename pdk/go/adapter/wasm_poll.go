//go:build wasip1 && !nopoll

package edgecache

func init() { exportsPoll = true }

//go:wasmexport ec_poll
func exportPoll() int32 { return doPoll() }
