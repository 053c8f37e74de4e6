(module
  (memory (export "memory") 2)
  (func (export "run") (param i32) (result i64)
    (memory.copy (i32.const 4096) (i32.const 65536) (i32.const 4096))
    (i64.load (i32.const 4096))))
