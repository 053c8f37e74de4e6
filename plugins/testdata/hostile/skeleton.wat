(module
  (import "edgecache_v1" "log" (func $log (param i32 i32 i32)))
  (func (export "edgecache_abi_v1"))
  (func (export "ec_abi") (result i32) i32.const 0x10000)
